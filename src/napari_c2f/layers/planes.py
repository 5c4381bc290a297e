"""Planes of stacks: which of them a viewer shows, and which part of it."""

from itertools import product

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
    """Check that a part of another layer has the same planes as a fine map, and lies where it does.

    Raises
    ------
    ImageError
        If the planes or the placement differ.
    """
    shape = level0(other).shape[: other.ndim]
    planes = level0(fine).shape[:-2]
    covered = zip(slices[:-2], shape, strict=False)
    if fine.ndim != other.ndim or planes != tuple(
        len(range(*axis.indices(length))) for axis, length in covered
    ):
        raise ImageError(
            f"'{fine.name}' and '{other.name}' do not have the same planes; choose layers of one "
            "image."
        )
    check_placement(fine, other, slices)


def lie_alike(layer: Layer, other: Layer, slices: Slices | None = None) -> bool:
    """Return whether the pixels of a layer lie on those of another layer, to half a pixel.

    Parameters
    ----------
    layer, other : Layer
        Layers of the same number of dimensions, with any scale, translation and rotation.
    slices : tuple of slices, optional
        Part of `other` that `layer` covers; without it, the first pixels of both are compared.
    """
    first = np.zeros(layer.ndim) if slices is None else np.array([axis.start for axis in slices])
    ends = [(0, length - 1) for length in level0(layer).shape[: layer.ndim]]
    return all(
        np.allclose(other.world_to_data(layer.data_to_world(corner)), first + corner, atol=0.5)
        for corner in product(*ends)
    )


def check_placement(layer: Layer, other: Layer, slices: Slices | None = None) -> None:
    """Check that the pixels of a layer lie on those of another layer; see `lie_alike`.

    Raises
    ------
    ImageError
        If they do not.
    """
    if not lie_alike(layer, other, slices):
        raise ImageError(
            f"'{layer.name}' does not lie on '{other.name}': they differ in scale, translation or "
            "rotation. Choose layers of one image, or give both the same placement."
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
