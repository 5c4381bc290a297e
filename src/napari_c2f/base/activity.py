"""Evented state that the widgets show; only the controllers write it."""

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor


@dataclass
class Activity:
    """State of a widget's work.

    Attributes
    ----------
    busy : bool
        Whether work is under way.
    progress : float
        Finished share of the work, in [0, 1].
    message : str
        Latest sentence for the user.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    busy: bool = False
    progress: float = 0.0
    message: str = ""
