"""Work beside the GUI thread. The only file that knows threads."""

import gc
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from qtpy.QtCore import QObject, QThreadPool, QTimer, Signal
from superqt.utils import FunctionWorker, create_worker

from c2f_core.errors import C2FError

LOGGER = logging.getLogger(__name__)
LONGEST_WAIT = 30.0
"""Seconds to wait for the step at hand when the window closes."""
REPORT_INTERVAL = 400
"""Milliseconds between deliveries: however fast the work reports, the window stays quick."""

Report = Callable[[Any], None]
ShouldStop = Callable[[], bool]
Work = Callable[[Report, ShouldStop], Any]


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
        threading.Thread(target=load, name="loading ahead").start()


@dataclass(frozen=True)
class _Failure:
    message: str


class Task(QObject):
    """One piece of work in a thread; its signals are sent in the GUI thread.

    Exceptions never cross the thread: superqt's workers swallow some of them.
    A `C2FError` becomes its sentence; any other is logged with its traceback.

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

    def __init__(self, work: Work, interval: int = REPORT_INTERVAL) -> None:
        super().__init__()
        self._work = work
        self._stop = threading.Event()
        self._done = threading.Event()
        self._muted = False
        self._values: deque[Any] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(interval)
        self._timer.timeout.connect(self._deliver)

    def start(self) -> None:
        """Start the thread, beside those that Qt allows: hours of work keep no other waiting."""
        worker: FunctionWorker[Any] = create_worker(self._run, _start_thread=False)
        worker.returned.connect(self._finish)
        self._timer.start()
        QThreadPool.globalInstance().releaseThread()
        worker.start()

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

    def _run(self) -> Any:
        try:
            return self._work(self._values.append, self._stop.is_set)
        except C2FError as error:
            return _Failure(str(error))
        except Exception as error:
            LOGGER.exception("Unexpected error in a thread")
            return _Failure(f"Unexpected error ({type(error).__name__}: {error}); see the log.")
        finally:
            QThreadPool.globalInstance().reserveThread()
            self._done.set()

    def _deliver(self) -> None:
        values = []
        while self._values:
            values.append(self._values.popleft())
        if values and not self._muted:
            self.reported.emit(values)

    def _finish(self, result: Any) -> None:
        self._timer.stop()
        if self._muted:
            return
        self._deliver()
        if isinstance(result, _Failure):
            self.failed.emit(result.message)
        else:
            self.succeeded.emit(result)
