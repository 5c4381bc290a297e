"""Model of the Draw widget."""

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.classes.table import ClassEntry
from napari_c2f.base.activity import Activity


@dataclass(frozen=True)
class Swatch:
    """A class as a row of the palette.

    Attributes
    ----------
    entry : ClassEntry
        Name, label and colour of the class.
    key : int or None
        Number key that chooses the class together with Ctrl; 0 for the eraser, None from the
        tenth class on.
    share : float or None
        Share of the map's pixels, in [0, 1]; None while it is unknown.
    locked : bool
        Whether drawing and refining leave the class unchanged.
    is_eraser : bool
        Whether this is the entry for unlabelled pixels.
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
        Rows of the palette in the order of the class table, the eraser last.
    chosen : int or None
        Label of the class to draw with; None if none is chosen.
    has_map : bool
        Whether the classes belong to a map; if not, the first map will get them.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    swatches: tuple[Swatch, ...] = ()
    chosen: int | None = None
    has_map: bool = False
