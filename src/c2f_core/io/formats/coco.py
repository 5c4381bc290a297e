"""COCO object detection JSON: polygons and run-length encoded masks.

The format is defined at https://cocodataset.org/#format-data. Coordinates are
(x, y) along pixel edges: the first pixel extends from (0, 0) to (1, 1).
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import Area, Labelled, Shape
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    as_colour,
    check_size,
    parse_json,
    validated,
)
from c2f_core.io.formats.outlines import ClassMask, class_masks
from c2f_core.io.formats.polygons import polygons
from c2f_core.io.formats.run_lengths import RunLengthMask, checked_runs, run_lengths

SUFFIX = ".json"
MARKERS = ((b'"annotations"',), (b'"images"',), (b'"categories"',))


Id = Annotated[int | str, Field(union_mode="left_to_right")]
"""Identifier: a number, also as text, or another text."""
ID: TypeAdapter[int | str] = TypeAdapter(Id)


class ImageEntry(BaseModel):
    """One image."""

    id: Id
    file_name: str
    height: int | None = None
    width: int | None = None


class Category(BaseModel):
    """One class."""

    id: Id
    name: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
    color: Any = None


class RunLengths(BaseModel):
    """A mask as run lengths in column order, as numbers or packed into text."""

    size: tuple[int, int]
    counts: list[int] | str


def _has_only(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, kind) for each in value)


def _is_point(value: Any) -> bool:
    return _has_only(value, (int, float)) and len(value) == 2


def _flat(value: Any) -> Any:
    """Return the coordinates of points (x, y) as one list."""
    is_of_points = _has_only(value, list) and all(map(_is_point, value))
    return [coordinate for point in value for coordinate in point] if is_of_points else value


Ring = Annotated[list[float], BeforeValidator(_flat)]
"""Coordinates x1, y1, x2, y2 and so on of a polygon."""


class Owner(BaseModel):
    """The part of an annotation that says what it belongs to."""

    image_id: Id
    category_id: Id


class Annotation(Owner):
    """One object, which may consist of several polygons."""

    segmentation: list[Ring | RunLengths] | RunLengths | None = None

    @field_validator("segmentation", mode="before")
    @classmethod
    def _in_rings(cls, value: Any) -> Any:
        """Put a single polygon into a list, as some tools write it without one."""
        is_flat = _has_only(value, (int, float))
        is_of_points = _has_only(value, list) and len(value) > 2 and all(map(_is_point, value))
        return [value] if is_flat or is_of_points else value


class Document(BaseModel):
    """Root of the file; its entries are validated when they are needed."""

    images: list[Any]
    categories: list[Any]
    annotations: list[Any]
    c2f_class_table: ClassTable | None = None


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    file = _Entries(parse_json(Document, content))
    return AnnotationFile(
        images=list(file.images),
        size=file.size,
        contents=file.contents,
        classes=file.classes(),
        used=file.used,
        embedded=file.embedded,
    )


class _Entries:
    """Entries of a file by image; damage is only raised where it matters."""

    def __init__(self, document: Document) -> None:
        self.embedded = document.c2f_class_table
        self.images: dict[str, list[int]] = defaultdict(list)
        self._entries = document.images
        for number, entry in enumerate(document.images):
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if isinstance(name, str):
                self.images[name].append(number)
        if document.images and not self.images:
            validated(ImageEntry, document.images[0], "images.0")
        self._categories = [*filter(None, map(_category, document.categories))]
        self._names: dict[int | str, set[str]] = defaultdict(set)
        for category in self._categories:
            self._names[category.id].add(category.name)
        self._annotations = document.annotations
        self._owners = [*map(_owner, document.annotations)]

    def classes(self) -> dict[str, FileClass]:
        return {
            category.name: FileClass(
                category.id if isinstance(category.id, int) else None, as_colour(category.color)
            )
            for category in self._categories
        }

    def used(self, image: str | None) -> set[str]:
        wanted = None if image is None else self._image(image).id
        found: set[str] = set()
        for owner in self._owners:
            if owner is not None and wanted in (None, owner.image_id):
                found |= self._names.get(owner.category_id, set())
        return found

    def size(self, image: str) -> Size | None:
        entry = self._image(image)
        if entry.height is None or entry.width is None:
            return None
        return check_size((entry.height, entry.width))

    def _image(self, name: str) -> ImageEntry:
        number, *others = self.images[name]
        found = validated(ImageEntry, self._entries[number], f"images.{number}")
        ids = [_identifier(entry, "id") for entry in self._entries]
        if others or ids.count(found.id) > 1:
            raise _repeated()
        return found

    def contents(self, image: str, size: Size) -> Contents:
        wanted, found = self._image(image).id, Contents()
        for number, owner in enumerate(self._owners):
            if owner is not None and owner.image_id == wanted:
                entry = validated(Annotation, self._annotations[number], f"annotations.{number}")
                _add(found, self._label(entry.category_id), entry, size)
            elif owner is None and _identifier(self._annotations[number], "image_id") == wanted:
                validated(Owner, self._annotations[number], f"annotations.{number}")
        return found

    def _label(self, category_id: int | str) -> str:
        names = self._names.get(category_id, set())
        if len(names) > 1:
            raise _repeated()
        for name in names:
            return name
        raise DataError(
            f"an annotation has the category {category_id}, which the file does not define; add "
            "the category or remove the annotation."
        )


def _category(entry: Any) -> Category | None:
    """Return a category, None if it is damaged, which matters only to its annotations."""
    try:
        return Category.model_validate(entry)
    except ValidationError:
        return None


def _owner(entry: Any) -> Owner | None:
    """Return what an annotation belongs to, None if that is damaged."""
    try:
        return Owner.model_validate(entry)
    except ValidationError:
        return None


def _identifier(entry: Any, key: str) -> int | str | None:
    """Return an identifier in an entry that may be damaged, None if there is none."""
    try:
        return ID.validate_python(entry[key])
    except (TypeError, LookupError, ValidationError):
        return None


def _repeated() -> DataError:
    return DataError(
        "two images have the same name or id, or two categories the same id; correct or remove "
        "one of them."
    )


def _add(contents: Contents, label: str, annotation: Annotation, size: Size) -> None:
    """Add the shapes of an annotation; the parts of an object are united, as in COCO's tools."""
    if isinstance(annotation.segmentation, RunLengths):
        _add_part(contents, label, annotation.segmentation, size)
    elif annotation.segmentation:
        for part in annotation.segmentation:
            _add_part(contents, label, part, size)
    else:
        contents.skipped["box"] += 1


