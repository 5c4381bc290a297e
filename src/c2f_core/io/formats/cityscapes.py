"""Cityscapes polygon JSON (`*_gtFine_polygons.json`).

Coordinates are (x, y) of pixels. Polygons are drawn on top of each other with
Pillow, boundaries included, as in the dataset's own tool `json2labelImg` of
https://github.com/mcordts/cityscapesScripts.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size, Window, extent
from c2f_core.geometry.shapes import Area, Labelled, check_crossings, pixel_window
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    UNLABELLED_ALIASES,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    check_size,
    parse_json,
    validated,
)
from c2f_core.io.formats.outlines import ClassMask, connected_masks, fill_holes, outer_pixels
from c2f_core.io.formats.polygons import arcs_of, joined, simplified

SUFFIX = ".json"
MARKERS = ((b'"imgHeight"',), (b'"objects"',))
UNLABELLED = "unlabeled"
VOID = (
    "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "parking",
    "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer",
)  # fmt: skip
"""Labels of the dataset that belong to none of the evaluated classes."""
IGNORED = ("license plate",)
"""Labels of the dataset that leave the pixels below them as they are."""
GROUP = "group"
MOST_COMPARISONS = 1 << 34
"""Maximum number of comparisons of the corners of a polygon with the edges in their rows."""
VISITS_AT_ONCE = 1 << 16
"""Number of edges times rows from which on a polygon is filled in parts."""


class Head(BaseModel):
    """The part of an object that says what it is; deleted objects may still be in the file."""

    label: str | None = None
    deleted: bool | None = None


class Polygon(BaseModel):
    """Corners of an object."""

    polygon: list[tuple[float, float]]


class Document(BaseModel):
    """Root of the file; its objects are validated when they are needed."""

    height: int | None = Field(alias="imgHeight")
    width: int | None = Field(alias="imgWidth")
    objects: list[Any]
    c2f_class_table: ClassTable | None = None


@dataclass(frozen=True)
class PixelPolygon(Area):
    """A polygon through pixel centres; the pixels on its boundary belong to it."""

    def cover(self, size: Size) -> tuple[Window, NDArray[np.bool_]]:
        """Return a window of the image, and a mask of the pixels in it that the shape covers."""
        points = np.trunc(self.rings[0])  # As Pillow does.
        rows, columns = window = pixel_window(self.span(), size, 1)
        points -= rows.start, columns.start
        covered = np.zeros(extent(window), dtype=np.uint8)
        if len(points) > 1:
            _check_complexity(points, len(covered))
            _fill(points, covered)
        return window, covered.view(np.bool_)


def _check_complexity(points: NDArray[np.float64], height: int) -> None:
    """Check that Pillow can draw a polygon on that many rows in reasonable time.

    In each row it visits the edges that are not horizontal, and compares those that end there
    with the others.
    """
    rows, ahead = points[:, 0], np.roll(points[:, 0], -1)
    lowest, highest = np.minimum(rows, ahead), np.maximum(rows, ahead)
    is_visited = (lowest < highest) & (highest >= 0) & (lowest < height)
    first = np.maximum(lowest[is_visited], 0).astype(int)
    last = np.minimum(highest[is_visited], height - 1).astype(int)
    begun, ended = (np.bincount(row, minlength=height + 1) for row in (first, last + 1))
    edges = np.cumsum(begun - ended)[:height]
    corners = begun[:height] + ended[1:]
    check_crossings(int(edges.sum()), len(points))
    comparisons = int((edges * corners).sum())
    if comparisons > MOST_COMPARISONS:
        raise DataError(
            f"a polygon of {len(points):,} points needs {comparisons:,} comparisons of its "
            f"corners, more than the {MOST_COMPARISONS:,} that are made; simplify it."
        )


def _fill(points: NDArray[np.float64], covered: NDArray[np.uint8], top: int = 0) -> None:
    """Fill a polygon with Pillow, row by row where it has many points.

    Pillow visits every edge in every row. Halving the rows leaves to each half the edges that
    touch it, in their order, so that its result is the same.

    Parameters
    ----------
    points : (N, 2) float array
        Whole rows and columns of the corners.
    covered : (Y, X) uint8 array
        Rows to fill with 1.
    top : int
        Number of the first of these rows.
    """
    height, width = covered.shape
    ahead = np.roll(points[:, 0], -1)
    lowest, highest = np.minimum(points[:, 0], ahead), np.maximum(points[:, 0], ahead)
    touching = (lowest < top + height) & (highest >= top)
    points = points[touching | np.roll(touching, 1)]
    if len(points) * height > VISITS_AT_ONCE and height > 1:
        middle = height // 2
        _fill(points, covered[:middle], top)
        _fill(points, covered[middle:], top + middle)
    elif len(points) and width:
        canvas = Image.new("L", (width, height))
        corners = (points - (top, 0))[:, ::-1].ravel().tolist()
        ImageDraw.Draw(canvas).polygon(corners, fill=1)
        covered[:] = np.asarray(canvas)


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    document = parse_json(Document, content)
    heads = [
        validated(Head, entry, f"objects.{number}") for number, entry in enumerate(document.objects)
    ]
    drawn = {number: head.label or "" for number, head in enumerate(heads) if not head.deleted}
    classes = {label: FileClass() for label in drawn.values() if label}

    def size(image: str) -> Size | None:  # noqa: ARG001 - a file has one image only.
        if document.height is None or document.width is None:
            return None
        return check_size((document.height, document.width))

    def contents(image: str, size: Size) -> Contents:  # noqa: ARG001
        found = Contents()
        for number, label in drawn.items():
            if not label:
                found.unnamed["polygon"] += 1
                continue
            entry = validated(Polygon, document.objects[number], f"objects.{number}")
            found.shapes.append(Labelled(label, PixelPolygon([_swapped(entry.polygon)])))
        return found

    return AnnotationFile(
        images=[""],
        size=size,
        contents=contents,
        classes=classes,
        used=lambda image: classes,  # noqa: ARG005
        embedded=document.c2f_class_table,
        aliases=_aliases(list(classes)),
        ignored=IGNORED,
        preset="cityscapes",
        has_one_image=True,
    )


def _swapped(polygon: list[tuple[float, float]]) -> NDArray[np.float64]:
    return np.array(polygon, dtype=np.float64).reshape(-1, 2)[:, ::-1]


def _aliases(labels: list[str]) -> dict[str, str | None]:
    """Return aliases of labels that are not classes; groups of objects count as their class."""
    known: dict[str, str | None] = {**UNLABELLED_ALIASES, **dict.fromkeys(VOID)}
    members = {label: label.removesuffix(GROUP) for label in labels if label.endswith(GROUP)}
    groups = {label: known.get(one, one) for label, one in members.items() if one}
    return {**groups, **known}


def encode(
    class_ids: NDArray[np.uint8],
    class_table: ClassTable,
    image: str,  # noqa: ARG001 - the format does not store the image name,
    form: Form,  # noqa: ARG001 - and only has polygons.
    tolerance: float,
) -> str:
    """Return the text of a file with the annotations of one image.

    Polygons have no holes. Whatever lies in a hole is drawn later, unlabelled pixels
    with the label "unlabeled", unless that is the name of a class. Simplified polygons reach
    below those that are drawn after them, so that there is no gap between them.
    """
    found = sorted(connected_masks(class_ids, class_table), key=lambda each: -each.mask.size)
    labels = [_label(region, class_table, class_ids.shape) for region in found]
    drawn = [(label, region) for label, region in zip(labels, found, strict=True) if label]
    if tolerance == 0:
        rings = [outer_pixels(region) for _, region in drawn]
    else:
        rings = _simplified([region for _, region in drawn], class_ids.shape, tolerance)
    annotations = [
        {"label": label, "polygon": ring[:, ::-1].tolist()}
        for (label, _), ring in zip(drawn, rings, strict=True)
    ]
    document = {
        "imgHeight": class_ids.shape[0],
        "imgWidth": class_ids.shape[1],
        "objects": annotations,
        EMBEDDED_TABLE_KEY: class_table.model_dump(),
    }
    return json.dumps(document, ensure_ascii=False)


def _simplified(
    regions: Sequence[ClassMask], size: tuple[int, ...], tolerance: float
) -> list[NDArray[np.int64]]:
    """Return simplified rings of outermost pixels of regions, which are drawn in this order."""
    order = np.full(size, -1)
    for number, region in enumerate(regions):
        order[_box(region)][region.mask] = number
    rings = []
    for number, region in enumerate(regions):
        ring = outer_pixels(_extended(region, number, order, math.ceil(tolerance) + 1))
        is_at_border = (ring == 0) | (ring == np.subtract(size, 1))
        arcs = arcs_of(ring, is_at_border.any(axis=1))
        points = joined([simplified(arc, tolerance) for arc in arcs])
        rings.append(np.resize(points, (max(3, len(points)), 2)).astype(np.int64))
    return rings


def _extended(region: ClassMask, number: int, order: NDArray[np.int64], margin: int) -> ClassMask:
    """Extend a region by some pixels into those that are drawn later, but around no others."""
    from scipy import ndimage  # Imported lazily, as it takes long.

    rows, columns = (
        slice(max(axis.start - margin, 0), axis.stop + margin) for axis in _box(region)
    )
    window = order[rows, columns]
    reached = ndimage.binary_dilation(window == number, iterations=margin, mask=window > number)
    extended = ClassMask(region.entry, reached, rows.start, columns.start)
    encloses_others = bool((window[fill_holes(reached)] < number).any())
    return region if encloses_others else extended


def _box(region: ClassMask) -> Window:
    rows, columns = region.mask.shape
    return (
        slice(region.top, region.top + rows),
        slice(region.left, region.left + columns),
    )


def _label(region: ClassMask, class_table: ClassTable, size: tuple[int, ...]) -> str:
    if region.entry is not class_table.unlabelled:
        return region.entry.name
    last = region.top + region.mask.shape[0], region.left + region.mask.shape[1]
    at_border = region.top == 0 or region.left == 0 or last[0] == size[0] or last[1] == size[1]
    if at_border:
        return ""  # At the border it is not in a hole.
    return class_table.unlabelled.name if UNLABELLED in class_table.names else UNLABELLED
