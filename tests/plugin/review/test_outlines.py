"""Outlines are drawn on the screen, never into a map: on a real viewer, by buttons and keys."""

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_c2f.layers.session import Session

MAPS = ("face coarse", "face fine", "face final")


@pytest.fixture
def begun(viewer, dock, add_result, click, qtbot):
    """Begin a review of a map, or a stack of them, in a window; return widget and final layer."""

    def begin(planes=(), dtype=np.uint8):
        for layer in add_result(viewer, planes):
            if isinstance(layer, Labels):
                layer.data = layer.data.astype(dtype)
        widget = dock("Review")
        click(widget.begin_button)
        qtbot.waitUntil(lambda: widget.table.isEnabled(), timeout=20000)
        return widget, viewer.layers["face final"]

    return begin


@pytest.mark.window
@pytest.mark.parametrize("planes", [(), (2,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_decisions_while_outlined_are_the_fine_map_exactly(
    viewer, begun, click, review_maps, planes, dtype
):
    widget, final = begun(planes, dtype)
    coarse, fine, _ = review_maps
    viewer_plane = (0,) * len(planes)
    click(widget.switches.outlines)
    for _ in range(3):
        click(widget.buttons.accept)
    widget.buttons.accept_rest.click()
    np.testing.assert_array_equal(final.data[viewer_plane], fine)
    np.testing.assert_array_equal(viewer.layers["face fine"].data[viewer_plane], fine)
    np.testing.assert_array_equal(viewer.layers["face coarse"].data[viewer_plane], coarse)
    assert "Nothing left to review" in widget.status.text()


@pytest.mark.window
def test_undo_takes_back_a_decision_made_while_outlined(viewer, begun, qtbot, review_maps):
    _, final = begun()
    canvas = viewer.window._qt_viewer.canvas.native
    for key in (Qt.Key.Key_W, Qt.Key.Key_A, Qt.Key.Key_A):
        qtbot.keyClick(canvas, key)
    assert final.contour
    for _ in range(2):
        qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(final.data, review_maps[0])
    qtbot.keyClick(canvas, Qt.Key.Key_W)
    qtbot.keyClick(canvas, Qt.Key.Key_A)
    changed = final.data != review_maps[0]
    assert changed.sum() == 48
    np.testing.assert_array_equal(final.data[changed], review_maps[1][changed])


@pytest.mark.window
def test_outlines_that_the_user_set_in_a_hidden_map_are_not_drawn_into_it(
    viewer, begun, review_maps
):
    widget, final = begun()
    assert not final.visible
    final.contour = 3
    widget.buttons.accept_rest.click()
    np.testing.assert_array_equal(final.data, review_maps[1])


@pytest.mark.window
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8])
def test_any_hidden_labels_layer_of_the_viewer_keeps_its_data(viewer, dtype):
    data = np.zeros((30, 30), dtype)
    data[5:25, 5:25] = 7
    layer = viewer.add_labels(data.copy())
    Session.of(viewer)
    layer.visible = False
    layer.contour = 2
    layer.data_setitem((np.array([10]), np.array([10])), 3)
    data[10, 10] = 3
    np.testing.assert_array_equal(layer.data, data)


@pytest.mark.window
def test_a_hidden_map_can_be_decided_on_after_another_image_changed_the_axes(
    viewer, begun, review_maps
):
    widget, final = begun()
    viewer.add_image(np.zeros((3, *review_maps[0].shape)))
    widget.buttons.accept_rest.click()
    np.testing.assert_array_equal(final.data, review_maps[1])


@pytest.mark.window
def test_a_map_is_shown_again_as_the_user_had_it(viewer, begun, click):
    widget, _ = begun()
    viewer.layers["face coarse"].contour = 3
    click(widget.switches.outlines)
    assert [viewer.layers[name].contour for name in MAPS] == [3, 2, 2]
    click(widget.switches.outlines)
    assert [viewer.layers[name].contour for name in MAPS] == [3, 0, 0]
