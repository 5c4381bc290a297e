"""Lists, compares, exports and deletes earlier runs; the only writer of its model."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c2f_core.training.catalogue import RunSummary, delete_run, export_model, list_runs, stages_of
from c2f_core.training.curves import Curves
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.controller import Controller
from napari_c2f.base.settings import RECENT_MODELS, settings
from napari_c2f.base.words import counted
from napari_c2f.base.worker import TaskFunction
from napari_c2f.train.model import RunList

CurvesByRun = list[tuple[str, list[Curves]]]
KEY = "runs folder"
"""Name under which the folder is remembered from one session to the next."""


def listing(root: Path) -> TaskFunction:
    """Return a task that lists the runs in a folder, and what cannot be read there."""

    def work(*_: Any) -> tuple[list[RunSummary], list[str]]:
        problems: list[str] = []
        return list_runs(root, problems.append), problems

    return work


def reading_curves(folders: Sequence[Path]) -> TaskFunction:
    """Return a task that reads the logs of runs."""

    def work(*_: Any) -> CurvesByRun:
        names = distinct_names(folders)
        return [(name, _curves(folder)) for name, folder in zip(names, folders, strict=True)]

    return work


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of folders, with those of parent folders if some are equal."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    try:
        above = os.path.commonpath([folder.absolute() for folder in folders])
    except ValueError:  # They are on different drives of Windows.
        return [str(folder.absolute()) for folder in folders]
    return [str(folder.absolute().relative_to(above)) for folder in folders]


def _curves(folder: Path) -> list[Curves]:
    config = RunFolder(folder).read_config()
    return [curves for _, curves in stages_of(folder, config)]


class RunsController(Controller[RunList]):
    """Keeps the list of runs; a request is ignored while another one is worked on."""

    def __init__(self) -> None:
        remembered = settings().value(KEY, "", str)
        super().__init__(RunList(root=Path(remembered) if remembered else None))

    def enter(self, run: Path | None, planned: Path | None) -> None:
        """List runs as the user turns to them: where the latest run is, unless listed already.

        Parameters
        ----------
        run : Path or None
            Folder of the latest run of this session.
        planned : Path or None
            Folder of the next run.
        """
        root = self.model.root_for(run, planned)
        self.model.latest = run
        self.model.root = root
        self.refresh()

    def choose_root(self, folder: Path | None) -> None:
        """Take another folder for the list, which `refresh` reads."""
        self.model.root = folder

    def refresh(self) -> None:
        """List the runs in the folder and below."""
        root = self.model.root
        if root is None:
            self.tell("Choose the folder that contains your runs.")
            return
        settings().setValue(KEY, str(root))
        if not self.model.busy:
            self._start(listing(root), lambda _: None, self._show_runs)

    def compare(self, folders: Sequence[Path]) -> None:
        """Show the curves of these runs."""
        if not self.model.busy:
            self._start(reading_curves(folders), lambda _: None, self._show_curves)

    def use(self, run: RunSummary) -> None:
        """Add the best model of a run to the Refine widget's list."""
        if run.best_model is not None:
            RECENT_MODELS.remember(run.best_model)
            self.tell("The model is now in the Refine widget's list.")

    def export(self, folder: Path, target: Path) -> None:
        """Copy the best model of a run to a file."""
        with self._showing_errors():
            self.tell(f"Exported to {export_model(folder, target)}.")

    def delete(self, folder: Path) -> None:
        """Delete a run; the user has confirmed."""
        with self._showing_errors():
            delete_run(folder)
            self.model.runs = tuple(run for run in self.model.runs if run.folder != folder)
            self.tell(f"Deleted {folder}.")

    def _show_runs(self, found: tuple[list[RunSummary], list[str]]) -> None:
        runs, problems = found
        self.model.runs = tuple(runs)
        count = f"{counted(len(runs), 'run')}." if runs else "No runs here; choose another folder."
        more = f" ({counted(len(problems) - 1, 'more problem')})" if len(problems) > 1 else ""
        self._succeed(f"{count} {problems[0]}{more}" if problems else count)

    def _show_curves(self, compared: CurvesByRun) -> None:
        self.model.compared = compared
        self._succeed(" and ".join(name for name, _ in compared) or self.model.message)
