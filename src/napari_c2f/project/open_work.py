"""The work on the image that is open: who did it, for how long, and how much of it is saved."""

import time
from collections.abc import Callable
from typing import Any

from c2f_core.project import Effort, ImageRecord, Work
from napari_c2f.project.open_image import OpenImage

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


class OpenWork:
    """The layers of an open image with what the project notes of the work on them.

    Parameters
    ----------
    image : OpenImage
    work : Work
        As it was read.
    clock : EffortClock
        Counts the time that a person spends on it.
    is_saved : bool
        The project has this work already.
    """

    def __init__(self, image: OpenImage, work: Work, clock: EffortClock, *, is_saved: bool) -> None:
        self.image, self.record = image, work.record
        self.kept = work
        """As it was written last, be it by an autosave."""
        self.is_changed = self.is_unsaved = not is_saved
        """Since the last autosave, and since it was saved for good."""
        self._clock = clock
        clock.start()

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.image.name

    def note_change(self, *_: Any) -> None:
        """Note that a map may have changed."""
        self.is_changed = self.is_unsaved = True

    def copy(self) -> Work:
        """Copy the maps as they are now, with all effort until now.

        Raises
        ------
        C2FError
            The maps are not of one size.
        """
        self.take_effort()
        return self.image.work(self.record)

    def unsaved(self, saved: ImageRecord) -> Work | None:
        """Copy the work unless nothing was done since it was saved with this record."""
        work = self.copy()
        return None if work.record == saved and not self.is_unsaved else work

    def take_effort(self) -> None:
        """Add to the record what was done since that was asked last."""
        effort = Effort(seconds=self._clock.take(), painted=self.image.painted)
        self.record = self.record.with_effort(effort)
        self.image.painted = 0
