"""Read and write annotation files of other tools: COCO, LabelMe, Cityscapes and CVAT."""

import colorsys
import math
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import MAX_CLASSES
from c2f_core.classes.table import ClassTable, Colour, table_from_colours
from c2f_core.errors import ClassTableError, DataError, UnclearImageError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import DrawReport, Labelled, draw
from c2f_core.io.atomic import atomic_path
from c2f_core.io.formats import cityscapes, coco, cvat, labelme
from c2f_core.io.formats.base import AnnotationFile, FileClass, Form, Format, pick_image
from c2f_core.io.images import read_image

FormatName = Literal["coco", "labelme", "cityscapes", "cvat"]
FORMATS: dict[FormatName, Format] = {
    "coco": coco,
    "labelme": labelme,
    "cityscapes": cityscapes,
    "cvat": cvat,
}
FORMAT_TITLES: dict[FormatName, str] = {
    "coco": "COCO",
    "labelme": "LabelMe",
    "cityscapes": "Cityscapes",
    "cvat": "CVAT for images",
}
ANNOTATION_SUFFIXES = (".json", ".xml")
GOLDEN_RATIO = 0.618034
"""Share of the colour circle between successive classes, so that neighbours differ clearly."""


def is_annotation_file(path: str | Path) -> bool:
    """Return whether a file has one of the formats, by its suffix and the keys in it."""
    path = Path(path)
    if path.suffix.lower() not in ANNOTATION_SUFFIXES or not path.is_file():
        return False
    try:
        return _format_of(path, path.read_bytes()) is not None
    except OSError:
        return False  # Reading it says why it cannot be read.


