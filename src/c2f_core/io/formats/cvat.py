"""CVAT for images 1.1 XML.

The format is described at https://docs.cvat.ai/docs/dataset_management/formats/.
Coordinates are (x, y) along pixel edges; the run lengths of a mask follow the rows
of its box, starting with pixels outside the mask.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NoReturn
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import Area, Labelled, Shape, ellipse, rectangle
from c2f_core.io.formats.base import (
    EMBEDDED_TABLE_KEY,
    AnnotationFile,
    Contents,
    FileClass,
    Form,
    as_colour,
    check_size,
)
from c2f_core.io.formats.outlines import ClassMask, class_masks
from c2f_core.io.formats.polygons import polygons
from c2f_core.io.formats.run_lengths import RunLengthMask, checked_runs, run_lengths

SUFFIX = ".xml"
MARKERS = ((b"<annotations",), (b"<image", b"<track"))
NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
KINDS = ("box", "polygon", "mask", "ellipse")


class _NoDoctype(ET.TreeBuilder):
    """Tree builder that rejects files with a document type.

    Entities, with which a small file could exhaust the memory or refer to other
    files, can only be declared there, and CVAT never does. This makes the standard
    parser safe enough.
    """

    def doctype(self, *_: str) -> NoReturn:
        raise DataError("it declares a document type, which CVAT never does; export it again.")


def parse(content: bytes) -> AnnotationFile:
    """Parse the content of a file.

    Raises
    ------
    DataError
        If the file is damaged, has a document type or belongs to a video.
    """
    try:
        root = ET.fromstring(content, ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, LookupError, ValueError) as error:  # LookupError: the encoding.
        raise DataError(f"it is damaged ({error}); export the annotations again.") from error
    if root.find("track") is not None:
        raise DataError("it is 'CVAT for video'; export the annotations as 'CVAT for images'.")
    found: dict[str, list[ET.Element]] = defaultdict(list)
    for image in root.iter("image"):
        found[image.get("name", "")].append(image)

    def only(image: str) -> ET.Element:
        element, *others = found[image]
        if others:
            raise DataError(f"two images have the same name, '{image}'; export one task at a time.")
        return element

    def used(image: str | None) -> set[str]:
        images = root.iterfind("image") if image is None else [only(image)]
        return {label for element in images for label in _labels(element)}

    return AnnotationFile(
        images=list(found),
        size=lambda image: _size(only(image)),
        contents=lambda image, _: _contents(only(image)),
        classes=_classes(root),
        used=used,
        embedded=_embedded_table(root),
    )


def _size(image: ET.Element) -> Size | None:
    if image.get("height") is None or image.get("width") is None:
        return None
    return check_size((_integer(image, "height"), _integer(image, "width")))


def _labels(image: ET.Element) -> set[str]:
    """Return the labels of the shapes of an image that have an area."""
    return {shape.get("label", "") for shape in image if shape.tag in KINDS} - {""}


def _classes(root: ET.Element) -> dict[str, FileClass]:
    named = {
        label.findtext("name", ""): FileClass(colour=as_colour(label.findtext("color")))
        for label in root.iterfind("meta//label")
    }
    used = {label for image in root.iterfind("image") for label in _labels(image)}
    return {name: named.get(name, FileClass()) for name in [*named, *sorted(used)] if name}


def _embedded_table(root: ET.Element) -> ClassTable | None:
    text = root.findtext(f"meta/{EMBEDDED_TABLE_KEY}")
    try:
        return None if text is None else ClassTable.model_validate_json(text)
    except ValidationError as error:
        raise DataError("its class table is damaged; export the annotations again.") from error


def _contents(image: ET.Element) -> Contents:
    contents = Contents()
    # At equal height the later shape is on top; sorting is stable.
    for element in sorted(image, key=_height):
        if element.tag not in KINDS:
            contents.skipped[element.tag] += 1
        elif not element.get("label"):
            contents.unnamed[element.tag] += 1
        elif (shape := _shape(element)) is None:
            contents.skipped["empty mask"] += 1
        else:
            contents.shapes.append(Labelled(element.get("label", ""), shape))
    return contents


def _height(element: ET.Element) -> float:
    """Return the height of an element in the stack; those without an area have none."""
    return _number(element, "z_order", "0") if element.tag in KINDS else 0.0


def _shape(element: ET.Element) -> Shape | None:
    """Return the shape of an element, None for an empty mask."""
    if element.tag == "mask":
        return _mask(element)
    if element.tag == "polygon":
        written = element.get("points", "")
        pairs = [pair.split(",") for pair in written.split(";")] if written else []
        if any(len(pair) != 2 for pair in pairs):
            raise DataError("a polygon has a point that is not a pair of numbers; draw it again.")
        points = np.array([[_as_number(value) for value in pair] for pair in pairs])
        return Area([points.reshape(-1, 2)[:, ::-1] - 0.5])
    turn = math.radians(_number(element, "rotation", "0"))
    if element.tag == "ellipse":
        column, row, across, down = (_number(element, name) for name in ("cx", "cy", "rx", "ry"))
        return ellipse((row - 0.5, column - 0.5), _turned(np.diag([down, across]), turn))
    left, top, right, bottom = (
        _number(element, name) - 0.5 for name in ("xtl", "ytl", "xbr", "ybr")
    )
    centre = np.array([(top + bottom) / 2, (left + right) / 2])
    (corners,) = rectangle(top, left, bottom, right).rings
    return Area([centre + _turned(corners - centre, turn)])


def _turned(vectors: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotate vectors (row, column) clockwise on the screen."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray(vectors @ np.array([[cosine, -sine], [sine, cosine]]))


def _mask(element: ET.Element) -> Shape | None:
    """Return the shape of a mask, None if it is empty, as some versions of CVAT write it."""
    written = element.get("rle", "")
    values = [_as_number(value, "a run length") for value in written.split(",") if written.strip()]
    if not any(values):
        return None
    left, top, width, height = (
        _integer(element, name) for name in ("left", "top", "width", "height")
    )
    size = check_size((height, width))
    runs = checked_runs([_whole(value, "a run length") for value in values], height * width)
    return None if runs is None else RunLengthMask(runs, size, top, left)


def _number(element: ET.Element, name: str, default: str = "") -> float:
    return _as_number(element.get(name, default), f"{element.tag} {name}")


def _integer(element: ET.Element, name: str) -> int:
    return _whole(_number(element, name), f"{element.tag} {name}")


def _whole(value: float, place: str) -> int:
    if not value.is_integer():
        raise DataError(f"{place} is {value:g} instead of a whole number; export it again.")
    return int(value)


def _as_number(text: str, place: str = "a coordinate") -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place} is '{text[:20]}' instead of a number; export it again.")
    return value


def encode(
    class_ids: NDArray[np.uint8],
    class_table: ClassTable,
    image: str,
    form: Form,
    tolerance: float,
) -> str:
    """Return the text of a file with the annotations of one image.

    Masks are one per class, polygons one per region of a class.

    Raises
    ------
    DataError
        If a name has a character that XML cannot store.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    root.append(_meta(class_table))
    height, width = class_ids.shape
    size = {"width": str(width), "height": str(height)}
    parent = ET.SubElement(root, "image", {"id": "0", "name": image, **size})
    parent.extend(_elements(class_ids, class_table, form, tolerance))
    ET.indent(root)
    text = ET.tostring(root, encoding="utf-8", xml_declaration=True).decode()
    if NOT_IN_XML.search(text):
        raise DataError(
            "The image or a class has a control character in its name, which this format cannot "
            "store; rename it, or choose another format."
        )
    return str(text)


