"""Planes of stacks: which of them a viewer shows, and which part of it."""

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer

from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Size, Slices, Window, clipped, whole
from c2f_core.refine.run import Plane
from napari_c2f.layers.convert import level0


def plane_size(layer: Labels) -> Size:
    """Return the numbers of rows and columns of a Labels layer."""
    shape = level0(layer).shape
    return int(shape[-2]), int(shape[-1])


def current_plane(viewer: ViewerModel, layer: Layer) -> Plane:
    """Return the index of the plane in view; () if the layer is a single plane."""
    shape = level0(layer).shape
    leading = layer.ndim - 2
    point = np.rint(layer.world_to_data(viewer.dims.point)[:leading]).astype(int)
    last = np.array(shape[:leading], dtype=int) - 1
    return tuple(np.clip(point, 0, last).tolist())


def plane_slices(plane: Plane, size: Size) -> Slices:
    """Return the slices of one plane, of this size, in a stack."""
    leading = tuple(slice(index, index + 1) for index in plane)
    return *leading, *whole(size)


def check_planes(fine: Labels, other: Layer, slices: Slices) -> None:
    """Check that a part of another layer has the same planes as a fine map.

    Raises
    ------
    ImageError
        If the planes differ.
    """
    shape = level0(other).shape[: other.ndim]
    planes = level0(fine).shape[:-2]
    if fine.ndim == other.ndim:
        covered = zip(slices[:-2], shape, strict=False)
        if planes == tuple(len(range(*axis.indices(length))) for axis, length in covered):
            return
    raise ImageError(
        f"'{fine.name}' and '{other.name}' do not have the same planes; choose layers of one image."
    )


def view_of(viewer: ViewerModel, layer: Labels) -> Window:
    """Return the part of a layer's plane that the canvas shows.

    Raises
    ------
    ImageError
        If the canvas shows no part of the layer, or not its rows and columns.
    """
    shown = list(layer._slice_input.displayed)
    if viewer.dims.ndisplay != 2 or shown != [layer.ndim - 2, layer.ndim - 1]:
        raise ImageError(
            "The view does not show the rows and columns of the map; switch to two dimensions, "
            "with the axes in order."
        )
    first, last = layer.corner_pixels[:, -2:]
    if (first == last).any():  # napari clips corners outside to the border.
        raise ImageError(f"The view shows no part of '{layer.name}'; pan or zoom to it.")
    if layer.multiscale:
        factors = layer.downsample_factors[layer.data_level][-2:]
        first, last = np.floor(first * factors), np.ceil((last + 1) * factors)
    size = plane_size(layer)
    box = tuple(
        clipped(int(start), int(stop) + 1, length)
        for start, stop, length in zip(first, last, size, strict=True)
    )
    return box[0], box[1]
