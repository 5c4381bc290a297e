"""Arrays that are written part by part, or computed when they are read."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Sliceable


class Writable(Sliceable, Protocol):
    """Array in memory or on disk whose parts can be written."""

    def __setitem__(self, key: Any, values: Any, /) -> None:
        """Write a part."""


class Computed:
    """Array whose parts are computed when they are read, once if the same part is read again.

    Parameters
    ----------
    shape : tuple of int
        Length of each axis.
    dtype : dtype
        Type of the values.
    compute : callable
        Function that takes the key of a part, as in `array[key]`, and returns the part.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, compute: Callable[[Any], NDArray[Any]]
    ) -> None:
        self.shape, self.dtype, self._compute = shape, np.dtype(dtype), compute
        self._last: tuple[Any, NDArray[Any]] | None = None

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return a part."""
        if self._last is None or self._last[0] != key:
            self._last = key, self._compute(key)
        return self._last[1]
