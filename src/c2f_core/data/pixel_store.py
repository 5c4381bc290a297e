"""The pixels of pairs: in memory while there is room, and in a temporary file beyond that."""

import errno
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

PART = 1 << 30
"""Bytes by which the file grows."""


class PixelStore:
    """Hold the pixels of pairs in memory up to a limit, and those of later pairs in a file.

    The file is memory-mapped, so that arrays in it are used like any others, and the system
    keeps as much of it in memory as is free. The system deletes it when the process ends, however
    it ends.

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
            If the file cannot be created, or the disk has too little space for it.
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
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                file.truncate(size)
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                return mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise DataError(
                "The pairs do not fit into memory, and a temporary file for the others cannot be "
                f"created in {self._folder} ({error.strerror}); use fewer or smaller images, or "
                "choose a run folder on a disk with more space."
            ) from error

    def messages(self) -> list[str]:
        """Return a sentence on the pairs in the file; none if there are no such pairs."""
        if not self.pairs_in_file:
            return []
        return [
            f"Pairs that do not fit into memory ({self.pairs_in_file}) are read from a temporary "
            "file."
        ]
