"""Layers of the viewer as training pairs, one per plane, and as images of a project."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import DataError, ImageError
from c2f_core.io.intensity import as_rgb8
from napari_c2f.layers.convert import TABLE_KEY, class_table_of_layer, image_plane, level0
from napari_c2f.layers.planes import check_placement
from napari_c2f.layers.upright import check_drawn_upright

ClassIds = NDArray[np.uint8]


def pairs_of_layers(
    image: Image | None, coarse: Labels | None, fine: Labels | None
) -> tuple[list[Pair], ClassTable]:
    """Make pairs from layers, and copy their pixels.

    Planes on which nothing is drawn in the fine layer have no fine map; planes on which
    nothing is drawn at all are skipped.

    Parameters
    ----------
    image : Image
        Image (Y, X) or stack (N, Y, X), grey or RGB.
    coarse, fine : Labels
        Maps of the same planes; the fine map is optional.

    Returns
    -------
    pairs : list of Pair
    class_table : ClassTable
        Class table of the coarse layer.

    Raises
    ------
    DataError, ImageError, ClassTableError
        If a layer is missing, shapes, placements or classes differ, or nothing is drawn.
    """
    if image is None or coarse is None:
        raise DataError("Choose an image and a coarse map among the layers first.")
    table = class_table_of_layer(coarse)
    for layer in (coarse, *([] if fine is None else [fine])):
        check_drawn_upright(image, level0(layer).shape)
    pictures, coarse_maps = _planes(image), _maps(coarse, table)
    fine_maps = [None] * len(pictures) if fine is None else _maps(fine, table)
    for layer, maps in ((coarse, coarse_maps), (fine, fine_maps)):
        if layer is not None and len(maps) != len(pictures):
            raise DataError(
                f"'{image.name}' has {len(pictures)} planes and '{layer.name}' {len(maps)}; choose "
                "a map drawn on this image."
            )
        if layer is not None and layer.ndim == image.ndim:
            check_placement(layer, image)
    pairs = []
    for number, (picture, drawn, fine_map) in enumerate(
        zip(pictures, coarse_maps, fine_maps, strict=True)
    ):
        wanted = fine_map if fine_map is not None and _is_drawn(fine_map) else None
        if wanted is not None or _is_drawn(drawn):
            name = _file_name(image.name, number if len(pictures) > 1 else None)
            pairs.append(Pair(name, as_rgb8(np.array(picture)), drawn, wanted))
    if not pairs:
        raise DataError(f"Nothing is drawn in '{coarse.name}'; draw at least one class.")
    return pairs, table


@dataclass(frozen=True, eq=False)
class NewImage:
    """An image for a project.

    Attributes
    ----------
    name : str
        Name of the image; it is a valid file name.
    pixels : (Y, X) or (Y, X, 3 or 4) array
        The image.
    coarse : (Y, X) unsigned integer array or None
        Coarse map, with the labels of the project's class table.
    """

    name: str
    pixels: NDArray[Any]
    coarse: NDArray[np.unsignedinteger[Any]] | None = None


def images_of_layers(layers: Iterable[Layer], class_table: ClassTable) -> list[NewImage]:
    """Copy the images among layers, or one image and its coarse map.

    Parameters
    ----------
    layers : iterable of layers
        Selected layers.
    class_table : ClassTable
        Class table into which the coarse map is translated.

    Raises
    ------
    C2FError
        If there is no image, or the map cannot be assigned to one image, has another size,
        or has classes that the class table does not have.
    """
    chosen = list(layers)
    images = [layer for layer in chosen if isinstance(layer, Image)]
    maps = [layer for layer in chosen if isinstance(layer, Labels)]
    if not images or (maps and (len(images), len(maps)) != (1, 1)):
        raise DataError(
            "Select the images to add in the layer list, or one image and its coarse map."
        )
    pixels = [np.array(image_plane(image)) for image in images]
    names = [_file_name(image.name, None) for image in images]
    if not maps:
        return [NewImage(*each) for each in zip(names, pixels, strict=True)]
    (drawn,), (picture,) = maps, pixels
    labels = level0(drawn)
    check_drawn_upright(images[0], labels.shape)
    if drawn.ndim != 2 or labels.shape != picture.shape[:2]:
        raise DataError(
            f"'{drawn.name}' and '{images[0].name}' differ in size; select a map that was drawn on "
            "this image."
        )
    check_placement(drawn, images[0])
    coarse = class_table_of_layer(drawn).translate(np.array(labels), class_table)
    return [NewImage(names[0], picture, coarse)]


def _planes(layer: Image | Labels) -> list[NDArray[Any]]:
    if layer.multiscale or layer.ndim not in (2, 3):
        raise ImageError(
            f"'{layer.name}' is a pyramid or has {layer.ndim} dimensions; choose an image or a "
            "stack of images."
        )
    return [layer.data] if layer.ndim == 2 else list(layer.data)


def _maps(layer: Labels, table: ClassTable) -> list[ClassIds]:
    own = layer.metadata.get(TABLE_KEY, table)
    translated = (own.translate(np.array(plane), table) for plane in _planes(layer))
    return [table.to_class_ids(labels) for labels in translated]


def _is_drawn(class_ids: ClassIds) -> bool:
    return bool((class_ids != UNLABELLED_ID).any())


def _file_name(layer_name: str, number: int | None) -> str:
    name = re.sub(r"[^\w.-]+", "_", layer_name).strip("._") or "image"
    return name if number is None else f"{name}_{number:04d}"
