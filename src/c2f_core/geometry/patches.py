"""Pixels that a user painted by hand, laid over a map without copying it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.lazy import Sliceable

Slices = tuple[slice, ...]
"""A slice of each axis of a map or stack, with a start and a stop and no step."""
ArrayKey = EllipsisType | tuple[int | slice, ...]


def around(places: Iterable[Slices]) -> Slices:
    """Return the smallest place that holds all of these; there must be one."""
    return tuple(
        slice(min(axis.start for axis in axes), max(axis.stop for axis in axes))
        for axes in zip(*places, strict=True)
    )


def common(one: Slices, other: Slices) -> Slices:
    """Return what two places have in common; see `is_empty`."""
    starts = [max(a.start, b.start) for a, b in zip(one, other, strict=True)]
    return tuple(
        slice(start, max(start, min(a.stop, b.stop)))
        for start, a, b in zip(starts, one, other, strict=True)
    )


def is_empty(place: Slices) -> bool:
    """Tell whether a place holds no pixel."""
    return any(axis.start == axis.stop for axis in place)


def from_corner(place: Slices, outer: Slices) -> Slices:
    """Return the same pixels, counted from the corner of another place."""
    return tuple(
        slice(axis.start - corner.start, axis.stop - corner.start)
        for axis, corner in zip(place, outer, strict=True)
    )


def to_corner(place: Slices, outer: Slices) -> Slices:
    """Return the same pixels, counted no longer from that corner: undoes `from_corner`."""
    return tuple(
        slice(axis.start + corner.start, axis.stop + corner.start)
        for axis, corner in zip(place, outer, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Patch:
    """Some pixels of a map or stack.

    Attributes
    ----------
    place : tuple of slices
        Where the mask lies.
    mask : boolean array of the size of the place
    values : (N,) array
        Labels of the N pixels that are True, in their order.
    """

    place: Slices
    mask: NDArray[np.bool_]
    values: NDArray[Any]


class Covered:
    """Where patches lie: a boolean array that is made where it is asked for.

    Parameters
    ----------
    shape : tuple of int
        Of the map or stack.
    patches : sequence of Patch
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shape: tuple[int, ...], patches: Sequence[Patch]) -> None:
        self.shape = shape
        self._patches = patches

    def __getitem__(self, key: ArrayKey, /) -> NDArray[np.bool_]:
        """Return a part."""
        wanted = _place(key, self.shape)
        covered = np.zeros(_extent(wanted), dtype=np.bool_)
        for patch, there, here in _overlaps(self._patches, wanted):
            covered[there] |= patch.mask[here]
        return covered[_without_length(key)]


class Overlaid:
    """A map with patches on top, the last one uppermost; made where it is asked for.

    Parameters
    ----------
    below : array
        Map or stack, in memory or loaded lazily.
    patches : sequence of Patch
    """

    def __init__(self, below: Sliceable, patches: Sequence[Patch]) -> None:
        self.shape, self.dtype = tuple(below.shape), np.dtype(below.dtype)
        self._below, self._patches = below, patches

    def __getitem__(self, key: ArrayKey, /) -> NDArray[Any]:
        """Return a part."""
        wanted = _place(key, self.shape)
        part = np.array(self._below[wanted])
        for patch, there, here in _overlaps(self._patches, wanted):
            values = np.zeros(patch.mask.shape, dtype=part.dtype)
            values[patch.mask] = patch.values
            np.copyto(part[there], values[here], where=patch.mask[here])
        return part[_without_length(key)]


def _overlaps(patches: Sequence[Patch], wanted: Slices) -> Iterator[tuple[Patch, Slices, Slices]]:
    """Yield the patches in a part, where they lie in it, and which part of them does."""
    for patch in patches:
        shared = common(patch.place, wanted)
        if not is_empty(shared):
            yield patch, from_corner(shared, wanted), from_corner(shared, patch.place)


def _place(key: ArrayKey, shape: tuple[int, ...]) -> Slices:
    """Return a slice of each axis for what an array of this shape is asked for."""
    given = () if isinstance(key, EllipsisType) else key
    full = [*given, *[slice(None)] * (len(shape) - len(given))]
    return tuple(
        slice(*axis.indices(length)[:2]) if isinstance(axis, slice) else slice(axis, axis + 1)
        for axis, length in zip(full, shape, strict=True)
    )


def _without_length(key: ArrayKey) -> tuple[int | slice, ...]:
    """Return the key that takes off the axes of which one place was asked for."""
    given = () if isinstance(key, EllipsisType) else key
    return tuple(slice(None) if isinstance(axis, slice) else 0 for axis in given)


def _extent(place: Slices) -> tuple[int, ...]:
    return tuple(axis.stop - axis.start for axis in place)
