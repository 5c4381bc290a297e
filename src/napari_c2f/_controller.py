"""Decides what happens when the user clicks; the only writer of the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.errors import C2FError
from napari_c2f._layers import add_map, plane_shape, spatial_keywords
from napari_c2f._model import Activity
from napari_c2f._worker import Task

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

    def _show_progress(self, shares: list[float]) -> None:
        self.activity.progress = shares[-1]

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
            unlabelled = np.full(plane_shape(image), UNLABELLED_POSITION, np.uint8)
            name = f"{image.name} coarse"
            add_map(
                self._viewer, table.to_indices(unlabelled), table, name, spatial_keywords(image)
            )
            self.activity.message = (
                f"Paint in '{name}' where you are sure; the number of each class is its label."
            )
