"""Layers of the viewer as pairs to train on: one image, or a stack as many."""

import re
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import DataError, ImageError
from c2f_core.io import as_rgb8
from napari_c2f._layers import TABLE_KEY, class_table_of_layer

Positions = NDArray[np.uint8]


def pairs_of_layers(
    image: Image | None, coarse: Labels | None, fine: Labels | None
) -> tuple[list[Pair], ClassTable]:
    """Make pairs of layers; their pixels are copied.

    Planes on which nothing is drawn in the fine layer have no fine map, and
    those on which nothing is drawn at all are left out.

    Parameters
    ----------
    image : Image
        (Y, X) or a stack (N, Y, X), grey or RGB.
    coarse, fine : Labels
        As the image; fine may lack.

    Returns
    -------
    pairs : list of Pair
    class_table : ClassTable
        Of the coarse layer.

    Raises
    ------
    DataError, ImageError, ClassTableError
        A layer lacks, shapes or classes differ, or nothing is drawn.
    """
    if image is None or coarse is None:
        raise DataError("Choose an image and a coarse map among the layers first.")
    table = class_table_of_layer(coarse)
    pictures, coarse_maps = _planes(image), _maps(coarse, table)
    fine_maps = [None] * len(pictures) if fine is None else _maps(fine, table)
    for layer, maps in ((coarse, coarse_maps), (fine, fine_maps)):
        if layer is not None and len(maps) != len(pictures):
            raise DataError(
                f"'{image.name}' has {len(pictures)} planes and '{layer.name}' {len(maps)}; choose "
                "a map drawn on this image."
            )
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


def _planes(layer: Image | Labels) -> list[NDArray[Any]]:
    if layer.multiscale or layer.ndim not in (2, 3):
        raise ImageError(
            f"'{layer.name}' is a pyramid or has {layer.ndim} dimensions; choose an image or a "
            "stack of images."
        )
    return [layer.data] if layer.ndim == 2 else list(layer.data)


def _maps(layer: Labels, table: ClassTable) -> list[Positions]:
    own = layer.metadata.get(TABLE_KEY, table)
    translated = (own.translate(np.array(plane), table) for plane in _planes(layer))
    return [table.to_positions(labels) for labels in translated]


def _is_drawn(positions: Positions) -> bool:
    return bool((positions != UNLABELLED_POSITION).any())


def _file_name(layer_name: str, number: int | None) -> str:
    name = re.sub(r"[^\w.-]+", "_", layer_name).strip("._") or "image"
    return name if number is None else f"{name}_{number:04d}"
