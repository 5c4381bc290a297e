"""The plane and the part of it that a viewer shows."""

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer

from c2f_core.errors import ImageError
from c2f_core.geometry.windows import Size, Window, clipped
from c2f_core.refine.run import Plane
from napari_c2f.layers.convert import level0


def plane_size(layer: Labels) -> Size:
    """Return rows and columns of a Labels layer's planes."""
    shape = level0(layer).shape
    return int(shape[-2]), int(shape[-1])


def current_plane(viewer: ViewerModel, layer: Layer) -> Plane:
    """Return which plane of a layer is shown; () if the layer is one."""
    shape = level0(layer).shape
    leading = layer.ndim - 2
    point = np.rint(layer.world_to_data(viewer.dims.point)[:leading]).astype(int)
    last = np.array(shape[:leading], dtype=int) - 1
    return tuple(np.clip(point, 0, last).tolist())


def view_of(viewer: ViewerModel, layer: Labels) -> Window:
    """Return the part of a layer's plane that the canvas shows.

    Raises
    ------
    ImageError
        The canvas shows nothing of it, or not its rows and columns.
    """
    shown = list(layer._slice_input.displayed)
    if viewer.dims.ndisplay != 2 or shown != [layer.ndim - 2, layer.ndim - 1]:
        raise ImageError(
            "The view does not show rows and columns of the map as they are; show it in two "
            "dimensions, with its axes in order."
        )
    first, last = layer.corner_pixels[:, -2:]
    if (first == last).any():  # napari moves what is outside to the border.
        raise ImageError(f"The view shows nothing of '{layer.name}'; move it there.")
    if layer.multiscale:
        factors = layer.downsample_factors[layer.data_level][-2:]
        first, last = np.floor(first * factors), np.ceil((last + 1) * factors)
    size = plane_size(layer)
    box = tuple(
        clipped(int(start), int(stop) + 1, length)
        for start, stop, length in zip(first, last, size, strict=True)
    )
    return box[0], box[1]
