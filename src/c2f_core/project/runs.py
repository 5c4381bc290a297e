"""Runs of equal labels: maps and corrections in a text file."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int, int]
"""First pixel in row-major order, number of pixels, class index."""


def encode_runs(index_map: NDArray[Any], where: NDArray[np.bool_] | None = None) -> list[Run]:
    """Return the runs of equal labels of a map.

    Parameters
    ----------
    index_map : (Y, X) integer array
    where : (Y, X) boolean array, optional
        Pixels to keep; without it, all.

    Returns
    -------
    list of (first pixel, pixels, class index)
        In row-major order; a run may go on in the next row.
    """
    places = np.arange(index_map.size) if where is None else np.flatnonzero(where)
    if not places.size:
        return []
    labels = index_map.ravel()[places]
    breaks = np.flatnonzero((np.diff(places) != 1) | (labels[1:] != labels[:-1])) + 1
    firsts = np.concatenate([[0], breaks])
    lengths = np.diff([*firsts, places.size])
    columns = (places[firsts].tolist(), lengths.tolist(), labels[firsts].tolist())
    return list(zip(*columns, strict=True))


def paint_runs(index_map: NDArray[Any], runs: Sequence[Run]) -> None:
    """Paint runs into a contiguous map (Y, X) in place."""
    flat = index_map.reshape(-1)
    for start, length, label in runs:
        flat[start : start + length] = label


def map_hash(index_map: NDArray[Any]) -> str:
    """Hash size and labels of a map, whatever its dtype; hexadecimal SHA-256."""
    digest = hashlib.sha256(repr(index_map.shape).encode())
    digest.update(np.ascontiguousarray(index_map, dtype="<u2").tobytes())
    return digest.hexdigest()
