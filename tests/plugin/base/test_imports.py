"""Slow imports, during which the window responds."""

import gc
import os
import sys
import threading

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_c2f.base.imports import finish_imports, import_in_background, import_responsively
from napari_c2f.base.worker import Task

WAITING = """
import sys

drawn = sys.stalls.wait(10)
"""
OBSERVING = """
import gc, os, threading

collects_garbage = gc.isenabled()
thread = threading.current_thread()
niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
"""


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module that can be imported until the end of the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_the_window_goes_on_while_a_module_is_imported(qapp, write_module, monkeypatch):
    drawn = threading.Event()
    monkeypatch.setattr(sys, "stalls", drawn, raising=False)
    QTimer.singleShot(0, drawn.set)
    assert import_responsively(write_module("c2f_waiting", WAITING)).drawn
    assert QApplication.overrideCursor() is None


def test_a_missing_module_is_an_error_where_it_is_needed(qapp, write_module):
    with pytest.raises(ModuleNotFoundError, match="c2f_not_there"):
        import_responsively(write_module("c2f_needy", "import c2f_not_there"))
    assert QApplication.overrideCursor() is None


def test_no_garbage_is_collected_during_imports(qapp, write_module):
    module = import_responsively(write_module("c2f_observing", OBSERVING))
    assert module.thread is not threading.current_thread()
    assert not module.collects_garbage
    assert gc.isenabled()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness per thread")
def test_work_of_low_priority_begins_after_the_imports(qtbot, write_module):
    import_in_background(write_module("c2f_learned", OBSERVING))
    task = Task(lambda *_: sys.modules["c2f_learned"].niceness)
    with qtbot.waitSignal(task.succeeded, timeout=20000) as signal:
        task.start()
    assert signal.args[0] == os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_imports_for_later_begin_by_themselves(qtbot, write_module):
    name = write_module("c2f_later", OBSERVING)
    import_in_background(name)
    qtbot.waitUntil(lambda: name in sys.modules, timeout=20000)
    finish_imports()
    assert sys.modules[name].thread is not threading.current_thread()
