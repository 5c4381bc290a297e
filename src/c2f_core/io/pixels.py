"""Pixels of an image file, before they are taken as an image or as a map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
"""Orientation of a picture that is stored as it is shown."""
ORIENTATION_TAG = 274
"""Number of the EXIF and TIFF tag of the orientation."""
TURNS: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What turns a stored picture upright, by its orientation; 5 to 8 exchange height and width."""


@dataclass(frozen=True)
class Pixels:
    """Pixels as a file stores them.

    Attributes
    ----------
    values : (Y, X) or (Y, X, 2, 3 or 4) array
        Grey values, palette indices or RGB colours; of 2 or 4 channels the last one is alpha.
    palette : (N, 3) uint8 array or None
        Colours of palette indices; None for grey values and colours.
    """

    values: NDArray[Any]
    palette: NDArray[np.uint8] | None = None

    @property
    def channels(self) -> NDArray[Any]:
        """Values without alpha, (Y, X) or (Y, X, 3)."""
        if self.values.ndim == 2:
            return self.values
        return self.values[..., 0] if self.values.shape[2] == 2 else self.values[..., :3]

    @property
    def transparent(self) -> NDArray[np.bool_] | None:
        """Pixels that are fully transparent, (Y, X); None if there are none."""
        if self.values.ndim == 2 or self.values.shape[2] not in (2, 4):
            return None
        clear: NDArray[np.bool_] = self.values[..., -1] == 0
        return clear if clear.any() else None

    def upright(self, orientation: Any) -> "Pixels":
        """Return the pixels as a viewer shows them.

        Parameters
        ----------
        orientation : any value
            EXIF orientation; everything but 2 to 8 means that nothing is turned.
        """
        turn = TURNS.get(orientation) if isinstance(orientation, int) else None
        return (
            self if turn is None else replace(self, values=np.ascontiguousarray(turn(self.values)))
        )


def paint(values: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours of palette indices; indices beyond the palette are black.

    Parameters
    ----------
    values : (Y, X) unsigned integer array
        Palette indices.
    palette : (N, 3) uint8 array
        RGB colours.

    Returns
    -------
    (Y, X, 3) uint8 array
    """
    colours = np.zeros((max(len(palette), int(values.max(initial=0)) + 1), 3), dtype=np.uint8)
    colours[: len(palette)] = palette
    painted: NDArray[np.uint8] = colours[values]
    return painted
