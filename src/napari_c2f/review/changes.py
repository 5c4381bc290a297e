"""The changes layer: outlines of the regions, coloured by decision."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal
from scipy import ndimage

from c2f_core.refine.run import Plane
from c2f_core.review.decisions import ChangedPixels
from napari_c2f.layers.lineage import CURRENT
from napari_c2f.review.model import ReviewModel

OUTLINE = 2
"""Width of outlines, in pixels of the map."""
Codes = NDArray[np.uint8]
"""Label of each region in the changes layer."""


def codes_of(decisions: NDArray[np.uint8], current: int) -> Codes:
    """Return the label of each region in the changes layer.

    Parameters
    ----------
    decisions : (R,) uint8 array
        A `Decision` for each region.
    current : int
        Number of the region in view, 0 for none.
    """
    codes = decisions + np.uint8(1)
    if current:
        codes[current - 1] = CURRENT
    return codes


class Outlines:
    """The outermost pixels of each region.

    They are computed once, in the background: napari's own contours would be computed for
    the whole map after every decision.

    Parameters
    ----------
    pixels : ChangedPixels
        Changed pixels of the plane.
    numbers : (Y, X) integer array
        Region number of each pixel.
    """

    def __init__(self, pixels: ChangedPixels, numbers: NDArray[np.integer[Any]]) -> None:
        size = 2 * OUTLINE + 1
        low, high = (
            extreme(numbers, size, mode="constant")
            for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
        )
        outer = np.take(low != high, pixels.flat_indices)
        self._flat_indices = pixels.flat_indices[outer]
        self._regions = np.repeat(np.arange(len(pixels.sizes)), pixels.sizes)[outer]
        self._shape = numbers.shape

    def painted(self, codes: Codes) -> NDArray[np.uint8]:
        """Return a map of the outlines, (Y, X), given the label of each region."""
        outlines = np.zeros(self._shape, dtype=np.uint8)
        outlines.flat[self._flat_indices] = codes[self._regions]
        return outlines

    def repaint(self, outlines: NDArray[np.uint8], codes: Codes, before: Codes) -> None:
        """Update, in place, a map of the outlines where a region's label has changed."""
        differing = (codes != before)[self._regions]
        outlines.flat[self._flat_indices[differing]] = codes[self._regions[differing]]


class ChangesView:
    """Keeps the changes layer up to date with the model, and reports clicks in it.

    Parameters
    ----------
    layer : Labels
        Layer that shows the outlines of the regions by their labels for `model`.
    plane : tuple of int
        Plane of the layer that is reviewed.
    outlines : Outlines
        Outlines of that plane.
    model : ReviewModel
        State of the review, whose decisions and current region are shown.
    """

    clicked = Signal(int, int)
    """Emitted with row and column of a pixel of the plane."""

    def __init__(self, layer: Labels, plane: Plane, outlines: Outlines, model: ReviewModel) -> None:
        self._layer, self._plane, self._outlines, self._model = layer, plane, outlines, model
        self._codes = codes_of(model.decisions, model.current)
        for event in (model.events.decisions, model.events.current):
            event.connect(self._update)
        layer.mouse_drag_callbacks.append(self._pick)

    def release(self) -> None:
        """Leave the layer to the user."""
        for event in (self._model.events.decisions, self._model.events.current):
            event.disconnect(self._update)
        self._layer.mouse_drag_callbacks.remove(self._pick)

    def _update(self) -> None:
        codes = codes_of(self._model.decisions, self._model.current)
        if np.array_equal(codes, self._codes):
            return
        self._outlines.repaint(self._layer.data[self._plane], codes, self._codes)
        self._codes = codes
        self._layer.refresh(extent=False)

    def _pick(self, _layer: Labels, event: Any) -> Iterator[None]:
        yield
        if event.type != "mouse_release":  # The mouse was dragged.
            return
        point = self._layer.world_to_data(event.position)
        *plane, row, column = (round(float(x)) for x in point)
        height, width = self._layer.data.shape[-2:]
        if tuple(plane) == self._plane and 0 <= row < height and 0 <= column < width:
            self.clicked.emit(row, column)
