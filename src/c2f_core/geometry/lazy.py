"""Lazy arrays: planes of stacks, and hand-painted pixels overlaid on a map without copying it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.windows import Slices, common, from_corner, is_empty, lengths

ArrayKey = EllipsisType | tuple[int | slice, ...]


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
        Where the pixels are.
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
