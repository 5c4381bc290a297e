"""Decide whether the pixels of a map are class indices or class colours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.io.pixels import Pixels, paint

BAND = 2**22
"""Approximate number of pixels that are compared at once."""
SHOWN_VALUES = 8
DEEP_WHITE = 65535
"""Full intensity of a channel of 16 bits."""


def class_indices(
    path: Path, pixels: Pixels, class_table: ClassTable, tolerance: float
) -> NDArray[Any] | None:
    """Return the class indices of a map; None if its pixels are class colours.

    Grey values are indices. Palette images, RGB images that are grey, and RGB images that only
    use their red channel are indices if their values are labels of the table while their colours
    are not class colours, except where both mean the same.

    Parameters
    ----------
    path : Path
        File, for error messages.
    pixels : Pixels
        Pixels of the map.
    class_table : ClassTable
        Class table that the map was drawn with.
    tolerance : float
        Maximum RGB distance of a colour from its class; see `decode_colours`.

    Raises
    ------
    DataError
        If the pixels might be both, or clearly are neither.
    """
    channels = pixels.channels
    if pixels.palette is None and channels.ndim == 2:
        return channels
    indices = channels if channels.ndim == 2 else _single_channel(channels)
    if indices is None:
        _check_not_one_hot(path, channels)
        return None
    used = _used(indices, pixels.transparent)
    colours = _colours(used, channels, pixels.palette)
    meant = _labels_of(colours, class_table)
    if None not in meant:
        return None
    are_labels = set(used) <= {entry.index for entry in class_table.entries}
    if are_labels and all(label in (None, value) for label, value in zip(meant, used, strict=True)):
        return indices.astype(np.uint16)
    if all(red == green == blue for red, green, blue in colours):
        if are_labels:
            raise _unclear(path, used, "as indices and in part as colours", class_table)
        if len(meant) - meant.count(None) <= 1 and _are_near(
            colours, meant, class_table, tolerance
        ):
            raise _unclear(path, used, "neither as indices nor as colours", class_table)
    return None


def _labels_of(colours: list[tuple[float, ...]], class_table: ClassTable) -> list[int | None]:
    """Return the label of each colour that is exactly a class colour; None for the others."""
    labels: dict[tuple[float, ...], int] = {
        entry.colour: entry.index for entry in class_table.entries
    }
    return [labels.get(colour) for colour in colours]


def _are_near(
    colours: list[tuple[float, ...]],
    meant: list[int | None],
    class_table: ClassTable,
    tolerance: float,
) -> bool:
    """Return whether an unknown colour would be read as a class without a word."""
    unknown = [colour for colour, label in zip(colours, meant, strict=True) if label is None]
    known = np.array([entry.colour for entry in class_table.entries], dtype=float)
    distances = np.linalg.norm(np.array(unknown)[:, None] - known, axis=2)
    return bool((distances.min(axis=1) <= tolerance).any())


def _unclear(path: Path, used: list[Any], fit: str, class_table: ClassTable) -> DataError:
    shown = ", ".join(f"{value:g}" for value in used[:SHOWN_VALUES])
    more = " …" if len(used) > SHOWN_VALUES else ""
    return DataError(
        f"{path} is a grey picture with the values {shown}{more}, which fit {fit} into the class "
        f"table '{class_table.name}'; save the class indices as a grey image of one channel, or "
        "choose the class table that the map was drawn with."
    )


def _single_channel(colours: NDArray[Any]) -> NDArray[Any] | None:
    """Return the red channel if it alone counts: all channels are equal, or the others are zero."""
    red, green, blue = (colours[..., channel] for channel in range(3))
    is_grey = all(
        np.array_equal(red[rows], green[rows]) and np.array_equal(red[rows], blue[rows])
        for rows in _bands(red)
    )
    if is_grey or not (green.any() or blue.any()):
        return red
    return None


def _bands(plane: NDArray[Any]) -> Iterator[slice]:
    step = max(1, BAND // max(1, plane.shape[1]))
    return (slice(start, start + step) for start in range(0, plane.shape[0], step))


def _used(indices: NDArray[Any], transparent: NDArray[np.bool_] | None) -> list[Any]:
    """Return the values of the pixels that are not transparent."""
    found: set[Any] = set()
    for rows in _bands(indices):
        part = indices[rows]
        found.update(np.unique(part if transparent is None else part[~transparent[rows]]).tolist())
    return sorted(found)


def _colours(
    used: list[Any], channels: NDArray[Any], palette: NDArray[np.uint8] | None
) -> list[tuple[float, ...]]:
    """Return the colours of values in 0 to 255."""
    if palette is not None:
        return [tuple(colour) for colour in paint(np.array(used, np.uint16), palette).tolist()]
    white = full_intensity(channels)
    shown = [value * 255 / white for value in used]
    is_red = bool(channels[..., 0].any() and not channels[..., 1].any())
    return [(value, 0, 0) if is_red else (value, value, value) for value in shown]


def _check_not_one_hot(path: Path, channels: NDArray[Any]) -> None:
    if (
        channels.dtype.kind in "iu"
        and channels.min(initial=0) == 0
        and channels.max(initial=0) == 1
    ):
        raise DataError(
            f"{path} has three channels with the values 0 and 1, probably one mask per class; save "
            "one plane of class indices (Y, X)."
        )


def full_intensity(channels: NDArray[Any]) -> float:
    """Return the value of full intensity in a colour map: 1, 255 or 65535."""
    if channels.dtype.kind == "b":
        return 1
    brightest = channels.max(initial=0)
    if channels.dtype.kind == "f":
        return 1 if brightest <= 1 else 255
    return 255 if brightest <= 255 else DEEP_WHITE


def map_colours(path: Path, pixels: Pixels) -> NDArray[np.uint8]:
    """Return the colours of a map, without the contrast stretching of images.

    Parameters
    ----------
    path : Path
        File, for error messages.
    pixels : Pixels
        Palette indices or colours.

    Returns
    -------
    (Y, X, 3) uint8 array

    Raises
    ------
    DataError
        If a value is not finite or out of range.
    """
    channels = pixels.channels
    if pixels.palette is not None:
        return paint(channels, pixels.palette)
    if channels.dtype == np.uint8:
        return channels
    white = full_intensity(channels)
    if channels.dtype.kind not in "buif" or not ((channels >= 0) & (channels <= white)).all():
        raise DataError(
            f"{path} has colours of the type {channels.dtype} that are not between 0 and "
            f"{white:g}; save it as an RGB image of 8 bits."
        )
    return np.rint(channels * (255 / white)).astype(np.uint8)
