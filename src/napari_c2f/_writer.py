"""Save Labels layers as maps; every file is written atomically."""

from typing import Any

import numpy as np
from napari.layers import Labels

from c2f_core.errors import ImageError
from c2f_core.io import MapStyle, write_map
from napari_c2f._layers import class_table_of_layer


def _write(path: str, data: Any, attributes: dict[str, Any], style: MapStyle) -> list[str]:
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise ImageError("Only two-dimensional maps are saved; choose one plane of the stack.")
    keywords = {
        name: attributes[name]
        for name in ("name", "colormap", "features", "metadata")
        if name in attributes
    }
    write_map(path, labels, class_table_of_layer(Labels(labels, **keywords)), style)
    return [path]


def write_palette(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a PNG with the class colours as its palette."""
    return _write(path, data, attributes, "palette")


def write_colour(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the class colours as an RGB PNG."""
    return _write(path, data, attributes, "colour")


def write_index(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write class indices as a TIFF."""
    return _write(path, data, attributes, "index")
