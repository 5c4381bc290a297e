"""Arrays on disk for images that are too large for the memory."""

import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import WritingError
from c2f_core.geometry.arrays import Sliceable, row_bands
from c2f_core.geometry.lazy import Writable

IN_MEMORY = 1 << 24
"""Number of pixels up to which images and maps are kept in memory, not in temporary files."""


def is_large(shape: tuple[int, ...]) -> bool:
    """Return whether an image or map of this shape, (Y, X, ...), should not be in memory whole."""
    return shape[0] * shape[1] > IN_MEMORY


def new_array(shape: tuple[int, ...], dtype: Any, folder: Path | None = None) -> Writable:
    """Return an array of zeros: in memory, or in a temporary file if it is large.

    Parameters
    ----------
    shape : tuple of int
        Length of each axis; the first two are rows and columns.
    dtype : dtype
        Type of the values.
    folder : Path, optional
        Folder of the temporary file; without one, the array is in memory.

    Raises
    ------
    WritingError
        If the folder does not exist or the disk is full.
    """
    if folder is None or not is_large(shape):
        return np.zeros(shape, dtype)
    return Scratch(shape, dtype, folder)


class Scratch:
    """Array in a temporary file, of which only the parts in use are in memory.

    The file is deleted when the array is; on POSIX systems it has no name.

    Parameters
    ----------
    shape : tuple of int
        Length of each axis.
    dtype : dtype
        Type of the values.
    folder : Path
        Folder of the temporary file.

    Raises
    ------
    WritingError
        If the folder does not exist or the disk is full.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, folder: Path) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        try:
            self._file = tempfile.TemporaryFile(dir=folder, prefix=".c2f-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            _reserve(self._file.fileno(), size)
        except OSError as error:
            raise WritingError(
                f"A temporary file of {size / 1e9:.1f} GB cannot be written in {folder} "
                f"({error.strerror or error}); free some space or choose another output."
            ) from error

    @classmethod
    def of(cls, array: Sliceable, folder: Path) -> "Scratch":
        """Return a copy of an array, made in bands of rows."""
        scratch = cls(tuple(array.shape), array.dtype, folder)
        for rows in row_bands(scratch.shape):
            scratch[rows] = array[rows]
        return scratch

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return a copy of a part."""
        return np.array(self._mapped()[key])

    def __setitem__(self, key: Any, values: Any, /) -> None:
        """Write a part."""
        self._mapped()[key] = values

    def _mapped(self) -> "np.memmap[Any, Any]":
        # Mapped anew for each part: pages that were mapped count as memory of the process.
        return np.memmap(self._file, dtype=self.dtype, mode="r+", shape=self.shape)


def _reserve(descriptor: int, size: int) -> None:
    """Reserve space on the disk, as writing to a mapped file ends the program if it is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, max(size, 1))
    else:
        os.truncate(descriptor, max(size, 1))
