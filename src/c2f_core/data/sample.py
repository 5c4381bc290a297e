"""A photograph that everyone may use, with a coarse and a fine map."""

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

    The photograph comes with scikit-image and is in the public domain. The maps
    are outlines (`astronaut.toml`) and so are sharp at any size: the coarse one
    roughly sketched, the fine one traced point by point along the edges in the
    magnified photograph. Neither was made from the output of a refiner.

    Parameters
    ----------
    side : int
        Pixels of each side; the 256 x 256 crop is magnified bicubically.

    Returns
    -------
    Pair
        Of the class table "fasseg".
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
    """Paint outlines over background, each over those before; (side, side) positions."""
    names = astronaut_class_table().names
    positions = np.zeros((side, side), dtype=np.uint8)
    for entry in outlines:
        # Outlines count from the corner of the first pixel, polygon() from its centre.
        x, y = np.array(entry["outline"]).T * side / CROP_SIDE - 0.5
        positions[polygon(y, x, positions.shape)] = names.index(entry["class"])
    return positions


def astronaut_class_table() -> ClassTable:
    """Return the class table of `astronaut_pair`."""
    return ClassTable.preset("fasseg")
