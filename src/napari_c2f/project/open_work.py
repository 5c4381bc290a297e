"""The work on the open image: the time spent on it, and how much of it is saved."""

import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from c2f_core.project import Effort, ImageRecord, Work
from napari_c2f.project.open_image import OpenImage

TICK = 1_000
"""Milliseconds between ticks of the effort clock."""


class EffortClock:
    """Counts the seconds that a person works; `tick` has to be called every `TICK` ms.

    Parameters
    ----------
    is_at_work : callable
        Function without parameters that returns whether the time since the last tick counts.
    """

    def __init__(self, is_at_work: Callable[[], bool]) -> None:
        self._is_at_work = is_at_work
        self.start()

    def start(self) -> None:
        """Start counting from zero."""
        self._seconds, self._ticked = 0.0, time.monotonic()

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = time.monotonic()
        if self._is_at_work():
            # Longer gaps mean that the computer was suspended.
            self._seconds += min(now - self._ticked, 2 * TICK / 1000)
        self._ticked = now

    def take(self) -> float:
        """Return the seconds counted so far, and start from zero."""
        self.tick()
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class SaveState(Enum):
    """How much of the work on an image is saved."""

    CHANGED = auto()
    """A map may have changed since the last autosave."""
    AUTOSAVED = auto()
    """A snapshot contains all changes."""
    SAVED = auto()
    """The files of the project contain all changes."""


class OpenWork:
    """An open image together with its record, effort and save state.

    Parameters
    ----------
    image : OpenImage
        Layers of the image.
    work : Work
        Work as it was read.
    clock : EffortClock
        Clock of the time spent on the image.
    is_saved : bool
        Whether the project has saved this work already.
    """

    def __init__(self, image: OpenImage, work: Work, clock: EffortClock, *, is_saved: bool) -> None:
        self.image, self.record = image, work.record
        self.last_written = work
        """Work as it was written last, to a snapshot or to the files of the project."""
        self.save_state = SaveState.SAVED if is_saved else SaveState.CHANGED
        self._clock = clock
        clock.start()

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.image.name

    def note_change(self, *_: Any) -> None:
        """Record that a map may have changed."""
        self.save_state = SaveState.CHANGED

    def copy(self) -> Work:
        """Copy the current maps, and the record with all effort so far.

        Raises
        ------
        C2FError
            If the maps differ in size.
        """
        self.take_effort()
        return self.image.work(self.record)

    def unsaved(self, saved: ImageRecord) -> Work | None:
        """Copy the work; return None if nothing changed since it was saved with this record."""
        work = self.copy()
        is_saved = work.record == saved and self.save_state is SaveState.SAVED
        return None if is_saved else work

    def take_effort(self) -> None:
        """Add the effort since the last call to the record."""
        effort = Effort(seconds=self._clock.take(), painted=self.image.painted)
        self.record = self.record.with_effort(effort)
        self.image.painted = 0
