"""Decides what happens when the user clicks; the only writer of the model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.classes import ClassTable
from c2f_core.config import TrainConfig
from c2f_core.errors import C2FError
from c2f_core.events import Finished, RunStarted, StepDone, Validated
from c2f_core.refine.interface import RefineResult, RefinerInterface
from napari_c2f._layers import (
    class_table_of_layer,
    image_plane,
    labels_layer_data,
    labels_plane,
    spatial_keywords,
    unique_name,
)
from napari_c2f._model import Activity
from napari_c2f._worker import Report, ShouldStop, Task

MakeRefiner = Callable[[ClassTable], RefinerInterface]
"""Makes the refiner for the class table of the coarse map; may take its time."""


class Controller:
    """Runs one task at a time and keeps the model up to date."""

    def __init__(self) -> None:
        self.activity = Activity()
        self._task: Task | None = None

    def stop(self) -> None:
        """Ask the work to stop; it ends after the step at hand."""
        if self._task is not None:
            self._task.stop()
            self.activity.message = "Stopping…"

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        if self._task is not None:
            self._task.abandon()
            self._task = None

    def fail(self, message: str) -> None:
        """Show an error; the work has ended."""
        self._task = None
        self.activity.busy = False
        self.activity.progress = 0.0
        self.activity.message = message

    def _start(
        self, task: Task, report: Callable[[Any], None], succeed: Callable[[Any], None]
    ) -> None:
        task.reported.connect(report)
        task.succeeded.connect(succeed)
        task.failed.connect(self.fail)
        self._task = task
        self.activity.progress = 0.0
        self.activity.busy = True
        task.start()

    def _succeed(self, message: str) -> None:
        self._task = None
        self.activity.busy = False
        self.activity.progress = 1.0
        self.activity.message = message


@dataclass(frozen=True)
class RefineRequest:
    """What was asked for, as it was when the user clicked."""

    name: str
    coarse: NDArray[Any]
    class_table: ClassTable
    spatial: dict[str, Any]
    began: float


class RefineController(Controller):
    """Refines a coarse layer into new layers.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._request: RefineRequest | None = None

    def refine(
        self,
        image: Image | None,
        coarse: Labels | None,
        class_table: ClassTable | None,
        make_refiner: MakeRefiner,
    ) -> None:
        """Start refining; errors and progress are shown in the model.

        Parameters
        ----------
        image, coarse : layers
            Their data are taken now: drawing can go on.
        class_table : ClassTable, optional
            Of the coarse map; taken from its layer where None is given.
        make_refiner : callable
            Called in the thread.
        """
        try:
            if image is None or coarse is None:
                raise C2FError("Choose an image and a coarse map: open or draw them first.")
            pixels, labels = image_plane(image), labels_plane(coarse)
            table = class_table or class_table_of_layer(coarse)
        except C2FError as error:
            self.fail(str(error))
            return
        began = time.monotonic()
        spatial = spatial_keywords(coarse)
        self._request = RefineRequest(coarse.name, labels, table, spatial, began)
        self.activity.message = "Refining…"

        def work(report: Report, should_stop: ShouldStop) -> RefineResult:
            refiner = make_refiner(table)
            given = table.translate(labels, refiner.class_table)
            result = refiner.refine(pixels, given, progress=report, should_stop=should_stop)
            fine = refiner.class_table.translate(result.labels, table)
            return RefineResult(fine, result.confidence)

        self._start(Task(work), self._show_progress, self._add_layers)

    def _show_progress(self, share: float) -> None:
        self.activity.progress = share

    def _add_layers(self, result: RefineResult) -> None:
        request = self._request
        assert request is not None
        layers = self._viewer.layers
        doubt = unique_name(layers, f"{request.name} doubt")
        self._viewer.add_image(
            1 - result.confidence,
            name=doubt,
            colormap="inferno",
            blending="additive",
            contrast_limits=(0, 0.5),
            visible=False,
            **request.spatial,
        )
        name = unique_name(layers, f"{request.name} refined")
        data, keywords, _ = labels_layer_data(result.labels, request.class_table, name)
        self._viewer.add_labels(data, **keywords, **request.spatial)
        changed = 100 * float(np.mean(result.labels != request.coarse))
        self._succeed(
            f"{changed:.1f} % of the pixels changed, mean confidence "
            f"{100 * float(result.confidence.mean()):.1f} %, "
            f"{time.monotonic() - request.began:.1f} s. Show '{doubt}' to see where it is unsure."
        )


class TrainController(Controller):
    """Trains a model in a run folder."""

    def train(self, settings: dict[str, Any]) -> None:
        """Start training with the fields of a `TrainConfig`."""
        try:
            config = TrainConfig.model_validate(settings)
        except ValidationError as error:
            self.fail(f"These settings do not fit: {error.errors()[0]['msg']}.")
            return
        self._scores = ""
        self._steps = config.total_steps
        self.activity.message = "Reading the data…"

        def work(report: Report, should_stop: ShouldStop) -> Finished:
            # Torch takes seconds to import; opening the widget does not wait for it.
            from c2f_core.training.listeners import CsvLog
            from c2f_core.training.trainer import train

            with CsvLog() as log:
                for event in train(config, should_stop=should_stop):
                    log(event)
                    report(event)
            assert isinstance(event, Finished)
            return event

        self._start(Task(work), self._show_event, self._show_end)

    def _show_event(self, event: Any) -> None:
        if isinstance(event, RunStarted):
            accuracy = 100 * event.reference["pixel accuracy"]
            self._scores = f"coarse maps {accuracy:.2f} %"
            self.activity.message = f"Training on {event.device} with {event.train_pairs} pairs…"
        elif isinstance(event, Validated):
            self._scores = f"validation accuracy {100 * event.scores['pixel accuracy']:.2f} %"
        elif isinstance(event, StepDone):
            self.activity.progress = event.step / self._steps
            self.activity.message = (
                f"Step {event.step} of {self._steps}, loss {event.loss:.4f}, {self._scores}"
            )

    def _show_end(self, event: Finished) -> None:
        how = "Stopped" if event.stopped else "Done"
        best = event.best_checkpoint
        where = f"the best model is {best}" if best else "no validation was reached"
        self._succeed(f"{how} after step {event.step}; {where}.")
