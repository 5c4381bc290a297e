"""Does one piece of work after the other in a thread, however fast they are asked for."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from c2f_core.errors import C2FError
from napari_c2f.base.controller import AnyActivity, Controller, GuiSteps
from napari_c2f.base.worker import Task, TaskFunction


@contextmanager
def all_done() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Do one thing after the other whatever becomes of those before; raise the first error then."""
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
class Job:
    """A piece of work, what to do with its result, and what to do if it fails.

    What takes the window long it does in turns, see `Controller`; later work waits for them.
    Without work, the rest is done in its turn: it is nothing for a thread.
    """

    work: TaskFunction | None
    succeed: Callable[[Any], GuiSteps | None]
    fail: Callable[[], None]


class QueueController(Controller[AnyActivity]):
    """Keeps the work that is asked for while another is done.

    Parameters
    ----------
    model : Activity
        State that the widget shows.
    """

    def __init__(self, model: AnyActivity) -> None:
        super().__init__(model)
        self._jobs: deque[Job] = deque()
        self._job: Job | None = None
        self._is_showing = False  # What a job made, in turns.

    def do(
        self,
        work: TaskFunction,
        succeed: Callable[[Any], GuiSteps | None],
        message: str = "",
        fail: Callable[[], None] = lambda: None,
    ) -> None:
        """Do this after what was asked for before."""
        if message:
            self.model.message = message
        self._jobs.append(Job(work, succeed, fail))
        self._next()

    def _next(self) -> None:
        if self._task is None and not self._is_showing and self._jobs:
            self._job = self._jobs.popleft()
            if self._job.work is not None:
                self._start(Task(self._job.work), self._show_progress, self._end)
                return
            with self._errors_told():
                self._job.succeed(None)
            self._next()

    def _end(self, result: Any) -> GuiSteps | None:
        job, turns = self._job, None
        self._succeed(self.model.message)
        with self._errors_told():
            turns = job.succeed(result)
        if turns is not None:
            return self._show_in_turns(turns)
        self._next()
        return None

    def _show_in_turns(self, turns: GuiSteps) -> GuiSteps:
        """Take these turns, then go on with what else was asked for."""
        self._is_showing = self.model.busy = True
        try:
            with self._errors_told():
                yield from turns
        finally:
            self._is_showing = self.model.busy = False
        self._next()

    def fail(self, message: str) -> None:
        """Show an error, and go on with what else was asked for."""
        job = self._job
        super().fail(message)
        if job is not None:
            job.fail()
        self._next()

    def when_idle(self, go_on: Callable[[], None]) -> None:
        """Do this in the GUI thread once no other work is left to do."""

        def take_turn(_: None) -> None:
            if any(job.work is not None for job in self._jobs):
                self.when_idle(go_on)  # What was asked for meanwhile comes first.
            else:
                go_on()

        self._jobs.append(Job(None, take_turn, lambda: None))
        self._next()

    def _finish_now(self) -> None:
        """Do all work that was asked for before this returns; results are dropped.

        Raises
        ------
        C2FError
            One of them failed.
        """
        for _ in self._turns:
            pass
        self.close_task()
        jobs = list(self._jobs)
        self._jobs.clear()
        self._jobs.extend(job for job in jobs if job.work is None)
        with all_done() as attempt:
            for job in jobs:
                if job.work is not None:
                    attempt(partial(job.work, lambda _: None, lambda: False))

    def close_task(self) -> None:
        """Wait for the thread; what can be stopped is stopped."""
        Controller.close(self)
        self.model.busy = False
