"""Shows in the model what a check or a run reports."""

from collections.abc import Iterable
from functools import singledispatchmethod

from c2f_core.config.settings import TrainConfig
from c2f_core.device import describe_memory
from c2f_core.training.catalogue import steps_of
from c2f_core.training.events import Event
from c2f_core.training.inspection import Inspection, InspectionProgress
from c2f_core.training.listeners import lines_of
from napari_c2f.base.clock import Clock
from napari_c2f.train.model import Panel, Phase, Stage, Training
from napari_c2f.train.tasks import DataChanged, RunOpened

Report = InspectionProgress | Inspection | RunOpened | Panel | DataChanged | Event
"""What the tasks report."""
STAGES = {"stage1": "Stage 1: ", "stage2": "Stage 2: "}
CHECKING, READING = "Checking the data…", "Reading the data…"
NEXT_STAGE = ", if the steps of stage 2 take as long as these"


class Monitor:
    """Keeps the model up to date with a check or a run.

    Parameters
    ----------
    model : Training
        State of the work.
    """

    def __init__(self, model: Training) -> None:
        self._model = model
        self._config: TrainConfig | None = None
        self._clock: Clock | None = None
        self._reading = ""

    def begin(self, config: TrainConfig) -> None:
        """Follow another check or run with these settings."""
        self._config, self._clock, self._reading = config, None, ""

    def show(self, reports: Iterable[Report]) -> None:
        """Show reports; the views are updated once, however many there are."""
        for report in reports:
            self._take(report)
        model = self._model
        model.updates += 1
        if model.stages:
            device = model.stages[-1].start.device
            model.resources = f"{device}: {describe_memory(device)}"
        if model.phase is Phase.TRAINING:
            self._show_progress()
        elif model.phase in (Phase.CHECKING, Phase.PREPARING) and self._reading:
            model.message = self._reading

    @singledispatchmethod
    def _take(self, event: Event) -> None:
        """Add an event of the trainer to curves and log."""
        if self._model.stages:  # A run that was stopped while it read its data has none.
            self._model.stages[-1].curves(event)
        self._model.add_to_log(*lines_of(event))

    @_take.register
    def _(self, progress: InspectionProgress) -> None:
        self._reading = f"{CHECKING} {progress.count} of {progress.total}"

    @_take.register
    def _(self, found: Inspection) -> None:
        if self._model.phase is Phase.PREPARING:
            self._reading = READING
        self._model.checked = None if found.all_problems else self._config
        self._model.inspection = found

    @_take.register
    def _(self, opened: RunOpened) -> None:
        self._model.stages.append(Stage(opened.event, opened.curves))
        self._clock = Clock(self._steps)
        if self._model.phase is Phase.PREPARING:
            self._model.phase = Phase.TRAINING
        notes = (f"step {step}: {note}" for step, note in opened.curves.notes)
        self._model.add_to_log(*lines_of(opened.event), *notes)

    @_take.register
    def _(self, preview: Panel) -> None:
        self._model.preview = preview

    @_take.register
    def _(self, _changed: DataChanged) -> None:
        self._model.has_changed_data = True

    def _show_progress(self) -> None:
        stages, clock = self._model.stages, self._clock
        if not stages or clock is None:
            return
        stage = stages[-1]
        step = max(stage.start.first_step, stage.curves.last_step)
        done = step + sum(before.start.steps for before in stages[:-1])
        if step > stage.start.first_step:
            clock.tick(done)
        is_last = done - step + stage.start.steps >= self._steps
        time_left = clock.text("" if is_last else NEXT_STAGE)
        self._model.message = f"{_step(stage, step)}. {time_left}{_scores(stage)}"
        # Last, as the bar draws at once, and with it all that has changed before.
        self._model.progress = done / self._steps

    @property
    def _steps(self) -> int:
        """Steps of the whole run."""
        assert self._config is not None
        return steps_of(self._config)


def _step(stage: Stage, step: int) -> str:
    losses = stage.curves["loss"].values[-1:]
    text = f"{STAGES.get(stage.start.method, '')}Step {step} of {stage.start.steps}"
    return ", ".join([text, *(f"loss {loss:.4f}" for loss in losses)])


def _scores(stage: Stage) -> str:
    coarse = f"{100 * stage.start.reference['pixel accuracy']:.2f} %"
    reached = stage.curves["validation pixel accuracy"].values
    if not reached:
        return f"The coarse maps have a pixel accuracy of {coarse}; a refiner has to be better."
    now, best = 100 * reached[-1], 100 * max(reached)
    return f"Validation accuracy {now:.2f} %, best {best:.2f} %, coarse maps {coarse}."
