"""The layer that shows what the network makes of a validation pair while it trains."""

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from c2f_core.events import Preview
from c2f_core.training.listeners import panel
from napari_c2f._layers import RESULT_KEY, unique_name

NAME = "training: image, coarse, prediction now, fine"
GAP = 0.05
"""Distance from the user's layers, in widths of the preview."""


class PreviewLayer:
    """Shows previews in one layer beside the user's layers.

    Camera, selection, visibility and all other layers stay as they are. A layer
    that the user removed does not come back before the next run.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Image | None = None
        self._shown = False

    def show(self, preview: Preview | None) -> None:
        """Show a preview; None says that another run begins."""
        if preview is None:
            self._shown = False
        elif self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data = panel(preview)
            self._shown = True
        elif not self._shown:
            self._add(panel(preview))
            self._shown = True

    def look(self) -> None:
        """Bring the layer into view: the user asked for it."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.visible = True
            self._viewer.fit_to_view(layers=[self.layer])

    def _add(self, pixels: np.ndarray[Any, Any]) -> None:
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        self.layer = Image(
            pixels,
            rgb=True,
            name=unique_name(layers, NAME),
            translate=_beside(layers, pixels.shape[1]),
            units=layers[0].units[-2:] if len(layers) else None,
            metadata={RESULT_KEY: True},
        )
        layers.append(self.layer)
        if selected:
            layers.selection = selected
            layers.selection.active = active


def _beside(layers: Any, width: int) -> tuple[float, float]:
    """Return where the preview lies in the world: right of all layers."""
    if not len(layers):
        return 0.0, 0.0
    top, right = layers.extent.world[0][-2], layers.extent.world[1][-1]
    return float(top), float(right + GAP * width)
