"""LabelMe JSON, as written by https://github.com/wkentaro/labelme.

Coordinates are (x, y) along pixel edges, as on LabelMe's canvas; those of a mask are
its first and last pixel, both included.
"""

import base64
import io
import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.shapes import Area, Labelled, Pixels, Shape, ellipse, rectangle
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    check_size,
    parse_json,
)
from c2f_core.io.formats.outlines import ClassMask, class_masks, labelled_masks, outline

SUFFIX = ".json"
MARKERS = (b'"shapes"', b'"imagePath"')
VERSION = "5.5.0"
"""LabelMe version of the written files."""


class Annotation(BaseModel):
    """One shape."""

    label: str = Field(min_length=1)
    points: list[tuple[float, float]]
    shape_type: str | None = None
    mask: str | None = None


class Document(BaseModel):
    """Root of the file."""

    shapes: list[Annotation]
    image: str = Field(alias="imagePath")
    height: int = Field(alias="imageHeight")
    width: int = Field(alias="imageWidth")
    c2f_class_table: ClassTable | None = None


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    document = parse_json(Document, content)
    classes = {annotation.label: FileClass() for annotation in document.shapes}
    size = check_size((document.height, document.width))

    def shapes(image: str) -> Contents:  # noqa: ARG001 - a file has one image only.
        found = [(annotation, _shape(annotation)) for annotation in document.shapes]
        skipped = Counter(str(annotation.shape_type) for annotation, shape in found if not shape)
        return [Labelled(annotation.label, shape) for annotation, shape in found if shape], skipped

    return AnnotationFile({document.image: size}, classes, shapes, document.c2f_class_table)


def _shape(annotation: Annotation) -> Shape | None:
    kind = annotation.shape_type or "polygon"
    points = np.array(annotation.points).reshape(-1, 2)[:, ::-1] - 0.5
    if kind in ("polygon", "oriented_rectangle"):
        return Area([points])
    if kind not in ("rectangle", "circle", "mask"):
        return None
    if len(points) != 2:
        raise DataError(f"a {kind} has {len(points)} points instead of 2; draw it again.")
    ((first, second),) = Area([points]).rings
    if kind == "rectangle":
        return rectangle(*first, *second)
    if kind == "circle":
        return ellipse(first, np.eye(2) * np.linalg.norm(second - first))
    return _pixels(annotation.mask or "", (first + 0.5).astype(int), (second + 0.5).astype(int))


def _pixels(mask: str, first: NDArray[np.int64], last: NDArray[np.int64]) -> Shape:
    """Decode a mask between its first and last pixel (row, column)."""
    try:
        stored = base64.b64decode(mask, validate=True)
        with Image.open(io.BytesIO(stored), formats=["PNG"]) as opened:
            if opened.size != tuple(last - first + 1)[::-1]:
                raise DataError("a mask does not have the size given by its points; draw it again.")
            grey = opened if len(opened.getbands()) == 1 else opened.convert("L")
            return Pixels(np.array(grey) != 0, *first.tolist())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"a mask cannot be read ({error}); draw it again.") from error


def encode(class_ids: NDArray[np.uint8], class_table: ClassTable, image: str, form: Form) -> str:
    """Return the text of a file with the annotations of one image.

    Masks are one per class, polygons one per region of a class.
    """
    find = class_masks if form == "masks" else labelled_masks
    annotations = [
        {
            "label": region.entry.name,
            **_geometry(region, form),
            "group_id": None,
            "description": "",
            "flags": {},
        }
        for region in find(class_ids, class_table)
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


def _geometry(region: ClassMask, form: Form) -> dict[str, Any]:
    if form == "polygons":
        points = outline(region)[:, ::-1].tolist()
        return {"points": points, "shape_type": "polygon", "mask": None}
    rows, columns = region.mask.shape
    first = [region.left, region.top]
    last = [region.left + columns - 1, region.top + rows - 1]
    stored = io.BytesIO()
    Image.fromarray(region.mask.astype(np.uint8)).save(stored, format="PNG")
    mask = base64.b64encode(stored.getvalue()).decode()
    return {"points": [first, last], "shape_type": "mask", "mask": mask}
