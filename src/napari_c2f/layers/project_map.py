"""Changes to the one coarse map of a project's image: drawn or opened maps go into it."""

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError
from napari_c2f.layers.convert import class_table_of_layer
from napari_c2f.layers.screen import renew_picture
from napari_c2f.layers.strokes import StrokeTracker


def paste_labels(
    strokes: StrokeTracker,
    layer: Labels,
    index_map: NDArray[Any],
    class_table: ClassTable,
    drawn: NDArray[np.bool_],
) -> None:
    """Draw a map on top of another, as one step of the undo history.

    Parameters
    ----------
    strokes : StrokeTracker
        Strokes of the viewer's layers.
    layer : Labels
        Layer to draw in; its data are in memory.
    index_map : (Y, X) unsigned integer array
        Labels of the classes.
    class_table : ClassTable
        Class table of the index map; classes are matched by name.
    drawn : (Y, X) bool array
        Pixels where the map is drawn; unlabelled pixels erase the layer there.

    Raises
    ------
    C2FError
        If the sizes differ, or the layer does not have a class of the map.
    """
    labels = _in_classes_of(layer, index_map, class_table)
    _change(strokes, layer, np.where(drawn, labels, layer.data))


def replace_labels(
    strokes: StrokeTracker, layer: Labels, index_map: NDArray[Any], class_table: ClassTable
) -> None:
    """Replace the labels of a layer by those of a map, as one step of the undo history."""
    _change(strokes, layer, _in_classes_of(layer, index_map, class_table))


def erase_label(strokes: StrokeTracker, layer: Labels, label: int) -> None:
    """Make the pixels of a label unlabelled, as one step of the undo history."""
    background = layer.colormap.background_value
    _change(strokes, layer, np.where(layer.data == label, background, layer.data))


def _in_classes_of(
    layer: Labels, index_map: NDArray[Any], class_table: ClassTable
) -> NDArray[np.unsignedinteger[Any]]:
    if index_map.shape != layer.data.shape:
        raise DataError(
            f"The map has {index_map.shape} pixels and '{layer.name}', which the project saves, "
            f"{layer.data.shape} (rows, columns); open a map of this image."
        )
    own = class_table_of_layer(layer)
    for entry in class_table.classes:
        if entry.name not in own.names and (index_map == entry.index).any():
            raise ClassTableError(
                f"'{layer.name}', the map that the project saves, has no class '{entry.name}'; "
                "add it in the Draw widget first."
            )
    return class_table.translate(index_map, own)


def _change(strokes: StrokeTracker, layer: Labels, labels: NDArray[Any]) -> None:
    """Change the labels of a map, as an edit that is neither drawn by hand nor protected."""
    renew_picture(layer)
    places = np.nonzero(labels != layer.data)
    with strokes.drawing_refinable(layer), strokes.programmatic_edit(layer):
        layer.data_setitem(places, labels[places])
