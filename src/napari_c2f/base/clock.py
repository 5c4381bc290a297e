"""How long a run will take."""

import time
from collections.abc import Callable


class Clock:
    """Estimates the time left from the steps so far; the first one, which warms up, is left out.

    Parameters
    ----------
    steps : int
        Of the whole run.
    now : callable
        Returns seconds.
    """

    def __init__(self, steps: int, now: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._now = now
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None

    def tick(self, step: int) -> None:
        """Note that a step is done."""
        self._last = step, self._now()
        if self._first is None:
            self._first = self._last

    def seconds_left(self) -> float | None:
        """Return the estimate; None before the third step."""
        if self._first is None or self._last is None or self._last[0] - self._first[0] < 2:
            return None
        pace = (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])
        return pace * (self._steps - self._last[0])

    def text(self, condition: str = "") -> str:
        """Say it as people do, with a space after it; empty while it is not known.

        Parameters
        ----------
        condition : str
            What it rests on, as in ", if all goes well".
        """
        seconds = self.seconds_left()
        if seconds is None:
            return ""
        if seconds < 90:
            return f"About {seconds:.0f} s left{condition}. "
        if seconds < 5400:
            return f"About {seconds / 60:.0f} min left{condition}. "
        return f"About {seconds / 3600:.1f} h left{condition}. "
