"""The pixels of pairs: in memory while there is room, and in a temporary file beyond that."""

import mmap
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.data.pairs import Pair
from c2f_core.errors import DataError

GIB = 1 << 30
PART = GIB
"""Bytes by which the file grows."""


class PixelStore:
    """Hold the pixels of pairs in memory up to a limit, and those of later pairs in a file.

    The file is memory-mapped, so that arrays in it are used like any others, and the system
    keeps as much of it in memory as is free. It has no name, or is deleted by the system, and is
    gone when the process ends, however it ends.

    Parameters
    ----------
    limit : int
        Number of bytes that may be held in memory.
    folder : Path
        Existing folder on the disk that the file is written to.

    Attributes
    ----------
    pairs_in_file : int
        Number of pairs whose pixels are in the file.
    """

    def __init__(self, limit: int, folder: Path) -> None:
        self._room = limit
        self._folder = folder
        self._part: mmap.mmap | None = None
        self._used = 0
        self.pairs_in_file = 0

    def hold(self, pair: Pair) -> Pair:
        """Hold the pixels of a pair.

        Parameters
        ----------
        pair : Pair
            Pair that was just read.

        Returns
        -------
        Pair
            The same pair, in memory or in the file.

        Raises
        ------
        DataError
            If the disk has too little space for the file.
        """
        planes = [plane for plane in (pair.image, pair.coarse, pair.fine) if plane is not None]
        size = sum(plane.nbytes for plane in planes)
        if size <= self._room:
            self._room -= size
            return pair
        self.pairs_in_file += 1
        return replace(
            pair,
            image=self._stored(pair.image),
            coarse=self._stored(pair.coarse),
            fine=None if pair.fine is None else self._stored(pair.fine),
        )

    def _stored(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Copy an array into the file, and return it as it lies there."""
        if self._part is None or self._used + plane.nbytes > len(self._part):
            self._part, self._used = self._new_part(max(PART, plane.nbytes)), 0
        stored = np.frombuffer(self._part, np.uint8, plane.size, self._used).reshape(plane.shape)
        stored[:] = plane
        self._used += plane.nbytes
        return stored

    def _new_part(self, size: int) -> mmap.mmap:
        """Map a new temporary file, whose space is reserved: a full disk would end the process."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                if shutil.disk_usage(self._folder).free < size:
                    raise self._no_space()
                file.truncate(size)
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                return mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise self._no_space(f" ({error.strerror})") from error

    def _no_space(self, why: str = "") -> DataError:
        return DataError(
            "The pairs need more memory than is free, and there is no space for the rest of them "
            f"in {self._folder}{why}; use fewer or smaller images, or choose a run folder on a "
            "disk with more space."
        )

    def message(self) -> str:
        """Return a sentence on the pairs in the file, empty if there are none."""
        if not self.pairs_in_file:
            return ""
        pairs = "1 pair does" if self.pairs_in_file == 1 else f"{self.pairs_in_file} pairs do"
        return f"{pairs} not fit into memory and are read from a temporary file."
