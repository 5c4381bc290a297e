"""napari layers to and from the arrays and class tables of the core."""

import re
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from napari.components import LayerList, ViewerModel
from napari.layers import Image, Labels, Layer
from napari.types import LayerDataTuple
from napari.utils import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from c2f_core.classes.codec import MAX_CLASSES, MAX_LABEL
from c2f_core.classes.table import ClassEntry, ClassTable, table_from_colours
from c2f_core.errors import ClassTableError, ImageError

SHOWN_LABELS = 5
TABLE_KEY = "c2f_class_table"
"""Metadata key of a map's class table."""
RESULT_KEY = "c2f_result"
"""Metadata key of layers that this plugin computed: no tool proposes them as its input."""
BACKGROUND_KEY = "c2f_shows_background"
"""Metadata key of whether a map shows the class 'background' in its colour."""
OPACITY = 0.5
"""Opacity of maps, so that the image can be seen."""
DOUBT = Colormap([[1, 0, 1, 1], [1, 0, 1, 0]], name="doubt", display_name="doubt")
"""Magenta where the confidence is low, transparent where it is high."""
CONFIDENCE_LIMITS = 0.5, 0.95
"""Confidences at which the colour is opaque, and fully transparent."""
AnyLayer = TypeVar("AnyLayer", bound=Layer)
_ROLE = re.compile(
    r"(?P<stem>.*?)(?P<gap>^|[ ._-])"
    r"(?:coarse(?P<number> \d+| \[\d+\])?|(?:coarse[ _])?(?:fine|final|refined)(?: \d+| \[\d+\])?)",
    re.IGNORECASE,
)
"""Name of a map whose end says what kind of map it is; earlier versions wrote "refined"."""
SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def label_colormap(class_table: ClassTable, background: bool = False) -> DirectLabelColormap:
    """Return napari's colours of a class table; unlabelled and unknown labels are transparent.

    napari's background is the label of unlabelled pixels, so that its eraser erases to it.

    Parameters
    ----------
    class_table : ClassTable
        Class table of a map.
    background : bool
        Whether the class 'background' is shown in its colour, and not transparent.
    """
    transparent = np.zeros(4)
    colours: dict[int | None, NDArray[Any]] = {None: transparent}
    for entry in class_table.classes:
        alpha = 0.0 if is_background(entry) and not background else 1.0
        colours[entry.index] = np.array([*(channel / 255 for channel in entry.colour), alpha])
    colours[class_table.unlabelled.index] = transparent
    return DirectLabelColormap(color_dict=colours, background_value=class_table.unlabelled.index)


def is_background(entry: ClassEntry) -> bool:
    """Return whether a class is the background, by its name."""
    return entry.name.strip().casefold() == "background"


def labels_layer_data(
    index_map: NDArray[Any], class_table: ClassTable, name: str
) -> LayerDataTuple:
    """Describe a Labels layer with the colours and names of a class table.

    Parameters
    ----------
    index_map : (..., Y, X) unsigned integer array
        Labels of the classes.
    class_table : ClassTable
        Class table of the map.
    name : str
        Name of the layer.

    Returns
    -------
    (data, keyword arguments, "labels")
    """
    keywords = {
        "name": name,
        "colormap": label_colormap(class_table),
        "features": _class_features(class_table),
        "metadata": {TABLE_KEY: class_table},
        "opacity": OPACITY,
    }
    return index_map, keywords, "labels"


def _class_features(class_table: ClassTable) -> pd.DataFrame:
    """Return what napari shows in its status bar for the label under the mouse."""
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
    *,
    is_result: bool = False,
) -> Labels:
    """Make the layer of a map, without adding it to the viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer in which the layer's name is unique.
    index_map : (..., Y, X) unsigned integer array
        Labels of the classes.
    class_table : ClassTable
        Class table of the map.
    name : str
        Name of the new layer; a number is appended if another layer already has it.
    spatial : dict
        Placement of the layer in the world; see `spatial_keywords`.
    is_result : bool
        Whether this plugin computed the map, so that no tool proposes it as its input.
    """
    data, keywords, _ = labels_layer_data(index_map, class_table, unique_name(viewer.layers, name))
    if is_result:
        keywords["metadata"][RESULT_KEY] = True
    return Labels(data, **keywords, **spatial)


