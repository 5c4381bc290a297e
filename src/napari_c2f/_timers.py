"""Timers of the GUI thread."""

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer


class _Timer(QTimer):
    """When the program ends, Qt may delete it before a widget that stops it."""

    def stop(self) -> None:
        if isalive(self):
            super().stop()


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
    made = _Timer()
    made.setInterval(interval)
    made.setSingleShot(once)
    made.timeout.connect(slot)
    return made
