"""Counts the time that a person spends on an image."""

import time
from collections.abc import Callable

TICK = 1_000
"""Milliseconds between looks at whether the person is at work."""


class EffortClock:
    """Counts seconds of work; whoever has it calls `tick` as often as `TICK` says.

    Parameters
    ----------
    is_at_work : callable
        Tells whether the time since the last tick counts.
    """

    def __init__(self, is_at_work: Callable[[], bool]) -> None:
        self._is_at_work = is_at_work
        self.start()

    def start(self) -> None:
        """Begin to count anew."""
        self._seconds, self._ticked = 0.0, time.monotonic()

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = time.monotonic()
        if self._is_at_work():
            # A machine that slept is no work.
            self._seconds += min(now - self._ticked, 2 * TICK / 1000)
        self._ticked = now

    def take(self) -> float:
        """Return the seconds until now, and count anew."""
        self.tick()
        seconds, self._seconds = self._seconds, 0.0
        return seconds
