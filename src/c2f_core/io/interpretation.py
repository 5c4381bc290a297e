"""Decide whether the pixels of a map are class indices or class colours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.io.pixels import Pixels, StoredPixels, paint

SHOWN_VALUES = 8
DEEP_WHITE = 65535
"""Full intensity of a channel of 16 bits."""


def holds_indices(
    path: Path, pixels: StoredPixels, class_table: ClassTable, tolerance: float
) -> bool:
    """Return whether the pixels of a map are class indices, and not class colours.

    Grey values are indices. Palette images, RGB images that are grey, and RGB images that only
    use their red channel are indices if their values are labels of the table while their colours
    are not class colours, except where both mean the same.

    Parameters
    ----------
    path : Path
        File, for error messages.
    pixels : StoredPixels
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
    is_plane = pixels[:1, :1].channels.ndim == 2
    if pixels.palette is None and is_plane:
        return True
    if not is_plane and not _is_single_channel(pixels):
        _check_not_one_hot(path, pixels)
        return False
    used = _used(pixels)
    colours = _colours(used, pixels)
    meant = _labels_of(colours, class_table)
    if None not in meant:
        return False
    are_labels = set(used) <= {entry.index for entry in class_table.entries}
    if are_labels and all(label in (None, value) for label, value in zip(meant, used, strict=True)):
        return True
    if all(red == green == blue for red, green, blue in colours):
        if are_labels:
            raise _unclear(path, used, "as indices and in part as colours", class_table)
        if len(meant) - meant.count(None) <= 1 and _are_near(
            colours, meant, class_table, tolerance
        ):
            raise _unclear(path, used, "neither as indices nor as colours", class_table)
    return False


def class_indices(part: Pixels) -> NDArray[Any]:
    """Return the class indices (Y, X) of a part of a map that holds some; see `holds_indices`."""
    channels = part.channels
    if part.palette is None and channels.ndim == 2:
        return channels
    return (channels if channels.ndim == 2 else channels[..., 0]).astype(np.uint16)


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


def _is_single_channel(pixels: StoredPixels) -> bool:
    """Return whether the red channel alone counts: all channels are equal, or the others zero."""
    is_grey = is_red = True
    for _, part in pixels.bands():
        red, green, blue = (part.channels[..., channel] for channel in range(3))
        is_grey = is_grey and np.array_equal(red, green) and np.array_equal(red, blue)
        is_red = is_red and not (green.any() or blue.any())
        if not (is_grey or is_red):
            return False
    return True


def _used(pixels: StoredPixels) -> list[Any]:
    """Return the values of the pixels that are not transparent."""
    found: set[Any] = set()
    for _, part in pixels.bands():
        values = part.channels if part.channels.ndim == 2 else part.channels[..., 0]
        transparent = part.transparent
        found.update(np.unique(values if transparent is None else values[~transparent]).tolist())
    return sorted(found)


def _colours(used: list[Any], pixels: StoredPixels) -> list[tuple[float, ...]]:
    """Return the colours of values in 0 to 255."""
    if pixels.palette is not None:
        painted = paint(np.array(used, np.uint16), pixels.palette)
        return [tuple(colour) for colour in painted.tolist()]
    white = full_intensity(pixels)
    shown = [value * 255 / white for value in used]
    is_red = _is_used(pixels, 0) and not _is_used(pixels, 1)
    return [(value, 0, 0) if is_red else (value, value, value) for value in shown]


def _is_used(pixels: StoredPixels, channel: int) -> bool:
    return any(part.channels[..., channel].any() for _, part in pixels.bands())


def _check_not_one_hot(path: Path, pixels: StoredPixels) -> None:
    if pixels.values.dtype.kind in "iu" and _range(pixels) == (0, 1):
        raise DataError(
            f"{path} has three channels with the values 0 and 1, probably one mask per class; save "
            "one plane of class indices (Y, X)."
        )


def _range(pixels: StoredPixels) -> tuple[Any, Any]:
    """Return the smallest and the largest value, 0 at most and at least."""
    lowest = highest = 0
    for _, part in pixels.bands():
        lowest = min(lowest, part.channels.min(initial=0))
        highest = max(highest, part.channels.max(initial=0))
    return lowest, highest


def full_intensity(pixels: StoredPixels) -> float:
    """Return the value of full intensity in a colour map: 1, 255 or 65535."""
    kind = pixels.values.dtype.kind
    if kind == "b":
        return 1
    brightest = 255 if pixels.values.dtype == np.uint8 else _range(pixels)[1]
    if kind == "f":
        return 1 if brightest <= 1 else 255
    return 255 if brightest <= 255 else DEEP_WHITE


def map_colours(path: Path, pixels: StoredPixels) -> Callable[[Pixels], NDArray[np.uint8]]:
    """Return a function for the colours of a map, without the contrast stretching of images.

    Parameters
    ----------
    path : Path
        File, for error messages.
    pixels : StoredPixels
        Palette indices or colours.

    Returns
    -------
    callable
        Function of a part of the pixels that returns its colours, (Y, X, 3) uint8.

    Raises
    ------
    DataError
        If a value is not finite or out of range.
    """
    if pixels.palette is not None or pixels.values.dtype == np.uint8:
        return lambda part: part.channels if part.palette is None else part.shown
    white = full_intensity(pixels)
    if not all(_are_shares(part.channels, white) for _, part in pixels.bands()):
        raise DataError(
            f"{path} has colours of the type {pixels.values.dtype} that are not between 0 and "
            f"{white:g}; save it as an RGB image of 8 bits."
        )
    return lambda part: np.rint(part.channels * (255 / white)).astype(np.uint8)


def _are_shares(channels: NDArray[Any], white: float) -> bool:
    return channels.dtype.kind in "buif" and bool(((channels >= 0) & (channels <= white)).all())
