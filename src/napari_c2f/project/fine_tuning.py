"""Fine-tunes the model of a project in the background; the only writer of its model."""

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.config.files import invalid_setting
from c2f_core.errors import ConfigError
from c2f_core.project import Project
from c2f_core.project.fine_tuning import fine_tune_model
from c2f_core.training.events import Event, Finished, RunStarted, StepDone
from c2f_core.training.fine_tuning import FineTuneResult, FineTuningSettings
from napari_c2f.base.activity import Activity
from napari_c2f.base.clock import Clock
from napari_c2f.base.controller import Controller
from napari_c2f.base.settings import RECENT_MODELS, settings
from napari_c2f.base.worker import Report, ShouldStop
from napari_c2f.project.workspace import Workspace

REPLAY_KEY = "replay folder"


def run_fine_tuning(
    project: Project,
    replay: Path | None,
    config: FineTuningSettings,
    report: Report,
    should_stop: ShouldStop,
) -> Finished | FineTuneResult:
    """Fine-tune the model of a project, and report its steps; return how it ended."""
    result: Event | FineTuneResult | None = None
    with closing(fine_tune_model(project, replay, config, should_stop=should_stop)) as events:
        for result in events:
            if isinstance(result, RunStarted | StepDone):
                report(result)
    assert isinstance(result, Finished | FineTuneResult), "a run ends with one of these"
    return result


class FineTuningController(Controller[Activity]):
    """Starts and stops fine-tuning; the user can keep working meanwhile.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(Activity())
        self._workspace = workspace
        self._clock: Clock | None = None
        self._steps = 1

    @staticmethod
    def last_replay() -> str:
        """Return the replay folder of the last session; empty if there was none."""
        return str(settings().value(REPLAY_KEY, "", str))

    def fine_tune(self, values: Mapping[str, Any], replay: Path | None) -> None:
        """Fine-tune the model on the reviewed images once all images are saved.

        The model is replaced only by a better one.

        Parameters
        ----------
        values : mapping
            Settings as the user entered them.
        replay : Path, optional
            Folder of pairs that the model was trained on before.
        """
        settings().setValue(REPLAY_KEY, "" if replay is None else str(replay))
        with self._workspace.showing_errors():
            run = partial(self._run, replay, _checked(values))
            self._workspace.saving.when_saved(run)

    def _run(self, replay: Path | None, config: FineTuningSettings) -> None:
        if self.model.busy:  # The user clicked twice while the open image was saved.
            return
        self.model.message = "Reading the reviewed images…"
        work = partial(run_fine_tuning, self._workspace.project, replay, config)
        self._start(work, self._show_events, self._show_end)

    def _show_events(self, events: list[RunStarted | StepDone]) -> None:
        for event in events:
            if isinstance(event, RunStarted):
                self._steps, self._clock = event.steps, Clock(event.steps)
            else:
                self._show_step(event)

    def _show_step(self, event: StepDone) -> None:
        remaining = ""
        if self._clock is not None:
            self._clock.tick(event.step)
            remaining = self._clock.text()
        self.model.progress = event.step / self._steps
        self.model.message = (
            f"Fine-tuning: step {event.step} of {self._steps}, loss {event.loss:.4f}. {remaining}"
        ).strip()

    def _show_end(self, result: Finished | FineTuneResult) -> None:
        if isinstance(result, Finished):
            self._show_stopped(result)
        else:
            if result.is_better:
                RECENT_MODELS.remember(result.checkpoint)
            self._succeed(result.message())
        self._workspace.refresh()

    def _show_stopped(self, event: Finished) -> None:
        share = self.model.progress
        self._succeed(
            f"Stopped after step {event.step}; the model is unchanged. 'Fine-tune' resumes the run."
        )
        self.model.progress = share


def _checked(values: Mapping[str, Any]) -> FineTuningSettings:
    try:
        return FineTuningSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(invalid_setting(error)) from error
