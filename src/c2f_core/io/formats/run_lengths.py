"""Masks as run lengths, which start with a run of pixels outside the mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size, Window
from c2f_core.geometry.shapes import Pixels, Shape

BLOCK = 16
"""Number of lines that are transposed at once: those whose pixels fit into the cache."""


@dataclass(frozen=True)
class RunLengthMask(Shape):
    """Mask of a part of the image that is decoded only while it is drawn.

    Attributes
    ----------
    runs : (N,) int array
        Run lengths, which add up to the pixels of the part.
    size : (int, int)
        Number of rows and columns of the part.
    top, left : int
        Row and column of the first pixel of the part in the image.
    by_columns : bool
        Whether the runs follow the columns instead of the rows.
    """

    runs: NDArray[np.int64]
    size: Size
    top: int = 0
    left: int = 0
    by_columns: bool = False

    def span(self) -> NDArray[np.float64]:
        """Return the first and the last row and column of the part, (2, 2)."""
        first = np.array([self.top, self.left], dtype=np.float64)
        return np.stack([first, first + self.size - 1])

    def cover(self, size: Size) -> tuple[Window, NDArray[np.bool_]]:
        """Return a window of the image, and a mask of the pixels in it that the shape covers.

        Only the box around the covered pixels is decoded. If a run continues in the next line,
        the box has whole lines.
        """
        length = self.size[0] if self.by_columns else self.size[1]
        bounds = np.cumsum(self.runs)
        covered = np.flatnonzero(self.runs[1::2]) * 2 + 1
        first_lines, low = np.divmod(bounds[covered - 1], length)
        last_lines, high = np.divmod(bounds[covered] - 1, length)
        first, last = int(first_lines[0]), int(last_lines[-1]) + 1
        is_whole = (first_lines != last_lines).any()
        left, right = (0, length) if is_whole else (int(low.min()), int(high.max()) + 1)
        starts = (first_lines - first) * (right - left) + low - left
        stops = (last_lines - first) * (right - left) + high - left + 1
        edges = np.stack([starts, stops], axis=1).ravel()
        runs = np.diff(edges, prepend=0, append=(last - first) * (right - left))
        lines = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(last - first, right - left)
        if self.by_columns:
            return Pixels(_transposed(lines), self.top + left, self.left + first).cover(size)
        return Pixels(lines, self.top + first, self.left + left).cover(size)


def _transposed(lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return lines as columns, copied in blocks, which is faster than drawing across the lines."""
    columns = np.empty(lines.shape[::-1], dtype=np.bool_)
    for first in range(0, len(lines), BLOCK):
        columns[:, first : first + BLOCK] = lines[first : first + BLOCK].T
    return columns


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the run lengths of a flat mask (N,), starting with a run of False."""
    bounds = np.flatnonzero(np.diff(mask, prepend=np.False_, append=~mask[-1:]))
    runs: list[int] = np.diff(bounds, prepend=0).tolist()
    return runs


def checked_runs(runs: Sequence[int], length: int) -> NDArray[np.int64] | None:
    """Return the run lengths of a mask as an array, None if the mask is empty.

    Parameters
    ----------
    runs : sequence of int
        Run lengths, starting with a run of False.
    length : int
        Number of pixels of the mask.

    Raises
    ------
    DataError
        If a run length is negative, or they add up neither to `length` nor to 0.
    """
    total = sum(runs)
    if any(run < 0 for run in runs):
        raise DataError(
            f"A run length of a mask is negative ({min(runs)}); export the annotations again."
        )
    if total not in (0, length):
        raise DataError(
            f"The run lengths of a mask add up to {total} instead of {length} pixels; export "
            "the annotations again."
        )
    return np.array(runs, dtype=np.int64) if any(runs[1::2]) else None
