"""A queue of tasks that run in a thread, one after another."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from c2f_core.errors import C2FError
from napari_c2f.base.controller import AnyActivity, Controller, GuiSteps
from napari_c2f.base.worker import TaskFunction


@contextmanager
def all_done() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Attempt several actions even if some fail; raise the first error at the end."""
    errors: list[C2FError] = []

    def attempt(do: Callable[[], Any]) -> None:
        try:
            do()
        except C2FError as error:
            errors.append(error)

    yield attempt
    if errors:
        raise errors[0]


@dataclass(frozen=True)
class QueuedTask:
    """A task in the queue.

    Attributes
    ----------
    work : callable or None
        Function that the thread runs; None if `succeed` only has to wait for the tasks before it.
    succeed : callable
        Function that is called in the GUI thread with the result. Slow work in the GUI thread
        is returned as steps, see `Controller`; later tasks wait until they are finished.
    fail : callable
        Function that is called in the GUI thread if the work fails.
    """

    work: TaskFunction | None
    succeed: Callable[[Any], GuiSteps | None]
    fail: Callable[[], None]


class QueueController(Controller[AnyActivity]):
    """Runs tasks in the order in which they were requested.

    Parameters
    ----------
    model : Activity
        State that the widget shows.
    """

    def __init__(self, model: AnyActivity) -> None:
        super().__init__(model)
        self._waiting: deque[QueuedTask] = deque()
        self._current: QueuedTask | None = None
        self._is_showing = False  # Steps in the GUI thread show a result.

    def do(
        self,
        work: TaskFunction,
        succeed: Callable[[Any], GuiSteps | None],
        message: str = "",
        fail: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a task after those that were requested before; see `QueuedTask`."""
        if message:
            self.model.message = message
        self._waiting.append(QueuedTask(work, succeed, fail))
        self._next()

    def _next(self) -> None:
        if self._task is None and not self._is_showing and self._waiting:
            queued = self._current = self._waiting.popleft()
            if queued.work is not None:
                self._start(
                    queued.work, self._show_progress, lambda result: self._end(queued, result)
                )
                return
            with self._showing_errors():
                queued.succeed(None)
            self._next()

    def _end(self, queued: QueuedTask, result: Any) -> GuiSteps | None:
        steps = None
        self._succeed(self.model.message)
        with self._showing_errors():
            steps = queued.succeed(result)
        if steps is not None:
            return self._show_in_steps(steps)
        self._next()
        return None

    def _show_in_steps(self, steps: GuiSteps) -> GuiSteps:
        """Take these steps, then continue with the next task."""
        self._is_showing = self.model.busy = True
        try:
            with self._showing_errors():
                yield from steps
        finally:
            self._is_showing = self.model.busy = False
        self._next()

    def fail(self, message: str) -> None:
        """Show an error, and continue with the next task."""
        queued = self._current
        super().fail(message)
        if queued is not None:
            queued.fail()
        self._next()

    def when_idle(self, call: Callable[[], None]) -> None:
        """Call a function in the GUI thread once no task is waiting."""

        def call_or_wait(_: None) -> None:
            if any(queued.work is not None for queued in self._waiting):
                self.when_idle(call)  # Tasks that were requested meanwhile come first.
            else:
                call()

        self._waiting.append(QueuedTask(None, call_or_wait, lambda: None))
        self._next()

    def _finish_now(self) -> None:
        """Run all waiting tasks before this returns; their results are dropped.

        Raises
        ------
        C2FError
            If one of them failed.
        """
        for _ in self._gui_steps:
            pass
        self.close_task()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting.extend(queued for queued in waiting if queued.work is None)
        with all_done() as attempt:
            for queued in waiting:
                if queued.work is not None:
                    attempt(partial(queued.work, lambda _: None, lambda: False))

    def close_task(self) -> None:
        """Stop the current task, and wait for its thread."""
        Controller.close(self)
        self.model.busy = False
