"""Processing of large images in overlapping tiles that are blended without seams.

An axis is cut into `Span` objects whose weights sum to one at every pixel; the
weight of a tile is the product of its row weights and its column weights. In
the outer three eighths of each overlap only one tile counts, so pixels without
context are discarded; in between, a raised cosine leads from one tile to the
next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TileFunction = Callable[[slice, slice], Tensor]


@dataclass(frozen=True)
class Span:
    """One tile along one axis.

    Attributes
    ----------
    start, stop : int
        First pixel of the tile, and the pixel after its last one.
    weights : (stop - start,) float32 array
        Weight in [0, 1] of this tile at each of its pixels.
    """

    start: int
    stop: int
    weights: NDArray[np.float32]

    @property
    def pixels(self) -> slice:
        """Pixels of the axis that the tile covers."""
        return slice(self.start, self.stop)


def spans(length: int, tile: int, overlap: int, alignment: int = 1) -> list[Span]:
    """Cut an axis into tiles of nearly equal size.

    Every tile starts at a multiple of `alignment`, so a network that samples
    down by `alignment` sees the same grid in a tile as in the whole image.

    Parameters
    ----------
    length : int
        Length of the axis in pixels, at least 1.
    tile : int
        Largest length of a tile in pixels, rounded down to a multiple of `alignment`.
    overlap : int
        Overlap of neighbouring tiles in pixels, rounded up to a multiple of
        `alignment`.
    alignment : int
        Downsampling factor of the network.

    Returns
    -------
    list of Span
        Spans in ascending order; their weights sum to 1 at every pixel.

    Raises
    ------
    ValueError
        If the length is not positive, or two overlaps do not fit into a tile.
    """
    if length < 1:
        raise ValueError(f"An axis of {length} pixels cannot be tiled; give at least 1 pixel.")
    if length <= tile:
        return [Span(0, length, np.ones(length, dtype=np.float32))]
    tile = tile // alignment * alignment
    overlap = -(-overlap // alignment) * alignment
    if overlap < 0 or tile < 1 or 2 * overlap > tile:
        raise ValueError(
            f"Tiles of {tile} pixels cannot overlap by {overlap} pixels; give tiles at least "
            "twice as large as the overlap."
        )
    step = _step(length, tile, overlap, alignment)
    return [
        _span(start, min(start + step + overlap, length), overlap, length)
        for start in range(0, length - overlap, step)
    ]


def _step(length: int, tile: int, overlap: int, alignment: int) -> int:
    """Return the distance between tiles: as few tiles as possible, as small as possible."""
    count = -(-(length - overlap) // (tile - overlap))
    step = -(-(length - overlap) // (count * alignment)) * alignment
    return max(step, overlap)


def _span(start: int, stop: int, overlap: int, length: int) -> Span:
    weights = np.ones(stop - start, dtype=np.float32)
    rising = _ramp(overlap)
    if start > 0:
        weights[:overlap] = rising
    if stop < length:
        weights[stop - start - overlap :] = 1 - rising
    return Span(start, stop, weights)


def _ramp(overlap: int) -> NDArray[np.float32]:
    """Rise from 0 to 1: flat in the outer three eighths, a raised cosine between."""
    position = (np.arange(overlap) + 0.5) / max(overlap, 1)
    inner = np.clip(4 * position - 1.5, 0, 1)
    return ((1 - np.cos(np.pi * inner)) / 2).astype(np.float32)


def blend(
    rows: list[Span], columns: list[Span], function: TileFunction
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Run a function on every tile and blend the results, tile by tile.

    Of finished tiles only the overlaps with others are kept, so memory grows with the
    width of the image and not with its area.

    Parameters
    ----------
    rows, columns : list of Span
        Tiles along both axes, from `spans`.
    function : callable
        Takes the row slice and the column slice of a tile and returns its
        (C, y, x) float values, on any device.

    Yields
    ------
    rows, columns : slice
        Finished pixels: row by row of tiles from the top, each from the left; together
        they cover the image once.
    values : (C, y, x) float tensor
        Blended values of these pixels, on the device of the tiles.
    """
    above: Tensor | None = None
    for row, bottom in zip(rows, _ends(rows), strict=True):
        left, below = None, []
        for column, right in zip(columns, _ends(columns), strict=True):
            values = _weighted(function(row.pixels, column.pixels), row, column)
            if left is not None:
                values[:, :, : left.shape[2]] += left
            left = values[:, :, right - column.start :].clone()
            finished = values[:, :, : right - column.start]
            if above is not None:
                finished[:, : above.shape[1]] += above[:, :, column.start : right]
            below.append(finished[:, bottom - row.start :].clone())
            del values
            yield (
                slice(row.start, bottom),
                slice(column.start, right),
                finished[:, : bottom - row.start],
            )
            del finished
        above = torch.cat(below, dim=2)


def _ends(spans: list[Span]) -> list[int]:
    """Return, for each span, where the next one starts."""
    return [span.start for span in spans[1:]] + [spans[-1].stop]


def _weighted(values: Tensor, row: Span, column: Span) -> Tensor:
    if row.weights.min() == 1 and column.weights.min() == 1:
        return values  # Nothing to blend with: a small image is one tile.
    return values * torch.from_numpy(np.outer(row.weights, column.weights)).to(values)
