"""The layer that shows what the network makes of a validation pair while it trains."""

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_c2f.layers.convert import RESULT_KEY, unique_name
from napari_c2f.train.model import Panel

NAME = "training: image, coarse, prediction now, fine"
GAP = 50.0
"""Distance from the user's layers, in the units of the world."""


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
        # The first layer of a session loads units of measurement, which takes napari a
        # quarter of a second: here it holds up no run.
        Image(np.zeros((1, 1), np.uint8))
        self.layer: Image | None = None
        self._is_blank = False

    @property
    def _is_there(self) -> bool:
        return self.layer is not None and self.layer in self._viewer.layers

    def prepare(self) -> None:
        """Add the layer, hidden and blank: napari takes a while for it, and no run waits yet."""
        if not self._is_there:
            self._is_blank = True
            self._add()

    def _add(self) -> None:
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        self.layer = Image(
            np.zeros((1, 1, 3), np.uint8),
            rgb=True,
            name=unique_name(layers, NAME),
            visible=False,
            translate=_beside(layers),
            units=layers[0].units[-2:] if len(layers) else None,
            metadata={RESULT_KEY: True},
        )
        layers.append(self.layer)
        layers.selection = selected
        layers.selection.active = active

    def show(self, preview: Panel) -> None:
        """Show a preview, if the user has left the layer there."""
        if not self._is_there:
            return
        assert self.layer is not None
        first, self._is_blank = self._is_blank, False
        if first:
            self.layer.visible = True  # Before its data: napari measures no hidden layer.
        self.layer.data = preview.pixels
        if first:
            self._settle(self.layer)

    def _settle(self, layer: Image) -> None:
        """Lie beside the layers that there are by now; alone, come into view."""
        others = [each for each in self._viewer.layers if each is not layer]
        if others:
            layer.translate = _beside(others)
        else:
            self._viewer.fit_to_view(layers=[layer])

    def tidy(self) -> None:
        """Take the layer away where a run has ended before there was anything to show."""
        if self._is_blank and self._is_there:
            self._viewer.layers.remove(self.layer)

    def look(self) -> None:
        """Bring the layer into view: the user asked for it."""
        if self._is_there and not self._is_blank:
            assert self.layer is not None
            self.layer.visible = True
            self._viewer.fit_to_view(layers=[self.layer])


def _beside(layers: Sequence[Layer]) -> tuple[float, float]:
    """Return where the preview lies in the world: right of all layers."""
    extents = [layer.extent.world for layer in layers]
    if not extents:
        return 0.0, 0.0
    top, right = (min(low[-2] for low, _ in extents), max(high[-1] for _, high in extents))
    return float(top), float(right + GAP)
