"""Save Labels layers as maps and annotation files; every file is written atomically."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from napari import current_viewer
from napari.types import FullLayerData
from napari.utils.notifications import show_info, show_warning
from numpy.typing import NDArray

from c2f_core.classes.codec import MAX_CLASSES
from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError, ImageError
from c2f_core.io.annotations import FormatName, write_annotations
from c2f_core.io.formats.base import Form
from c2f_core.io.images import write_image
from c2f_core.io.maps import MapStyle, write_map
from napari_c2f.layers.convert import TABLE_KEY, check_labels, class_table_of_labels
from napari_c2f.layers.map_files import file_name_of_image, sideways_warning

ENDINGS = (".png", ".tif", ".tiff", ".npy", ".json", ".xml")
PALETTE_SIZE = 256
Layers = Sequence[FullLayerData]


class Write(Protocol):
    """Function that writes labels; `image` is the file name of their image, if it is known."""

    def __call__(
        self, path: Path, labels: NDArray[Any], table: ClassTable, /, *, image: str | None
    ) -> None:
        """Write a file."""


def _write(path: str, layers: Layers, ending: str, write: Write) -> list[str]:
    """Write a single Labels layer as a class map; return the path of the file."""
    labels, attributes = _single(layers)
    table = attributes["metadata"].get(TABLE_KEY)
    if not isinstance(table, ClassTable):
        name, colormap, features = (attributes[key] for key in ("name", "colormap", "features"))
        table = class_table_of_labels(labels, name, colormap, features)
    target = with_ending(path, ending)
    viewer = current_viewer()
    name = attributes.get("name", "")
    image = file_name_of_image(viewer.layers, name, labels.shape) if viewer else None
    write(target, labels, table, image=image)
    warning = sideways_warning(viewer.layers, labels.shape) if viewer else ""
    if warning:
        show_warning(f"{target.name}: {warning}")
    return [str(target)]


def _single(layers: Layers) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """Return the labels and attributes of the only layer; of a pyramid, the finest level."""
    if len(layers) != 1:
        raise ImageError("Class maps are saved one at a time; select a single Labels layer.")
    data, attributes, _ = layers[0]
    is_pyramid = attributes.get("multiscale") or isinstance(data, (list, tuple))
    labels = np.asarray(data[0] if is_pyramid else data)
    if labels.ndim != 2:
        raise ImageError("Only two-dimensional maps are saved; choose one plane of the stack.")
    return labels, attributes


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
    return lambda path, labels, table, *, image: write_map(path, labels, table, style)  # noqa: ARG005


def _as_annotations(layout: FormatName, form: Form) -> Write:
    return partial(write_annotations, layout=layout, form=form)


def write_palette(path: str, layers: Layers) -> list[str]:
    """Write class indices as a PNG with the class colours as its palette.

    napari also calls this for any Labels layer that a script saves as .png, because its own writer
    of labels has no PNG. Labels that are not a class map are then written unchanged, in grey.
    """
    labels, attributes = _single(layers)
    if TABLE_KEY in attributes["metadata"] or _fits_palette(labels):
        return _write(path, layers, ".png", _as_map("palette"))
    target = with_ending(path, ".png")
    check_labels(labels, attributes["name"])
    write_image(target, labels.astype(np.uint16))
    show_info(
        f"'{attributes['name']}' is not a class map; {target.name} has its labels in grey, without "
        "colours and names."
    )
    return [str(target)]


def _fits_palette(labels: NDArray[Any]) -> bool:
    """Return whether labels without a class table fit into a class table and a palette."""
    present = np.unique(labels)
    return 1 < present.size <= MAX_CLASSES + 1 and present[0] >= 0 and present[-1] < PALETTE_SIZE


def write_colour(path: str, layers: Layers) -> list[str]:
    """Write the class colours as an RGB PNG."""
    return _write(path, layers, ".png", _as_map("colour"))


def write_index(path: str, layers: Layers) -> list[str]:
    """Write class indices as a TIFF."""
    return _write(path, layers, ".tif", _as_map("index"))


def write_array(path: str, layers: Layers) -> list[str]:
    """Write class indices as a NumPy array."""
    return _write(path, layers, ".npy", _as_map("index"))


def write_coco_masks(path: str, layers: Layers) -> list[str]:
    """Write COCO JSON with one mask per class."""
    return _write(path, layers, ".json", _as_annotations("coco", "masks"))


def write_coco_polygons(path: str, layers: Layers) -> list[str]:
    """Write COCO JSON with one polygon per region."""
    return _write(path, layers, ".json", _as_annotations("coco", "polygons"))


def write_labelme_masks(path: str, layers: Layers) -> list[str]:
    """Write LabelMe JSON with one mask per class."""
    return _write(path, layers, ".json", _as_annotations("labelme", "masks"))


def write_labelme_polygons(path: str, layers: Layers) -> list[str]:
    """Write LabelMe JSON with one polygon per region."""
    return _write(path, layers, ".json", _as_annotations("labelme", "polygons"))


def write_cityscapes(path: str, layers: Layers) -> list[str]:
    """Write Cityscapes JSON with one polygon per region."""
    return _write(path, layers, ".json", _as_annotations("cityscapes", "polygons"))


def write_cvat_masks(path: str, layers: Layers) -> list[str]:
    """Write 'CVAT for images' XML with one mask per class."""
    return _write(path, layers, ".xml", _as_annotations("cvat", "masks"))


def write_cvat_polygons(path: str, layers: Layers) -> list[str]:
    """Write 'CVAT for images' XML with one polygon per region."""
    return _write(path, layers, ".xml", _as_annotations("cvat", "polygons"))