def add_map(
    viewer: ViewerModel,
    index_map: NDArray[Any],
    class_table: ClassTable,
    name: str,
    spatial: dict[str, Any],
) -> Labels:
    """Add a map to a viewer, see `new_map`, and return its layer, not a proxy of it."""
    layer = new_map(viewer, index_map, class_table, name, spatial)
    viewer.add_layer(layer)
    return layer


def set_class_table(layer: Labels, class_table: ClassTable) -> None:
    """Give a Labels layer the colours and names of a class table; its labels do not change."""
    layer.metadata[TABLE_KEY] = class_table
    _show_colours(layer, class_table)
    layer.features = _class_features(class_table)  # Last: its event tells of the whole change.


def show_background(layer: Labels, shown: bool) -> None:
    """Show the class 'background' of a map in its colour, or transparent."""
    layer.metadata[BACKGROUND_KEY] = shown
    table = layer.metadata.get(TABLE_KEY)
    if isinstance(table, ClassTable):
        _show_colours(layer, table)


def _show_colours(layer: Labels, class_table: ClassTable) -> None:
    colormap = label_colormap(class_table, bool(layer.metadata.get(BACKGROUND_KEY)))
    colormap.use_selection, colormap.selection = layer.show_selected_label, layer.selected_label
    layer.colormap = colormap


def confidence_layer_data(confidence: NDArray[np.float32], name: str) -> LayerDataTuple:
    """Describe an Image layer of confidences in which doubtful regions stand out.

    Parameters
    ----------
    confidence : (..., Y, X) float32 array
        Confidence in [0, 1]; NaN where nothing was refined.
    name : str
        Name of the layer.

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

    Raises
    ------
    ClassTableError
        If the layer has no class table, and contains only its background.
    """
    table = layer.metadata.get(TABLE_KEY)
    if isinstance(table, ClassTable):
        return table
    return class_table_of_labels(level0(layer), layer.name, layer.colormap, layer.features)


def class_table_of_labels(
    labels: NDArray[Any], name: str, colormap: Any, features: pd.DataFrame
) -> ClassTable:
    """Make a class table from the labels of a layer, and their colours.

    Parameters
    ----------
    labels : (..., Y, X) integer array
        Each label becomes a class, except the background (0 by default), which is unlabelled.
    name : str
        Name of the layer, and of the class table.
    colormap : CyclicLabelColormap or DirectLabelColormap
        Colours of the labels.
    features : DataFrame
        Features of the layer; columns "index" and "name" name the classes.

    Raises
    ------
    ClassTableError
        If there are no labels but the background, too many of them, or a label is out of range.
    """
    check_labels(labels, name)
    names, background = _names_by_label(features), colormap.background_value
    entries: dict[int, tuple[str, tuple[int, int, int]]] = {}
    taken: set[tuple[int, int, int]] = set()
    for label in np.unique(np.asarray(labels)).tolist():
        if label != background:
            colour = _distinct(_rgb(colormap.map(label)), taken)
            taken.add(colour)
            entries[label] = (names.get(label, f"class {label}"), colour)
    if not entries:
        raise ClassTableError(f"Nothing is drawn in '{name}'; draw at least one class.")
    if len(entries) > MAX_CLASSES:
        raise ClassTableError(
            f"'{name}' has {len(entries)} labels, but a class map has at most {MAX_CLASSES} "
            "classes; choose a layer whose labels are classes, not objects. napari itself saves "
            "any labels as .tif, with the file type 'napari builtins labels'."
        )
    return table_from_colours(name, entries, background)


