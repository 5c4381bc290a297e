"""Timers of the GUI thread."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer


def timer(interval: int, slot: Callable[[], Any], *, once: bool = False) -> QTimer:
    """Return a timer that is not started yet.

    Parameters
    ----------
    interval : int
        Milliseconds.
    slot : callable
    once : bool
        Call the slot once for each start; starting again before that puts it off.
    """
    made = QTimer()
    made.setInterval(interval)
    made.setSingleShot(once)
    made.timeout.connect(slot)
    return made
