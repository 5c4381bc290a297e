"""LabelMe JSON, as written by https://github.com/wkentaro/labelme.

Coordinates are (x, y) along pixel edges, as on LabelMe's canvas; those of a mask are
its first and last pixel, both included. X-AnyLabeling writes the same format with additional types.
"""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size, Window
from c2f_core.geometry.shapes import Area, Labelled, Pixels, Shape, ellipse, rectangle
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    check_size,
    parse_json,
    validated,
)
from c2f_core.io.formats.outlines import ClassMask, class_masks
from c2f_core.io.formats.polygons import polygons

SUFFIX = ".json"
MARKERS = ((b'"shapes"',), (b'"imagePath"',))
VERSION = "5.5.0"
"""LabelMe version of the written files."""
POLYGONS = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")
"""Types of shapes that are given by all of their corners, also those of X-AnyLabeling."""
CORNERS = {"rectangle": (2, 4), "circle": (2,), "mask": (2,)}
"""Numbers of points of the other types of shapes with an area."""


class Kind(BaseModel):
    """The part of a shape that says what it is."""

    shape_type: str | None = None


class Annotation(BaseModel):
    """One shape that has an area."""

    points: list[tuple[float, float]]
    mask: str | None = None


class Document(BaseModel):
    """Root of the file; its shapes are validated when they are needed."""

    shapes: list[Any]
    image: str | None = Field(alias="imagePath")
    height: int | None = Field(None, alias="imageHeight")
    width: int | None = Field(None, alias="imageWidth")
    c2f_class_table: ClassTable | None = None


@dataclass(frozen=True)
class StoredMask(Shape):
    """Mask of a part of the image that is decoded only while it is drawn.

    Attributes
    ----------
    png : bytes
        PNG file of the mask, 0 outside.
    size : (int, int)
        Number of rows and columns of the mask.
    top, left : int
        Row and column of the first pixel of the mask in the image.
    """

    png: bytes
    size: Size
    top: int
    left: int

    def span(self) -> NDArray[np.float64]:
        """Return the first and the last row and column of the mask, (2, 2)."""
        first = np.array([self.top, self.left], dtype=np.float64)
        return np.stack([first, first + self.size - 1])

    def cover(self, size: Size) -> tuple[Window, NDArray[np.bool_]]:
        """Return a window of the image, and a mask of the pixels in it that the shape covers."""
        with _opened(self.png) as picture:
            is_plane = len(picture.getbands()) == 1
            values = np.array(picture if is_plane else picture.convert("RGBA").convert("LA"))
        # Neither black nor transparent.
        covered = np.asarray(values != 0 if is_plane else values.all(axis=-1), dtype=np.bool_)
        return Pixels(covered, self.top, self.left).cover(size)


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    document = parse_json(Document, content)
    classes = {label: FileClass() for entry in document.shapes if (label := _label(entry))}

    def size(image: str) -> Size | None:  # noqa: ARG001 - a file has one image only.
        if document.height is None or document.width is None:
            return None
        return check_size((document.height, document.width))

    def contents(image: str, size: Size) -> Contents:  # noqa: ARG001
        return _contents(document.shapes)

    return AnnotationFile(
        images=[document.image or ""],
        size=size,
        contents=contents,
        classes=classes,
        used=lambda image: classes,  # noqa: ARG005
        embedded=document.c2f_class_table,
        has_one_image=True,
    )


def _label(entry: Any) -> str:
    """Return the label of a shape, empty if it has none."""
    label = entry.get("label") if isinstance(entry, dict) else None
    return str(label) if isinstance(label, (str, int)) and not isinstance(label, bool) else ""


def _contents(entries: list[Any]) -> Contents:
    contents = Contents()
    for number, entry in enumerate(entries):
        place = f"shapes.{number}"
        kind = (validated(Kind, entry, place).shape_type or "polygon").lower()
        if kind not in (*POLYGONS, *CORNERS):
            contents.skipped[kind] += 1
        elif not _label(entry):
            contents.unnamed[kind] += 1
        elif (shape := _shape(kind, validated(Annotation, entry, place))) is None:
            contents.skipped["empty mask"] += 1
        else:
            contents.shapes.append(Labelled(_label(entry), shape))
    return contents