def check_labels(labels: NDArray[Any], name: str) -> None:
    """Check that the labels of a layer can be stored in a class map.

    Raises
    ------
    ClassTableError
        If a label is negative or larger than 65535.
    """
    present = np.unique(np.asarray(labels))
    wrong = [label for label in present.tolist() if not 0 <= label <= MAX_LABEL]
    if wrong:
        shown = ", ".join(map(str, wrong[:SHOWN_LABELS])) + (" …" if wrong[SHOWN_LABELS:] else "")
        what = "label" if len(wrong) == 1 else "labels"
        raise ClassTableError(
            f"The layer '{name}' has the {what} {shown}, but labels of classes range from 0 to "
            f"{MAX_LABEL}; change these pixels to a label in this range, or to the background, "
            "with napari's fill bucket (choose the label, then click the pixels)."
        )


def _names_by_label(features: pd.DataFrame) -> dict[int, str]:
    if not {"index", "name"} <= set(features.columns):
        return {}
    return dict(zip(features["index"].tolist(), map(str, features["name"]), strict=True))


def _rgb(colour: NDArray[np.floating[Any]]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * float(channel)) for channel in colour[:3])
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
    """Return the placement of a layer in the world, as keyword arguments of a new layer."""
    return {name: getattr(layer, name) for name in SPATIAL}


def unique_name(taken: Any, wanted: str) -> str:
    """Return a name that no layer of a list has: the wanted one, or one with a number."""
    names = {layer.name for layer in taken}
    number, name = 1, wanted
    while name in names:
        number += 1
        name = f"{wanted} {number}"
    return name


def name_of_result(map_name: str, kind: str) -> str:
    """Return the name of a layer that is made from a map.

    The word at the end of the map's name that says what it is gives way to the new one:
    "cat coarse" and "cat fine" give "cat final". Other names are extended: "cat" gives "cat final".
    The number of a coarse map stays: "cat coarse 2" gives "cat final 2".

    Parameters
    ----------
    map_name : str
        Name of the map's layer.
    kind : str
        What the new layer is, in one word: "fine", "confidence", "final" or "changes".
    """
    match = _ROLE.fullmatch(map_name)
    if match is None:
        return f"{map_name} {kind}"
    return f"{match['stem']}{match['gap']}{kind}{match['number'] or ''}"


def preferred_layer(layers: LayerList, kind: type[AnyLayer], current: Any) -> AnyLayer | None:
    """Return the layer of a kind that the user most likely means.

    That is the topmost selected one, else the current one, else the topmost.
    Hidden layers and what refining made are taken only where they are the current one.

    Parameters
    ----------
    layers : LayerList
        Layers of the viewer, from the bottom to the top, with their selection.
    kind : type of Layer
        `Image`, `Labels` or `Shapes`.
    current : Layer or None
        Layer that is chosen now.
    """
    drawn: list[AnyLayer] = [
        layer
        for layer in layers
        if isinstance(layer, kind) and layer.visible and RESULT_KEY not in layer.metadata
    ]
    chosen = [layer for layer in drawn if layer in layers.selection]
    if chosen:
        return chosen[-1]
    if isinstance(current, kind) and any(layer is current for layer in layers):
        return current
    return drawn[-1] if drawn else None


def image_plane(layer: Image) -> NDArray[Any]:
    """Return an Image layer's pixels as (Y, X) or (Y, X, 3 or 4).

    Raises
    ------
    ImageError
        If the layer is a stack or a pyramid.
    """
    if layer.ndim != 2 or layer.multiscale:
        raise ImageError(f"'{layer.name}' is a stack or a pyramid; choose a two-dimensional image.")
    return np.asarray(layer.data)


def level0(layer: Layer) -> Any:
    """Return a layer's data, which may be lazy; of a pyramid, the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def plane_shape(image: Image) -> tuple[int, ...]:
    """Return the shape (..., Y, X) of an image or stack, without the axis of colours."""
    shape = tuple(level0(image).shape)
    return shape[:-1] if image.rgb else shape
