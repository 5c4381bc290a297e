"""Rectangular parts of maps and stacks, as slices with a start and a stop and no step."""

from collections.abc import Iterable, Iterator
from typing import overload

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width of an image in pixels."""
Window = tuple[slice, slice]
"""Rows and columns of a map."""
Slices = tuple[slice, ...]
"""One slice for each axis of a map or stack."""


def clipped(first: int, last: int, size: int) -> slice:
    """Return the part of [first, last) that lies in [0, size)."""
    start = min(max(first, 0), size)
    return slice(start, max(start, min(last, size)))


def whole(size: Size) -> Window:
    """Return the window of all pixels."""
    return slice(0, size[0]), slice(0, size[1])


def lengths(slices: Slices) -> tuple[int, ...]:
    """Return the length of each axis."""
    return tuple(axis.stop - axis.start for axis in slices)


def extent(window: Window) -> Size:
    """Return the number of rows and columns of a window."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def area(window: Window) -> int:
    """Return the number of pixels of a window."""
    height, width = extent(window)
    return height * width


def is_empty(slices: Slices) -> bool:
    """Return whether slices contain no pixel."""
    return any(axis.start == axis.stop for axis in slices)


def around(parts: Iterable[Slices]) -> Slices:
    """Return the smallest slices that contain all of these; there must be at least one."""
    return tuple(
        slice(min(axis.start for axis in axes), max(axis.stop for axis in axes))
        for axes in zip(*parts, strict=True)
    )


def common(one: Slices, other: Slices) -> Slices:
    """Return the intersection of two slices, which may be empty; see `is_empty`."""
    starts = [max(a.start, b.start) for a, b in zip(one, other, strict=True)]
    return tuple(
        slice(start, max(start, min(a.stop, b.stop)))
        for start, a, b in zip(starts, one, other, strict=True)
    )


@overload
def from_corner(slices: Window, outer: Window) -> Window: ...
@overload
def from_corner(slices: Slices, outer: Slices) -> Slices: ...
def from_corner(slices: Slices, outer: Slices) -> Slices:
    """Return the same pixels, counted from the corner of `outer`."""
    return tuple(
        slice(axis.start - corner.start, axis.stop - corner.start)
        for axis, corner in zip(slices, outer, strict=True)
    )


@overload
def to_corner(slices: Window, outer: Window) -> Window: ...
@overload
def to_corner(slices: Slices, outer: Slices) -> Slices: ...
def to_corner(slices: Slices, outer: Slices) -> Slices:
    """Return the same pixels, no longer counted from the corner of `outer`: undo `from_corner`."""
    return tuple(
        slice(axis.start + corner.start, axis.stop + corner.start)
        for axis, corner in zip(slices, outer, strict=True)
    )


def grown(window: Window, margin: int, size: Size, alignment: int = 1) -> Window:
    """Add a margin to a window, and more up to multiples of `alignment`, within the map.

    Parameters
    ----------
    window : (slice, slice)
        Rows and columns.
    margin : int
        Margin on each side in pixels.
    size : (int, int)
        Height and width of the map in pixels.
    alignment : int
        Start and stop become multiples of this, unless the map ends before.
    """

    def grow(axis: slice, length: int) -> slice:
        first = (axis.start - margin) // alignment * alignment
        last = -(-(axis.stop + margin) // alignment) * alignment
        return clipped(first, last, length)

    return grow(window[0], size[0]), grow(window[1], size[1])


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
    """Cut a map into squares of `side` pixels, smaller ones at its lower and right edge."""
    for row in range(0, size[0], side):
        for column in range(0, size[1], side):
            yield clipped(row, row + side, size[0]), clipped(column, column + side, size[1])