def _meta(class_table: ClassTable) -> ET.Element:
    meta = ET.Element("meta")
    task = ET.SubElement(meta, "task")
    for name, text in (("name", class_table.name), ("size", "1"), ("mode", "annotation")):
        ET.SubElement(task, name).text = text
    labels = ET.SubElement(task, "labels")
    for entry in class_table.classes:
        label = ET.SubElement(labels, "label")
        red, green, blue = entry.colour
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        for name, text in (("name", entry.name), ("color", colour), ("type", "any")):
            ET.SubElement(label, name).text = text
        ET.SubElement(label, "attributes")
    ET.SubElement(meta, EMBEDDED_TABLE_KEY).text = json.dumps(class_table.model_dump())
    return meta


def _elements(
    class_ids: NDArray[np.uint8], class_table: ClassTable, form: Form, tolerance: float
) -> Iterator[ET.Element]:
    if form == "polygons":
        for region, ring in polygons(class_ids, class_table, tolerance):
            points = ";".join(f"{column},{row}" for row, column in ring.tolist())
            yield _element("polygon", region, points=points)
    else:
        for region in class_masks(class_ids, class_table):
            yield _element("mask", region, **_run_lengths(region))


def _element(tag: str, region: ClassMask, **attributes: str) -> ET.Element:
    common = {"label": region.entry.name, "source": "manual", "occluded": "0"}
    return ET.Element(tag, {**common, **attributes, "z_order": "0"})


def _run_lengths(region: ClassMask) -> dict[str, str]:
    rows, columns = region.mask.shape
    return {
        "rle": ", ".join(map(str, run_lengths(region.mask.ravel()))),
        "left": str(region.left),
        "top": str(region.top),
        "width": str(columns),
        "height": str(rows),
    }
