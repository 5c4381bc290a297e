"""Reports on pixels of a map that could not be read exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BLENDED_SHARE = 0.03
"""Share of pixels that blended boundaries alone may put beyond the tolerance (FASSEG: <= 1 %)."""

OTHER_TABLE_SHARE = 0.999
"""Share of pixels without a class colour from which on a map must have another class table."""

SHOWN_IDS = 5


class MapReport(Protocol):
    """Report on reading a map."""

    def message(self) -> str:
        """Return one sentence for the user, empty if everything was read exactly."""


@dataclass(frozen=True)
class OneClassReport:
    """Report on a map of a single class or none, which was probably saved or read wrongly.

    Attributes
    ----------
    name : str or None
        Name of the class; None if the map is unlabelled throughout.
    count : int
        Number of pixels of the class.
    pixels : int
        Number of pixels of the map.
    """

    name: str | None
    count: int
    pixels: int

    def message(self) -> str:
        """Return one sentence for the user."""
        if self.name is None:
            return "the map is unlabelled throughout; check that it is the right file."
        others = "all others are unlabelled" if self.count < self.pixels else "there are no others"
        return (
            f"the map has only the class '{self.name}' ({self.count} of {self.pixels} pixels; "
            f"{others}); if it should have more, check that it was saved as class indices or in "
            "the class colours, not as a mask of 0 and 255."
        )


def one_class_report(class_ids: NDArray[np.uint8], names: Sequence[str]) -> OneClassReport | None:
    """Return a report on a map that has one class only, or none; None for all other maps.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids of the map, 255 where unlabelled.
    names : sequence of str
        Names of the classes; with a single one there is nothing to report.
    """
    counts = sum((np.bincount(row, minlength=256) for row in class_ids), np.zeros(256, np.int64))
    return one_class_report_of(counts, names)


def one_class_report_of(counts: NDArray[np.int64], names: Sequence[str]) -> OneClassReport | None:
    """Return a report on a map that has one class only, or none; None for all other maps.

    Parameters
    ----------
    counts : (256,) int64 array
        Number of pixels of each class id of the map, 255 where unlabelled.
    names : sequence of str
        Names of the classes; with a single one there is nothing to report.
    """
    present = np.flatnonzero(counts[: len(names)])
    if len(names) < 2 or present.size > 1 or not counts.any():
        return None
    name = names[present[0]] if present.size else None
    return OneClassReport(name, int(counts[present].sum()), int(counts.sum()))


@dataclass(frozen=True)
class DecodeReport:
    """Report on colours that are not in the class table.

    Attributes
    ----------
    off_palette : int
        Number of pixels whose colour is not exactly a class colour.
    outside : int
        Number of pixels farther than the tolerance from every class colour. They
        were read as unlabelled, in a blended map as the nearest class.
    first_outside : tuple of (int, int)
        Row and column of the first ten pixels outside the tolerance.
    pixels : int
        Number of pixels of the map.
    blended : bool
        Whether mixtures of two class colours are expected at boundaries.
    """

    off_palette: int
    outside: int
    first_outside: tuple[tuple[int, int], ...]
    pixels: int
    blended: bool = False

    @property
    def uses_other_table(self) -> bool:
        """Whether the map was drawn with another class table, as almost no colour is known."""
        return self.outside > 0 and self.outside >= OTHER_TABLE_SHARE * self.pixels

    def message(self) -> str:
        """Return one sentence for the user, empty if there are no unexpected colours."""
        expected = BLENDED_SHARE * self.pixels if self.blended else 0
        if self.outside <= expected:
            return ""
        row, column = self.first_outside[0]
        found = (
            f"{self.outside} of {self.pixels} pixels have a colour that is not a class colour "
            f"(first at row {row}, column {column})"
        )
        if self.uses_other_table:
            return (
                f"{found}: the map was drawn with another class table; choose that table, or a "
                "model for its classes."
            )
        read_as = "the nearest class" if self.blended else "unlabelled"
        return (
            f"{found} and were read as {read_as}; if these are more than blurred boundaries, "
            "choose the class table that the map was drawn with."
        )


@dataclass(frozen=True)
class IdReport:
    """Report on label ids that the dataset does not define; they were read as unlabelled.

    Attributes
    ----------
    ids : tuple of int
        Undefined label ids of the map.
    unknown : int
        Number of pixels with one of these ids.
    first : (int, int)
        Row and column of the first of these pixels.
    pixels : int
        Number of pixels of the map.
    """

    ids: tuple[int, ...]
    unknown: int
    first: tuple[int, int]
    pixels: int

    def message(self) -> str:
        """Return one sentence for the user."""
        row, column = self.first
        more = " …" if len(self.ids) > SHOWN_IDS else ""
        shown = ", ".join(str(label_id) for label_id in self.ids[:SHOWN_IDS]) + more
        return (
            f"{self.unknown} of {self.pixels} pixels have ids that the dataset does not define "
            f"({shown}; first at row {row}, column {column}) and were read as unlabelled; use the "
            "original file of the dataset, or relabel these pixels."
        )


def uses_other_table(report: MapReport) -> bool:
    """Return whether a map was drawn with another class table.

    This is only known of colour images; annotations name their classes.
    """
    return isinstance(report, DecodeReport) and report.uses_other_table
