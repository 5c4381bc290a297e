"""Photographs that napari opens as they are stored, turned upright by their EXIF orientation."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.notifications import show_info

from c2f_core.errors import DataError
from c2f_core.io.images import IMAGE_SUFFIXES, frame_problem, read_image, stored_orientation
from c2f_core.io.pixels import UPRIGHT, Pixels
from napari_c2f.layers.convert import plane_shape

BUILTIN_READER = "napari"
FILE_KEY = "c2f_image_file"
"""Metadata key of the file of an image that this plugin read and added as a layer."""


def turn_upright(layer: Layer) -> None:
    """Turn a photograph upright, as all other tools show it, if napari's own reader did not.

    Parameters
    ----------
    layer : Layer
        Any layer; only a photograph of one plane, read from a file, is changed.
    """
    path = _file(layer)
    if path is None:
        return
    turned = upright(path, layer.data)
    if turned is layer.data or np.array_equal(layer.data, read_image(path)):
        return
    layer.data = turned
    show_info(f"{path.name} was turned upright, as its EXIF orientation says.")


def upright(path: Path, data: Any) -> Any:
    """Return the pixels of a photograph as its EXIF orientation shows them, others unchanged.

    Parameters
    ----------
    path : Path
        File of the picture.
    data : (Y, X) or (Y, X, 3 or 4) array
        Pixels as the file stores them; of any other shape, they are no photograph.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES or np.shape(data)[2:] not in ((), (3,), (4,)):
        return data
    try:
        orientation = stored_orientation(path)
    except DataError:
        return data  # napari reads more kinds of files; their orientation is unknown.
    return data if orientation == UPRIGHT else Pixels(np.asarray(data)).upright(orientation).values


def image_file(image: Image) -> Path | None:
    """Return the file that an image was read from; None if it is unknown."""
    path = image.source.path or image.metadata.get(FILE_KEY)
    return None if path is None else Path(path)


def sideways_problem(image: Image, drawn: tuple[int, ...]) -> str:
    """Return why a map does not fit an image if it fits the picture as its file stores it.

    Parameters
    ----------
    image : Image
        Layer of the image, shown upright; only one that was read from a file is checked.
    drawn : (int, int)
        Rows and columns of the map.

    Returns
    -------
    str
        Explanation for the user; empty if the map was not drawn on the sideways picture.
    """
    path = image_file(image)
    if path is None or path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
        return ""
    return frame_problem(path, plane_shape(image), drawn)


def check_drawn_upright(image: Image, drawn: tuple[int, ...]) -> None:
    """Check that a map was not drawn on the sideways picture that the file of an image stores.

    Parameters
    ----------
    image, drawn
        See `sideways_problem`.

    Raises
    ------
    DataError
        If the map only fits the picture as it is stored.
    """
    problem = sideways_problem(image, drawn)
    if problem:
        raise DataError(problem)


def _file(layer: Layer) -> Path | None:
    """Return the file of a photograph that napari itself opened."""
    source = layer.source
    is_plane = isinstance(layer, Image) and layer.ndim == 2 and not layer.multiscale
    if not is_plane or source.path is None or source.reader_plugin != BUILTIN_READER:
        return None
    return Path(source.path)
