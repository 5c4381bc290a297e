"""Work beside the GUI thread. The only file that knows threads."""

import gc
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ParamSpec

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal

from c2f_core.errors import C2FError

LOGGER = logging.getLogger(__name__)
LONGEST_WAIT = 30.0
"""Seconds to wait for the step at hand when the window closes."""
REPORT_INTERVAL = 400
"""Milliseconds between deliveries: however fast the work reports, the window stays quick."""

LOWER_PRIORITY = 10
"""What a thread adds to its niceness, so that the window comes first."""

Report = Callable[[Any], None]
ShouldStop = Callable[[], bool]
TaskFunction = Callable[[Report, ShouldStop], Any]
Arguments = ParamSpec("Arguments")
LOADING = "loading ahead"
"""Name of the thread that loads modules."""


def simple_task(
    function: Callable[Arguments, Any], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> TaskFunction:
    """Return a task that calls a function which neither reports progress nor can be stopped."""

    def run(_report: Report, _should_stop: ShouldStop) -> Any:
        return function(*args, **kwargs)

    return run


def load_ahead(*modules: str) -> None:
    """Import modules in a thread of their own, which nobody waits for, and which take seconds.

    Then Python looks through all that is there for garbage, for which the other threads stand
    still for a third of a second: better when a widget has just opened than while it works.
    """
    missing = [name for name in modules if name not in sys.modules]

    def load() -> None:
        for name in missing:
            import_module(name)
        gc.collect()

    if missing:
        threading.Thread(target=load, name=LOADING).start()


@dataclass(frozen=True)
class _Failure:
    message: str
    traceback: str = ""


class Task(QObject):
    """One piece of work in a thread; its signals are sent in the GUI thread.

    Exceptions never cross the thread: a `C2FError` becomes its sentence; any other is logged
    with its traceback, which `broken` sends before `failed` sends the sentence. The thread is
    the task's own, not one of Qt's pool: hours of work keep no other plugin waiting, and its
    lower priority ends with it.

    Parameters
    ----------
    work : callable
        Called in the thread as ``work(report, should_stop)``. What it reports is
        delivered in lists, several times a second.
    interval : int
        Milliseconds between the deliveries.
    """

    reported = Signal(list)
    succeeded = Signal(object)
    failed = Signal(str)
    broken = Signal(str)
    _returned = Signal(object)

    def __init__(self, work: TaskFunction, interval: int = REPORT_INTERVAL) -> None:
        super().__init__()
        self._work = work
        self._stop = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coarse-to-fine")
        self._muted = False
        self._values: deque[Any] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(interval)
        self._timer.timeout.connect(self._deliver)
        self._returned.connect(self._finish, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the thread."""
        _UNFINISHED.add(self)
        self._timer.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to stop after the step at hand."""
        self._stop.set()

    def abandon(self) -> None:
        """Ask the work to stop, wait for it and send no more signals."""
        self._muted = True
        self._timer.stop()
        self._stop.set()
        if not self._done.wait(LONGEST_WAIT):
            LOGGER.error("A step took longer than %s s to stop.", LONGEST_WAIT)

    def _run(self) -> None:
        _let_the_window_go_first()
        try:
            result = self._result()
        finally:
            self._done.set()
        self._returned.emit(result)

    def _result(self) -> Any:
        try:
            return self._work(self._values.append, self._stop.is_set)
        except C2FError as error:
            return _Failure(str(error))
        except Exception as error:
            LOGGER.exception("Unexpected error in a thread")
            told = f"Unexpected error ({type(error).__name__}: {error}); see the log."
            return _Failure(told, traceback.format_exc())

    def _deliver(self) -> None:
        values = []
        while self._values:
            values.append(self._values.popleft())
        if values and not self._muted:
            self.reported.emit(values)

    def _finish(self, result: Any) -> None:
        self._thread.join()
        _UNFINISHED.discard(self)
        self._timer.stop()
        if self._muted:
            return
        self._deliver()
        if isinstance(result, _Failure):
            if result.traceback:
                self.broken.emit(result.traceback)
            self.failed.emit(result.message)
        else:
            self.succeeded.emit(result)


_UNFINISHED: set[Task] = set()
"""Kept until their threads have ended: the GUI thread has to be the one that deletes them."""


def _let_the_window_go_first() -> None:
    """Lower the priority of this thread and of those that torch starts from it.

    Only Linux has a niceness for each thread; elsewhere it would be that of the whole program.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, niceness + LOWER_PRIORITY)


class _Timer(QTimer):
    """When the program ends, Qt may delete it before a widget that stops it."""

    def stop(self) -> None:
        if isalive(self):
            super().stop()


def timer(interval: int, slot: Callable[[], Any], *, once: bool = False) -> QTimer:
    """Return a timer that is not started yet.

    Parameters
    ----------
    interval : int
        Milliseconds.
    slot : callable
    once : bool
        Call the slot once for each start; starting again before that puts it off.
    """
    made = _Timer()
    made.setInterval(interval)
    made.setSingleShot(once)
    made.timeout.connect(slot)
    return made
