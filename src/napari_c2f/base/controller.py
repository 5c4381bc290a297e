"""Decides what happens when the user clicks; the only writer of the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from c2f_core.errors import C2FError
from napari_c2f.base.activity import Activity
from napari_c2f.base.worker import Task, timer

PAUSE = 20
"""Milliseconds between turns, in which the window draws and answers."""
AnyActivity = TypeVar("AnyActivity", bound=Activity)
GuiSteps = Iterator[None]
"""What is left to do in the GUI thread, in pieces."""


class Controller(Generic[AnyActivity]):
    """Runs one task at a time and keeps the model up to date.

    Parameters
    ----------
    model : Activity
        State that the widget shows.
    """

    def __init__(self, model: AnyActivity) -> None:
        self.model = model
        self._task: Task | None = None
        self._turns: GuiSteps = iter(())
        self._pause = timer(PAUSE, self._run_step, once=True)

    def stop(self) -> None:
        """Ask the work to stop; it ends after the step at hand."""
        if self._task is not None:
            self._task.stop()
            self.model.message = "Stopping…"

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        if self._task is not None:
            self._task.abandon()
            self._task = None
        self._turns = iter(())

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Show a mendable error; work under way goes on."""
        try:
            yield
        except C2FError as error:
            self.tell(str(error))

    def tell(self, message: str) -> None:
        """Show a sentence; work under way goes on."""
        self.model.message = message

    def fail(self, message: str) -> None:
        """Show an error; the work has ended."""
        self._task = None
        self.model.progress = 0.0
        self.model.message = message
        self.model.busy = False

    def _start(
        self,
        task: Task,
        report: Callable[[list[Any]], None],
        succeed: Callable[[Any], GuiSteps | None],
    ) -> None:
        """Start a task.

        Parameters
        ----------
        task : Task
        report : callable
            Gets what the task reports.
        succeed : callable
            Gets its result. What takes the window long, as each new layer does, it
            does between the turns of an iterator.
        """
        task.reported.connect(report)
        task.succeeded.connect(lambda result: self._run_steps(succeed(result)))
        task.failed.connect(self.fail)
        self._task = task
        self.model.progress = 0.0
        self.model.busy = True
        task.start()

    def _run_steps(self, turns: GuiSteps | None) -> None:
        self._turns = iter(()) if turns is None else turns
        self._run_step()

    def _run_step(self) -> None:
        for _ in self._turns:
            self._pause.start()
            return

    def _show_progress(self, shares: list[float]) -> None:
        self.model.progress = shares[-1]

    def _succeed(self, message: str) -> None:
        self._task = None
        self.model.progress = 1.0
        self.model.message = message
        self.model.busy = False
