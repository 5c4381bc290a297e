"""Learns from the reviewed images of a project in the background; the only writer of its model."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from c2f_core.project import Project
from c2f_core.project.fine_tuning import fine_tune_model
from c2f_core.training.events import Event, Finished, RunStarted, StepDone
from c2f_core.training.fine_tuning import FineTuneResult, FineTuningSettings
from napari_c2f.base.clock import Clock
from napari_c2f.base.controller import Controller
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.base.worker import Report, ShouldStop, Task, TaskFunction
from napari_c2f.project.model import Lesson


def learning(project: Project, replay: Path | None, settings: FineTuningSettings) -> TaskFunction:
    """Return the work of a lesson; its result is the last event."""

    def work(report: Report, should_stop: ShouldStop) -> Event | FineTuneResult:
        with closing(fine_tune_model(project, replay, settings, should_stop=should_stop)) as events:
            for event in events:
                if isinstance(event, RunStarted | StepDone):
                    report(event)
        return event

    return work


class LessonController(Controller[Lesson]):
    """Starts and stops a lesson; drawing, refining and saving go on meanwhile."""

    def __init__(self) -> None:
        super().__init__(Lesson())
        self._clock: Clock | None = None
        self._steps = 1

    def learn(
        self,
        project: Project,
        replay: Path | None = None,
        settings: FineTuningSettings | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Learn from the reviewed images, unless that is under way.

        The model is replaced only by a better one.

        Parameters
        ----------
        project : Project
            Stays open until the lesson has ended.
        replay : Path, optional
            Folder of pairs that the model has learned from already.
        settings : FineTuningSettings, optional
        done : callable
            Called after success.
        """
        if self.model.busy:  # Asked for twice while the open image was saved.
            return
        self.model.message = "Reading the reviewed images…"

        def succeed(event: Event | FineTuneResult) -> None:
            self._tell_end(event)
            done()

        task = Task(learning(project, replay, settings or FineTuningSettings()))
        self._start(task, self._show_events, succeed)

    def _show_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, RunStarted):
                self._steps, self._clock = event.steps, Clock(event.steps)
            elif self._clock is not None:
                self._clock.tick(event.step)
                self._tell_step(event)

    def _tell_step(self, event: StepDone) -> None:
        assert self._clock is not None
        self.model.progress = event.step / self._steps
        self.model.message = (
            f"Learning: step {event.step} of {self._steps}, loss {event.loss:.4f}. "
            f"{self._clock.text()}"
        ).strip()

    def _tell_end(self, event: Event | FineTuneResult) -> None:
        if isinstance(event, FineTuneResult):
            if event.is_better:
                RECENT_MODELS.remember(event.checkpoint)
            self._succeed(event.message())
            return
        assert isinstance(event, Finished)
        share = self.model.progress
        self._succeed(
            f"Stopped after step {event.step}; the model is as it was. 'Learn' goes on with it."
        )
        self.model.progress = share
