"""Maps and stacks as arrays: windows, boundaries and planes of them, and patches on top.

Windows and other parts are slices with a start and a stop and no step.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import UNLABELLED_ID

Size = tuple[int, int]
"""Height and width of an image in pixels."""
Window = tuple[slice, slice]
"""Rows and columns of a map."""
Slices = tuple[slice, ...]
"""One slice for each axis of a map or stack."""
ArrayKey = EllipsisType | tuple[int | slice, ...]
"""Indices that select a part of an array."""

BAND = 1 << 22
"""Number of pixels that are computed at a time where the memory has to be bounded."""


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


def grid_blocks(place: Window, side: int, size: Size) -> list[Window]:
    """Return the squares of `side` pixels, of those that `blocks` cuts a map into, at a place."""
    aligned = grown(place, 0, size, side)
    return [to_corner(block, aligned) for block in blocks(extent(aligned), side)]


def row_bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut an array (Y, X, ...) into bands of rows of about `BAND` pixels, to bound the memory."""
    step = max(1, BAND // max(1, shape[1]))
    return (slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def halves(window: Window) -> tuple[Window, Window]:
    """Cut a window in two along its longer axis."""
    rows, columns = window
    height, width = extent(window)
    if height >= width:
        middle = rows.start + height // 2
        return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)
    middle = columns.start + width // 2
    return (rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))


def boundary_pixels(
    class_map: NDArray[Any], unlabelled: int | None = UNLABELLED_ID
) -> NDArray[np.bool_]:
    """Mark the pixels with a 4-neighbour of another class.

    Parameters
    ----------
    class_map : (Y, X) integer array
        Class ids or labels.
    unlabelled : int, optional
        Value whose outline is not a boundary; None if all values have boundaries.

    Returns
    -------
    (Y, X) boolean array
    """
    marked = np.zeros(class_map.shape, dtype=bool)
    for first, second in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differ = class_map[first] != class_map[second]
        if unlabelled is not None:
            differ &= (class_map[first] != unlabelled) & (class_map[second] != unlabelled)
        marked[first] |= differ
        marked[second] |= differ
    return marked


def first_boundary_pixels(class_map: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the pixels that differ from the one above or on the left; boundaries are one pixel wide.

    Parameters
    ----------
    class_map : (Y, X) integer array
        Class ids or labels.

    Returns
    -------
    (Y, X) boolean array
    """
    marked = np.zeros(class_map.shape, dtype=bool)
    marked[1:] |= class_map[1:] != class_map[:-1]
    marked[:, 1:] |= class_map[:, 1:] != class_map[:, :-1]
    return marked


def displacement(first: NDArray[Any], second: NDArray[Any], unlabelled: int) -> float:
    """Estimate how far the boundaries of two maps of one image are apart.

    Parameters
    ----------
    first, second : (Y, X) integer array
        Class ids or labels.
    unlabelled : int
        Value that stands for unlabelled pixels, which do not count.

    Returns
    -------
    float
        Number of differing pixels per pixel of the boundaries of the first map, which
        is a distance in pixels where a boundary has moved.
    """
    differ = (first != second) & (first != unlabelled) & (second != unlabelled)
    return float(differ.sum() / max(int(first_boundary_pixels(first).sum()), 1))


class Sliceable(Protocol):
    """Array in memory or loaded lazily: NumPy, dask, zarr and other arrays that slice like them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the values."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a part, which `numpy.asarray` loads."""


@dataclass(frozen=True)
class _LazyPlane:
    stack: Sliceable
    index: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stack.shape[len(self.index) :])

    @property
    def dtype(self) -> Any:
        return self.stack.dtype

    def __getitem__(self, key: tuple[slice, ...], /) -> Any:
        return self.stack[(*self.index, *key)]


def plane_of(stack: Sliceable, index: tuple[int, ...]) -> Sliceable:
    """Return one plane of a stack, without loading it."""
    return stack[index] if isinstance(stack, np.ndarray) else _LazyPlane(stack, index)


@dataclass(frozen=True, eq=False)
class Patch:
    """Some pixels of a map or stack.

    Attributes
    ----------
    slices : tuple of slices
        Part of the map or stack that contains the pixels.
    mask : boolean array of the size of the part
        Mask of the pixels.
    values : (N,) array
        Labels of the N pixels that are True, in the order of the mask.
    """

    slices: Slices
    mask: NDArray[np.bool_]
    values: NDArray[Any]


class Covered:
    """Boolean array that is True where patches are; computed when it is read.

    Parameters
    ----------
    shape : tuple of int
        Shape of the map or stack.
    patches : sequence of Patch
        The patches, which may overlap.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shape: tuple[int, ...], patches: Sequence[Patch]) -> None:
        self.shape = shape
        self._patches = patches

    def __getitem__(self, key: ArrayKey, /) -> NDArray[np.bool_]:
        """Return a part."""
        wanted = _slices_of(key, self.shape)
        covered = np.zeros(lengths(wanted), dtype=np.bool_)
        for patch, there, here in _overlaps(self._patches, wanted):
            covered[there] |= patch.mask[here]
        return covered[_without_length(key)]


class Overlaid:
    """Map with patches on top of it; computed when it is read.

    Parameters
    ----------
    below : array
        Map or stack, in memory or loaded lazily.
    patches : sequence of Patch
        The patches, of which the last one is on top.
    """

    def __init__(self, below: Sliceable, patches: Sequence[Patch]) -> None:
        self.shape, self.dtype = tuple(below.shape), np.dtype(below.dtype)
        self._below, self._patches = below, patches

    def __getitem__(self, key: ArrayKey, /) -> NDArray[Any]:
        """Return a part."""
        wanted = _slices_of(key, self.shape)
        part = np.array(self._below[wanted])
        for patch, there, here in _overlaps(self._patches, wanted):
            values = np.zeros(patch.mask.shape, dtype=part.dtype)
            values[patch.mask] = patch.values
            np.copyto(part[there], values[here], where=patch.mask[here])
        return part[_without_length(key)]


def _overlaps(patches: Sequence[Patch], wanted: Slices) -> Iterator[tuple[Patch, Slices, Slices]]:
    """Yield each patch in a part with the shared slices, counted in the part and in the patch."""
    for patch in patches:
        shared = common(patch.slices, wanted)
        if not is_empty(shared):
            yield patch, from_corner(shared, wanted), from_corner(shared, patch.slices)


def _slices_of(key: ArrayKey, shape: tuple[int, ...]) -> Slices:
    """Return one slice for each axis, of length 1 where the key is a number."""
    given = () if isinstance(key, EllipsisType) else key
    full = [*given, *[slice(None)] * (len(shape) - len(given))]
    return tuple(
        slice(*axis.indices(length)[:2]) if isinstance(axis, slice) else slice(axis, axis + 1)
        for axis, length in zip(full, shape, strict=True)
    )


def _without_length(key: ArrayKey) -> tuple[int | slice, ...]:
    """Return the key that removes the axes of length 1 where the original key is a number."""
    given = () if isinstance(key, EllipsisType) else key
    return tuple(slice(None) if isinstance(axis, slice) else 0 for axis in given)
