"""Counts how many pixels each class has, beside the GUI thread."""

from collections.abc import Callable
from typing import Any

from c2f_core.classes.editing import pixel_shares
from c2f_core.classes.table import ClassTable
from napari_c2f.base.worker import Report, ShouldStop, Task, timer

PAUSE = 300
"""Milliseconds without a change before pixels are counted."""
Shares = dict[int, float]


class ShareCounter:
    """Counts the latest map it was given, once there is a pause in drawing.

    Parameters
    ----------
    show : callable
        Called in the GUI thread with the share of each index, in [0, 1].
    """

    def __init__(self, show: Callable[[Shares], None]) -> None:
        self._show = show
        self._wanted: tuple[Any, ClassTable] | None = None
        self._task: Task | None = None
        self._timer = timer(PAUSE, self._count, once=True)

    def ask(self, index_map: Any, class_table: ClassTable) -> None:
        """Count this map soon; what was asked before no longer matters."""
        self._wanted = index_map, class_table
        self._timer.start()

    def forget(self) -> None:
        """Count nothing, and show nothing that is being counted."""
        self._timer.stop()
        if self._task is not None:
            self._task.stop()
            self._task = None

    def close(self) -> None:
        """Wait for the thread: the window closes."""
        self._timer.stop()
        if self._task is not None:
            self._task.abandon()
            self._task = None

    def _count(self) -> None:
        assert self._wanted is not None
        self.forget()
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
