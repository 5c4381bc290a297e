"""Decide whether the pixels of a map are class indices or class colours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.io.pixels import Pixels, StoredPixels

SHOWN_VALUES = 8
DEEP_WHITE = 65535
"""Full intensity of a channel of 16 bits."""
NO_COLOUR = (-1.0, -1.0, -1.0)
"""Stands for the colour of indices beyond a palette."""
LARGEST_ROUNDING = 0.02
"""Error up to which probabilities, also of 16 bits, add up to 1."""


def holds_indices(
    path: Path, pixels: StoredPixels, class_table: ClassTable, tolerance: float
) -> bool:
    """Return whether the pixels of a map are class indices, and not class colours.

    Grey values are indices. Palette images, RGB images that are grey, and RGB images that only
    use one channel are indices if their values are labels of the table while their colours
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
    table = f"the class table '{class_table.name}'"
    channels = (0, 1, 2) if is_plane else _used_channels(pixels)
    if not channels:
        check_not_one_hot(path, pixels)
        return False
    used = _used(pixels)
    colours = _colours(used, pixels, channels)
    meant = _labels_of(colours, class_table)
    are_labels = set(used) <= {entry.index for entry in class_table.entries}
    if are_labels and len(set(colours)) < len(used):
        # The palette gives several indices one colour.
        if len(set(colours)) > 1:
            raise _unclear(path, pixels, used, f"are labels of {table}, but share colours")
        return True
    if None not in meant:
        return False
    if are_labels and all(label in (None, value) for label, value in zip(meant, used, strict=True)):
        return True
    if NO_COLOUR in colours:
        raise _unclear(path, pixels, used, f"are not all in the palette or in {table}")
    if all(red == green == blue for red, green, blue in colours):
        if are_labels:
            fit = f"fit as indices and in part as colours into {table}"
            raise _unclear(path, pixels, used, fit)
        if len(meant) - meant.count(None) <= 1 and _are_near(
            colours, meant, class_table, tolerance
        ):
            fit = f"fit neither as indices nor as colours into {table}"
            raise _unclear(path, pixels, used, fit)
    return False


def class_indices(part: Pixels) -> NDArray[Any]:
    """Return the class indices (Y, X) of a part of a map that holds some; see `holds_indices`."""
    values = _values(part)
    if part.palette is not None or part.channels.ndim == 3:
        return values.astype(np.uint16)
    return _as_integers(values) if values.dtype.kind == "f" else values


def _as_integers(values: NDArray[Any]) -> NDArray[Any]:
    """Return floating-point values as integers if they are whole numbers, else unchanged."""
    wide = values.astype(np.float64)
    is_whole = (np.abs(wide) <= DEEP_WHITE) & (wide == np.floor(wide))
    return wide.astype(np.int32) if is_whole.all() else values


def _values(part: Pixels) -> NDArray[Any]:
    """Return the values (Y, X) of pixels whose channels are alike or zero."""
    return part.channels if part.channels.ndim == 2 else part.channels.max(axis=-1)


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


def _unclear(path: Path, pixels: StoredPixels, used: list[Any], what: str) -> DataError:
    kind = "grey" if pixels.palette is None else "palette"
    shown = ", ".join(f"{value:g}" for value in used[:SHOWN_VALUES])
    more = " …" if len(used) > SHOWN_VALUES else ""
    return DataError(
        f"{path} is a {kind} picture with the values {shown}{more}, which {what}; save the class "
        "indices as a grey image of one channel, or choose the class table that the map was drawn "
        "with."
    )


def _used_channels(pixels: StoredPixels) -> tuple[int, ...]:
    """Return the channels with the values: all if they are equal, one if the others are zero.

    Of all other pictures, return none.
    """
    is_grey, used = True, np.zeros(3, dtype=np.bool_)
    for _, part in pixels.bands():
        red, green, blue = np.moveaxis(part.channels, -1, 0)
        is_grey = is_grey and np.array_equal(red, green) and np.array_equal(red, blue)
        used |= part.channels.any(axis=(0, 1))
        if not is_grey and used.sum() > 1:
            return ()
    return (0, 1, 2) if is_grey else tuple(np.flatnonzero(used).tolist())


def _used(pixels: StoredPixels) -> list[Any]:
    """Return the values of the pixels that are not transparent."""
    found: set[Any] = set()
    for _, part in pixels.bands():
        values = _values(part)
        transparent = part.transparent
        found.update(np.unique(values if transparent is None else values[~transparent]).tolist())
    return sorted(found)


def _colours(
    used: list[Any], pixels: StoredPixels, channels: tuple[int, ...]
) -> list[tuple[float, ...]]:
    """Return the colours, 0 to 255, of values in some channels."""
    palette = pixels.palette
    if palette is not None:
        return [
            tuple(palette[value].tolist()) if value < len(palette) else NO_COLOUR for value in used
        ]
    white = full_intensity(pixels)
    return [
        tuple(value * 255 / white if channel in channels else 0.0 for channel in range(3))
        for value in used
    ]


def check_not_one_hot(path: Path, pixels: StoredPixels) -> None:
    """Check that the channels of a picture are not masks or probabilities of classes.

    Raises
    ------
    DataError
        If they are.
    """
    kind = pixels.values.dtype.kind
    is_mask = kind == "b" or (kind in "iu" and _range(pixels) == (0, 1))
    if is_mask or (kind == "f" and all(_add_up_to_one(part.values) for _, part in pixels.bands())):
        found = (
            "the values 0 and 1, probably one mask"
            if is_mask
            else "the sum 1, probably one probability"
        )
        raise DataError(
            f"{path} has channels with {found} per class; save one plane of class indices (Y, X)."
        )


def _add_up_to_one(values: NDArray[Any]) -> bool:
    sums = values.sum(axis=-1, dtype=np.float64)
    return bool((values >= 0).all() and np.allclose(sums, 1, atol=LARGEST_ROUNDING))


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
