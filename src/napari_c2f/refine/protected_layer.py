"""Layer that shows which hand-painted pixels the next refinement leaves unchanged."""

from collections.abc import Callable, Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray
from superqt.utils import QSignalDebouncer

from c2f_core.geometry.arrays import Covered, Slices, around
from napari_c2f.layers.convert import RESULT_KEY, level0
from napari_c2f.layers.lineage import placed_keywords
from napari_c2f.layers.strokes import ProtectedStroke

NAME = "protected edits"
PAUSE = 200
"""Milliseconds without a stroke before the layer is updated."""
COLOURS = DirectLabelColormap(color_dict={None: np.zeros(4), 1: np.array([1, 1, 1, 1.0])})

Look = Callable[[], tuple[Labels, Sequence[ProtectedStroke]] | None]
"""Function that returns the coarse map and its protected strokes; None if no map is chosen."""


class ProtectedLayer:
    """A layer that outlines protected strokes while it is wanted.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to which the layer is added.
    look : callable
        Function that returns what is protected, see `Look`.
    """

    def __init__(self, viewer: ViewerModel, look: Look) -> None:
        self._viewer, self._look = viewer, look
        self._layer: Labels | None = None
        self._wanted = False
        self._debouncer = QSignalDebouncer()
        self._debouncer.setTimeout(PAUSE)
        self._debouncer.triggered.connect(self._show)

    def want(self, wanted: bool) -> None:
        """Show or remove the layer."""
        self._wanted = wanted
        if wanted:
            self._show()
        else:
            self.close()

    def refresh(self) -> None:
        """Update the layer now, if it is wanted."""
        if self._wanted:
            self._show()

    def update(self, *_: object) -> None:
        """Update the layer soon, if it is wanted."""
        if self._wanted:
            self._debouncer.throttle()

    def close(self) -> None:
        """Remove the layer."""
        self._debouncer.cancel()
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _show(self) -> None:
        found = self._look()
        if found is None:
            self.close()
            return
        coarse, kept = found
        place, mask = covered_part(coarse, kept)
        keywords = placed_keywords(coarse, place)
        layer = self._layer
        if layer is None or layer not in self._viewer.layers or layer.ndim != coarse.ndim:
            self.close()
            self._layer = self._add(mask, keywords)
        else:
            layer.data = mask
            layer.translate = keywords["translate"]

    def _add(self, mask: NDArray[np.uint8], keywords: dict[str, object]) -> Labels:
        """Add the layer on top, and keep the active layer."""
        active = self._viewer.layers.selection.active
        metadata = {RESULT_KEY: True}
        layer = Labels(mask, name=NAME, colormap=COLOURS, metadata=metadata, **keywords)
        layer.contour = 1
        layer.editable = False
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        return layer


def covered_part(
    coarse: Labels, kept: Sequence[ProtectedStroke]
) -> tuple[Slices, NDArray[np.uint8]]:
    """Return the smallest box of a map around protected strokes, and a mask of 1 where they are."""
    patches = [each.patch for each in kept if each.patch.mask.any()]
    nowhere = tuple(slice(0, 1) for _ in range(coarse.ndim))
    place = around(patch.slices for patch in patches) if patches else nowhere
    return place, Covered(level0(coarse).shape, patches)[place].astype(np.uint8)
