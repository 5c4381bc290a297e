"""What became of a map when it was read."""

from dataclasses import dataclass
from typing import Protocol

BLENDED_SHARE = 0.03
"""Blurred boundaries alone put fewer pixels beyond the tolerance: in FASSEG's maps at most 1 %."""

FOREIGN_SHARE = 0.999
"""Where so many pixels have no class colour, hardly a stray one does: the table is another."""


class MapReport(Protocol):
    """What became of a map when it was read."""

    def message(self) -> str:
        """One sentence for the user, empty when all went in."""


@dataclass(frozen=True)
class DecodeReport:
    """What became of the colours that are not in the class table.

    Attributes
    ----------
    off_palette : int
        Pixels whose colour is not exactly a class colour.
    outside : int
        Those among them farther than the tolerance: decoded as unlabelled, or in a
        blended map as the nearest class.
    places : tuple of (row, column)
        Where the first ten pixels outside the tolerance are.
    pixels : int
        All pixels of the map.
    blended : bool
        Whether colours between those of two classes are expected at the boundaries.
    """

    off_palette: int
    outside: int
    places: tuple[tuple[int, int], ...]
    pixels: int
    blended: bool = False

    @property
    def uses_other_table(self) -> bool:
        """Whether the map was drawn with another class table: hardly a pixel has a class colour."""
        return self.outside > 0 and self.outside >= FOREIGN_SHARE * self.pixels

    def message(self) -> str:
        """One sentence for the user, empty when nothing was outside that should not be."""
        expected = BLENDED_SHARE * self.pixels if self.blended else 0
        if self.outside <= expected:
            return ""
        fate = "the nearest class" if self.blended else "unlabelled"
        row, column = self.places[0]
        found = (
            f"{self.outside} of {self.pixels} pixels have a colour that is no class colour (first "
            f"at row {row}, column {column})"
        )
        if self.uses_other_table:
            return (
                f"{found}: the map was drawn with another class table; choose that, or a model for "
                "its classes."
            )
        return (
            f"{found} and were read as {fate}; where these are more than blurred boundaries, "
            "choose the class table that the map was drawn with."
        )


@dataclass(frozen=True)
class IdReport:
    """What became of ids that the data set does not have: they were read as unlabelled.

    Attributes
    ----------
    ids : tuple of int
        Which they are.
    unknown : int
        Pixels that hold one.
    place : (row, column)
        Where the first of these pixels is.
    pixels : int
        All pixels of the map.
    """

    ids: tuple[int, ...]
    unknown: int
    place: tuple[int, int]
    pixels: int

    def message(self) -> str:
        """One sentence for the user."""
        row, column = self.place
        shown = ", ".join(str(each) for each in self.ids[:5])
        return (
            f"{self.unknown} of {self.pixels} pixels hold ids that the data set does not have "
            f"({shown}{' …' * (len(self.ids) > 5)}; first at row {row}, column {column}) and were "
            "read as unlabelled; take the file of the data set, or relabel these pixels."
        )


def uses_other_table(report: MapReport) -> bool:
    """Tell whether a map was drawn with another class table; annotations name their classes."""
    return isinstance(report, DecodeReport) and report.uses_other_table
