"""The work of the Train widget as a thread runs it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from c2f_core.config.settings import TrainConfig
from c2f_core.errors import ChangedDataError, DataError
from c2f_core.training.curves import Curves
from c2f_core.training.events import Event, Finished, Preview, RunStarted
from c2f_core.training.inspection import Inspection, inspect_data
from c2f_core.training.listeners import RunLogs, panel
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.train.model import Panel

ADVICE_ON_CHANGES = (
    "To continue with these data, click Resume again; no pair that trained will validate."
)


@dataclass(frozen=True)
class RunOpened:
    """Report that a run, or a stage of it, has started.

    Attributes
    ----------
    event : RunStarted
        The trainer's event.
    curves : Curves
        Curves and notes of earlier sessions of the run.
    """

    event: RunStarted
    curves: Curves


@dataclass(frozen=True)
class DataChanged:
    """Report that a run cannot be resumed unless changes of its data are accepted."""


@dataclass(frozen=True)
class TrainResult:
    """Result of a training task.

    Attributes
    ----------
    event : Finished
        The trainer's last event.
    best_model : Path or None
        Best checkpoint of the run; None before its first validation.
    """

    event: Finished
    best_model: Path | None


def inspecting(config: TrainConfig) -> TaskFunction:
    """Return a task that checks the data; those of a run that has begun keep their roles.

    It reports each `InspectionProgress` and the `Inspection`, which is also its result; None
    if it was stopped.
    """

    def work(report: Report, should_stop: ShouldStop) -> Inspection | None:
        found = None
        for found in inspect_data(config, should_stop, resume=True):
            report(found)
        return found if isinstance(found, Inspection) else None

    return work


@dataclass(frozen=True)
class OpenRun:
    """A run whose folder has been checked, and is locked until its task ends.

    Attributes
    ----------
    config : TrainConfig
        Settings of the run.
    resume : bool
        Whether to continue the run in the folder.
    accept_changes : bool
        Whether to continue it although its data have changed.
    folder : RunFolder
        Run folder.
    lock : ExitStack
        Releases the folder when it is closed.
    """

    config: TrainConfig
    resume: bool
    accept_changes: bool
    folder: RunFolder
    lock: ExitStack

    @classmethod
    def open(cls, config: TrainConfig, resume: bool, accept_changes: bool = False) -> Self:
        """Open the folder of a run.

        Raises
        ------
        ConfigError
            If the folder does not fit; see `RunFolder.open`.
        """
        lock = ExitStack()
        folder = lock.enter_context(RunFolder.open(config, resume))
        return cls(config, resume, accept_changes, folder, lock)


def training(run: OpenRun, is_checked: bool) -> TaskFunction:
    """Return a task that trains.

    It reports what `inspecting` reports, then the trainer's events, `RunOpened`, `Panel` and
    `DataChanged` among them; its result is a `TrainResult`.

    Parameters
    ----------
    run : OpenRun
        The run.
    is_checked : bool
        Whether its data have been checked already.
    """

    def work(report: Report, should_stop: ShouldStop) -> TrainResult:
        from c2f_core.training.trainer import train_in  # Not when the widget opens.

        with run.lock:
            if not is_checked and not _inspect(run.config, report, should_stop):
                return TrainResult(Finished(0, True, None), None)
            events = train_in(
                run.folder,
                run.config,
                resume=run.resume,
                accept_changes=run.accept_changes,
                should_stop=should_stop,
            )
            with RunLogs() as logs, closing(events), _reporting_changes(report):
                for event in events:
                    logs(event)
                    report(_for_window(event))
            assert isinstance(event, Finished)
            return TrainResult(event, run.folder.best_model)

    return work


@contextmanager
def _reporting_changes(report: Report) -> Iterator[None]:
    try:
        yield
    except ChangedDataError as error:
        report(DataChanged())
        raise ChangedDataError(f"{error} {ADVICE_ON_CHANGES}") from error


def _inspect(config: TrainConfig, report: Report, should_stop: ShouldStop) -> bool:
    """Check the data; return False if stopped, raise if there is a problem."""
    found = inspecting(config)(report, should_stop)
    if found is None:
        return False
    if found.all_problems:
        count, first = len(found.all_problems), found.all_problems[0]
        raise DataError(
            first if count == 1 else f"The data have {count} problems; fix them first: {first}"
        )
    return True


def _for_window(event: Event) -> Event | RunOpened | Panel:
    """Add what the window needs and what would take too long in its thread."""
    if isinstance(event, RunStarted):
        return RunOpened(event, Curves.read(RunFolder(event.run_folder).log, event.first_step))
    return Panel(event.step, panel(event)) if isinstance(event, Preview) else event
