"""Ways in which a fine map becomes coarser the larger a strength is.

Each function draws its random numbers once and returns a function from the strength to
the coarser map, which is computed by OpenCV and changes little with the strength. Maps
are of `Ids`: classes are 0 to C - 1, and C means unlabelled.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.data.outlines import (
    JITTERS,
    Points,
    Redrawing,
    Region,
    depth_of,
    filled,
    regions_of,
    without,
)
from c2f_core.opencv import cv2

ByStrength = Callable[[float], NDArray[np.uint8]]
"""Function from a strength, above 0 and in pixels, to a coarser map (Y, X)."""

SIZE_POWER = 0.2
"""Power of the radius of a part with which the displacement of its boundary grows."""
SPACINGS = (0.1, 0.4)
"""Range of the spacing of displacements, relative to the shortest side of the map."""
PARTS, WHOLE = 0.7, 0.3
"""Standard deviations of the displacement that varies, and of that of the whole map."""
FREEHAND_DILATION = 1.0
"""Strength of the dilation in `freehand`, relative to that of the displacement."""
SPECK = 3.0
"""Side of the parts that are taken for errors in the fine map, in pixels."""
STROKES = 3
"""Largest number of strokes of a class whose parts are large."""
MOST_STROKES = 12
"""Largest number of strokes of any class."""
STROKE_STEPS = 48
"""Largest number of steps of a stroke."""
STROKE_LENGTH = 1.5
"""Largest length of a stroke, relative to the side of a square as large as its class."""
THIN = 4.0
"""Width in pixels below which strokes become shorter."""
STROKE_CLASSES = 24
"""Number of classes above which each of them gets a single stroke."""


@dataclass(frozen=True)
class Ids:
    """A map of the classes that occur in it.

    Attributes
    ----------
    map : (Y, X) uint8 array
        Class ids from 0 to `classes` - 1, and `classes` where unlabelled.
    classes : int
        Number of classes that occur.
    """

    map: NDArray[np.uint8]
    classes: int

    @property
    def values(self) -> range:
        """All ids, that of unlabelled included."""
        return range(self.classes + 1)

    @property
    def shortest_side(self) -> int:
        """Rows or columns of the map, whichever are fewer."""
        return int(min(self.map.shape))


def polygons(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Redraw each connected region as a polygon of few jittered vertices.

    The strength is the deviation of polygons around regions with a radius of 1 px; it
    grows with the square root of the radius. Smaller regions are drawn over larger ones,
    those with a radius below half the deviation are left out, and gaps get the class
    of the nearest polygon.
    """
    regions = regions_of(fine.map, fine.values)
    redraw = Redrawing(fine.map.shape, rng, keep_area=True)
    starts = rng.integers(JITTERS, size=len(regions)).tolist()

    def coarser(strength: float) -> NDArray[np.uint8]:
        drawn = np.full(fine.map.shape, -1, np.int16)
        for number, (region, start) in enumerate(zip(regions, starts, strict=True)):
            reach = strength * region.radius**SIZE_POWER
            if number and region.radius < reach / 2:
                break
            polygon = redraw(region.outline, region.radius, reach, start)
            cv2.fillPoly(drawn, [polygon], region.class_id)
        return filled(drawn)

    return coarser


