"""Polygons around the regions of a map, simplified so that neighbours keep their common boundary.

Boundaries are cut into arcs at the corners where more than two of them meet. Each arc is
simplified once, in the same direction for both of its regions, so that their polygons neither
overlap nor leave a gap.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.shapes import Area
from c2f_core.io.formats.outlines import (
    ClassMask,
    circuit,
    connected_masks,
    labelled_masks,
    outline,
)

LEAST_SHARE = 0.5
"""Smallest share of its pixels that a simplified region covers; else its boundary stays exact."""
SHORTEST_SIDE = 2
"""Length of the sides, in pixels, from which on a corner between them is no step of a slope."""
ArcKey = tuple[int, ...]
"""Row and column of the first and of the second corner of an arc, by which it is identified."""
Part = tuple[ArcKey, bool]
"""Arc of the ring of a region, and whether the ring follows it forwards."""


def polygons(
    class_ids: NDArray[np.uint8], class_table: ClassTable, tolerance: float
) -> Iterator[tuple[ClassMask, NDArray[np.float64]]]:
    """Yield the edge-connected regions of each class with a polygon around each.

    A simplified polygon deviates by at most `tolerance` from the line through the middles of the
    pixel edges, in which the steps of a slope are straight. Regions that would disappear
    keep their outline.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    class_table : ClassTable
        Class table of the map.
    tolerance : float
        Largest deviation in pixels; 0 for exact outlines.

    Yields
    ------
    region : ClassMask
        Pixels of a region.
    ring : (N, 2) float array
        (row, column) of the corners of its polygon, in the coordinates of `outline`.
    """
    if tolerance == 0:
        for region in labelled_masks(class_ids, class_table):
            yield region, outline(region).astype(np.float64)
        return
    regions = list(connected_masks(class_ids, class_table))
    rings = _simplified_rings(class_ids, regions, tolerance)
    for region, ring in zip(regions, rings, strict=True):
        if region.entry is not class_table.unlabelled:
            yield region, ring


def simplified(points: NDArray[Any], tolerance: float) -> NDArray[np.float64]:
    """Return a line (N, 2) with fewer points, which deviates by at most a tolerance.

    The algorithm is that of Douglas and Peucker, "Algorithms for the reduction of the number of
    points required to represent a digitized line or its caricature", 1973.
    """
    from skimage.measure import approximate_polygon  # Imported lazily, as it takes long.

    return np.asarray(approximate_polygon(points, tolerance), dtype=np.float64)


def arcs_of(ring: NDArray[np.int64], is_fixed: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Cut a ring (N, 2) at the points that are fixed (N,), or else at its first point in the map.

    Each arc ends where the next one begins.
    """
    cuts = np.flatnonzero(is_fixed)
    if not len(cuts):
        cuts = np.lexsort(ring.T[::-1])[:1]
    ring = np.roll(ring, -cuts[0], axis=0)
    closed = np.concatenate([ring, ring[:1]])
    ends = [*(cuts - cuts[0]), len(ring)]
    return [closed[start : end + 1] for start, end in itertools.pairwise(ends)]


def joined(arcs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the ring (N, 2) of arcs, each of which ends where the next one begins."""
    return np.concatenate([arc[:-1] for arc in arcs])


def _simplified_rings(
    class_ids: NDArray[np.uint8], regions: Sequence[ClassMask], tolerance: float
) -> list[NDArray[np.float64]]:
    """Return the polygons of regions; arcs stay exact where a region would disappear."""
    arcs: dict[ArcKey, NDArray[np.int64]] = {}
    parts = _parts(class_ids, regions, arcs)
    lines = {key: simplified(_line(arc), tolerance) for key, arc in arcs.items()}
    exact: set[ArcKey] = set()
    while True:
        rings = [
            joined([lines[key] if is_forward else lines[key][::-1] for key, is_forward in own])
            for own in parts
        ]
        lost = {
            key
            for region, ring, own in zip(regions, rings, parts, strict=True)
            if not _is_visible(region, ring)
            for key, _ in own
        }
        if lost <= exact:
            return rings
        exact |= lost
        lines |= {key: _with_turns(arcs[key]) for key in lost}


def _parts(
    class_ids: NDArray[np.uint8],
    regions: Sequence[ClassMask],
    arcs: dict[ArcKey, NDArray[np.int64]],
) -> list[list[Part]]:
    """Return the arcs that make up the ring of each region, and add them to `arcs`."""
    circuits = [circuit(region) for region in regions]
    fixed = _junctions(class_ids)
    for corners in circuits:
        found, counts = np.unique(corners, axis=0, return_counts=True)
        fixed[tuple(found[counts > 1].T)] = True  # The ends of the ways to the holes.
    parts = []
    for corners in circuits:
        parts.append(own := list[Part]())
        for arc in arcs_of(corners, fixed[tuple(corners.T)]):
            is_forward = bool((*arc[0], *arc[1]) <= (*arc[-1], *arc[-2]))
            directed = arc if is_forward else arc[::-1]
            key = (*directed[0].tolist(), *directed[1].tolist())
            arcs[key] = directed
            own.append((key, is_forward))
    return parts


def _is_visible(region: ClassMask, ring: NDArray[np.float64]) -> bool:
    """Return whether a polygon covers a large enough part of its region."""
    ring = ring - (region.top + 0.5, region.left + 0.5)
    window, covered = Area([ring]).cover(region.mask.shape)
    both = np.count_nonzero(covered & region.mask[window])
    return bool(both >= LEAST_SHARE * np.count_nonzero(region.mask))


def _junctions(class_ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the corners (Y + 1, X + 1) where more than two boundaries meet, and those of the map."""
    padded = np.pad(class_ids.astype(np.int16), 1, constant_values=-1)
    around = padded[:-1, :-1], padded[:-1, 1:], padded[1:, 1:], padded[1:, :-1]
    boundaries = [one != other for one, other in zip(around, (*around[1:], around[0]), strict=True)]
    fixed: NDArray[np.bool_] = np.sum(boundaries, axis=0) > 2
    fixed[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return fixed


def _turning(arc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the inner corners of an arc at which it turns."""
    steps = np.diff(arc, axis=0)
    return np.asarray(np.flatnonzero((steps[1:] != steps[:-1]).any(axis=1)) + 1)


def _with_turns(arc: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the ends and the turning corners of an arc."""
    return arc[[0, *_turning(arc), len(arc) - 1]].astype(np.float64)


def _line(arc: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the line that is simplified: middles of pixel edges, ends, and corners of long sides.

    In a slope, each step has a side of one pixel.
    """
    if len(arc) == 2:
        return arc.astype(np.float64)
    places = _turning(arc)
    sides = np.diff([0, *places, len(arc) - 1])
    is_corner = np.minimum(sides[:-1], sides[1:]) >= SHORTEST_SIDE
    kept = np.zeros(2 * len(arc) - 1, dtype=np.bool_)
    kept[1::2] = True
    kept[[0, -1]] = True
    kept[2 * places[is_corner]] = True
    points = np.empty((len(kept), 2))
    points[::2], points[1::2] = arc, (arc[1:] + arc[:-1]) / 2
    return points[kept]
