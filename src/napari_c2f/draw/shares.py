"""Count the pixels of each class in a background thread."""

from collections.abc import Callable
from typing import Any

from c2f_core.classes.editing import pixel_shares
from c2f_core.classes.table import ClassTable
from napari_c2f.base.worker import Report, ShouldStop, Task, debouncer

PAUSE = 300
"""Milliseconds without a change before pixels are counted."""
Shares = dict[int, float]
"""Share of the pixels, in [0, 1], by label."""


class ShareCounter:
    """Counts the pixels of the latest map, once drawing pauses.

    Parameters
    ----------
    show : callable
        Function that is called in the GUI thread with the shares.
    """

    def __init__(self, show: Callable[[Shares], None]) -> None:
        self._show = show
        self._wanted: tuple[Any, ClassTable] | None = None
        self._task: Task | None = None
        self._pause = debouncer(PAUSE, self._count)

    def ask(self, index_map: Any, class_table: ClassTable) -> None:
        """Count the pixels of this map soon, instead of an earlier one."""
        self._wanted = index_map, class_table
        self._pause.throttle()

    def cancel(self) -> None:
        """Drop the request, and the result of a count under way."""
        self._pause.cancel()
        if self._task is not None:
            self._task.stop()
            self._task = None

    def close(self) -> None:
        """Wait for the thread: the window closes."""
        self._pause.cancel()
        if self._task is not None:
            self._task.abandon()
            self._task = None

    def _count(self) -> None:
        if self._wanted is None:
            return
        self.cancel()
        index_map, class_table = self._wanted

        def work(_report: Report, should_stop: ShouldStop) -> Shares:
            return pixel_shares(index_map, class_table, should_stop)

        task = Task(work)
        task.succeeded.connect(lambda shares: self._finish(task, shares))
        self._task = task
        task.start()

    def _finish(self, task: Task, shares: Shares) -> None:
        if task is self._task:
            self._task = None
            self._show(shares)
