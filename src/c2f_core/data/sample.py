"""A public-domain photograph with a coarse and a fine map."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut
from skimage.draw import polygon

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import Pair

CROP = (slice(0, 256), slice(100, 356))
CROP_SIDE = 256


def astronaut_pair(side: int = 512) -> Pair:
    """Return the face of NASA's portrait of Eileen Collins with a coarse and a fine map.

    The photograph is part of scikit-image and in the public domain. The maps are
    stored as outlines (`astronaut.toml`) and therefore sharp at any size. The coarse
    outlines are rough sketches, the fine ones were traced point by point in the
    magnified photograph. Neither was made from the output of a refiner.

    Parameters
    ----------
    side : int
        Side length in pixels; the crop of 256 x 256 pixels is magnified bicubically.

    Returns
    -------
    Pair
        Image and maps of shape (side, side), with the class table "fasseg".
    """
    crop = Image.fromarray(astronaut()[CROP])
    text = files("c2f_core.data").joinpath("astronaut.toml").read_text(encoding="utf-8")
    outlines = tomllib.loads(text)
    return Pair(
        name="astronaut",
        image=np.array(crop.resize((side, side), Image.Resampling.BICUBIC)),
        coarse=_painted(outlines["coarse"], side),
        fine=_painted(outlines["fine"], side),
    )


def _painted(outlines: Sequence[dict[str, Any]], side: int) -> NDArray[np.uint8]:
    """Paint outlines in order over the background; return (side, side) class ids."""
    names = astronaut_class_table().names
    class_ids = np.zeros((side, side), dtype=np.uint8)
    for entry in outlines:
        # Outlines start at the corner of the first pixel, polygon() at its centre.
        x, y = np.array(entry["outline"]).T * side / CROP_SIDE - 0.5
        class_ids[polygon(y, x, class_ids.shape)] = names.index(entry["class"])
    return class_ids


def astronaut_class_table() -> ClassTable:
    """Return the class table of `astronaut_pair`."""
    return ClassTable.preset("fasseg")
