"""A large image and its coarse map at reduced size: what is far away from a block.

Blocks of a large image see few surroundings. Where nothing is labelled for a long way, they
follow the flood of the reduced image, except along its boundaries, which they find themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Size, Sliceable, Window, blocks, boundary_pixels
from c2f_core.refine.certainty import distance_to
from c2f_core.refine.interface import ClassIds

PIXELS = 1 << 21
"""Approximate number of pixels of the reduced image."""
FAR = 48.0
"""Distance in pixels from labels from which on unlabelled pixels follow the reduced image."""
BLOCK = 2048
"""Side in pixels of the blocks that are read at once."""

Flood = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]
"""Function of an RGB image and markers that extends the markers to all pixels."""


@dataclass(frozen=True, eq=False)
class ReducedMap:
    """Markers (class id + 1, or 0) of a large image, one for each cell of its pixels.

    Attributes
    ----------
    markers : (y, x) uint8 array
        Markers of the coarse map: of cells with pixels of one class, or of one class and
        unlabelled ones.
    far : (y, x) uint8 array
        Markers after flooding the reduced image, 0 along its boundaries.
    step : int
        Side of a cell in pixels.
    """

    markers: NDArray[np.uint8]
    far: NDArray[np.uint8]
    step: int

    def far_markers(self, class_ids: ClassIds, window: Window) -> NDArray[np.uint8]:
        """Return the markers of pixels of a window that are far from all labels in it.

        Parameters
        ----------
        class_ids : (Y, X) uint8 array
            Class ids of the window, `UNLABELLED_ID` where unlabelled.
        window : (slice, slice)
            Rows and columns of the window.
        """
        rows, columns = (np.arange(axis.start, axis.stop) // self.step for axis in window)
        found = self.far[rows[:, None], columns[None]]
        if not found.any():
            return found
        labelled = class_ids != UNLABELLED_ID
        if labelled.any():
            found[distance_to(labelled) <= FAR] = 0
        return found

    def boundary_blocks(self, side: int, size: Size) -> list[Window]:
        """Return the blocks of `side` pixels that have a boundary of classes.

        If there are none, those that have an outline of unlabelled pixels.
        """
        boundary = boundary_pixels(self.markers, unlabelled=0)
        if not boundary.any():
            boundary = boundary_pixels(self.markers, unlabelled=None)
        return [
            block
            for block in blocks(size, side)
            if boundary[
                tuple(slice(axis.start // self.step, -(-axis.stop // self.step)) for axis in block)
            ].any()
        ]


def reduced_map(rgb: Sliceable, class_ids: Sliceable, flood: Flood) -> ReducedMap:
    """Reduce an image and its coarse map.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image, of which only parts are loaded; all of it if there are unlabelled pixels far
        from labels.
    class_ids : (Y, X) uint8 array
        Class ids, `UNLABELLED_ID` where unlabelled.
    flood : callable
        Function that extends markers to all pixels of an image.
    """
    height, width = class_ids.shape
    step = max(1, round((height * width / PIXELS) ** 0.5))
    markers = _reduced_markers(class_ids, (height, width), step)
    labelled = markers > 0
    if not labelled.any() or distance_to(labelled).max() * step < FAR:
        return ReducedMap(markers, np.zeros_like(markers), step)
    flooded = flood(_reduced_image(rgb, (height, width), step), markers)
    near = boundary_pixels(flooded)
    near = distance_to(near) <= 1 if near.any() else near
    return ReducedMap(markers, np.where(near, 0, flooded).astype(np.uint8), step)


def _cells(size: Size, step: int) -> tuple[int, int]:
    return -(-size[0] // step), -(-size[1] // step)


def _reduced_markers(class_ids: Sliceable, size: Size, step: int) -> NDArray[np.uint8]:
    largest = np.zeros(_cells(size, step), np.uint8)
    smallest = np.zeros_like(largest)
    for cells in blocks(largest.shape, max(1, BLOCK // step)):
        rows, columns = (slice(axis.start * step, axis.stop * step) for axis in cells)
        part = np.asarray(class_ids[rows, columns])
        markers = np.where(part == UNLABELLED_ID, 0, part + 1).astype(np.uint8)
        largest[cells] = _over_cells(np.maximum, markers, step)
        smallest[cells] = _over_cells(np.minimum, markers - np.uint8(1), step) + np.uint8(1)
    alike = np.where(smallest == largest, largest, 0).astype(np.uint8)
    return alike if alike.any() else largest


def _over_cells(function: np.ufunc, values: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the smallest or largest value of each cell."""
    for axis in (0, 1):
        values = function.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
    return values


def _reduced_image(rgb: Sliceable, size: Size, step: int) -> NDArray[np.uint8]:
    reduced = np.empty((*_cells(size, step), 3), np.uint8)
    for cells in blocks(reduced.shape[:2], max(1, BLOCK // step)):
        rows, columns = (slice(axis.start * step, axis.stop * step) for axis in cells)
        reduced[cells] = np.asarray(rgb[rows, columns])[::step, ::step]
    return reduced
