"""COCO object detection JSON: polygons and run-length encoded masks.

The format is defined at https://cocodataset.org/#format-data. Coordinates are
(x, y) along pixel edges: the first pixel extends from (0, 0) to (1, 1).
"""

import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import Area, Labelled, Pixels, Shape
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    as_colour,
    check_size,
    parse_json,
)
from c2f_core.io.formats.outlines import (
    ClassMask,
    class_masks,
    labelled_masks,
    mask_from_run_lengths,
    outline,
    run_lengths,
)

SUFFIX = ".json"
MARKERS = (b'"annotations"', b'"images"', b'"categories"')


class ImageEntry(BaseModel):
    """One image."""

    id: int
    file_name: str
    height: int
    width: int


class Category(BaseModel):
    """One class."""

    id: int
    name: str = Field(min_length=1)
    color: Any = None


class RunLengths(BaseModel):
    """A mask as run lengths in column order, as numbers or packed into text."""

    size: tuple[int, int]
    counts: list[int] | str


class Annotation(BaseModel):
    """One object, which may consist of several polygons."""

    image_id: int
    category_id: int
    segmentation: list[list[float]] | RunLengths | None = None


class Document(BaseModel):
    """Root of the file."""

    images: list[ImageEntry]
    categories: list[Category]
    annotations: list[Annotation]
    c2f_class_table: ClassTable | None = None


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged, or two images or categories have the same name or id.
    """
    document = parse_json(Document, content)
    images = {image.file_name: check_size((image.height, image.width)) for image in document.images}
    numbers = {image.file_name: image.id for image in document.images}
    names = {category.id: category.name for category in document.categories}
    distinct = len(images), len({*numbers.values()}), len(names)
    if distinct != (len(document.images), len(document.images), len(document.categories)):
        raise DataError(
            "two images have the same name or id, or two categories the same id; correct or "
            "remove one of them."
        )

    def shapes(image: str) -> Contents:
        mine = [found for found in document.annotations if found.image_id == numbers[image]]
        return _shapes(mine, names, images[image])

    classes = {
        category.name: FileClass(category.id, as_colour(category.color))
        for category in document.categories
    }
    return AnnotationFile(images, classes, shapes, document.c2f_class_table)


def _shapes(annotations: list[Annotation], names: dict[int, str], size: Size) -> Contents:
    shapes, skipped = [], Counter[str]()
    for annotation in annotations:
        if annotation.category_id not in names:
            raise DataError(
                f"an annotation has the category {annotation.category_id}, which the file does "
                "not define; add the category or remove the annotation."
            )
        label = names[annotation.category_id]
        if isinstance(annotation.segmentation, RunLengths):
            shapes.append(Labelled(label, _pixels(annotation.segmentation, size)))
        elif annotation.segmentation:
            # The parts of an object are united, as in COCO's own tools.
            shapes += [Labelled(label, _area(part)) for part in annotation.segmentation]
        else:
            skipped["box"] += 1
    return shapes, skipped


def _area(part: list[float]) -> Shape:
    if len(part) % 2:
        raise DataError("a polygon has an odd number of coordinates; export it again.")
    return Area([np.array(part).reshape(-1, 2)[:, ::-1] - 0.5])


def _pixels(runs: RunLengths, size: Size) -> Shape:
    if runs.size != size:
        raise DataError(
            f"a mask has the size {runs.size}, its image {size} (rows, columns); export the "
            "annotations again."
        )
    counts = _unpack(runs.counts) if isinstance(runs.counts, str) else runs.counts
    return Pixels(mask_from_run_lengths(counts, size[0] * size[1]).reshape(size[::-1]).T)


def _unpack(text: str) -> list[int]:
    """Decode packed run lengths.

    Each number is split into pieces of five bits, lowest first, with one character
    per piece: its code minus 48, with bit 5 set if another piece follows, and bit 4
    of the last piece as the sign. From the fourth number on, the difference to the
    number two places before is stored. (pycocotools 2.0.11 is not used because it
    returns uninitialised memory for truncated text.)

    Raises
    ------
    DataError
        If the text is not valid.
    """
    counts: list[int] = []
    value = shift = 0
    for code in text.encode():
        piece = code - 48
        if not 0 <= piece < 64 or shift > 60:
            raise DataError("the run lengths of a mask are damaged; export the annotations again.")
        value |= (piece & 31) << shift
        shift += 5
        if not piece & 32:
            value -= (piece & 16) << (shift - 4)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def encode(class_ids: NDArray[np.uint8], class_table: ClassTable, image: str, form: Form) -> str:
    """Return the text of a file with the annotations of one image.

    Masks are run-length encoded, one per class, and marked as crowds, as the format
    requires; polygons are one per region of a class.
    """
    height, width = class_ids.shape
    find = class_masks if form == "masks" else labelled_masks
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": region.entry.index,
            "segmentation": _segmentation(region, (height, width), form),
            "area": int(region.mask.sum()),
            "bbox": [region.left, region.top, *region.mask.shape[::-1]],
            "iscrowd": int(form == "masks"),
        }
        for number, region in enumerate(find(class_ids, class_table), start=1)
    ]
    document = {
        "info": {"description": class_table.name},
        "licenses": [],
        "images": [{"id": 1, "file_name": image, "height": height, "width": width}],
        "categories": [
            {"id": entry.index, "name": entry.name, "supercategory": "", "color": entry.colour}
            for entry in class_table.classes
        ],
        "annotations": annotations,
        EMBEDDED_TABLE_KEY: class_table.model_dump(),
    }
    return json.dumps(document)


def _segmentation(region: ClassMask, size: Size, form: Form) -> Any:
    if form == "polygons":
        return [outline(region)[:, ::-1].ravel().tolist()]
    mask = np.zeros(size, dtype=np.bool_)
    rows, columns = region.mask.shape
    mask[region.top : region.top + rows, region.left : region.left + columns] = region.mask
    return {"size": size, "counts": run_lengths(mask.T.ravel())}
