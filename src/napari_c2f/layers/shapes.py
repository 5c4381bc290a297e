"""From a Shapes layer to a coarse map, or to the mask of a scope."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.errors import C2FError, ClassTableError, ImageError
from c2f_core.geometry.arrays import ArrayKey, Covered, Patch, Size, Window, area, around
from c2f_core.geometry.shapes import (
    Area,
    DrawReport,
    Labelled,
    LineStroke,
    Shape,
    draw,
    ellipse,
    pixel_window,
)
from napari_c2f.layers.convert import plane_shape
from napari_c2f.layers.planes import plane_size

CLASS_FEATURE = "class"
"""Feature of a Shapes layer that names the class of each shape."""


def coarse_of_shapes(
    layer: Shapes, image: Image, class_table: ClassTable, chosen: str | None = None
) -> tuple[NDArray[np.unsignedinteger[Any]], DrawReport]:
    """Draw a Shapes layer as the coarse map of an image, later shapes on top.

    Parameters
    ----------
    layer : Shapes
        Shapes to draw: polygons, rectangles and ellipses are filled; paths and lines become
        strokes of the width of their edge.
    image : Image
        A single plane, or a pyramid of one; its pixels are not read. Scale, shift and rotation
        of both layers are respected.
    class_table : ClassTable
        Class table of the map.
    chosen : str, optional
        Name of the class of shapes that have none in the feature "class".

    Returns
    -------
    index_map : (Y, X) unsigned integer array
        Labels of the classes; unlabelled where nothing is drawn.
    report : DrawReport
        Number of shapes drawn, and what could not be drawn.

    Raises
    ------
    ClassTableError
        If a shape has no class, or one that is not in the table.
    ImageError
        If a layer is not two-dimensional.
    """
    shapes = labelled_shapes(layer, image, chosen)
    height, width = plane_shape(image)
    return draw(shapes, (height, width), class_table)


def set_class(layer: Shapes, entry: ClassEntry) -> None:
    """Give the selected shapes, and those drawn next, a class and its colour.

    napari keeps the shape selected that was drawn last. While more are being drawn, that
    shape gets the class only if it has none yet.
    """
    features, defaults = _with_classes(layer.features), _with_classes(layer.feature_defaults)
    is_drawing, names = layer.mode.startswith("add_"), features[CLASS_FEATURE].tolist()
    members = [
        number
        for number in sorted(layer.selected_data)
        if not (is_drawing and _is_name(names[number]))
    ]
    features.loc[members, CLASS_FEATURE] = entry.name
    defaults[CLASS_FEATURE] = entry.name
    layer.features, layer.feature_defaults = features, defaults
    _colour(layer, members, entry)
    with layer.block_update_properties():
        layer.current_edge_color = layer.current_face_color = _rgba(entry)


def follow_class(layer: Shapes, before: ClassEntry, after: ClassEntry) -> None:
    """Update the name and colour of the shapes of a class that was edited."""
    if CLASS_FEATURE not in layer.features:
        return
    features, defaults = _with_classes(layer.features), _with_classes(layer.feature_defaults)
    members = np.flatnonzero(features[CLASS_FEATURE] == before.name).tolist()
    for table in (features, defaults):
        table[CLASS_FEATURE] = table[CLASS_FEATURE].replace(before.name, after.name)
    layer.features, layer.feature_defaults = features, defaults
    _colour(layer, members, after)
    if (defaults[CLASS_FEATURE] == after.name).all():
        with layer.block_update_properties():
            layer.current_edge_color = layer.current_face_color = _rgba(after)


def _colour(layer: Shapes, members: list[int], entry: ClassEntry) -> None:
    if members:
        edges, faces = layer.edge_color.copy(), layer.face_color.copy()
        edges[members], faces[members] = _rgba(entry), _rgba(entry)
        layer.edge_color, layer.face_color = edges, faces


def _rgba(entry: ClassEntry) -> list[float]:
    return [*(channel / 255 for channel in entry.colour), 1.0]


def _with_classes(features: pd.DataFrame) -> pd.DataFrame:
    if CLASS_FEATURE in features:  # Categories and numbers would refuse another name.
        return features.astype({CLASS_FEATURE: object})
    return features.assign(**{CLASS_FEATURE: pd.Series("", index=features.index, dtype=object)})


def labelled_shapes(layer: Shapes, image: Layer, chosen: str | None = None) -> list[Labelled]:
    """Return the shapes of a layer in pixels of an image, the topmost last.

    Raises
    ------
    ClassTableError
        If a shape has no class.
    ImageError
        If a layer is not two-dimensional.
    """
    for one in (layer, image):
        if one.ndim != 2:
            raise ImageError(f"'{one.name}' is a stack; choose a two-dimensional layer.")
    names = _class_names(layer, chosen)
    order = np.argsort(layer.z_index, kind="stable").tolist()
    areas = _areas(layer, image, order)
    return [Labelled(names[number], area) for number, area in zip(order, areas, strict=True)]


def covered_by(layer: Shapes, image: Image) -> NDArray[np.bool_]:
    """Return which pixels of an image's plane the shapes of a layer cover, of any class."""
    height, width = plane_shape(image)
    covered = np.zeros((height, width), dtype=np.bool_)
    for shape in _areas(layer, image, range(layer.nshapes)):
        window, inside = shape.cover((height, width))
        covered[window] |= inside
    return covered


