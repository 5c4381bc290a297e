"""Save Labels layers as maps and annotation files; every file is written atomically."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError, ImageError
from c2f_core.io.annotations import FormatName, write_annotations
from c2f_core.io.formats.base import Form
from c2f_core.io.maps import MapStyle, write_map
from napari_c2f.layers.convert import TABLE_KEY, class_table_of_labels

ENDINGS = (".png", ".tif", ".tiff", ".npy", ".json", ".xml")
Write = Callable[[Path, NDArray[Any], ClassTable], None]


def _write(
    path: str, data: Any, attributes: dict[str, Any], ending: str, write: Write
) -> list[str]:
    """Write the data and attributes of a Labels layer; return the path of the file."""
    is_pyramid = attributes.get("multiscale") or isinstance(data, (list, tuple))
    labels = np.asarray(data[0] if is_pyramid else data)
    if labels.ndim != 2:
        raise ImageError("Only two-dimensional maps are saved; choose one plane of the stack.")
    target = with_ending(path, ending)
    write(target, labels, _class_table(labels, attributes))
    return [str(target)]


def _class_table(labels: NDArray[Any], attributes: dict[str, Any]) -> ClassTable:
    """Return the class table in a layer's attributes, or make one from its labels."""
    table = attributes["metadata"].get(TABLE_KEY)
    if isinstance(table, ClassTable):
        return table
    name, colormap, features = (attributes[key] for key in ("name", "colormap", "features"))
    return class_table_of_labels(labels, name, colormap, features)


def with_ending(path: str, ending: str) -> Path:
    """Add the usual ending to a name that has none: napari proposes the bare name of the layer.

    Raises
    ------
    DataError
        If the file exists: napari has asked only about the name without the ending.
    """
    if path.lower().endswith(ENDINGS):
        return Path(path)
    target = Path(f"{path}{ending}")
    if target.exists():
        raise DataError(f"{target} exists already; choose another name, or add the ending to it.")
    return target


def _as_map(style: MapStyle) -> Write:
    return lambda path, labels, table: write_map(path, labels, table, style)


def _as_annotations(layout: FormatName, form: Form) -> Write:
    return lambda path, labels, table: write_annotations(path, labels, table, layout, form=form)


def write_palette(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a PNG with the class colours as its palette."""
    return _write(path, data, attributes, ".png", _as_map("palette"))


def write_colour(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the class colours as an RGB PNG."""
    return _write(path, data, attributes, ".png", _as_map("colour"))


def write_index(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a TIFF."""
    return _write(path, data, attributes, ".tif", _as_map("index"))


def write_array(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a NumPy array."""
    return _write(path, data, attributes, ".npy", _as_map("index"))


def write_coco_masks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write COCO JSON with one mask per class."""
    return _write(path, data, attributes, ".json", _as_annotations("coco", "masks"))


def write_coco_polygons(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write COCO JSON with one polygon per region."""
    return _write(path, data, attributes, ".json", _as_annotations("coco", "polygons"))


def write_labelme_masks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write LabelMe JSON with one mask per class."""
    return _write(path, data, attributes, ".json", _as_annotations("labelme", "masks"))


def write_labelme_polygons(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write LabelMe JSON with one polygon per region."""
    return _write(path, data, attributes, ".json", _as_annotations("labelme", "polygons"))


def write_cityscapes(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write Cityscapes JSON with one polygon per region."""
    return _write(path, data, attributes, ".json", _as_annotations("cityscapes", "polygons"))


def write_cvat_masks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write 'CVAT for images' XML with one mask per class."""
    return _write(path, data, attributes, ".xml", _as_annotations("cvat", "masks"))


def write_cvat_polygons(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write 'CVAT for images' XML with one polygon per region."""
    return _write(path, data, attributes, ".xml", _as_annotations("cvat", "polygons"))
