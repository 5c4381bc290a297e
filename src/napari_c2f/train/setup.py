"""Decides what the buttons of the form do, and the folders in it; the only writer of its model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from c2f_core.errors import C2FError
from c2f_core.training.run_folder import RunFolder
from napari_c2f.train.controller import LayerPairs, TrainController
from napari_c2f.train.model import (
    Phase,
    Setup,
    class_table_in,
    free_run_folder,
    missing_for_check,
    missing_for_training,
)

Form = Mapping[str, Any]
"""Fields of a `TrainConfig` as the form shows them; a folder that is not chosen is None."""


class SetupController:
    """Prepares the next run, and starts, stops and resumes runs as the user asks.

    Parameters
    ----------
    training : TrainController
        Controller of the runs.
    """

    def __init__(self, training: TrainController) -> None:
        self.model = Setup()
        self._training = training
        training.model.events.phase.connect(self._follow_run)

    def choose_data(self, folder: Path | None) -> None:
        """Train on the data in a folder; a run folder is proposed unless the user named one."""
        self.model.data = folder
        self.model.class_table = class_table_in(folder)
        self._propose_run_folder()

    def choose_run_folder(self, folder: Path | None) -> None:
        """Train or resume in a folder; a run under way can still be resumed afterwards."""
        self.model.run_folder = folder
        if not self._training.model.phase.is_busy:
            self.model.interrupted = None

    def check(self, form: Form) -> None:
        """Check the data; a run folder is not needed yet."""
        missing = missing_for_check(form)
        if missing:
            self._training.fail(missing)
        else:
            run_folder = form["run_folder"] or form["data"]["root"]
            self._training.check({**form, "run_folder": run_folder})

    def train_or_stop(self, form: Form) -> None:
        """Start a run, or stop the work under way."""
        if self._training.model.phase.is_busy:
            self._training.stop()
            return
        missing = missing_for_training(form)
        if missing:
            self._training.fail(missing)
        elif self._training.train(form):
            self.model.shown = form["run_folder"]

    def resume(self, form: Form) -> None:
        """Continue the interrupted run, or the one whose folder is chosen."""
        folder = self.model.to_resume
        if folder is None:
            self._training.fail("Choose the folder of the run to resume.")
        else:
            self._training.resume(folder, self.model.changes_to_resume(form))

    def reset(self) -> None:
        """Prepare another run in another folder."""
        self._training.reset()
        self.model.proposed = self.model.run_folder
        self._propose_run_folder()

    def open_run(self, folder: Path) -> None:
        """Show the settings of an earlier run in the form, so that it can be resumed."""
        try:
            config = RunFolder(folder).read_config()
        except C2FError as error:
            self._training.tell(str(error))
            return
        self.model.opened = config.model_copy(update={"run_folder": folder})
        self.model.shown = folder
        self.choose_run_folder(folder)

    def write_pairs(self, make_pairs: Callable[[], LayerPairs], folder: Path | None) -> None:
        """Write pairs to a folder, and train on them.

        Parameters
        ----------
        make_pairs : callable
            Function that returns pairs and class table.
        folder : Path or None
            Folder that the user has chosen.
        """
        if folder is None:
            self._training.fail("Choose the folder that the pairs are written to.")
        else:
            self._training.write_pairs(make_pairs, folder, self._use_pairs)

    def _use_pairs(self, table_file: Path) -> None:
        self.choose_data(table_file.parent)

    def _propose_run_folder(self) -> None:
        if self.model.data is not None and self.model.is_run_folder_free:
            self.model.proposed = free_run_folder(self.model.data)
            self.model.run_folder = self.model.proposed

    def _follow_run(self, phase: Phase) -> None:
        """Let Resume continue a run until it is done, or turns out to have no checkpoint."""
        folder = self._training.model.run_folder
        has_checkpoint = folder is not None and RunFolder(folder).has_checkpoint
        if phase is Phase.PREPARING:
            self.model.interrupted = folder
        elif phase in (Phase.IDLE, Phase.DONE) or (phase is Phase.FAILED and not has_checkpoint):
            self.model.interrupted = None
