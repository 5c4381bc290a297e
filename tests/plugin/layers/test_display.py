"""Maps are shown so that the image can be seen."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from c2f_core.classes.table import ClassTable
from napari_c2f.layers.convert import add_map, set_class_table
from napari_c2f.layers.session import Session

FASSEG = ClassTable.preset("fasseg")
BACKGROUND, HAIR = 0, 1


def add(viewer, name="map"):
    return add_map(viewer, np.ones((20, 30), np.uint8), FASSEG, name, {})


def test_a_map_is_half_transparent_and_its_background_fully():
    layer = add(ViewerModel())
    assert layer.opacity == 0.5
    assert layer.get_color(BACKGROUND)[3] == 0
    assert layer.get_color(HAIR)[3] == 1


def test_the_background_of_all_maps_is_switched_on_and_off(qapp):
    viewer = ViewerModel()
    first, display = add(viewer), Session.of(viewer).display
    display.set_background(True)
    second = add(viewer, "second")
    for layer in (first, second):
        np.testing.assert_allclose(layer.get_color(BACKGROUND), [1, 0, 0, 1])
    set_class_table(first, FASSEG)  # As after a class was renamed.
    assert first.get_color(BACKGROUND)[3] == 1
    display.set_background(False)
    assert [each.get_color(BACKGROUND)[3] for each in (first, second)] == [0, 0]


@pytest.mark.window
@pytest.mark.parametrize("tool", ["Draw", "Refine", "Review"])
def test_one_key_outlines_all_maps_while_any_widget_is_open(viewer, dock, qtbot, tool):
    widget, visible = dock(tool), add(viewer)
    hidden = add(viewer, "hidden")
    hidden.visible = False
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_W)
    assert visible.contour == hidden.contour > 0
    assert visible.opacity == 1
    assert add(viewer, "later").contour > 0
    hidden.data_setitem((np.array([5]), np.array([5])), HAIR + 1)
    assert np.count_nonzero(hidden.data == HAIR) == hidden.data.size - 1
    qtbot.keyClick(canvas, Qt.Key.Key_W)
    assert {(layer.contour, layer.opacity) for layer in viewer.layers} == {(0, 0.5)}
    widget.switches.background.click()
    assert visible.get_color(BACKGROUND)[3] == 1
