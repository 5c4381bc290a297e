"""Decides what happens when the user clicks; the only writer of the model."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io import read_map
from c2f_core.recognise import recognise_table
from c2f_core.refine.interface import RefineResult, RefinerInterface
from napari_c2f._layers import (
    RESULT_KEY,
    class_table_of_layer,
    confidence_layer_data,
    image_plane,
    labels_layer_data,
    labels_plane,
    spatial_keywords,
    unique_name,
)
from napari_c2f._locks import locked_pixels
from napari_c2f._model import Activity
from napari_c2f._worker import Report, ShouldStop, Task, Work

MakeRefiner = Callable[[ClassTable], RefinerInterface]
"""Makes the refiner for the class table of the coarse map; may take its time."""
ChooseTable = Callable[[], ClassTable | None]
"""Returns the class table that the user chose, None for the layer's or file's own."""


class Controller:
    """Runs one task at a time and keeps the model up to date.

    Parameters
    ----------
    activity : Activity
        The model.
    """

    def __init__(self, activity: Activity) -> None:
        self.activity = activity
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

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Show a mendable error; work under way goes on."""
        try:
            yield
        except C2FError as error:
            self.activity.message = str(error)

    def fail(self, message: str) -> None:
        """Show an error; the work has ended."""
        self._task = None
        self.activity.progress = 0.0
        self.activity.message = message
        self.activity.busy = False

    def _start(
        self, task: Task, report: Callable[[list[Any]], None], succeed: Callable[[Any], None]
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
        self.activity.progress = 1.0
        self.activity.message = message
        self.activity.busy = False


class MapController(Controller):
    """Adds maps to the viewer.

    Parameters
    ----------
    activity : Activity
        The model.
    viewer : ViewerModel
    """

    def __init__(self, activity: Activity, viewer: ViewerModel) -> None:
        super().__init__(activity)
        self._viewer = viewer

    def new_map(self, image: Image | None, choose_table: ChooseTable) -> None:
        """Add an unlabelled map to draw in, as large as the image and in its place."""
        with self._errors_told():
            if image is None:
                raise C2FError("Choose an image first: open one, or drop its file on the canvas.")
            table = choose_table()
            if table is None:
                raise C2FError("Choose the classes of the new map first, under 'Classes'.")
            unlabelled = np.full(image_plane(image).shape[:2], UNLABELLED_POSITION, np.uint8)
            name = f"{image.name} coarse"
            self._add_map(table.to_indices(unlabelled), table, name, spatial_keywords(image))
            self.activity.message = (
                f"Paint in '{name}' where you are sure; the number of each class is its label."
            )

    def _add_map(
        self,
        index_map: NDArray[Any],
        class_table: ClassTable,
        name: str,
        spatial: dict[str, Any],
        **metadata: Any,
    ) -> Labels:
        name = unique_name(self._viewer.layers, name)
        data, keywords, _ = labels_layer_data(index_map, class_table, name)
        keywords["metadata"].update(metadata)
        return self._viewer.add_labels(data, **keywords, **spatial)


@dataclass(frozen=True)
class RefineRequest:
    """What was asked for, as it was when the user clicked."""

    pixels: NDArray[Any]
    coarse: NDArray[Any]
    locked: NDArray[np.bool_]
    class_table: ClassTable
    layer: Labels
    done: Callable[[], None]
    began: float


def refining(request: RefineRequest, make_refiner: MakeRefiner) -> Work:
    """Return the work of one request, for a thread."""

    def work(report: Report, should_stop: ShouldStop) -> RefineResult:
        refiner, table = make_refiner(request.class_table), request.class_table
        given = table.translate(request.coarse, refiner.class_table)
        result = refiner.refine(request.pixels, given, progress=report, should_stop=should_stop)
        fine = refiner.class_table.translate(result.labels, table)
        fine[request.locked] = request.coarse[request.locked]
        return RefineResult(fine, result.confidence)

    return work


class RefineController(MapController):
    """Refines a coarse layer into new layers, and brings coarse layers in.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(Activity(), viewer)

    def open_map(self, path: str, choose_table: ChooseTable) -> None:
        """Add the map of a file, read with the chosen class table or with its own."""
        with self._errors_told():
            table = choose_table() or recognise_table(path)
            if table is None:
                raise DataError(
                    f"{Path(path).name} belongs to no class table known here; choose its classes "
                    "first, under 'Classes'."
                )
            index_map, report = read_map(path, table)
            self._add_map(index_map, table, Path(path).stem, {})
            self.activity.message = report.message() or f"Opened with the classes '{table.name}'."

    def refine(
        self,
        image: Image | None,
        coarse: Labels | None,
        choose_table: ChooseTable,
        make_refiner: MakeRefiner,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Start refining; errors and progress are shown in the model.

        Parameters
        ----------
        image, coarse : layers
            Their data are taken now: drawing can go on.
        choose_table : callable
            Returns the class table of the coarse map, None for its layer's own.
        make_refiner : callable
            Called in the thread.
        done : callable
            Called after success.
        """
        with self._errors_told():
            self.activity.progress = 0.0
            request = self._request(image, coarse, choose_table, done)
            self.activity.message = "Refining…"
            self._start(
                Task(refining(request, make_refiner)),
                self._show_progress,
                lambda result: self._show_result(request, result),
            )

    def _request(
        self,
        image: Image | None,
        coarse: Labels | None,
        choose_table: ChooseTable,
        done: Callable[[], None],
    ) -> RefineRequest:
        if image is None or coarse is None:
            raise C2FError("Choose an image and a coarse map: open or draw them first.")
        return RefineRequest(
            pixels=image_plane(image),
            coarse=labels_plane(coarse),
            locked=locked_pixels(coarse),
            class_table=choose_table() or class_table_of_layer(coarse),
            layer=coarse,
            done=done,
            began=time.monotonic(),
        )

    def _show_progress(self, shares: list[float]) -> None:
        self.activity.progress = shares[-1]

    def _show_result(self, request: RefineRequest, result: RefineResult) -> None:
        confidence = self._add_layers(request, result)
        request.done()
        changed = 100 * float(np.mean(result.labels != request.coarse))
        self._succeed(
            f"{changed:.1f} % of the pixels changed, mean confidence "
            f"{100 * float(result.confidence.mean()):.1f} %, "
            f"{time.monotonic() - request.began:.1f} s. Doubtful places are magenta, see "
            f"'{confidence}'. The coarse map is as it was, and hidden."
        )

    def _add_layers(self, request: RefineRequest, result: RefineResult) -> str:
        """Add the fine map and, above it, the confidence; return the latter's name."""
        coarse, layers = request.layer, self._viewer.layers
        spatial = spatial_keywords(coarse)
        fine = self._add_map(
            result.labels,
            request.class_table,
            f"{coarse.name} refined",
            spatial,
            **{RESULT_KEY: True},
        )
        name = unique_name(layers, f"{coarse.name} confidence")
        data, keywords, _ = confidence_layer_data(result.confidence, name)
        self._viewer.add_image(data, **keywords, **spatial)
        layers.selection.active = fine  # There the annotator goes on.
        coarse.visible = False  # Two maps on top of each other show neither.
        return name
