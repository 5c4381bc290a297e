"""Moving the camera to a region."""

from itertools import product

import numpy as np
from napari.components import Camera, ViewerModel
from napari.layers import Layer

from c2f_core.geometry.arrays import Window
from c2f_core.refine.run import Plane

TARGET_SHARE = 0.3
"""Share of the canvas that a region takes after the camera zoomed in."""
COMFORTABLE = 0.08, 0.7
"""Smallest and largest share of the canvas at which the zoom stays unchanged; a larger region
takes the largest share after the camera zoomed out."""
LARGEST_PIXEL = 24.0
"""Largest size, in canvas pixels, of a pixel of the map after the camera zoomed in."""


def look_at(viewer: ViewerModel, layer: Layer, plane: Plane, window: Window) -> None:
    """Centre the canvas on a window of a layer's plane, and zoom if the window is hard to see.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose camera moves.
    layer : Layer
        Layer that contains the window.
    plane : tuple of int
        Index of the plane; () if there is only one.
    window : (slice, slice)
        Rows and columns.
    """
    ends = [(axis.start - 0.5, axis.stop - 0.5) for axis in window]
    corners = np.array([layer.data_to_world((*plane, *corner)) for corner in product(*ends)])
    first = viewer.dims.ndim - layer.ndim
    shown = [axis - first for axis in viewer.dims.displayed if axis >= first]
    for axis in set(range(layer.ndim)).difference(shown):
        viewer.dims.set_point(first + axis, float(corners[:, axis].mean()))
    low, high = corners.min(axis=0)[shown], corners.max(axis=0)[shown]
    camera, size = _camera_and_size(viewer)
    camera.center = (0.0, *((low + high) / 2).tolist())[-3:]
    pixels = [axis.stop - axis.start for axis in window]
    camera.zoom = _zoom(camera.zoom, max(high - low), min(size), max(pixels))


def _camera_and_size(viewer: ViewerModel) -> tuple[Camera, tuple[int, int]]:
    """Return camera and canvas size, wherever this version of napari has them."""
    if hasattr(viewer, "scene"):
        return viewer.scene.camera, viewer.canvas.size
    return viewer.camera, viewer._canvas_size


def _zoom(zoom: float, extent: float, canvas: float, pixels: int) -> float:
    """Return the zoom at which an extent in the world, of this many map pixels, is easy to see."""
    least, most = COMFORTABLE
    if least <= extent * zoom / canvas <= most:
        return zoom
    if extent * zoom / canvas > most:
        return most * canvas / extent
    return min(TARGET_SHARE * canvas / extent, LARGEST_PIXEL * pixels / extent)