def open_annotations(path: str | Path) -> AnnotationFile:
    """Read an annotation file.

    Parameters
    ----------
    path : str or Path
        Path of the annotation file.

    Raises
    ------
    DataError
        If the file is missing, damaged or in another format.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a regular file; check the path.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    found = _format_of(path, content)
    if found is None:
        raise DataError(
            f"{path} is truncated, or not an annotation file of COCO, LabelMe, Cityscapes or CVAT "
            f"for images{_nearest(path, content)}; export it again in one of these formats."
        )
    try:
        parsed = found.parse(content)
    except DataError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    names = {unicodedata.normalize("NFC", name): known for name, known in parsed.classes.items()}
    return replace(parsed, classes=names)


def _nearest(path: Path, content: bytes) -> str:
    """Return a note on the missing key of a file that has all others of a format, or nothing."""
    for name, keys in _missing_keys(path, content).items():
        if len(keys) == 1 and len(FORMATS[name].MARKERS) > 1:
            return f" ({keys[0]} is missing for {FORMAT_TITLES[name]})"
    return ""


def _format_of(path: Path, content: bytes) -> Format | None:
    """Return the format whose suffix and keys a file has."""
    missing = _missing_keys(path, content)
    return next((FORMATS[name] for name, keys in missing.items() if not keys), None)


def _missing_keys(path: Path, content: bytes) -> dict[FormatName, list[str]]:
    """Return the keys that are missing in a file, for each format with its suffix."""
    if b"\0" in content[:4]:
        content = content.replace(b"\0", b"")  # UTF-16; parsing decodes it properly.
    return {
        name: [
            keys[0].decode() for keys in known.MARKERS if not any(key in content for key in keys)
        ]
        for name, known in FORMATS.items()
        if path.suffix.lower() == known.SUFFIX
    }


def read_annotations(
    path: str | Path, class_table: ClassTable, image: str | Path | None = None
) -> tuple[NDArray[np.unsignedinteger[Any]], DrawReport]:
    """Draw the annotations of one image as a map.

    Parameters
    ----------
    path : str or Path
        Path of the annotation file.
    class_table : ClassTable
        Class table of the result.
    image : str or Path, optional
        Image to draw the annotations of, if the file covers several images.

    Returns
    -------
    labels : (Y, X) unsigned integer array
        Labels of `class_table`.
    report : DrawReport

    Raises
    ------
    UnclearImageError
        If the file covers several images, and `image` is not clearly one of them.
    DataError
        If the file is missing, damaged or in another format, the size of the image is unknown,
        or a shape lies outside the image.
    ClassTableError
        If a class is not in the table.
    """
    annotations = open_annotations(path)
    try:
        name = _chosen(annotations, image)
        size = annotations.size(name) or _size_of_file(image, Path(path).parent / name)
        found = annotations.contents(name, size)
        drawn = list(_renamed(found.shapes, annotations, class_table))
        _check_inside(drawn, size)
        return draw(drawn, size, class_table, found.skipped, found.unnamed)
    except UnclearImageError as error:
        raise UnclearImageError(f"{path} cannot be read: {error}", error.images) from error
    except (DataError, ClassTableError) as error:
        raise type(error)(f"{path} cannot be read: {error}") from error


def _chosen(annotations: AnnotationFile, image: str | Path | None) -> str:
    """Return the name of the wanted image in a file, whose folders count where it exists."""
    if annotations.has_one_image:
        return annotations.images[0]
    if image is None:
        return pick_image(annotations.images, None)
    return pick_image(annotations.images, str(Path(image).absolute() if _exists(image) else image))


def _size_of_file(image: str | Path | None, beside: Path) -> Size:
    """Return the size of an image that an annotation file does not give.

    Parameters
    ----------
    image : str, Path or None
        Path of the image, if it is known.
    beside : Path
        Path of the image as the annotation file names it.

    Raises
    ------
    DataError
        If there is no such image file.
    """
    for path in (image, beside):
        if path is not None and _exists(path):
            height, width = read_image(path).shape[:2]
            return height, width
    raise DataError(
        f"it does not give the size of its image; put the image next to it as {beside.name}, or "
        "export the annotations again."
    )


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # Names of layers may be no paths.
        return False


def _renamed(
    shapes: list[Labelled], annotations: AnnotationFile, class_table: ClassTable
) -> Iterator[Labelled]:
    """Yield the shapes that are drawn, with the names of the class table."""
    names = {entry.name for entry in class_table.entries}
    for shape in shapes:
        label = unicodedata.normalize("NFC", shape.label)
        if label not in names and label in annotations.ignored:
            continue
        name = label if label in names else annotations.aliases.get(label, label)
        yield Labelled(class_table.unlabelled.name if name is None else name, shape.shape)


def _check_inside(shapes: list[Labelled], size: Size) -> None:
    """Check that every shape touches the image."""
    for labelled in shapes:
        first, last = labelled.shape.span()
        if (last <= -0.5).any() or (first >= np.array(size) - 0.5).any():
            raise DataError(
                f"a shape of the class '{labelled.label}' lies outside the image of {size[0]} "
                f"rows and {size[1]} columns, from {_coordinates(first)} to {_coordinates(last)}; "
                "export the annotations for the image at this size, or remove the shape."
            )


def _coordinates(point: NDArray[np.float64]) -> str:
    return f"row {point[0]:g}, column {point[1]:g}"


def class_names(annotations: AnnotationFile, image: str | Path | None = None) -> list[str]:
    """Return the names of the classes that the labels of a file stand for, in file order.

    If there are more than a class table can have, only those with annotations are returned: those
    of the file, or else those of the image.

    Parameters
    ----------
    annotations : AnnotationFile
        Annotations with the classes.
    image : str or Path, optional
        Image whose annotations count, if the file covers several images.

    Raises
    ------
    DataError
        If the annotations of the image are damaged, or it is unclear which image is meant.
    """
    names = _meanings(annotations, annotations.classes)
    if len(names) > MAX_CLASSES:
        names = _meanings(annotations, annotations.used(None))
    if len(names) > MAX_CLASSES and image is not None:
        names = _meanings(annotations, annotations.used(_chosen(annotations, image)))
    return names


def _meanings(annotations: AnnotationFile, labels: Collection[str]) -> list[str]:
    """Return the names that labels stand for, in file order."""
    wanted = {unicodedata.normalize("NFC", label) for label in labels} - {*annotations.ignored}
    names = [
        annotations.aliases.get(label, label) for label in annotations.classes if label in wanted
    ]
    return [name for name in dict.fromkeys(names) if name]


def own_table(
    path: str | Path, annotations: AnnotationFile, image: str | Path | None = None
) -> ClassTable:
    """Make a class table of the classes in an annotation file.

    Labels and colours are those of the file, if it has them. Unlabelled is 0, or one
    more than the largest label if a class has the label 0.

    Parameters
    ----------
    path : str or Path
        File name, whose stem becomes the name of the class table.
    annotations : AnnotationFile
        Annotations whose classes the table gets; see `class_names`.
    image : str or Path, optional
        Image whose classes count if the file has too many.

    Raises
    ------
    ClassTableError
        If the file has no classes, or annotations of too many.
    DataError
        If the annotations of the image are damaged, or it is unclear which image is meant.
    """
    names = class_names(annotations, image)
    if not names:
        raise ClassTableError(f"{path} has no classes; choose a class table.")
    if len(names) > MAX_CLASSES:
        raise ClassTableError(
            f"{path} has annotations of {len(names)} classes, more than the {MAX_CLASSES} that a "
            "map can have; merge classes or remove some in the annotation tool."
        )
    classes = {name: annotations.classes.get(name, FileClass()) for name in names}
    labels = _own_labels(list(classes.values()))
    entries: dict[int, tuple[str, Colour]] = {}
    for number, (label, (name, found)) in enumerate(zip(labels, classes.items(), strict=True)):
        taken = {colour for _, colour in entries.values()}
        entries[label] = (name, _free_colour(found.colour, number, taken))
    return table_from_colours(Path(path).stem, entries, max(labels) + 1 if 0 in labels else 0)


def _own_labels(classes: list[FileClass]) -> list[int]:
    """Return the labels in the file, or 1 to N if they are incomplete, repeated or too large."""
    given = [found.index for found in classes if found.index is not None]
    is_usable = len(set(given)) == len(classes) and min(given) >= 0 and max(given) < 65535
    return given if is_usable else list(range(1, len(classes) + 1))


def _free_colour(colour: Colour | None, number: int, taken: set[Colour]) -> Colour:
    while colour is None or colour in taken:
        red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.75, 0.9)
        colour = round(red * 255), round(green * 255), round(blue * 255)
        number += 1
    return colour


def write_annotations(
    path: str | Path,
    labels: NDArray[Any],
    class_table: ClassTable,
    layout: FormatName,
    image: str | None = None,
    form: Form = "masks",
    tolerance: float = 0.0,
) -> None:
    """Write a map atomically as an annotation file with an embedded class table.

    Parameters
    ----------
    path : str or Path
        File name that ends in .json, or .xml for CVAT.
    labels : (Y, X) integer array
        Labels of `class_table`.
    class_table : ClassTable
        Class table of the map.
    layout : {"coco", "labelme", "cityscapes", "cvat"}
        Format of the file.
    image : str, optional
        File name of the image, by which the tool finds it. By default, the name of
        the annotation file with the suffix .png.
    form : {"masks", "polygons"}
        One mask per class, or one polygon per region; Cityscapes only has polygons.
    tolerance : float
        Largest deviation, in pixels, by which polygons are simplified; with 0 they are exact.

    Raises
    ------
    ClassTableError
        If the map has a label that is not in the table.
    DataError
        If the suffix does not match the format, the format cannot store a name, the tolerance
        is not a number from 0, or the file cannot be written.
    """
    path, chosen = Path(path), FORMATS[layout]
    if path.suffix.lower() != chosen.SUFFIX:
        raise DataError(
            f"Annotations in this format are written as {chosen.SUFFIX}; rename {path.name}."
        )
    check_tolerance(tolerance)
    class_ids = class_table.to_class_ids(labels)
    text = chosen.encode(class_ids, class_table, image or f"{path.stem}.png", form, tolerance)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_tolerance(tolerance: float) -> None:
    """Check a tolerance of polygons, in pixels.

    Raises
    ------
    DataError
        If it is negative, infinite or not a number.
    """
    if not 0 <= tolerance < math.inf:
        raise DataError(
            f"The tolerance of polygons is {tolerance}; give the largest deviation in pixels, or 0 "
            "for exact outlines."
        )
