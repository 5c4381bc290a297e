"""Timers of the GUI thread."""

from qtpy.QtCore import QCoreApplication, QEvent

from napari_c2f.base.worker import RepeatingTimer, debouncer


def delete(timer):
    timer.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_timers_that_qt_has_deleted_are_stopped_silently(qtbot):
    repeating, debounced = RepeatingTimer(1000, lambda: None), debouncer(1000, lambda: None)
    repeating.start()
    debounced.throttle()
    delete(repeating)
    delete(debounced)
    repeating.stop()
    debounced.cancel()


def test_a_debouncer_calls_once_after_a_pause_unless_it_is_cancelled(qtbot):
    calls = []
    debounced = debouncer(30, lambda: calls.append("called"))
    for _ in range(3):
        debounced.throttle()
    assert calls == []
    qtbot.waitUntil(lambda: calls == ["called"], timeout=5000)
    debounced.throttle()
    debounced.cancel()
    with qtbot.waitSignal(debounced._timer.timeout, timeout=5000):
        debounced._timer.start()
    assert calls == ["called"]
