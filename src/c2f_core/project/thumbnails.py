"""Thumbnails of the images of a project, which are kept in its folder."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c2f_core.errors import DataError, WritingError
from c2f_core.geometry.arrays import Sliceable
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import read_image
from c2f_core.io.intensity import as_rgb8, intensity_limits
from c2f_core.io.large import open_image
from c2f_core.project.files import describing_errors
from c2f_core.project.layout import thumbnail_file
from c2f_core.project.project import Project

LONGEST_SIDE = 64
"""Largest height and width of a thumbnail, in pixels."""


def read_thumbnail(project: Project, name: str) -> NDArray[np.uint8]:
    """Return a small picture of an image of a project, upright.

    It is made once and kept in the folder `thumbnails` of the project, until the file of the image
    changes. Large images are read part by part.

    Parameters
    ----------
    project : Project
        Project that contains the image.
    name : str
        Name of the image.

    Returns
    -------
    (y, x, 3) uint8 array
        RGB picture of at most `LONGEST_SIDE` pixels in height and width.

    Raises
    ------
    DataError
        If the project does not contain the image, or its file cannot be read.
    """
    source, file = project.image_path(name), thumbnail_file(project.root, name)
    with describing_errors(project.root):
        changed = source.stat().st_mtime_ns
        kept = _read_kept(file, changed)
        if kept is not None:
            return kept
        picture = reduced(open_image(source, file.parent), LONGEST_SIDE)
        with suppress(WritingError):  # The picture can be shown even if the disk is full.
            _keep(file, picture, changed)
    return picture


def reduced(image: Sliceable, longest_side: int) -> NDArray[np.uint8]:
    """Return an image in 8-bit RGB, reduced by averaging to at most `longest_side` pixels.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image in memory or on disk, of which one band of rows at a time is loaded.
    longest_side : int
        Largest height and width of the result in pixels; smaller images keep their size.

    Returns
    -------
    (y, x, 3) uint8 array

    Raises
    ------
    ImageError
        If the image is empty, or its values cannot be shown.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    rows, columns = max(1, round(scale * height)), max(1, round(scale * width))
    limits = intensity_limits(image)
    edges = np.linspace(0, height, rows + 1).round().astype(int)
    picture = np.empty((rows, columns, 3), dtype=np.uint8)
    for row, (top, bottom) in enumerate(pairwise(edges)):
        band = Image.fromarray(as_rgb8(np.asarray(image[top:bottom, 0:width]), limits))
        picture[row] = np.asarray(band.resize((columns, 1), Image.Resampling.BOX))
    return picture


def _read_kept(file: Path, changed: int) -> NDArray[np.uint8] | None:
    """Return the thumbnail in a file if it was made from the current file of the image."""
    if not file.is_file() or file.stat().st_mtime_ns != changed:
        return None
    try:
        return read_image(file)
    except DataError:  # A damaged thumbnail is made again.
        return None


def _keep(file: Path, picture: NDArray[np.uint8], changed: int) -> None:
    """Write a thumbnail; its time of change is that of the image, so that both belong together."""
    with atomic_path(file) as temporary:
        Image.fromarray(picture).save(temporary)
        os.utime(temporary, ns=(changed, changed))
