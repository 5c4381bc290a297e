"""What the Draw widget shows."""

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.classes.table import ClassEntry
from napari_c2f.base.activity import Activity


@dataclass(frozen=True)
class Swatch:
    """One class in the palette.

    Attributes
    ----------
    entry : ClassEntry
    key : int or None
        Number key that chooses it together with Ctrl, 0 for the eraser; the tenth
        class and those after it have none.
    share : float or None
        Of the map's pixels, in [0, 1]; None while it is not known.
    locked : bool
    is_eraser : bool
        The entry for unlabelled pixels.
    """

    entry: ClassEntry
    key: int | None
    share: float | None = None
    locked: bool = False
    is_eraser: bool = False


@dataclass
class Palette(Activity):
    """State of the class palette.

    Attributes
    ----------
    swatches : tuple of Swatch
        In the order of the class table, the eraser last.
    chosen : int or None
        Index of the class to draw with.
    has_map : bool
        The classes belong to a map; else they wait for the first one.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    swatches: tuple[Swatch, ...] = ()
    chosen: int | None = None
    has_map: bool = False
