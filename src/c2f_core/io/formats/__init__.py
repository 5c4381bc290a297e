"""Annotation files of other tools: COCO, LabelMe, Cityscapes and CVAT."""

import colorsys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable, Colour, table_from_colours
from c2f_core.errors import ClassTableError, DataError, UnclearImageError
from c2f_core.geometry.shapes import DrawReport, Labelled, draw
from c2f_core.io.formats import cityscapes, coco, cvat, labelme
from c2f_core.io.formats.base import NOT_DRAWN, AnnotationFile, FileClass, Form, Format, pick_image

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "AnnotationFile",
    "Form",
    "FormatName",
    "encode_annotations",
    "is_annotation_file",
    "meant_names",
    "open_annotations",
    "own_table",
    "read_annotations",
]
FormatName = Literal["coco", "labelme", "cityscapes", "cvat"]
FORMATS: dict[FormatName, Format] = {
    "coco": coco,
    "labelme": labelme,
    "cityscapes": cityscapes,
    "cvat": cvat,
}
SUFFIXES = (".json", ".xml")
GOLDEN = 0.618034
"""Part of the colour circle between classes: neighbours in the list are told apart well."""


def is_annotation_file(path: str | Path) -> bool:
    """Tell whether a file is of one of the formats, by its ending and what it mentions."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    return _format_of(path, path.read_bytes()) is not None


def open_annotations(path: str | Path) -> AnnotationFile:
    """Read an annotation file.

    Raises
    ------
    DataError
        It is missing, damaged or of none of the formats.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    found = _format_of(path, content)
    if found is None:
        raise DataError(
            f"{path} is cut off, or no annotation file of COCO, LabelMe, Cityscapes or CVAT for "
            "images; export it again in one of these formats."
        )
    try:
        return found.parse(content)
    except DataError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _format_of(path: Path, content: bytes) -> Format | None:
    """Tell formats apart by keys that each of their files contains."""
    for known in FORMATS.values():
        if path.suffix.lower() == known.SUFFIX and all(key in content for key in known.MARKERS):
            return known
    return None


def read_annotations(
    path: str | Path, class_table: ClassTable, image: str | Path | None = None
) -> tuple[NDArray[Any], DrawReport]:
    """Draw the annotations of one image as a map.

    Parameters
    ----------
    path : str or Path
    class_table : ClassTable
    image : str or Path, optional
        Which image is meant, where the file is about several.

    Returns
    -------
    index_map : (Y, X) unsigned integer array
        Class indices.
    report : DrawReport

    Raises
    ------
    UnclearImageError
        The file is about several images, and it is not clear which is meant.
    DataError
        The file is missing, damaged or of none of the formats, or a shape lies
        outside of the image.
    ClassTableError
        A class is not in the table.
    """
    annotations = open_annotations(path)
    try:
        name = pick_image(annotations.images, None if image is None else str(image))
        shapes, skipped = annotations.shapes(name)
        named = [_renamed(shape, annotations, class_table) for shape in shapes]
        drawn = [shape for shape in named if shape.label != NOT_DRAWN]
        _refuse_outside(drawn, annotations.images[name])
        return draw(drawn, annotations.images[name], class_table, skipped)
    except UnclearImageError as error:
        raise UnclearImageError(f"{path} cannot be read: {error}", error.images) from error
    except (DataError, ClassTableError) as error:
        raise type(error)(f"{path} cannot be read: {error}") from error


def _renamed(shape: Labelled, annotations: AnnotationFile, class_table: ClassTable) -> Labelled:
    if shape.label in class_table.names or shape.label not in annotations.aliases:
        return shape
    name = annotations.aliases[shape.label]
    return Labelled(class_table.unlabelled.name if name is None else name, shape.shape)


def _refuse_outside(shapes: list[Labelled], size: tuple[int, int]) -> None:
    for labelled in shapes:
        first, last = labelled.shape.span()
        if (last <= -0.5).any() or (first >= np.array(size) - 0.5).any():
            raise DataError(
                f"a shape of the class '{labelled.label}' lies outside of the image of {size[0]} "
                f"rows and {size[1]} columns, from {_place(first)} to {_place(last)}; export the "
                "annotations of the image in this size, or remove the shape."
            )


def _place(point: NDArray[np.float64]) -> str:
    return f"row {point[0]:g}, column {point[1]:g}"


def meant_names(annotations: AnnotationFile) -> list[str]:
    """Return the names of the classes that a file's labels stand for, in its order."""
    names = [annotations.aliases.get(name, name) for name in annotations.classes]
    return [name for name in dict.fromkeys(names) if name]


def own_table(path: str | Path, annotations: AnnotationFile) -> ClassTable:
    """Make a class table of the classes that a file names.

    Indices and colours are those of the file where it has them; unlabelled is
    0, or the largest index plus one where a class has 0.

    Raises
    ------
    ClassTableError
        The file names no class, or too many.
    """
    known = {name: annotations.classes.get(name, FileClass()) for name in meant_names(annotations)}
    if not known:
        raise ClassTableError(f"{path} names no class; choose a class table.")
    given = [found.index for found in known.values() if found.index is not None]
    usable = len(set(given)) == len(known) and min(given) >= 0 and max(given) < 65535
    indices = given if usable else list(range(1, len(known) + 1))
    entries: dict[int, tuple[str, Colour]] = {}
    for number, (index, (name, found)) in enumerate(zip(indices, known.items(), strict=True)):
        taken = {colour for _, colour in entries.values()}
        entries[index] = (name, _free_colour(found.colour, number, taken))
    return table_from_colours(Path(path).stem, entries, max(indices) + 1 if 0 in indices else 0)


def encode_annotations(
    index_map: NDArray[Any],
    class_table: ClassTable,
    layout: FormatName,
    image: str,
    form: Form = "masks",
) -> str:
    """Return the text of an annotation file.

    Parameters
    ----------
    index_map : (Y, X) integer array
        Class indices.
    class_table : ClassTable
    layout : {"coco", "labelme", "cityscapes", "cvat"}
    image : str
        File name of the image, under which the tool looks for it.
    form : {"masks", "polygons"}
        One mask per class, or one polygon per region; Cityscapes has polygons only.

    Raises
    ------
    ClassTableError
        The map holds an index that is not in the table.
    DataError
        The format cannot hold a name.
    """
    return FORMATS[layout].encode(class_table.to_class_ids(index_map), class_table, image, form)


def _free_colour(colour: Colour | None, number: int, taken: set[Colour]) -> Colour:
    while colour is None or colour in taken:
        red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.75, 0.9)
        colour = round(red * 255), round(green * 255), round(blue * 255)
        number += 1
    return colour
