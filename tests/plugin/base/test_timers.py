"""Timers of the GUI thread."""

from qtpy.QtCore import QCoreApplication, QEvent

from napari_c2f.base.worker import timer


def test_a_timer_that_qt_has_deleted_is_stopped_without_a_word(qtbot):
    made = timer(1000, lambda: None)
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    made.stop()
