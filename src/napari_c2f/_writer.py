"""Save Labels layers as maps; every file is written atomically."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels

from c2f_core.errors import DataError, ImageError
from c2f_core.io import MapStyle, write_map
from napari_c2f._layers import class_table_of_layer

ENDINGS = (".png", ".tif", ".tiff")


def _write(
    path: str, data: Any, attributes: dict[str, Any], style: MapStyle, ending: str
) -> list[str]:
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise ImageError("Only two-dimensional maps are saved; choose one plane of the stack.")
    keywords = {
        name: attributes[name]
        for name in ("name", "colormap", "features", "metadata")
        if name in attributes
    }
    target = with_ending(path, ending)
    write_map(target, labels, class_table_of_layer(Labels(labels, **keywords)), style)
    return [str(target)]


def with_ending(path: str, ending: str) -> Path:
    """Add the usual ending to a name that has none: napari proposes the layer's name as it is.

    Raises
    ------
    DataError
        The file exists: napari has asked about the name without the ending only.
    """
    if path.lower().endswith(ENDINGS):
        return Path(path)
    target = Path(f"{path}{ending}")
    if target.exists():
        raise DataError(f"{target} exists already; choose another name, or add the ending to it.")
    return target


def write_palette(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a PNG with the class colours as its palette."""
    return _write(path, data, attributes, "palette", ".png")


def write_colour(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the class colours as an RGB PNG."""
    return _write(path, data, attributes, "colour", ".png")


def write_index(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a TIFF."""
    return _write(path, data, attributes, "index", ".tif")