def _shape(kind: str, annotation: Annotation) -> Shape | None:
    """Return the shape of an annotation, None for a mask without pixels."""
    points = np.array(annotation.points).reshape(-1, 2)[:, ::-1] - 0.5
    if kind in POLYGONS:
        return Area([points])
    if kind == "mask" and not annotation.mask:
        return None
    if len(points) not in CORNERS[kind]:
        wanted = " or ".join(map(str, CORNERS[kind]))
        raise DataError(f"a {kind} has {len(points)} points instead of {wanted}; draw it again.")
    if len(points) == 4:
        return Area([points])
    ((first, second),) = Area([points]).rings
    if kind == "rectangle":
        return rectangle(*first, *second)
    if kind == "circle":
        return ellipse(first, np.eye(2) * np.linalg.norm(second - first))
    return _mask(annotation.mask or "", first + 0.5, second + 0.5)


def _mask(written: str, first: NDArray[np.float64], last: NDArray[np.float64]) -> Shape:
    """Return the mask between its first and last pixel (row, column).

    Between fractional corners, its stored size counts, as in LabelMe.
    """
    try:
        content = written.removeprefix("data:image/png;base64,")
        png = base64.b64decode("".join(content.split()), validate=True)
    except ValueError as error:
        raise DataError(f"a mask cannot be read ({error}); draw it again.") from error
    with _opened(png) as picture:
        columns, rows = picture.size
    is_fractional = (np.stack([first, last]) % 1 > 0).any()
    if np.abs(last - first + 1 - (rows, columns)).max() >= (2 if is_fractional else 1):
        raise DataError("a mask does not have the size given by its points; draw it again.")
    top, left = np.round(first).astype(int).tolist()
    return StoredMask(png, (rows, columns), top, left)


@contextmanager
def _opened(png: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"a mask cannot be read ({error}); draw it again.") from error


def encode(
    class_ids: NDArray[np.uint8],
    class_table: ClassTable,
    image: str,
    form: Form,
    tolerance: float,
) -> str:
    """Return the text of a file with the annotations of one image.

    Masks are one per class, polygons one per region of a class.
    """
    annotations = [
        {
            "label": label,
            **geometry,
            "group_id": None,
            "description": "",
            "flags": {},
        }
        for label, geometry in _geometries(class_ids, class_table, form, tolerance)
    ]
    document = {
        "version": VERSION,
        "flags": {},
        "shapes": annotations,
        "imagePath": image,
        "imageData": None,
        "imageHeight": class_ids.shape[0],
        "imageWidth": class_ids.shape[1],
        EMBEDDED_TABLE_KEY: class_table.model_dump(),
    }
    return json.dumps(document, ensure_ascii=False)


def _geometries(
    class_ids: NDArray[np.uint8], class_table: ClassTable, form: Form, tolerance: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the labels of the annotated regions with what gives their pixels."""
    if form == "polygons":
        for region, ring in polygons(class_ids, class_table, tolerance):
            points = ring[:, ::-1].tolist()
            yield region.entry.name, {"points": points, "shape_type": "polygon", "mask": None}
    else:
        for region in class_masks(class_ids, class_table):
            yield region.entry.name, _stored(region)


def _stored(region: ClassMask) -> dict[str, Any]:
    rows, columns = region.mask.shape
    first = [region.left, region.top]
    last = [region.left + columns - 1, region.top + rows - 1]
    stored = io.BytesIO()
    Image.fromarray(region.mask.astype(np.uint8)).save(stored, format="PNG")
    mask = base64.b64encode(stored.getvalue()).decode()
    return {"points": [first, last], "shape_type": "mask", "mask": mask}
