"""Base of the controllers, which decide what happens when the user clicks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from c2f_core.errors import C2FError
from napari_c2f.base.activity import Activity
from napari_c2f.base.worker import REPORT_INTERVAL, Task, TaskFunction, debouncer

PAUSE = 20
"""Milliseconds between steps in the GUI thread, in which the window draws and responds."""
AnyActivity = TypeVar("AnyActivity", bound=Activity)
GuiSteps = Iterator[None]
"""Work that remains to be done in the GUI thread, in short steps."""


class Controller(Generic[AnyActivity]):
    """Runs one task at a time, and is the only writer of its model.

    Parameters
    ----------
    model : Activity
        State that the widget shows.
    """

    def __init__(self, model: AnyActivity) -> None:
        self.model = model
        self._task: Task | None = None
        self._gui_steps: GuiSteps = iter(())
        self._next_step = debouncer(PAUSE, self._run_step)

    def stop(self) -> None:
        """Ask the work to stop; it ends after its current step."""
        if self._task is not None:
            self._task.stop()
            self.model.message = "Stopping…"

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        if self._task is not None:
            self._task.abandon()
            self._task = None
        self._gui_steps = iter(())

    @contextmanager
    def _showing_errors(self) -> Iterator[None]:
        """Show an error that the user can fix; work under way continues."""
        try:
            yield
        except C2FError as error:
            self.tell(str(error))

    def tell(self, message: str) -> None:
        """Show a sentence; work under way continues."""
        self.model.message = message

    def fail(self, message: str) -> None:
        """Show an error; the work has ended."""
        self._task = None
        self.model.progress = 0.0
        self.model.message = message
        self.model.busy = False

    def _start(
        self,
        work: TaskFunction,
        report: Callable[[list[Any]], None],
        succeed: Callable[[Any], GuiSteps | None],
        *,
        interval: int = REPORT_INTERVAL,
    ) -> None:
        """Start a task in a background thread.

        Parameters
        ----------
        work : callable
            Function that the thread runs; see `Task`.
        report : callable
            Function that is called with the list of values that the task has reported.
        succeed : callable
            Function that is called with the result. Slow work in the GUI thread, such as adding
            layers, is returned as steps, between which the window draws and responds.
        interval : int
            Time between two reports in milliseconds.
        """
        task = Task(work, interval)
        task.broken.connect(self._note_traceback)
        task.reported.connect(report)
        task.succeeded.connect(lambda result: self._run_steps(succeed(result)))
        task.failed.connect(self.fail)
        self._task = task
        self.model.progress = 0.0
        self.model.busy = True
        task.start()

    def _note_traceback(self, traceback: str) -> None:
        """Receive the traceback of an unexpected error, which is in Python's log already."""

    def _run_steps(self, steps: GuiSteps | None) -> None:
        self._gui_steps = iter(()) if steps is None else steps
        self._run_step()

    def _run_step(self) -> None:
        for _ in self._gui_steps:
            self._next_step.throttle()
            return

    def _show_progress(self, shares: list[float]) -> None:
        self.model.progress = shares[-1]

    def _succeed(self, message: str) -> None:
        self._task = None
        self.model.progress = 1.0
        self.model.message = message
        self.model.busy = False