def areas_of_shapes(layer: Shapes, image: Layer) -> list[Shape]:
    """Return the selected shapes of a layer, or all if none is, in pixels of an image's planes.

    While shapes are being drawn, napari selects the last one automatically; then all count.
    Shapes in a stack apply to all of its planes.
    """
    selected = sorted(layer.selected_data) if layer.mode in ("select", "direct") else []
    return _areas(layer, image, selected or range(layer.nshapes))


def _areas(layer: Shapes, image: Layer, numbers: Iterable[int]) -> list[Shape]:
    """Return some shapes of a layer in pixels of an image's planes."""
    shift, matrix = _to_pixels(layer, image)
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))
    return [
        _shape(
            layer.shape_type[number],
            layer.data[number][:, -2:] @ matrix + shift,
            layer.edge_width[number] * scale,
        )
        for number in numbers
    ]


def _to_pixels(layer: Shapes, image: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shift (2,) and matrix (2, 2) from points of a layer to pixels of an image.

    Both are for the last two axes.
    """
    leading = [0.0] * (layer.ndim - 2)
    corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    origin, *ends = (
        np.asarray(image.world_to_data(layer.data_to_world([*leading, *corner])))[-2:]
        for corner in corners
    )
    return origin, np.stack(ends) - origin


def _class_names(layer: Shapes, chosen: str | None) -> list[str]:
    features = layer.features
    given = features[CLASS_FEATURE].tolist() if CLASS_FEATURE in features else []
    names = [name if _is_name(name) else chosen for name in given]
    names += [chosen] * (layer.nshapes - len(names))
    if None in names:
        raise ClassTableError(
            f"Shape {names.index(None) + 1} of '{layer.name}' has no class; choose one for it."
        )
    return [str(name) for name in names]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _shape(kind: str, points: NDArray[np.float64], width: float) -> Shape:
    if kind in ("path", "line"):
        return LineStroke(points, width)
    if kind == "ellipse":
        # napari stores the corners of the box around it, which a turn or shear keeps
        # a parallelogram.
        first, second, third, _ = points
        return ellipse((first + third) / 2, np.stack([second - first, third - second]) / 2)
    return Area([points])


class DrawnMask:
    """Pixels of a map that shapes cover; drawn when they are first needed, in a thread.

    Parameters
    ----------
    shapes : sequence of Shape
        Shapes in pixels of the map.
    size : (int, int)
        Rows and columns of the map.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shapes: Sequence[Shape], size: Size) -> None:
        self.shape = size
        self._shapes = shapes

    def __getitem__(self, key: ArrayKey, /) -> NDArray[np.bool_]:
        """Return a part of the mask."""
        return self._covered[key]

    @cached_property
    def _covered(self) -> Covered:
        covers = (shape.cover(self.shape) for shape in self._shapes)
        nothing = np.empty(0, dtype=np.uint8)
        return Covered(self.shape, [Patch(window, mask, nothing) for window, mask in covers])


def drawn_mask(shapes: Shapes | None, layer: Labels) -> tuple[DrawnMask, Window]:
    """Return the pixels of a map that shapes cover, and a box around them.

    Parameters
    ----------
    shapes : Shapes or None
        Layer of which the selected shapes count, or all if none is selected.
    layer : Labels
        The map.

    Raises
    ------
    C2FError
        If there are no shapes, or they lie outside the map.
    """
    if shapes is None or not shapes.nshapes:
        raise C2FError(
            "Draw a box or polygon first: add a Shapes layer above the layer list, draw in it and "
            "choose it here."
        )
    size, drawn = plane_size(layer), areas_of_shapes(shapes, layer)
    boxes = [box for shape in drawn if area(box := _box_around(shape, size))]
    if not boxes:
        raise C2FError(f"The shapes in '{shapes.name}' cover nothing of '{layer.name}'.")
    rows, columns = around(boxes)
    return DrawnMask(drawn, size), (rows, columns)


def _box_around(shape: Shape, size: Size) -> Window:
    width = max(shape.width, 1.0) if isinstance(shape, LineStroke) else 0.0
    return pixel_window(shape.span(), size, width / 2)
