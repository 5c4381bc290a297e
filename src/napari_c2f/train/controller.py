"""Decides what happens to checks and runs; together with its monitor the writer of their model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.config.files import invalid_setting
from c2f_core.config.settings import TrainConfig
from c2f_core.data.pairs import Pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import C2FError
from c2f_core.training.inspection import Inspection
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.controller import Controller
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.base.words import counted
from napari_c2f.train.model import Phase, Training
from napari_c2f.train.monitor import CHECKING, READING, Monitor
from napari_c2f.train.tasks import OpenRun, TrainResult, inspecting, training

LayerPairs = tuple[list[Pair], ClassTable]
STOPPING = {
    Phase.CHECKING: "Stopping the check…",
    Phase.PREPARING: "Stopping before the next step…",
    Phase.TRAINING: "Stopping: the current step is finished, then a checkpoint is saved…",
}
"""Message when work of a phase is stopped."""
TRAINING_INTERVAL = 1000
"""Milliseconds between reports of a run: each redraws the whole window."""


class TrainController(Controller[Training]):
    """Checks data, writes pairs, trains, stops and resumes; one piece of work at a time."""

    def __init__(self) -> None:
        super().__init__(Training())
        self._monitor = Monitor(self.model)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Check the data of a `TrainConfig` with these fields."""
        config = self._validated(settings)
        if config is not None:
            self._monitor.begin(config)
            self._enter(Phase.CHECKING, CHECKING)
            self._start(inspecting(config), self._monitor.show, self._show_inspection)

    def train(self, settings: Mapping[str, Any]) -> bool:
        """Start a run with the fields of a `TrainConfig`; return whether it has started."""
        config = self._validated(settings)
        return config is not None and self._launch(config, resume=False)

    def resume(self, folder: Path, changes: Mapping[str, Any]) -> None:
        """Continue the run in a folder.

        Parameters
        ----------
        folder : Path
            Run folder.
        changes : mapping
            Settings that may differ from those of the run, such as its device.
        """
        accept_changes = self.model.has_changed_data and self.model.run_folder == folder
        with self._showing_errors():
            begun = RunFolder(folder).read_config()
            here = {"run_folder": folder, "nodes": 1}
            config = self._validated({**begun.model_dump(), **changes, **here})
            if config is not None:
                self._launch(config, resume=True, accept_changes=accept_changes)

    def write_pairs(
        self, make_pairs: Callable[[], LayerPairs], folder: Path, done: Callable[[Path], None]
    ) -> None:
        """Write pairs to a folder of data.

        Parameters
        ----------
        make_pairs : callable
            Function that returns pairs and class table; it is called at once, so that drawing can
            continue.
        folder : Path
            Folder of the data, in which nothing is overwritten.
        done : callable
            Function that is called with the class table's file when all is written.
        """
        with self._showing_errors():
            pairs, table = make_pairs()
            self._enter(Phase.WRITING, "Writing the pairs…")
            fine = sum(pair.fine is not None for pair in pairs)
            written = f"{counted(len(pairs), 'pair')} written to {folder}"
            message = f"{written}, {fine} of them with a fine map."

            def finish(table_file: Path) -> None:
                self._finish(Phase.IDLE, message)
                done(table_file)

            def work(*_: Any) -> Path:
                return write_pairs(folder, pairs, table)

            self._start(work, lambda _: None, finish)

    def stop(self) -> None:
        """Ask the work to stop; a run saves a checkpoint first."""
        if self._task is not None and self.model.phase.can_stop:
            self._task.stop()
            self._enter(Phase.STOPPING, STOPPING[self.model.phase])

    def reset(self) -> None:
        """Clear the run that is shown; its folder is left unchanged."""
        if self._task is None:
            self.model.clear()
            self._enter(Phase.IDLE, "")

    def fail(self, message: str) -> None:
        """Show an error; the work has ended, but the best model of a run is remembered."""
        if self.model.phase in (Phase.TRAINING, Phase.STOPPING):
            self._remember_model()
        self.model.phase = Phase.FAILED
        self.model.add_to_log(message)
        super().fail(message)

    def _validated(self, settings: Mapping[str, Any]) -> TrainConfig | None:
        try:
            return TrainConfig.model_validate(settings)
        except ValidationError as error:
            self.fail(invalid_setting(error))
            return None

    def _enter(self, phase: Phase, message: str) -> None:
        self.model.phase = phase
        self.model.message = message

    def _finish(self, phase: Phase, message: str, progress: float = 1.0) -> None:
        self.model.phase = phase
        self._succeed(message)
        self.model.progress = progress

    def _launch(self, config: TrainConfig, resume: bool, accept_changes: bool = False) -> bool:
        """Start a run, unless its folder is refused; then what is shown stays."""
        try:
            run = OpenRun.open(config, resume, accept_changes)
        except C2FError as error:
            self.tell(str(error))
            return False
        self.model.clear()
        self._monitor.begin(config)
        self.model.run_folder = config.run_folder
        is_checked = _is_checked(config, self.model.checked)
        self._enter(Phase.PREPARING, READING if is_checked else CHECKING)
        work = training(run, is_checked)
        self._start(work, self._monitor.show, self._show_end, interval=TRAINING_INTERVAL)
        return True

    def _note_traceback(self, traceback: str) -> None:
        self.model.add_to_log(*traceback.splitlines())

    def _show_inspection(self, found: Inspection | None) -> None:
        if found is None:
            message = "The check was stopped."
        elif found.all_problems:
            problems = counted(len(found.all_problems), "problem")
            message = f"{problems} to fix before training; see the list."
        else:
            message = "The data are ready for training."
        self._finish(Phase.IDLE, message, progress=0.0)

    def _show_end(self, end: TrainResult) -> None:
        self._remember_model()
        step, was_stopped = end.event.step, end.event.stopped
        if was_stopped and not step:
            self._show_early_end()
            return
        how = f"Stopped {self.model.run_folder}" if was_stopped else "Done"
        where = f"the best model is {end.best_model}" if end.best_model else "not yet validated"
        message = f"{how} after step {step}; {where}."
        self.model.add_to_log(message)
        guard = self.model.stages[-1].curves.guard_note if self.model.stages else ""
        message = f"{message} {guard}".strip()
        if was_stopped:
            self._finish(Phase.STOPPED, message, self.model.progress)
        else:
            self._finish(Phase.DONE, message)

    def _show_early_end(self) -> None:
        """Show that a run was stopped before its first step in this session."""
        folder = self.model.run_folder
        if folder is not None and RunFolder(folder).has_checkpoint:
            self._finish(Phase.STOPPED, f"Stopped {folder} before its next step.", 0.0)
        else:
            self.model.clear()
            message = "Stopped before the first step; nothing was trained."
            self._finish(Phase.IDLE, message, progress=0.0)

    def _remember_model(self) -> None:
        folder = self.model.run_folder
        best = None if folder is None else RunFolder(folder).best_model
        if best is not None:
            RECENT_MODELS.remember(best)


def _is_checked(config: TrainConfig, checked: TrainConfig | None) -> bool:
    """Return whether the data that a run takes are those of a check."""
    names = ("data", "seed", "method", "simulation")
    return checked is not None and all(
        getattr(config, name) == getattr(checked, name) for name in names
    )
