"""Base of the controllers that add coarse maps."""

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.errors import C2FError
from napari_c2f.base.controller import AnyActivity, Controller
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.layers.convert import (
    add_map,
    plane_shape,
    spatial_keywords,
)
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Session


class MapController(Controller[AnyActivity]):
    """Adds maps to the viewer.

    Parameters
    ----------
    model : Activity
        State that the widget shows.
    viewer : ViewerModel
    session : Session
        Session of the viewer.
    """

    def __init__(self, model: AnyActivity, viewer: ViewerModel, session: Session) -> None:
        super().__init__(model)
        self._viewer = viewer
        self._session = session

    def new_map(self, image: Image | None, selection: TableSelection) -> None:
        """Add an empty map of the size and placement of an image.

        An image of a project already has its map, which is shown instead.
        """
        with self._showing_errors():
            if image is None:
                raise C2FError("Choose an image first: open one, or drop its file on the canvas.")
            own = self._session.lineage.project_map(self._viewer.layers, image)
            if own is not None:
                self._show_map(own)
                self.model.message = (
                    f"'{own.name}' is the map of this image that the project saves; draw in it."
                )
                return
            table = selection.checked_table()
            if table is None:
                raise C2FError(
                    "Choose the classes of the new map first, under 'Classes': a preset, a file "
                    "or 'New classes…' to type their names."
                )
            unlabelled = np.full(plane_shape(image), UNLABELLED_ID, np.uint8)
            layer = add_map(
                self._viewer,
                table.to_labels(unlabelled),
                table,
                f"{image.name} coarse",
                spatial_keywords(image),
            )
            layer.mode = "paint"
            self.model.message = (
                f"Choose a class, and paint in '{layer.name}' wherever you are sure of it."
            )

    def _show_map(self, layer: Labels) -> None:
        """Show a map, which refining may have hidden, and make it the active layer."""
        if not self._session.strokes.is_drawn_refinable(layer):
            self._hide_results(layer)  # In live mode the coarse and the fine map are both shown.
        layer.visible = True
        self._viewer.layers.selection.active = layer

    def _hide_results(self, coarse: Labels) -> None:
        """Hide earlier results and their review, which would cover the map."""
        layers, lineage = self._viewer.layers, self._session.lineage
        hidden = lineage.layers_of_results(layers, coarse)
        if any(lineage.is_final(layer) for layer in hidden):
            hidden += changes_layers(layers)
        for layer in hidden:
            layer.visible = False
