"""The layers of a review, and how they are shown."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.key_bindings import KeyCode, KeyMod
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.refine.run import Plane
from c2f_core.review.decisions import ChangedPixels
from napari_c2f.layers.lineage import CURRENT

OUTLINE = 2
"""Width of outlines, in pixels of the map."""
UNDO_KEY = KeyMod.CtrlCmd | KeyCode.KeyZ
REDO_KEY = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ
"""Those of napari."""
Codes = NDArray[np.uint8]


def codes_of(decisions: NDArray[np.uint8], current: int) -> Codes:
    """Return the label of each region in the changes layer."""
    codes = decisions + np.uint8(1)
    if current:
        codes[current - 1] = CURRENT
    return codes


class Outlines:
    """The outermost pixels of each region, which the changes layer shows.

    They are found once, beside the window's thread: napari's own contours would be
    looked for in the whole map whenever a decision is taken.

    Parameters
    ----------
    pixels : ChangedPixels
    numbers : (Y, X) integer array
        Number of the region of each pixel.
    """

    def __init__(self, pixels: ChangedPixels, numbers: NDArray[np.integer[Any]]) -> None:
        size = 2 * OUTLINE + 1
        low, high = (
            extreme(numbers, size, mode="constant")
            for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
        )
        outer = np.take(low != high, pixels.flat_indices)
        self._places = pixels.flat_indices[outer]
        self._regions = np.repeat(np.arange(len(pixels.sizes)), pixels.sizes)[outer]
        self._map_size = numbers.shape

    def painted(self, codes: Codes) -> NDArray[np.uint8]:
        """Make the map of the changes layer, given the label of each region."""
        index_map = np.zeros(self._map_size, dtype=np.uint8)
        index_map.flat[self._places] = codes[self._regions]
        return index_map

    def repaint(self, index_map: NDArray[np.uint8], codes: Codes, before: Codes) -> None:
        """Change the labels of those regions that had others before."""
        differing = (codes != before)[self._regions]
        index_map.flat[self._places[differing]] = codes[self._regions[differing]]


class ReviewLayers:
    """Shows a review in the layers of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
    coarse, fine, final, changes : Labels
    plane : tuple of int
        Which plane of the changes layer shows the regions.
    outlines : Outlines
    codes : (R,) uint8 array
        Labels that the regions have in the changes layer.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        coarse: Labels,
        fine: Labels,
        final: Labels,
        changes: Labels,
        plane: Plane,
        outlines: Outlines,
        codes: Codes,
    ) -> None:
        self._viewer = viewer
        self.coarse, self.fine, self.final, self.changes = coarse, fine, final, changes
        self.plane = plane
        self._outlines = outlines
        self._codes = codes
        self._shown: list[tuple[Labels, bool]] = []

    @property
    def all(self) -> tuple[Labels, ...]:
        """Those that a review cannot do without."""
        return self.coarse, self.fine, self.final, self.changes

    def show_codes(self, codes: Codes) -> None:
        """Colour the regions whose label differs from what is shown."""
        if np.array_equal(codes, self._codes):
            return
        self._outlines.repaint(self.changes.data[self.plane], codes, self._codes)
        self._codes = codes
        self.changes.refresh(extent=False)

    def show_final(self, final: bool) -> None:
        """Show the final map, to draw in it; else the refined one, to judge it."""
        self.final.visible, self.fine.visible = final, not final
        self._viewer.layers.selection.active = self.final if final else self.changes

    def outline(self, outlined: bool) -> None:
        """Show the maps as outlines of their classes, so that the photograph is seen."""
        width = OUTLINE if outlined else 0
        for layer in (self.coarse, self.fine, self.final):
            if layer.contour != width:  # Setting it takes time in any case.
                layer.contour = width

    def compare(self, held: bool) -> None:
        """Show the coarse map in place of the others as long as this is held."""
        if held and not self._shown:
            self._shown = [(layer, layer.visible) for layer in self.all]
            for layer in self.all:
                layer.visible = layer is self.coarse
        elif not held:
            for layer, visible in self._shown:
                layer.visible = visible
            self._shown = []

    def bind(
        self, undo: Callable[[], None], redo: Callable[[], None], choose: Callable[[int], None]
    ) -> None:
        """Bind napari's keys of undo and redo, and a click on a region in the changes layer."""

        def pick(_layer: Labels, event: Any) -> Iterator[None]:
            yield
            if event.type != "mouse_release":
                return
            point = self.changes.world_to_data(event.position)
            *plane, row, column = (round(float(x)) for x in point)
            height, width = self.changes.data.shape[-2:]
            if tuple(plane) == self.plane and 0 <= row < height and 0 <= column < width:
                choose(row * width + column)

        for layer in (self.final, self.changes):
            layer.bind_key(UNDO_KEY, lambda _layer: undo(), overwrite=True)
            layer.bind_key(REDO_KEY, lambda _layer: redo(), overwrite=True)
        self.changes.mouse_drag_callbacks.append(pick)
        self._pick = pick

    def release(self) -> None:
        """Leave the layers to the user: the review has ended."""
        self.compare(False)
        for layer in (self.final, self.changes):
            layer.bind_key(UNDO_KEY, None)
            layer.bind_key(REDO_KEY, None)
        self.changes.mouse_drag_callbacks.remove(self._pick)