def _add_part(contents: Contents, label: str, part: list[float] | RunLengths, size: Size) -> None:
    shape = _mask(part, size) if isinstance(part, RunLengths) else _area(part)
    if shape is None:
        contents.skipped["empty mask"] += 1
    else:
        contents.shapes.append(Labelled(label, shape))


def _area(part: list[float]) -> Shape:
    if len(part) % 2:
        raise DataError("a polygon has an odd number of coordinates; export it again.")
    return Area([np.array(part).reshape(-1, 2)[:, ::-1] - 0.5])


def _mask(runs: RunLengths, size: Size) -> Shape | None:
    """Return the shape of a mask, None if it is empty."""
    if runs.size != size:
        raise DataError(
            f"a mask has the size {runs.size}, its image {size} (rows, columns); export the "
            "annotations again."
        )
    counts = _unpack(runs.counts) if isinstance(runs.counts, str) else runs.counts
    checked = checked_runs(counts, size[0] * size[1])
    return None if checked is None else RunLengthMask(checked, size, by_columns=True)


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


def encode(
    class_ids: NDArray[np.uint8],
    class_table: ClassTable,
    image: str,
    form: Form,
    tolerance: float,
) -> str:
    """Return the text of a file with the annotations of one image.

    Masks are run-length encoded, one per class, and marked as crowds, as the format
    requires; polygons are one per region of a class.
    """
    height, width = class_ids.shape
    found = _segmented(class_ids, class_table, form, tolerance)
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": region.entry.index,
            "segmentation": segmentation,
            "area": int(region.mask.sum()),
            "bbox": [region.left, region.top, *region.mask.shape[::-1]],
            "iscrowd": int(form == "masks"),
        }
        for number, (region, segmentation) in enumerate(found, start=1)
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


def _segmented(
    class_ids: NDArray[np.uint8], class_table: ClassTable, form: Form, tolerance: float
) -> Iterator[tuple[ClassMask, Any]]:
    """Yield the annotated regions with their segmentation."""
    if form == "polygons":
        for region, ring in polygons(class_ids, class_table, tolerance):
            yield region, [ring[:, ::-1].ravel().tolist()]
    else:
        for region in class_masks(class_ids, class_table):
            yield region, _run_lengths(region, class_ids.shape)


def _run_lengths(region: ClassMask, size: tuple[int, ...]) -> dict[str, Any]:
    mask = np.zeros(size, dtype=np.bool_)
    rows, columns = region.mask.shape
    mask[region.top : region.top + rows, region.left : region.left + columns] = region.mask
    return {"size": size, "counts": run_lengths(mask.T.ravel())}
