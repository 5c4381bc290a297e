"""Background threads and timers of the GUI thread; besides `imports`, no other file has threads."""

import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from superqt.utils import QSignalDebouncer

from c2f_core.errors import C2FError, enough_memory
from napari_c2f.base.imports import finish_imports

LOGGER = logging.getLogger(__name__)
LONGEST_WAIT = 30.0
"""Seconds to wait for the current step when the window closes."""
REPORT_INTERVAL = 400
"""Milliseconds between deliveries of reports, so that frequent reports do not slow the window."""

NO_MEMORY = "There is not enough memory; close other layers and programs, or use smaller images."

LOWER_PRIORITY = 10
"""Niceness added to a thread, so that the window gets the processor first."""

Report = Callable[[Any], None]
ShouldStop = Callable[[], bool]
TaskFunction = Callable[[Report, ShouldStop], Any]
Arguments = ParamSpec("Arguments")


def simple_task(
    function: Callable[Arguments, Any], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> TaskFunction:
    """Return a task that calls a function which neither reports progress nor can be stopped."""

    def run(_report: Report, _should_stop: ShouldStop) -> Any:
        return function(*args, **kwargs)

    return run


@dataclass(frozen=True)
class _Failure:
    message: str
    traceback: str = ""


class Task(QObject):
    """A function that runs in a background thread; its signals are emitted in the GUI thread.

    Exceptions stay in the thread: a `C2FError` is sent as its sentence; any other is logged, and
    its traceback is sent before a sentence. The thread is not one of Qt's pool, so that hours of
    work do not delay other plugins and the lower priority ends with the task. superqt's workers
    are not used because they swallow a `RuntimeError` (seen with 0.9.0).

    Parameters
    ----------
    work : callable
        Function that the thread calls as ``work(report, should_stop)``. Reported values are
        delivered in lists, several times a second.
    interval : int
        Milliseconds between the deliveries.
    """

    reported = Signal(list)
    """Emitted with the values that were reported since the last delivery."""
    succeeded = Signal(object)
    """Emitted with the result."""
    failed = Signal(str)
    """Emitted with a sentence for the user if the work raised an exception."""
    broken = Signal(str)
    """Emitted with the traceback of an unexpected exception, before `failed`."""
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
        # The stubs do not know the type of a connection.
        self._returned.connect(self._finish, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]

    def start(self) -> None:
        """Start the thread."""
        _UNFINISHED.add(self)
        self._timer.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to stop after its current step."""
        self._stop.set()

    def abandon(self) -> None:
        """Ask the work to stop, wait for it and emit no more signals."""
        self._muted = True
        self._timer.stop()
        self._stop.set()
        if not self._done.wait(LONGEST_WAIT):
            LOGGER.error("A step took longer than %s s to stop.", LONGEST_WAIT)

    def _run(self) -> None:
        try:
            result = self._result()
        finally:
            self._done.set()
        self._returned.emit(result)

    def _result(self) -> Any:
        try:
            finish_imports()
            _lower_priority()
            with enough_memory(C2FError, NO_MEMORY):
                return self._work(self._values.append, self._stop.is_set)
        except C2FError as error:
            return _Failure(str(error))
        except Exception as error:
            LOGGER.exception("Unexpected error in a thread")
            message = f"Unexpected error ({type(error).__name__}: {error}); see the log."
            return _Failure(message, traceback.format_exc())

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
"""Tasks whose threads have not ended; kept here because only the GUI thread may delete them."""


def _lower_priority() -> None:
    """Lower the priority of this thread and of those that torch starts from it.

    Only Linux has a niceness per thread; elsewhere it would apply to the whole program.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, niceness + LOWER_PRIORITY)


def debouncer(delay: int, slot: Callable[[], object]) -> QSignalDebouncer:
    """Return a debouncer, which calls a slot once its `throttle` has not been called for a while.

    Its `cancel` drops a pending call, and is safe even after Qt has deleted the debouncer, as it
    may when the program ends.

    Parameters
    ----------
    delay : int
        Milliseconds from the last call of `throttle` to the call of the slot.
    slot : callable
        Function without parameters.
    """
    made = QSignalDebouncer()
    made.setTimeout(delay)
    made.triggered.connect(slot)
    return made


class RepeatingTimer(QTimer):
    """A timer that calls a slot at regular intervals; it is not started yet.

    Parameters
    ----------
    interval : int
        Milliseconds between two calls.
    slot : callable
        Function without parameters.
    """

    def __init__(self, interval: int, slot: Callable[[], object]) -> None:
        super().__init__()
        self.setInterval(interval)
        self.timeout.connect(slot)

    def stop(self) -> None:
        """Stop the timer; when the program ends, Qt may have deleted it before its owner."""
        if isalive(self):
            super().stop()
