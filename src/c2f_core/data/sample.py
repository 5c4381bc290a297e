"""A photograph that everyone may use, with a coarse map sketched by hand."""

import numpy as np
from PIL import Image
from skimage.data import astronaut
from skimage.draw import ellipse

from c2f_core.classes import ClassTable
from c2f_core.data.pairs import Pair

CROP = (slice(0, 256), slice(100, 356))
SKETCH = (
    # position, row, column, radius in rows, radius in columns; shares of the side
    (1, 0.283, 0.498, 0.225, 0.293),
    (2, 0.527, 0.488, 0.225, 0.171),
    (3, 0.396, 0.400, 0.018, 0.037),
    (3, 0.400, 0.576, 0.018, 0.037),
    (4, 0.469, 0.485, 0.059, 0.049),
    (5, 0.571, 0.483, 0.029, 0.068),
)
"""Hair, skin, both eyes, nose and mouth as ellipses, painted in this order."""


def astronaut_pair(side: int = 512) -> Pair:
    """Return the face of NASA's portrait of Eileen Collins with a coarse map.

    The photograph comes with scikit-image and is in the public domain.

    Parameters
    ----------
    side : int
        Pixels of each side; the 256 x 256 crop is magnified bicubically.

    Returns
    -------
    Pair
        Of the class table "fasseg", without a fine map.
    """
    crop = Image.fromarray(astronaut()[CROP])
    image = np.array(crop.resize((side, side), Image.Resampling.BICUBIC))
    coarse = np.zeros((side, side), dtype=np.uint8)
    for position, *geometry in SKETCH:
        row, column, rows, columns = (value * side for value in geometry)
        coarse[ellipse(row, column, rows, columns, shape=coarse.shape)] = position
    return Pair(name="astronaut", image=image, coarse=coarse, fine=None)


def astronaut_class_table() -> ClassTable:
    """Return the class table of `astronaut_pair`."""
    return ClassTable.preset("fasseg")
