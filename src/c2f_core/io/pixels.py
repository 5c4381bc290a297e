"""Pixels of an image file, before they are taken as an image or as a map."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Size, Sliceable, Window, row_bands

Kind = Literal["image", "map"]
"""What a file should be."""
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
FLIPS = {2: (0, 1), 3: (1, 1), 4: (1, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
"""Whether the same turns count the stored rows, and columns, from the other end."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""


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
    def shown(self) -> NDArray[Any]:
        """Grey values or colours, (Y, X) or (Y, X, 3 or 4); palette indices as colours."""
        if self.palette is not None:
            return paint(self.channels, self.palette)
        return self.channels if self.values.shape[2:] == (2,) else self.values

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


@dataclass(frozen=True)
class Parts:
    """Pixels of a file that are decoded part by part.

    Attributes
    ----------
    size : (int, int)
        Height and width of the stored picture in pixels.
    orientation : any value
        EXIF orientation; see `Pixels.upright`.
    decoded : iterator of ((slice, slice), Pixels)
        Parts that together cover the stored picture, and their rows and columns.
    """

    size: Size
    orientation: Any
    decoded: Iterator[tuple[Window, Pixels]]


@dataclass(frozen=True)
class StoredPixels:
    """Pixels in memory or on disk, which are read part by part.

    Attributes
    ----------
    values : (Y, X) or (Y, X, 2, 3 or 4) array
        Values as in `Pixels`.
    palette : (N, 3) uint8 array or None
        Colours of palette indices; None for grey values and colours.
    """

    values: Sliceable
    palette: NDArray[np.uint8] | None = None

    @property
    def size(self) -> Size:
        """Number of rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    def __getitem__(self, key: Any, /) -> Pixels:
        """Return a part."""
        return Pixels(np.asarray(self.values[key]), self.palette)

    def bands(self) -> Iterator[tuple[slice, Pixels]]:
        """Yield bands of rows from the top, and which rows they are."""
        for rows in row_bands(self.size):
            yield rows, self[rows]


def upright_window(window: Window, size: Size, orientation: Any) -> Window:
    """Return where a part of a stored picture is in the upright one.

    Parameters
    ----------
    window : (slice, slice)
        Rows and columns of the stored picture.
    size : (int, int)
        Height and width of the stored picture in pixels.
    orientation : any value
        EXIF orientation; see `Pixels.upright`.
    """
    if not isinstance(orientation, int) or orientation not in TURNS:
        return window
    rows, columns = (
        slice(length - axis.stop, length - axis.start) if flipped else axis
        for axis, length, flipped in zip(window, size, FLIPS.get(orientation, (0, 0)), strict=True)
    )
    return (columns, rows) if orientation in SIDEWAYS else (rows, columns)


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
    painted: NDArray[np.uint8] = colours.take(values, axis=0)  # Quicker than by index.
    return painted
