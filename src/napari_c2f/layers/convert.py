"""Between napari's layers and the arrays and class tables of the core."""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.types import LayerDataTuple
from napari.utils import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import ClassTableError, ImageError

REJECTED_KEY = "c2f_rejected"
"""Metadata key of a final layer: keys of the rejected regions, see `ChangedPixels.keys`."""

TABLE_KEY = "c2f_class_table"
RESULT_KEY = "c2f_result"
"""Metadata key of the layers that refining made."""
COARSE_KEY = "c2f_coarse"
"""Of a fine layer: `unique_id` of the layer that was refined."""
CONFIDENCE_KEY = "c2f_confidence"
"""Of a fine layer, and those of its reviews: `unique_id` of its confidence layer."""
PROVENANCE_KEY = "c2f_provenance"
"""Of a fine layer: how it was made, as JSON; see `c2f_core.refine.record.run_record`."""
PLACE_KEY = "c2f_place"
"""Of a fine layer that covers a part of its coarse layer: that part, a slice of each axis."""
FINE_KEY = "c2f_fine"
"""Of the layers of a review: `unique_id` of the fine layer whose changes are reviewed."""
IMAGE_KEY = "c2f_image"
"""Of the coarse layer of a project's open image: `unique_id` of the image's layer."""
CLOSED_KEY = "c2f_left"
"""Of the coarse layer of a project's image that made room for another."""
DOUBT = Colormap([[1, 0, 1, 1], [1, 0, 1, 0]], name="doubt", display_name="doubt")
"""Magenta where the confidence is low, transparent where it is high."""
CONFIDENCE_LIMITS = 0.5, 0.95
"""Confidences at which the colour is full and gone."""
AnyLayer = TypeVar("AnyLayer", bound=Layer)
SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def label_colormap(class_table: ClassTable) -> DirectLabelColormap:
    """Make napari's colours of a class table; unlabelled and unknown are transparent.

    napari's eraser makes pixels unlabelled, whatever index that has.
    """
    transparent = np.zeros(4)
    colours: dict[int | None, NDArray[Any]] = {None: transparent}
    for entry in class_table.classes:
        colours[entry.index] = np.array([*(channel / 255 for channel in entry.colour), 1.0])
    colours[class_table.unlabelled.index] = transparent
    return DirectLabelColormap(color_dict=colours, background_value=class_table.unlabelled.index)


def labels_layer_data(
    index_map: NDArray[Any], class_table: ClassTable, name: str
) -> LayerDataTuple:
    """Describe a Labels layer with the colours and names of a class table.

    Parameters
    ----------
    index_map : (..., Y, X) unsigned integer array
        Class indices.
    class_table : ClassTable
    name : str

    Returns
    -------
    (data, keyword arguments, "labels")
    """
    keywords = {
        "name": name,
        "colormap": label_colormap(class_table),
        "features": _class_features(class_table),
        "metadata": {TABLE_KEY: class_table},
    }
    return index_map, keywords, "labels"


def _class_features(class_table: ClassTable) -> pd.DataFrame:
    """Return what napari shows of each label under the mouse."""
    return pd.DataFrame(
        {
            "index": [entry.index for entry in class_table.entries],
            "name": [entry.name for entry in class_table.entries],
        }
    )


def new_map(
    viewer: ViewerModel,
    index_map: NDArray[Any],
    class_table: ClassTable,
    name: str,
    spatial: dict[str, Any],
    **metadata: Any,
) -> Labels:
    """Make the layer of a map, for a viewer; it is not added to it.

    Parameters
    ----------
    viewer : ViewerModel
    index_map : (..., Y, X) unsigned integer array
        Class indices.
    class_table : ClassTable
    name : str
        Of the layer; a number follows it where another layer has it.
    spatial : dict
        Where the layer lies in the world; see `spatial_keywords`.
    **metadata
        Of the layer, besides its class table.
    """
    data, keywords, _ = labels_layer_data(index_map, class_table, unique_name(viewer.layers, name))
    keywords["metadata"].update(metadata)
    return Labels(data, **keywords, **spatial)


def add_map(
    viewer: ViewerModel,
    index_map: NDArray[Any],
    class_table: ClassTable,
    name: str,
    spatial: dict[str, Any],
    **metadata: Any,
) -> Labels:
    """Add a map to a viewer, see `new_map`.

    It returns the layer itself: the viewer would return a proxy of it.
    """
    layer = new_map(viewer, index_map, class_table, name, spatial, **metadata)
    viewer.add_layer(layer)
    return layer


def set_class_table(layer: Labels, class_table: ClassTable) -> None:
    """Give a Labels layer the colours and names of a class table; its labels stay."""
    layer.metadata[TABLE_KEY] = class_table
    colormap = label_colormap(class_table)
    colormap.use_selection, colormap.selection = layer.show_selected_label, layer.selected_label
    layer.colormap = colormap
    layer.features = _class_features(class_table)  # Last: its event tells of the whole change.


