"""Decides what happens when the user clicks; the only writer of the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.errors import C2FError
from napari_c2f._layers import FINE_KEY, add_map, confidence_of, plane_shape, spatial_keywords
from napari_c2f._model import Activity
from napari_c2f._own_map import own_map
from napari_c2f._painted import is_drawn_roughly
from napari_c2f._results import results_of
from napari_c2f._review_layers import changes_layers
from napari_c2f._timers import timer
from napari_c2f._worker import Task

PAUSE = 20
"""Milliseconds between turns, in which the window draws and answers."""
Turns = Iterator[None]
"""What is left to do in the GUI thread, in pieces."""
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
        self._turns: Turns = iter(())
        self._pause = timer(PAUSE, self._take_turn, once=True)

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
        self._turns = iter(())

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Show a mendable error; work under way goes on."""
        try:
            yield
        except C2FError as error:
            self.tell(str(error))

    def tell(self, message: str) -> None:
        """Show a sentence; work under way goes on."""
        self.activity.message = message

    def fail(self, message: str) -> None:
        """Show an error; the work has ended."""
        self._task = None
        self.activity.progress = 0.0
        self.activity.message = message
        self.activity.busy = False

    def _start(
        self,
        task: Task,
        report: Callable[[list[Any]], None],
        succeed: Callable[[Any], Turns | None],
    ) -> None:
        """Start a task.

        Parameters
        ----------
        task : Task
        report : callable
            Gets what the task reports.
        succeed : callable
            Gets its result. What takes the window long, as each new layer does, it
            does between the turns of an iterator.
        """
        task.reported.connect(report)
        task.succeeded.connect(lambda result: self._take_turns(succeed(result)))
        task.failed.connect(self.fail)
        self._task = task
        self.activity.progress = 0.0
        self.activity.busy = True
        task.start()

    def _take_turns(self, turns: Turns | None) -> None:
        self._turns = iter(()) if turns is None else turns
        self._take_turn()

    def _take_turn(self) -> None:
        for _ in self._turns:
            self._pause.start()
            return

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
        """Add an unlabelled map to draw in, as large as the image and in its place.

        An image of a project has its map already.
        """
        with self._errors_told():
            if image is None:
                raise C2FError("Choose an image first: open one, or drop its file on the canvas.")
            own = own_map(self._viewer.layers, image)
            if own is not None:
                self._show_map(own)
                self.activity.message = (
                    f"Draw in '{own.name}': it is the one map of this image that the project saves."
                )
                return
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

    def _show_map(self, layer: Labels) -> None:
        """Let the user see a map, which refining hides, and draw in it."""
        if not is_drawn_roughly(layer):  # Live mode shows it beside its fine map.
            self._hide_results(layer)
        layer.visible = True
        self._viewer.layers.selection.active = layer

    def _hide_results(self, coarse: Labels) -> None:
        """Hide earlier results and their review: two maps on top of each other show neither."""
        layers = self._viewer.layers
        results = list(results_of(layers, coarse))
        sureness = [confidence_of(layers, layer) for layer in results]
        reviewed = any(FINE_KEY in layer.metadata for layer in results)
        changes = changes_layers(layers)
        for layer in (*results, *sureness, *(changes if reviewed else ())):
            if layer is not None:
                layer.visible = False
