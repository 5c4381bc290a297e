"""The widgets of the plugin fit small screens, in tabs."""

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget, QScrollArea, QTabBar

from napari_c2f.widgets.docked import DockedWidget
from napari_c2f.widgets.parts import StatusText

TOOLS = ("Draw", "Refine", "Review", "Train", "Project")
LARGEST = 933, 600


def shown(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.visibleRegion().isEmpty(), timeout=10000)


@pytest.fixture
def opened(viewer, dock, qtbot):
    """All widgets, opened one after the other in a small window with a map."""
    viewer.window.resize(*LARGEST)
    viewer.add_image(np.zeros((64, 64)), name="scene")
    viewer.add_labels(np.ones((64, 64), np.uint8), name="map")
    widgets = {}
    for name in TOOLS:
        widgets[name] = dock(name)
        shown(qtbot, widgets[name])
    return widgets


@pytest.mark.window
def test_all_widgets_share_one_place_and_the_window_does_not_grow(viewer, opened):
    window = viewer.window._qt_window
    docks = [widget.parent() for widget in opened.values()]
    assert (window.width(), window.height()) == LARGEST
    for dock in docks:
        assert len(window.tabifiedDockWidgets(dock)) == len(TOOLS) - 1
    (bar,) = (bar for bar in window.findChildren(QTabBar) if bar.parent() is window)
    assert [bar.tabText(number) for number in range(bar.count())] == list(TOOLS)
    assert window.statusBar().geometry().bottom() < window.height()
    for widget in opened.values():
        assert widget.minimumSizeHint().width() < 320


@pytest.mark.window
def test_every_control_can_be_scrolled_into_view_and_the_status_always_is(opened, qtbot):
    for widget in opened.values():
        widget.parent().raise_()
        shown(qtbot, widget)
        area = next(each for each in widget.findChildren(QScrollArea) if each.parent() is widget)
        content = area.widget()
        qtbot.waitUntil(lambda a=area, c=content: c.width() <= a.viewport().width(), timeout=10000)
        assert content.minimumSizeHint().width() <= area.viewport().width()
        status = next(each for each in widget.findChildren(StatusText) if each.parent() is widget)
        assert status.visibleRegion().boundingRect().height() >= 3 * status.fontMetrics().height()
        area.ensureVisible(0, content.height())
        last = content.layout().itemAt(content.layout().count() - 1).geometry()
        assert last.bottom() - area.verticalScrollBar().value() <= area.viewport().height()


@pytest.mark.window
def test_a_widget_that_floats_is_left_alone(viewer, dock, qtbot):
    first = dock("Draw")
    shown(qtbot, first)
    first.parent().setFloating(True)
    second = dock("Refine")
    shown(qtbot, second)
    window = viewer.window._qt_window
    assert window.tabifiedDockWidgets(second.parent()) == []
    assert all(isinstance(each, QDockWidget) for each in (first.parent(), second.parent()))
    assert isinstance(first, DockedWidget)
