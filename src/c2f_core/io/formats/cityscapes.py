"""Cityscapes polygon JSON (`*_gtFine_polygons.json`).

Coordinates are (x, y) of pixels. Polygons are drawn on top of each other with
Pillow, boundaries included, as in the dataset's own tool `json2labelImg` of
https://github.com/mcordts/cityscapesScripts.
"""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.arrays import Size, Window
from c2f_core.geometry.shapes import Area, Labelled, pixel_window
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    NOT_DRAWN,
    UNLABELLED_ALIASES,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    check_size,
    parse_json,
)
from c2f_core.io.formats.outlines import ClassMask, connected_masks, outer_pixels

SUFFIX = ".json"
MARKERS = (b'"imgHeight"', b'"objects"')
UNLABELLED = "unlabeled"
VOID = (
    "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "parking",
    "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer",
)  # fmt: skip
"""Labels of the dataset that belong to none of the evaluated classes."""
GROUP = "group"


class Annotation(BaseModel):
    """One polygon; deleted objects may still be in the file."""

    label: str = Field(min_length=1)
    polygon: list[tuple[float, float]]
    deleted: bool = False


class Document(BaseModel):
    """Root of the file."""

    height: int = Field(alias="imgHeight")
    width: int = Field(alias="imgWidth")
    objects: list[Annotation]
    c2f_class_table: ClassTable | None = None


@dataclass(frozen=True)
class PixelPolygon(Area):
    """A polygon through pixel centres; the pixels on its boundary belong to it."""

    def cover(self, size: Size) -> tuple[Window, NDArray[np.bool_]]:
        """Return a window of the image, and a mask of the pixels in it that the shape covers."""
        (ring,) = self.rings
        rows, columns = window = pixel_window(self.span(), size, 1)
        canvas = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
        if len(ring) > 1:
            corner = rows.start, columns.start
            ImageDraw.Draw(canvas).polygon((ring - corner)[:, ::-1].ravel().tolist(), fill=1)
        return window, np.array(canvas) == 1


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    document = parse_json(Document, content)
    size = check_size((document.height, document.width))
    drawn = [annotation for annotation in document.objects if not annotation.deleted]
    classes = {annotation.label: FileClass() for annotation in drawn}

    def shapes(image: str) -> Contents:  # noqa: ARG001 - a file has one image only.
        found = [
            Labelled(annotation.label, PixelPolygon([_swapped(annotation.polygon)]))
            for annotation in drawn
        ]
        return found, Counter()

    return AnnotationFile(
        {"": size}, classes, shapes, document.c2f_class_table, _aliases(list(classes)), "cityscapes"
    )


def _swapped(polygon: list[tuple[float, float]]) -> NDArray[np.float64]:
    return np.array(polygon, dtype=np.float64).reshape(-1, 2)[:, ::-1]


def _aliases(labels: list[str]) -> dict[str, str | None]:
    """Return aliases of labels that are not classes; groups of objects count as their class."""
    known: dict[str, str | None] = {**UNLABELLED_ALIASES, **dict.fromkeys(VOID)}
    members = {label: label.removesuffix(GROUP) for label in labels if label.endswith(GROUP)}
    groups = {label: known.get(one, one) for label, one in members.items() if one}
    return {**groups, **known, "license plate": NOT_DRAWN}


def encode(
    class_ids: NDArray[np.uint8],
    class_table: ClassTable,
    image: str,  # noqa: ARG001 - the format does not store the image name,
    form: Form,  # noqa: ARG001 - and only has polygons.
) -> str:
    """Return the text of a file with the annotations of one image.

    Polygons have no holes. Whatever lies in a hole is drawn later, unlabelled pixels
    with the label "unlabeled", unless that is the name of a class.
    """
    found = sorted(connected_masks(class_ids, class_table), key=lambda each: -each.mask.size)
    annotations = [
        {"label": label, "polygon": outer_pixels(region)[:, ::-1].tolist()}
        for region in found
        if (label := _label(region, class_table, class_ids.shape))
    ]
    document = {
        "imgHeight": class_ids.shape[0],
        "imgWidth": class_ids.shape[1],
        "objects": annotations,
        EMBEDDED_TABLE_KEY: class_table.model_dump(),
    }
    return json.dumps(document, ensure_ascii=False)


def _label(region: ClassMask, class_table: ClassTable, size: tuple[int, ...]) -> str:
    if region.entry is not class_table.unlabelled:
        return region.entry.name
    last = region.top + region.mask.shape[0], region.left + region.mask.shape[1]
    at_border = region.top == 0 or region.left == 0 or last[0] == size[0] or last[1] == size[1]
    if at_border:
        return ""  # At the border it is not in a hole.
    return class_table.unlabelled.name if UNLABELLED in class_table.names else UNLABELLED
