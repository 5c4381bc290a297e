"""Decides what happens in the Train widget; the only writer of its models."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.config.files import invalid_setting
from c2f_core.config.settings import TrainConfig
from c2f_core.data.pairs import Pair
from c2f_core.data.writing import write_pairs
from c2f_core.device import describe_memory
from c2f_core.errors import DataError
from c2f_core.training.catalogue import steps_of
from c2f_core.training.curves import Curves
from c2f_core.training.events import Event, Finished, Preview, RunStarted
from c2f_core.training.inspection import Inspection, InspectionProgress, inspect_data
from c2f_core.training.listeners import RunLogs, lines_of, panel
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.clock import Clock
from napari_c2f.base.controller import Controller, GuiSteps
from napari_c2f.base.settings import remember_model
from napari_c2f.base.worker import Report, ShouldStop, Task, TaskFunction
from napari_c2f.train.model import Panel, Phase, Stage, Training

LayerPairs = tuple[list[Pair], ClassTable]
STAGES = {"stage1": "Stage 1: ", "stage2": "Stage 2: "}
STOPPING = {
    Phase.CHECKING: "Stopping the check…",
    Phase.PREPARING: "Stopping before the next step…",
    Phase.TRAINING: "Stopping… The step at hand is finished, then a checkpoint is saved.",
}
"""What is said when work is stopped; what is done in other phases is not."""
LOOKING, READING = "Looking at the data…", "Reading the data…"
NEXT_STAGE = ", if the steps of stage 2 take as long as these"
TRAINING_INTERVAL = 1000
"""Milliseconds between looks at a run: whatever changes, the whole window is drawn anew."""


@dataclass(frozen=True)
class RunOpened:
    """A run, or a stage of it, has begun; curves and notes are those of earlier sessions."""

    event: RunStarted
    curves: Curves


@dataclass(frozen=True)
class TrainResult:
    """How the work ended, and the best model so far."""

    event: Finished
    best_model: Path | None


def inspecting(config: TrainConfig) -> TaskFunction:
    """Return the work of looking at the data."""

    def work(report: Report, should_stop: ShouldStop) -> Inspection | None:
        found = None
        for found in inspect_data(config, should_stop):
            report(found)
        return found if isinstance(found, Inspection) else None

    return work


def training(config: TrainConfig, resume: bool, inspected: bool) -> TaskFunction:
    """Return the work of a run, which begins with a look at the data unless that is done."""

    def work(report: Report, should_stop: ShouldStop) -> TrainResult:
        from c2f_core.training.trainer import train  # Not when the widget opens.

        if not inspected and not _inspect(config, report, should_stop):
            return TrainResult(Finished(0, True, None), None)
        events = train(config, resume=resume, should_stop=should_stop)
        with RunLogs() as logs, closing(events):
            for event in events:
                logs(event)
                report(_as_shown(event))
        assert isinstance(event, Finished)
        return TrainResult(event, RunFolder(config.run_folder).best_model)

    return work


def _inspect(config: TrainConfig, report: Report, should_stop: ShouldStop) -> bool:
    """Look at the data; return False where it was stopped, raise where something does not fit."""
    found = inspecting(config)(report, should_stop)
    if found is None:
        return False
    if found.all_problems:
        count, first = len(found.all_problems), found.all_problems[0]
        raise DataError(
            first if count == 1 else f"{count} things in the data have to be mended first: {first}"
        )
    return True


def _as_shown(event: Event) -> Event | RunOpened | Panel:
    """Add in the thread what the window would take long for."""
    if isinstance(event, RunStarted):
        return RunOpened(event, Curves.read(RunFolder(event.run_folder).log, event.first_step))
    return Panel(event.step, panel(event)) if isinstance(event, Preview) else event


class TrainController(Controller[Training]):
    """Checks data, trains, stops and resumes; one piece of work at a time."""

    def __init__(self) -> None:
        super().__init__(Training())
        self.config: TrainConfig | None = None
        """Of the run that is shown."""
        self._inspected: TrainConfig | None = None
        self._clock: Clock | None = None

    # What the user asks for

    def check(self, settings: dict[str, Any]) -> None:
        """Look at the data of a `TrainConfig` with these fields."""
        config = self._validated(settings)
        if config is not None:
            self._begin(Phase.CHECKING, LOOKING)
            self._start(Task(inspecting(config)), self._show_look, self._show_inspection(config))

    def train(self, settings: dict[str, Any]) -> None:
        """Start training with the fields of a `TrainConfig`."""
        config = self._validated(settings)
        if config is not None:
            with self._errors_told():
                self._launch(config, resume=False)

    def resume(self, folder: Path, changes: dict[str, Any]) -> None:
        """Go on with the run in a folder; changes are fields that may differ, as its device."""
        with self._errors_told():
            begun = RunFolder(folder).read_config()
            config = self._validated(begun.model_dump() | changes | {"run_folder": folder})
            if config is not None:
                self._launch(config, resume=True)

    def write_pairs(
        self, make_pairs: Callable[[], LayerPairs], folder: Path, done: Callable[[Path], None]
    ) -> None:
        """Write pairs to a folder of data, then call `done` with the file of their classes.

        Parameters
        ----------
        make_pairs : callable
            Returns pairs and class table; called now, so that drawing can go on.
        folder : Path
        done : callable
        """
        with self._errors_told():
            pairs, table = make_pairs()
            self._begin(Phase.WRITING, "Writing the pairs…")
            fine = sum(pair.fine is not None for pair in pairs)
            told = f"{len(pairs)} pairs were written to {folder}, {fine} of them with a fine map."

            def finish(table_file: Path) -> None:
                self.model.phase = Phase.IDLE
                self._succeed(told)
                done(table_file)

            def work(*_: Any) -> Path:
                return write_pairs(folder, pairs, table)

            self._start(Task(work), lambda _: None, finish)

    def stop(self) -> None:
        """Ask the work to stop; a run saves a checkpoint first."""
        if self._task is not None and self.model.phase in STOPPING:
            self._task.stop()
            self._begin(Phase.STOPPING, STOPPING[self.model.phase])

    def reset(self) -> None:
        """Forget the run that is shown; its folder stays as it is."""
        if self._task is None:
            self._clear()
            self.model.phase = Phase.IDLE
            self.model.message = ""

    def fail(self, message: str) -> None:
        """Show an error; the work has ended, but a model that the run reached is kept in mind."""
        if self.model.phase in (Phase.TRAINING, Phase.STOPPING):
            self._remember_model()
        self.model.phase = Phase.FAILED
        self._log(message)
        super().fail(message)

    # What happens then

    def _validated(self, settings: dict[str, Any]) -> TrainConfig | None:
        try:
            return TrainConfig.model_validate(settings)
        except ValidationError as error:
            self.fail(invalid_setting(error))
            return None

    def _begin(self, phase: Phase, message: str) -> None:
        self.model.phase = phase
        self.model.message = message

    def _clear(self) -> None:
        model = self.model
        model.progress, model.log, model.stages = 0.0, (), []
        model.preview, model.run_folder, model.resources = None, None, ""
        model.updates += 1

    def _launch(self, config: TrainConfig, resume: bool) -> None:
        """Start the work; a folder that does not fit is refused before what is shown is cleared."""
        with RunFolder.open(config, resume):
            pass
        self._clear()
        self.config = config
        self.model.run_folder = config.run_folder
        inspected = self._inspected is not None and _same_data(self._inspected, config)
        self._begin(Phase.PREPARING, READING if inspected else LOOKING)
        task = Task(training(config, resume, inspected), TRAINING_INTERVAL)
        self._start(task, self._show_events, self._show_end)

    def _show_look(self, found: list[Any]) -> None:
        """Say how far the look at the data has come, and what follows it before a run."""
        last, phase = found[-1], self.model.phase
        if isinstance(last, InspectionProgress) and phase in (Phase.CHECKING, Phase.PREPARING):
            self.model.message = f"{LOOKING} {last.count} of {last.total}"
        elif isinstance(last, Inspection) and phase is Phase.PREPARING:
            self.model.message = READING

    def _show_inspection(self, config: TrainConfig) -> Callable[[Inspection | None], None]:
        def show(found: Inspection | None) -> None:
            self.model.phase = Phase.IDLE
            if found is None:
                self._succeed("The check was stopped.")
                return
            self._keep(found, config)
            count = len(found.all_problems)
            self._succeed(
                f"{count} things have to be mended before training; see the list."
                if count
                else "The data are ready for training."
            )
            self.model.progress = 0.0

        return show

    def _keep(self, found: Inspection, config: TrainConfig) -> None:
        self._inspected = None if found.all_problems else config
        self.model.inspection = found

    def _show_events(self, events: list[Any]) -> None:
        self._show_look(events)
        for event in events:
            if isinstance(event, Inspection):
                assert self.config is not None
                self._keep(event, self.config)
            elif isinstance(event, RunOpened):
                self._show_start(event)
            elif isinstance(event, Panel):
                self.model.preview = event
            elif not isinstance(event, InspectionProgress):
                self._show_event(event)
        self.model.updates += 1
        if self.model.stages:
            device = self.model.stages[-1].start.device
            self.model.resources = f"{device}: {describe_memory(device)}"
            self._tell_progress()

    def _show_start(self, begun: RunOpened) -> None:
        self.model.stages.append(Stage(begun.event, begun.curves))
        self._clock = Clock(self._steps)
        if self.model.phase is Phase.PREPARING:
            self.model.phase = Phase.TRAINING
        self._log(*lines_of(begun.event))
        self._log(*(f"step {step}: {note}" for step, note in begun.curves.notes))

    def _show_event(self, event: Event) -> None:
        if self.model.stages:  # A run that was stopped while it read its data has none.
            self.model.stages[-1].curves(event)
        self._log(*lines_of(event))

    def _log(self, *lines: str) -> None:
        if lines:
            self.model.log = (*self.model.log, *lines)

    def _start(
        self,
        task: Task,
        report: Callable[[list[Any]], None],
        succeed: Callable[[Any], GuiSteps | None],
    ) -> None:
        """Start a task as `Controller` does, and log what breaks it."""
        task.broken.connect(lambda traceback: self._log(*traceback.splitlines()))
        super()._start(task, report, succeed)

    def _remember_model(self) -> None:
        folder = self.model.run_folder
        best = None if folder is None else RunFolder(folder).best_model
        if best is not None:
            remember_model(best)

    def _tell_progress(self) -> None:
        stage, clock = self.model.stages[-1], self._clock
        if self.model.phase is not Phase.TRAINING or clock is None:
            return
        step = max(stage.start.first_step, stage.curves.last_step)
        done = step + sum(before.start.steps for before in self.model.stages[:-1])
        if step > stage.start.first_step:
            clock.tick(done)
        loss = stage.curves["loss"].values[-1:]
        said = [f"{STAGES.get(stage.start.method, '')}Step {step} of {stage.start.steps}"]
        said += [f"loss {value:.4f}" for value in loss]
        condition = NEXT_STAGE if done - step + stage.start.steps < self._steps else ""
        self.model.message = f"{', '.join(said)}. {clock.text(condition)}{_scores(stage)}"
        # Last, as the bar draws at once, and with it all that has changed before.
        self.model.progress = done / self._steps

    @property
    def _steps(self) -> int:
        """Steps of the whole run that is shown."""
        assert self.config is not None
        return steps_of(self.config)

    def _show_end(self, end: TrainResult) -> None:
        self._clock = None
        self._remember_model()
        if end.event.stopped and not end.event.step:
            self._show_early_end()
            return
        self.model.phase = Phase.STOPPED if end.event.stopped else Phase.DONE
        how = f"Stopped {self.model.run_folder}" if end.event.stopped else "Done"
        where = f"the best model is {end.best_model}" if end.best_model else "not yet validated"
        told = f"{how} after step {end.event.step}; {where}."
        self._log(told)
        share = self.model.progress
        guard = self.model.stages[-1].curves.guard_note if self.model.stages else ""
        self._succeed(f"{told} {guard}".strip())
        if end.event.stopped:
            self.model.progress = share

    def _show_early_end(self) -> None:
        """Show that a run was stopped before its first step in this session."""
        assert self.config is not None
        if RunFolder(self.config.run_folder).has_checkpoint:
            self.model.phase = Phase.STOPPED
            self._succeed(f"Stopped {self.config.run_folder} before its next step.")
        else:
            self._clear()
            self.model.phase = Phase.IDLE
            self._succeed("Stopped before the first step; nothing was trained.")
        self.model.progress = 0.0


def _same_data(first: TrainConfig, second: TrainConfig) -> bool:
    return (first.data, first.seed, first.method) == (second.data, second.seed, second.method)


def _scores(stage: Stage) -> str:
    reference = f"coarse maps {100 * stage.start.reference['pixel accuracy']:.2f} %"
    reached = stage.curves["validation pixel accuracy"].values
    if not reached:
        return f"The {reference} are right; a refiner has to be better."
    now, best = 100 * reached[-1], 100 * max(reached)
    return f"Validation accuracy {now:.2f} %, best {best:.2f} %, {reference}."
