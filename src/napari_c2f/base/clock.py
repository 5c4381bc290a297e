"""Estimate of the time that a run still takes."""

import time
from collections.abc import Callable


class Clock:
    """Estimates the time left from the steps so far, without the first one, which warms up.

    Parameters
    ----------
    steps : int
        Number of steps of the whole run.
    now : callable
        Function that returns the current time in seconds.
    """

    def __init__(self, steps: int, now: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._now = now
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None

    def tick(self, step: int) -> None:
        """Record that a step is finished."""
        self._last = step, self._now()
        if self._first is None:
            self._first = self._last

    def seconds_left(self) -> float | None:
        """Return the estimate in seconds; None before the third step."""
        if self._first is None or self._last is None or self._last[0] - self._first[0] < 2:
            return None
        pace = (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])
        return pace * (self._steps - self._last[0])

    def text(self, condition: str = "") -> str:
        """Return the estimate as a sentence with a space after it; empty while it is unknown.

        Parameters
        ----------
        condition : str
            Condition of the estimate, as in ", if training does not stop early".
        """
        seconds = self.seconds_left()
        if seconds is None:
            return ""
        if seconds < 90:
            return f"About {seconds:.0f} s left{condition}. "
        if seconds < 5400:
            return f"About {seconds / 60:.0f} min left{condition}. "
        return f"About {seconds / 3600:.1f} h left{condition}. "
