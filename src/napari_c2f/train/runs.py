"""Lists, compares, exports and deletes earlier runs; the only writer of its model."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c2f_core.training.catalogue import RunSummary, delete_run, export_model, list_runs, stages_of
from c2f_core.training.curves import Curves
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Task, TaskFunction
from napari_c2f.train.model import Catalogue

CurvesByRun = list[tuple[str, list[Curves]]]


def listing(root: Path) -> TaskFunction:
    """Return the work of looking for runs."""

    def work(*_: Any) -> list[RunSummary]:
        return list_runs(root)

    return work


def reading_curves(folders: Sequence[Path]) -> TaskFunction:
    """Return the work of reading the logs of runs."""

    def work(*_: Any) -> CurvesByRun:
        return [
            (name, _curves(folder)) for name, folder in zip(_names(folders), folders, strict=True)
        ]

    return work


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the names of folders, with those above them where some have one name."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    above = Path(os.path.commonpath([folder.absolute() for folder in folders]))
    return [str(folder.absolute().relative_to(above)) for folder in folders]


def _curves(folder: Path) -> list[Curves]:
    config = RunFolder(folder).read_config()
    return [curves for _, curves in stages_of(folder, config)]


class RunsController(Controller[Catalogue]):
    """Keeps the list of runs; a request that comes while another is worked on is left out."""

    def __init__(self) -> None:
        super().__init__(Catalogue())

    def refresh(self, root: Path) -> None:
        """List the runs in a folder and below."""
        if not self.model.busy:
            self._start(Task(listing(root)), lambda _: None, self._show_runs)

    def compare(self, folders: Sequence[Path]) -> None:
        """Show the curves of these runs."""
        if not self.model.busy:
            self._start(Task(reading_curves(folders)), lambda _: None, self._show_curves)

    def export(self, folder: Path, target: Path) -> None:
        """Copy the best model of a run to a file."""
        with self._errors_told():
            self.model.message = f"Exported to {export_model(folder, target)}."

    def delete(self, folder: Path) -> None:
        """Delete a run; the user has confirmed."""
        with self._errors_told():
            delete_run(folder)
            self.model.runs = tuple(run for run in self.model.runs if run.folder != folder)
            self.model.message = f"Deleted {folder}."

    def _show_runs(self, runs: list[RunSummary]) -> None:
        self.model.runs = tuple(runs)
        self._succeed(f"{len(runs)} runs." if runs else "No runs here; choose another folder.")

    def _show_curves(self, compared: CurvesByRun) -> None:
        self.model.compared = compared
        self._succeed(" and ".join(name for name, _ in compared) or self.model.message)
