"""Planes of arrays that are loaded lazily."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Sliceable(Protocol):
    """An array in memory or loaded lazily: NumPy, dask, zarr and what slices like them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of its values."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a part, which `numpy.asarray` loads."""


@dataclass(frozen=True)
class _LazyPlane:
    """One plane of a stack that is not loaded yet."""

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
