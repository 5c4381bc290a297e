"""Colour images of maps: painting class colours, and reading them back."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.report import DecodeReport
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import ConfigError, ImageError

DEFAULT_TOLERANCE = 64.0
"""Default maximum Euclidean RGB distance between a pixel and a class colour."""
REPORTED_PIXELS = 10
BAND = 512
"""Number of rows that are read at a time, to bound the memory."""


def encode_colours(labels: NDArray[Any], class_table: ClassTable) -> NDArray[np.uint8]:
    """Paint a map in the class colours.

    Parameters
    ----------
    labels : (Y, X) integer array
        Labels of `class_table`.
    class_table : ClassTable
        Class table of the map.

    Returns
    -------
    (Y, X, 3) uint8 array

    Raises
    ------
    ClassTableError
        If the map has a label that is not in the class table.
    """
    palette = np.empty((256, 3), dtype=np.uint8)
    palette[:] = class_table.unlabelled.colour
    palette[: class_table.number_of_classes] = class_table.colours
    return palette[class_table.to_class_ids(labels)]


def decode_colours(
    rgb: NDArray[np.uint8],
    class_table: ClassTable,
    tolerance: float = DEFAULT_TOLERANCE,
    *,
    blended: bool = False,
) -> tuple[NDArray[np.unsignedinteger[Any]], DecodeReport]:
    """Read a colour image as a map: each pixel becomes the class of the nearest colour.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        Colour image.
    class_table : ClassTable
        Classes whose colours are looked for.
    tolerance : float
        Maximum Euclidean RGB distance; pixels beyond it become unlabelled.
    blended : bool
        Whether class colours are blended at boundaries. If so, pixels beyond the
        tolerance become the class of the nearest colour, too.

    Returns
    -------
    labels : (Y, X) unsigned integer array
        Labels of `class_table`.
    report : DecodeReport
        Number and position of the pixels without a class colour.

    Raises
    ------
    ImageError
        If the image is not RGB.
    ConfigError
        If the tolerance is negative or NaN.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(
            f"The colour image has shape {rgb.shape}; give (Y, X, 3), or read a grey image as "
            "class indices."
        )
    decoder = ColourDecoder(class_table, tolerance, blended=blended)
    labels = np.empty(rgb.shape[:2], class_table.label_dtype)
    for start in range(0, len(rgb), BAND):
        labels[start : start + BAND] = decoder.decode_next(rgb[start : start + BAND])
    return labels, decoder.report


class ColourDecoder:
    """Reader of a colour image as a map, band by band from the top; see `decode_colours`.

    Attributes
    ----------
    report : DecodeReport
        Report on the bands that were read.

    Parameters
    ----------
    class_table : ClassTable
        Classes whose colours are looked for.
    tolerance : float
        Maximum Euclidean RGB distance; pixels beyond it become unlabelled.
    blended : bool
        Whether class colours are blended at boundaries; see `decode_colours`.

    Raises
    ------
    ConfigError
        If the tolerance is negative or NaN.
    """

    def __init__(
        self,
        class_table: ClassTable,
        tolerance: float = DEFAULT_TOLERANCE,
        *,
        blended: bool = False,
    ) -> None:
        check_tolerance(tolerance)
        # Imported lazily, as it takes a quarter of a second.
        from scipy.spatial import cKDTree

        self._table, self._tolerance, self._rows = class_table, tolerance, 0
        self._palette = cKDTree([[*map(float, entry.colour)] for entry in class_table.entries])
        self.report = DecodeReport(0, 0, (), 0, blended)

    def decode_next(self, rgb: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
        """Return the labels (y, X) of the next band (y, X, 3)."""
        colours, inverse = _distinct_colours(rgb)
        distance, class_ids = self._palette.query(colours)
        beyond = distance > self._tolerance
        class_ids[class_ids == self._table.number_of_classes] = UNLABELLED_ID
        if not self.report.blended:
            class_ids[beyond] = UNLABELLED_ID
        self.report = _extended(self.report, (distance > 0)[inverse], beyond[inverse], self._rows)
        self._rows += len(rgb)
        return self._table.to_labels(class_ids.astype(np.uint8)[inverse])


def check_tolerance(tolerance: float) -> None:
    """Check a tolerance of `decode_colours`.

    Raises
    ------
    ConfigError
        If it is negative or NaN.
    """
    if not tolerance >= 0:  # True for NaN, too.
        raise ConfigError(f"The tolerance is {tolerance:g}; give an RGB distance of 0 or more.")


def _distinct_colours(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the distinct colours (N, 3), and the (Y, X) index of each pixel's colour."""
    codes = rgb.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    # Runs of equal pixels are sorted as one, as most of a map is: it takes a tenth of the time.
    starts_run = np.ones(codes.size, dtype=bool)
    starts_run[1:] = codes.ravel()[1:] != codes.ravel()[:-1]
    starts = np.flatnonzero(starts_run)
    distinct, inverse_of_runs = np.unique(codes.ravel()[starts], return_inverse=True)
    inverse = np.repeat(inverse_of_runs, np.diff(starts, append=codes.size))
    channels = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], axis=1)
    return channels.astype(float), inverse.reshape(codes.shape)


def _extended(
    report: DecodeReport, off_palette: NDArray[Any], outside: NDArray[Any], top: int
) -> DecodeReport:
    """Add the rows from `top` on to a report."""
    more = REPORTED_PIXELS - len(report.first_outside)
    rows, columns = (axis[:more].tolist() for axis in np.nonzero(outside))
    first = tuple((top + row, column) for row, column in zip(rows, columns, strict=True))
    return replace(
        report,
        pixels=report.pixels + outside.size,
        off_palette=report.off_palette + int(off_palette.sum()),
        outside=report.outside + int(outside.sum()),
        first_outside=report.first_outside + first,
    )
