"""Windows: rectangular parts of a map, each a slice of rows and one of columns.

Their slices have a start and a stop within the map and no step.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Rows and columns of an image."""
Window = tuple[slice, slice]


def clipped(first: int, last: int, size: int) -> slice:
    """Return the part of [first, last) that lies in [0, size)."""
    start = min(max(first, 0), size)
    return slice(start, max(start, min(last, size)))


def whole(size: Size) -> Window:
    """Return the window of all pixels."""
    return slice(0, size[0]), slice(0, size[1])


def extent(window: Window) -> Size:
    """Return how many rows and columns a window has."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def area(window: Window) -> int:
    """Return how many pixels a window has."""
    height, width = extent(window)
    return height * width


def grown(window: Window, margin: int, size: Size, alignment: int = 1) -> Window:
    """Add a margin, and more up to multiples of `alignment`; what leaves the map is cut off."""

    def grow(axis: slice, length: int) -> slice:
        first = (axis.start - margin) // alignment * alignment
        last = -(-(axis.stop + margin) // alignment) * alignment
        return clipped(first, last, length)

    return grow(window[0], size[0]), grow(window[1], size[1])


def inside(window: Window, outer: Window) -> Window:
    """Return the same pixels, counted from the corner of a window that contains them."""
    return _moved(window, (-outer[0].start, -outer[1].start))


def outside(window: Window, outer: Window) -> Window:
    """Return the same pixels, counted no longer from the corner of `outer`: undoes `inside`."""
    return _moved(window, (outer[0].start, outer[1].start))


def _moved(window: Window, by: Size) -> Window:
    rows, columns = window
    return (
        slice(rows.start + by[0], rows.stop + by[0]),
        slice(columns.start + by[1], columns.stop + by[1]),
    )


def bounding_box(mask: NDArray[np.bool_]) -> Window:
    """Return the smallest window of all True pixels of a (Y, X) mask; empty if there are none."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def blocks(size: Size, side: int) -> Iterator[Window]:
    """Cut a map into squares of `side` pixels, smaller ones at its lower and right end."""
    for row in range(0, size[0], side):
        for column in range(0, size[1], side):
            yield clipped(row, row + side, size[0]), clipped(column, column + side, size[1])
