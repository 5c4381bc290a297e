"""Connected regions of maps: their contours, polygons around them, gaps and depths."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.opencv import cv2

Points = NDArray[np.int32]
"""Points (N, 1, 2) of a closed contour, x and y in pixels."""
LARGEST_TOLERANCE = 0.6
"""Largest tolerance of a polygon relative to the radius of its region."""
LARGEST_FACTOR = 1.25
"""Largest factor by which a polygon is enlarged to the area of its region."""
MOST_REGIONS = 1000
"""Number of regions of a map that are looked at; smaller ones beyond it are too many to draw."""
JITTERS = 4096
"""Number of stored jitters, which the vertices of all polygons share."""


@dataclass(frozen=True)
class Region:
    """A connected region of one class by its contours.

    Attributes
    ----------
    class_id : int
        Class of the region.
    outline : (N, 1, 2) int32 array
        Outer contour, x and y in pixels.
    holes : list of (N, 1, 2) int32 array
        Contours of the holes.
    area : float
        Number of pixels inside the outer contour.
    """

    class_id: int
    outline: Points
    holes: list[Points]
    area: float

    @property
    def radius(self) -> float:
        """Radius of the disk of the same area."""
        return float(np.sqrt(self.area / np.pi))


def regions_of(class_map: NDArray[np.uint8], class_ids: Iterable[int]) -> list[Region]:
    """Return the largest connected regions of some classes, at most `MOST_REGIONS`.

    Parameters
    ----------
    class_map : (Y, X) uint8 array
        Class ids.
    class_ids : iterable of int
        Ids whose regions are wanted.

    Returns
    -------
    list of Region
        Regions, the largest first.
    """
    found = [outline for class_id in class_ids for outline in _outlines(class_map, class_id)]
    if len(found) > MOST_REGIONS:
        found = heapq.nlargest(MOST_REGIONS, found, key=lambda each: len(each[1]))
    regions = [_region(*each) for each in found]
    return sorted(regions, key=lambda region: -region.area)


def _outlines(class_map: NDArray[np.uint8], class_id: int) -> Iterator[tuple[int, Any, list[Any]]]:
    """Return class, outer contour and contours of the holes of each region of a class."""
    mask = (class_map == class_id).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return
    contours, tree = cv2.findContours(
        mask[top : top + height, left : left + width],
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_NONE,
        offset=(left, top),
    )
    parents = np.asarray(tree)[0, :, 3].tolist()
    holes: dict[int, list[Any]] = {place: [] for place, at in enumerate(parents) if at < 0}
    for contour, parent in zip(contours, parents, strict=True):
        if parent >= 0:
            holes[parent].append(contour)
    yield from ((class_id, contours[place], within) for place, within in holes.items())


def _region(class_id: int, outline: Any, holes: list[Any]) -> Region:
    # The contour runs through the centres of the pixels at the edge.
    area = cv2.contourArea(outline) + len(outline) / 2 + 1
    contours = [np.asarray(contour, np.int32) for contour in (outline, *holes)]
    return Region(class_id, contours[0], contours[1:], area)


class Redrawing:
    """Simplifies contours to polygons of few vertices and jitters these.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the map.
    rng : numpy.random.Generator
        Source of the jitters.
    keep_area : bool
        Whether polygons are as large as the regions on whose contours their vertices are.
    """

    def __init__(self, shape: tuple[int, ...], rng: np.random.Generator, keep_area: bool) -> None:
        self._keep_area = keep_area
        self._last = np.array([shape[1] - 1, shape[0] - 1])
        self._jitters = np.clip(rng.standard_normal((JITTERS, 1, 2)), -2, 2)

    def __call__(self, contour: Points, radius: float, reach: float, start: int) -> Points:
        """Return a polygon that deviates by about `reach` from a contour.

        Vertices at the border of the image stay there.
        """
        tolerance = min(reach, LARGEST_TOLERANCE * radius)
        vertices = np.asarray(cv2.approxPolyDP(contour, tolerance, True))
        if self._keep_area:
            vertices = _enlarged(vertices, np.pi * radius**2)
        jitter = self._jitters.take(range(start, start + len(vertices)), axis=0, mode="wrap")
        at_border = (vertices <= 0) | (vertices >= self._last)
        moved = np.where(at_border, vertices, vertices + 0.5 * tolerance * jitter)
        return np.asarray(moved.round(), np.int32)


def _enlarged(polygon: NDArray[Any], area: float) -> NDArray[Any]:
    """Enlarge a polygon, whose vertices lie on the contour of a region, to the region's area."""
    factor = np.sqrt(area / max(cv2.contourArea(polygon), 1.0))
    centre = polygon.mean(axis=0)
    return np.asarray(centre + min(factor, LARGEST_FACTOR) * (polygon - centre))


def without(class_map: NDArray[np.uint8], regions: Sequence[Region]) -> NDArray[np.int16]:
    """Return a map with -1 inside of some regions."""
    drawn = class_map.astype(np.int16)
    for region in regions:
        cv2.fillPoly(drawn, [region.outline], -1)
    return drawn


def filled(drawn: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Give the class of the nearest other pixel to pixels of -1."""
    gaps = drawn < 0
    if not gaps.any():
        return drawn.astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        gaps.view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = ~gaps
    by_number = np.zeros(int(nearest.max()) + 1, np.uint8)
    by_number[nearest[known]] = drawn[known]
    return np.asarray(by_number[nearest], np.uint8)


def depth_of(class_map: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return how deep each pixel lies in its region, and the class beyond the nearest boundary.

    Returns
    -------
    depth : (Y, X) float32 array
        Distance from the nearest boundary between two classes in pixels; infinite without one.
    other : (Y, X) uint8 array
        Class on the other side of that boundary.
    """
    other = class_map.copy()
    for here, there in _neighbours():
        differs = class_map[here] != class_map[there]
        np.copyto(other[here], class_map[there], where=differs)
    inner = other == class_map
    if inner.all():
        return np.full(class_map.shape, np.inf, np.float32), other
    distance, nearest = cv2.distanceTransformWithLabels(
        inner.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_number = np.zeros(int(nearest.max()) + 1, np.uint8)
    by_number[nearest[~inner]] = other[~inner]
    return np.asarray(distance, np.float32) + np.float32(0.5), by_number[nearest]


def _neighbours() -> list[tuple[Any, Any]]:
    """Return the windows of all pixels with a neighbour, and of these, in four directions."""
    first, last, every = slice(None, -1), slice(1, None), slice(None)
    pairs = [((first, every), (last, every)), ((every, first), (every, last))]
    return pairs + [(there, here) for here, there in pairs]