def confidence_layer_data(confidence: NDArray[np.float32], name: str) -> LayerDataTuple:
    """Describe an Image layer of confidences in which the doubtful places stand out.

    Parameters
    ----------
    confidence : (..., Y, X) float32 array
        In [0, 1]; NaN where nothing was refined.
    name : str

    Returns
    -------
    (data, keyword arguments, "image")
    """
    keywords = {
        "name": name,
        "colormap": DOUBT,
        "contrast_limits": CONFIDENCE_LIMITS,
        "blending": "translucent",
        "metadata": {RESULT_KEY: True},
    }
    return confidence, keywords, "image"


def class_table_of_layer(layer: Labels) -> ClassTable:
    """Return the class table of a Labels layer, or make one from its labels and colours.

    A layer without a table gets a class for each label that it holds, but its
    background, napari's 0, which is unlabelled.

    Raises
    ------
    ClassTableError
        The layer holds no label but that.
    """
    table = layer.metadata.get(TABLE_KEY)
    if isinstance(table, ClassTable):
        return table
    names, background = _names_by_index(layer), layer.colormap.background_value
    entries: dict[int, tuple[str, tuple[int, int, int]]] = {}
    taken: set[tuple[int, int, int]] = set()
    for label in np.unique(np.asarray(level0(layer))).tolist():
        if label != background:
            colour = _distinct(_colour_of(layer, label), taken)
            taken.add(colour)
            entries[label] = (names.get(label, f"class {label}"), colour)
    if not entries:
        raise ClassTableError(f"Nothing is drawn in '{layer.name}'; draw at least one class.")
    return table_from_colours(layer.name, entries, background)


def _names_by_index(layer: Labels) -> dict[int, str]:
    features = layer.features
    if not {"index", "name"} <= set(features.columns):
        return {}
    return dict(zip(features["index"].tolist(), map(str, features["name"]), strict=True))


def _colour_of(layer: Labels, label: int) -> tuple[int, int, int]:
    red, green, blue = (round(255 * float(channel)) for channel in layer.get_color(label)[:3])
    return red, green, blue


def _distinct(
    colour: tuple[int, int, int], taken: set[tuple[int, int, int]]
) -> tuple[int, int, int]:
    """Return the colour, or the next one that no other class has."""
    code = (colour[0] << 16) + (colour[1] << 8) + colour[2]
    while (code >> 16, code >> 8 & 255, code & 255) in taken:
        code = (code + 1) % (1 << 24)
    return code >> 16, code >> 8 & 255, code & 255


def spatial_keywords(layer: Layer) -> dict[str, Any]:
    """Return where a layer lies in the world, as keyword arguments of a new layer."""
    return {name: getattr(layer, name) for name in SPATIAL}


def unique_name(taken: Any, wanted: str) -> str:
    """Return a name that no layer of the list has, so that none is mistaken for another."""
    names = {layer.name for layer in taken}
    number, name = 1, wanted
    while name in names:
        number += 1
        name = f"{wanted} {number}"
    return name


def preferred_layer(
    layers: Iterable[Layer], selected: Iterable[Layer], kind: type[AnyLayer], current: Any
) -> AnyLayer | None:
    """Return the layer of a kind that the user most likely means.

    That is the topmost selected one, else the current one, else the topmost.
    Hidden layers and what refining made are taken only where they are the current one.

    Parameters
    ----------
    layers : iterable of layers
        From the bottom to the top.
    selected : iterable of layers
    kind : type
        `Image` or `Labels`.
    current : layer or None
    """
    layers = list(layers)
    drawn = [
        layer
        for layer in layers
        if isinstance(layer, kind) and layer.visible and RESULT_KEY not in layer.metadata
    ]
    chosen = [layer for layer in drawn if layer in selected]
    if chosen:
        return chosen[-1]
    if any(layer is current for layer in layers):
        return current
    return drawn[-1] if drawn else None


def coarse_of(layers: Iterable[Layer], fine: Layer) -> Labels | None:
    """Return the layer that was refined into a fine one; None if it is gone."""
    return _known(layers, fine.metadata.get(COARSE_KEY), Labels)


def confidence_of(layers: Iterable[Layer], fine: Layer) -> Image | None:
    """Return the confidence layer of a fine one; None if it is gone."""
    return _known(layers, fine.metadata.get(CONFIDENCE_KEY), Image)


def _known(layers: Iterable[Layer], wanted: Any, kind: type[AnyLayer]) -> AnyLayer | None:
    for layer in layers:
        if layer.unique_id == wanted and isinstance(layer, kind):
            return layer
    return None


def image_plane(layer: Image) -> NDArray[Any]:
    """Return an Image layer's pixels as (Y, X) or (Y, X, 3 or 4).

    Raises
    ------
    ImageError
        The layer is a stack.
    """
    if layer.ndim != 2 or layer.multiscale:
        raise ImageError(f"'{layer.name}' is a stack or a pyramid; choose a two-dimensional image.")
    return np.asarray(layer.data)


def level0(layer: Layer) -> Any:
    """Return a layer's data, of a pyramid the finest level; they may be loaded lazily."""
    return layer.data[0] if layer.multiscale else layer.data


def plane_shape(image: Image) -> tuple[int, ...]:
    """Return the shape (..., Y, X) of an image or stack, without its colours."""
    shape = tuple(level0(image).shape)
    return shape[:-1] if image.rgb else shape
