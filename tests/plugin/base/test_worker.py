"""Work in background threads."""

import os
import sys
import threading

import pytest
from qtpy.QtCore import QThreadPool

from c2f_core.errors import C2FError
from napari_c2f.base import worker as _worker
from napari_c2f.base.worker import Task


def test_a_long_run_keeps_no_other_work_waiting(qtbot):
    release = threading.Event()
    waiting = [Task(lambda *_: release.wait(30)) for _ in range(QThreadPool().maxThreadCount())]
    for task in waiting:
        task.start()
    quick = Task(lambda *_: "done")
    with qtbot.waitSignal(quick.succeeded, timeout=5000):
        quick.start()
    release.set()
    qtbot.waitUntil(lambda: all(task._done.is_set() for task in waiting), timeout=5000)


def test_reports_come_before_the_result_and_all_in_the_gui_thread(qtbot):
    heard = []
    task = Task(lambda report, _: [report(number) for number in range(3)] and "result")
    task.reported.connect(lambda values: heard.append((values, threading.get_ident())))
    task.succeeded.connect(lambda result: heard.append((result, threading.get_ident())))
    with qtbot.waitSignal(task.succeeded, timeout=5000):
        task.start()
    here = threading.get_ident()
    assert heard == [([0, 1, 2], here), ("result", here)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (C2FError("Choose another file."), "Choose another file."),
        (RuntimeError("out of paper"), "Unexpected error (RuntimeError: out of paper); see"),
    ],
)
def test_an_error_is_reported(qtbot, error, message):
    def fail(*_):
        raise error

    task, tracebacks = Task(fail), []
    task.broken.connect(tracebacks.append)
    with qtbot.waitSignal(task.failed, timeout=5000) as signal:
        task.start()
    assert signal.args[0].startswith(message)
    unexpected = [] if isinstance(error, C2FError) else ["RuntimeError: out of paper"]
    assert [text.splitlines()[-1] for text in tracebacks] == unexpected


def test_an_abandoned_task_is_silent_and_forgotten(qtbot):
    heard = []
    task = Task(lambda report, should_stop: report(1))
    for signal in (task.reported, task.succeeded, task.failed):
        signal.connect(heard.append)
    task.start()
    task.abandon()
    qtbot.waitUntil(lambda: task not in _worker._UNFINISHED, timeout=5000)
    assert not heard
    assert not task._thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_the_window_goes_before_the_work(qtbot):
    def niceness(*_):
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    task = Task(niceness)
    with qtbot.waitSignal(task.succeeded, timeout=5000) as signal:
        task.start()
    assert signal.args[0] == min(before + _worker.LOWER_PRIORITY, 19)
    assert niceness() == before