def displacement(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Displace the map by a smooth random field, less where parts are small.

    The strength is the typical length at parts with a radius of 1 px; it grows as that of
    polygons does.
    """
    displace = _Displacement(fine, _reach(fine), rng)
    return lambda strength: displace(fine.map, strength)


def morphology(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Dilate some classes at the cost of others, which are eroded.

    The classes get weights at random; a boundary moves towards the class of the smaller
    weight, by the difference of the weights. The strength is the largest movement at
    parts with a radius of 1 px; it grows as that of polygons does.
    """
    return _pushed(fine, _reach(fine), rng)


def freehand(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Draw boundaries as a quick hand does: displaced, with some classes too large.

    This is `morphology`, then `displacement`, whose strength is that of the whole.
    """
    reach = _reach(fine)
    push, displace = _pushed(fine, reach, rng), _Displacement(fine, reach, rng)
    return lambda strength: displace(push(FREEHAND_DILATION * strength), strength)


class _Displacement:
    """Displaces maps by a smooth random field that is drawn once."""

    def __init__(self, fine: Ids, reach: NDArray[np.float32], rng: np.random.Generator) -> None:
        self._size = fine.map.shape
        spacing = fine.shortest_side * float(np.exp(rng.uniform(*np.log(SPACINGS))))
        shift = WHOLE * rng.standard_normal(2)
        self._field = [
            reach * (PARTS * _smooth(self._size, max(8.0, spacing), rng) + np.float32(part))
            for part in shift
        ]

    def __call__(self, class_map: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        height, width = self._size
        along_y, along_x = self._field
        rows = np.arange(height, dtype=np.float32)[:, None] + strength * along_y
        columns = np.arange(width, dtype=np.float32) + strength * along_x
        row = rows.round().clip(0, height - 1).astype(np.intp)
        column = columns.round().clip(0, width - 1).astype(np.intp)
        return np.asarray(class_map.take(row * width + column), dtype=np.uint8)


def _pushed(fine: Ids, reach: NDArray[np.float32], rng: np.random.Generator) -> ByStrength:
    regions = regions_of(fine.map, fine.values)
    specks = [region for region in regions[1:] if region.area < SPECK**2]
    clean = filled(without(fine.map, specks))
    depth, other = depth_of(clean)
    weights = rng.permutation(np.linspace(-0.5, 0.5, fine.classes + 1)).astype(np.float32)
    if fine.classes == 2:  # Without unlabelled pixels, only two of three weights would count.
        weights[:2] = rng.permutation(np.array([-0.5, 0.5], np.float32))
    vary = 1 + 0.25 * _smooth(fine.map.shape, max(8.0, fine.shortest_side / 6), rng)
    push = (weights[other] - weights[clean]) * vary * reach

    def coarser(strength: float) -> NDArray[np.uint8]:
        return np.where(strength * push > depth, other, clean)

    return coarser


def _reach(fine: Ids) -> NDArray[np.float32]:
    """Return how far boundaries move at each pixel (Y, X), relative to parts of 1 px radius."""
    reach = np.ones(fine.map.shape, np.float32)
    for region in regions_of(fine.map, fine.values):
        if region.area >= SPECK**2:
            cv2.fillPoly(reach, [region.outline], float(region.radius**SIZE_POWER))
    width = 1 + fine.shortest_side // 24
    least = cv2.erode(reach, np.ones((width, width), np.uint8))
    return np.asarray(cv2.blur(least, (width, width)), np.float32)


def small_parts(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Drop small parts and merge neighbouring ones; the strength is the side of a small part.

    Dropped parts get the class around them. Parts of one class that are up to twice as
    large are merged if they are closer than half the strength.
    """
    regions = regions_of(fine.map, fine.values)[1:]
    variation = np.exp(0.3 * rng.standard_normal(len(regions)))
    sides = np.sqrt(np.array([region.area for region in regions])) * variation
    sized = list(zip(regions, sides.tolist(), strict=True))

    def coarser(strength: float) -> NDArray[np.uint8]:
        drawn = without(fine.map, [region for region, side in sized if side < strength])
        small = [
            region
            for region, side in sized
            if strength <= side < 2 * strength and region.class_id < fine.classes
        ]
        _join(drawn, fine.map, small, strength / 4)
        return filled(drawn)

    return coarser


def low_resolution(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Reduce the resolution by majority and magnify again, in blocks or smoothly.

    The strength is the side of a block plus one pixel.
    """
    height, width = fine.map.shape
    phase = rng.uniform(0, 1, 2)
    interpolation = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR
    order = [int(each) for each in rng.permutation(fine.classes + 1)]

    def coarser(strength: float) -> NDArray[np.uint8]:
        top, left = (int(each) for each in phase * strength)
        padded = cv2.copyMakeBorder(fine.map, top, 0, left, 0, cv2.BORDER_REPLICATE)
        size = [max(1, round(length / (1 + strength))) for length in padded.shape[::-1]]
        small = _majority(padded, order, (size[0], size[1]), cv2.INTER_AREA)
        if interpolation == cv2.INTER_NEAREST:
            large = cv2.resize(small, padded.shape[::-1], interpolation=interpolation)
        else:
            large = _majority(small, order, (padded.shape[1], padded.shape[0]), interpolation)
        return np.ascontiguousarray(large[top : top + height, left : left + width], np.uint8)

    return coarser


def inside_polygons(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Draw polygons inside the regions, as the coarse maps of Cityscapes have them.

    The strength is the distance to the boundaries; what lies between the polygons is
    unlabelled, and what is thinner than twice the strength is left out.
    """
    depth, _ = depth_of(fine.map)
    redraw = Redrawing(fine.map.shape, rng, keep_area=False)
    start = int(rng.integers(JITTERS))
    vary = np.exp(0.3 * _smooth(fine.map.shape, max(8.0, fine.shortest_side / 6), rng))

    def coarser(strength: float) -> NDArray[np.uint8]:
        core = np.where(depth > strength * vary, fine.map, np.uint8(fine.classes))
        drawn = np.full(fine.map.shape, fine.classes, np.uint8)
        for number, region in enumerate(regions_of(core, range(fine.classes))):
            contours = [region.outline, *region.holes]
            rings = [
                redraw(contour, region.radius, 0.5 * strength, start + 97 * number)
                for contour in contours
            ]
            cv2.fillPoly(drawn, rings, region.class_id)
        return drawn

    return coarser


def scribbles(fine: Ids, rng: np.random.Generator) -> ByStrength:
    """Draw a few strokes inside each class and leave all else unlabelled.

    The strokes are as wide as the shortest side of the map divided by twice the strength;
    where that is thin, they are short as well.
    """
    depth, _ = depth_of(fine.map)
    strokes = list(_strokes(fine, np.minimum(depth, _border_distance(fine.map.shape)), rng))

    def coarser(strength: float) -> NDArray[np.uint8]:
        width = fine.shortest_side / (2 * strength)
        drawn = np.full(fine.map.shape, fine.classes, np.uint8)
        for class_id, path, room in strokes:
            thickness = max(1, int(min(width, 2 * room - 1)))
            shown = max(2, math.ceil(len(path) * min(1.0, width / THIN)))
            cv2.polylines(drawn, [path[:shown]], False, class_id, thickness)
        return drawn

    return coarser


def _join(
    drawn: NDArray[np.int16], fine: NDArray[np.uint8], regions: Sequence[Region], reach: float
) -> None:
    """Fill the gaps, of at most twice `reach` pixels, between regions of a fine map."""
    steps = round(reach / 2)
    if not (steps and regions):
        return
    inside = np.zeros(fine.shape, np.uint8)
    for region in regions:
        cv2.fillPoly(inside, [region.outline], 1)
    # Above 0, which are the pixels outside, a larger id wins where two classes meet.
    parts = np.where(inside == 1, fine.astype(np.uint16) + 1, 0).astype(np.uint16)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = np.asarray(cv2.morphologyEx(parts, cv2.MORPH_CLOSE, kernel, iterations=steps))
    np.copyto(drawn, closed.astype(np.int16) - 1, where=(closed > 0) & (inside == 0))


def _smooth(
    shape: tuple[int, ...], spacing: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return smooth noise (Y, X) of about unit variance that varies over `spacing` pixels."""
    height, width = shape
    knots = [2 + int(length / spacing) for length in shape]
    values = rng.standard_normal(knots).astype(np.float32)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC))


def _majority(
    class_map: NDArray[Any], order: Sequence[int], size: tuple[int, int], interpolation: int
) -> NDArray[np.uint8]:
    """Resize a map to (width, height) by the largest share; `order` decides between equals."""
    best = np.zeros(size[::-1], np.uint8)
    winner = np.zeros(size[::-1], np.uint8)
    for class_id in order:
        mask = np.where(class_map == class_id, np.uint8(255), np.uint8(0))
        share = np.asarray(cv2.resize(mask, size, interpolation=interpolation))
        better = share > best
        np.copyto(winner, np.uint8(class_id), where=better)
        np.copyto(best, share, where=better)
    return winner


def _border_distance(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the distance (Y, X) from the border of the image in pixels."""
    rows, columns = (
        np.minimum(np.arange(length), np.arange(length)[::-1]).astype(np.float32) + 0.5
        for length in shape
    )
    return np.asarray(np.minimum(rows[:, None], columns), np.float32)


def _strokes(
    fine: Ids, depth: NDArray[np.float32], rng: np.random.Generator
) -> Iterator[tuple[int, Points, float]]:
    """Return class, path and least depth of strokes inside the classes.

    Where parts are small, strokes are short; there are more of them in turn.
    """
    most = MOST_STROKES if fine.classes <= STROKE_CLASSES else 1
    flat = fine.map.ravel()
    for class_id in range(fine.classes):
        pixels = np.flatnonzero(flat == class_id)
        deep = depth.ravel()[pixels]
        inner = pixels[deep >= 0.5 * deep.max()]
        wanted = STROKE_LENGTH * math.sqrt(pixels.size)
        longest = wanted / int(rng.integers(1, STROKES + 1))
        for start in rng.choice(inner, most).tolist():
            row, column = divmod(start, fine.map.shape[1])
            path, room = _walk(fine.map, depth, (row, column), longest, rng)
            yield class_id, path, room
            wanted -= cv2.arcLength(path, False)
            if wanted < longest / 2:
                break


def _walk(
    class_map: NDArray[np.uint8],
    depth: NDArray[np.float32],
    start: tuple[int, int],
    longest: float,
    rng: np.random.Generator,
) -> tuple[Points, float]:
    """Walk inside a region along a bent line; return the path and its least depth."""
    height, width = class_map.shape
    class_id, room = class_map[start], float(depth[start])
    least, step = 0.4 * room, max(2.0, min(height, width) / 48)
    y, x = start
    path = [(x, y)]
    steps = min(STROKE_STEPS, 1 + int(longest / step))
    directions = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, steps))
    turn = 0.0
    for direction in directions.tolist():
        for veer in (0.0, 0.6, -0.6, 1.2, -1.2):
            angle = direction + turn + veer
            row, column = round(y + step * np.sin(angle)), round(x + step * np.cos(angle))
            inside = 0 <= row < height and 0 <= column < width
            if inside and class_map[row, column] == class_id and depth[row, column] >= least:
                break
        else:
            break
        turn += veer
        y, x = row, column
        path.append((x, y))
        room = min(room, float(depth[y, x]))
    return np.array(path, np.int32)[:, None], room
