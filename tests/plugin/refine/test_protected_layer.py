"""Hand-painted pixels stay when a map is refined again: by mouse and keys on a real viewer."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from napari_c2f.layers.convert import RESULT_KEY, labels_layer_data
from napari_c2f.layers.session import Session
from napari_c2f.refine.protected_layer import NAME

DISK, TRIANGLE = 2, 4


@pytest.fixture
def scene(docked, next_class, refine):
    """A viewer whose map was refined once, and the widget."""
    viewer, widget = docked
    pair = synthetic_pair(96)
    viewer.add_image(pair.image, name="scene")
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "coarse")
    viewer.add_labels(data, **keywords)
    refine(widget)
    return viewer, widget


@pytest.fixture
def paint(drag):
    """Paint a stroke with the mouse, and return where it changed the map."""

    def stroke(viewer, layer, label, row):
        before = layer.data.copy()
        viewer.layers.selection.active, layer.visible = layer, True
        layer.mode, layer.brush_size, layer.selected_label = "paint", 6, label
        drag(viewer, (row, 20), (row, 45), (row, 70))
        layer.mode = "pan_zoom"
        changed = layer.data != before
        assert changed.any()
        return changed

    return stroke


def test_corrections_of_the_fine_map_are_carried_over(scene, refine, paint, following):
    viewer, widget = scene
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    plain = fine.data.copy()
    painted = paint(viewer, fine, DISK, 30)
    for _ in range(2):
        refine(widget)
        assert widget.coarse.value is coarse
        expected = np.where(painted, DISK, following(coarse.data))
        np.testing.assert_array_equal(viewer.layers["fine"].data, expected)
        confidence = viewer.layers["confidence"].data
        np.testing.assert_array_equal(np.isnan(confidence), painted)
    assert widget.state.report.pixels == (~painted).sum()
    record = Session.of(viewer).lineage.record_of(viewer.layers["fine"])
    assert len(record["painted"]) == 1
    more = paint(viewer, viewer.layers["fine"], 1, 60)
    refine(widget)
    expected[more] = 1
    np.testing.assert_array_equal(viewer.layers["fine"].data, expected)
    np.testing.assert_array_equal(fine.data, np.where(painted, DISK, plain))


@pytest.mark.window
def test_undo_and_the_eraser_end_the_protection_of_corrections(
    scene, refine, paint, qtbot, following
):
    viewer, widget = scene
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    paint(viewer, fine, DISK, 30)
    erased = paint(viewer, fine, DISK, 60)
    paint(viewer, fine, SHAPES.unlabelled.index, 60)
    assert (fine.data[erased] == 0).all()
    canvas = viewer.window._qt_viewer.canvas.native
    for _ in range(3):
        qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    for _ in range(2):
        qtbot.keyClick(
            canvas,
            Qt.Key.Key_Z,
            Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
        )
    first = fine.data != following(coarse.data)
    assert first.any()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (fine.data != following(coarse.data)).sum() < first.sum()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    refine(widget)
    np.testing.assert_array_equal(viewer.layers["fine"].data, following(coarse.data))
    paint(viewer, viewer.layers["fine"], DISK, 30)
    paint(viewer, viewer.layers["fine"], SHAPES.unlabelled.index, 30)
    refine(widget)
    np.testing.assert_array_equal(viewer.layers["fine"].data, following(coarse.data))


def test_protection_can_be_switched_off(scene, refine, paint, click, qtbot, following):
    viewer, widget = scene
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    click(widget.scope_section.toggleButton())
    paint(viewer, fine, DISK, 30)
    paint(viewer, coarse, 3, 60)
    qtbot.keyClick(widget.scope.keep_fine, Qt.Key.Key_Space)
    qtbot.keyClick(widget.scope.keep_coarse, Qt.Key.Key_Space)
    refine(widget)
    np.testing.assert_array_equal(viewer.layers["fine 2"].data, following(coarse.data))


def test_what_is_painted_in_the_coarse_map_after_refining_stays(scene, refine, paint, following):
    viewer, widget = scene
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    in_fine = paint(viewer, fine, TRIANGLE, 30)
    in_coarse = paint(viewer, coarse, 3, 33)
    assert (in_fine & in_coarse).any()
    again = paint(viewer, fine, TRIANGLE, 35)
    refine(widget)
    # Whatever was painted last.
    expected = following(coarse.data)
    expected[in_fine] = TRIANGLE
    expected[in_coarse] = 3
    expected[again] = TRIANGLE
    np.testing.assert_array_equal(viewer.layers["fine"].data, expected)


def test_a_corrected_fine_map_can_be_refined_itself(scene, refine, paint, following):
    viewer, widget = scene
    fine = viewer.layers["fine"]
    painted = paint(viewer, fine, DISK, 30)
    widget.coarse.value = fine
    refine(widget)
    second = viewer.layers["fine 2"]
    expected = np.where(painted, DISK, following(fine.data))
    np.testing.assert_array_equal(second.data, expected)
    more = paint(viewer, second, 1, 60)
    widget.coarse.value = viewer.layers["coarse"]
    refine(widget)
    expected = following(viewer.layers["coarse"].data)
    expected[painted], expected[more] = DISK, 1
    np.testing.assert_array_equal(viewer.layers["fine 3"].data, expected)


def test_what_was_painted_in_a_review_stays_along_with_the_corrections(
    scene, refine, paint, following
):
    viewer, widget = scene
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    corrected = paint(viewer, fine, TRIANGLE, 30)
    data, keywords, _ = labels_layer_data(coarse.data.copy(), SHAPES, "final")
    keywords["metadata"][RESULT_KEY] = True
    final, session = viewer.add_labels(data, **keywords), Session.of(viewer)
    session.lineage.add_final(final, fine)
    accepted = paint(viewer, final, TRIANGLE, 60)
    expected = following(coarse.data)
    expected[corrected | accepted] = TRIANGLE
    for _ in range(2):
        refine(widget)
        np.testing.assert_array_equal(viewer.layers["fine 2"].data, expected)
    record = session.lineage.record_of(viewer.layers["fine 2"])
    assert len(record["painted"]) == 2


def test_what_stays_is_shown_as_a_layer(scene, refine, paint, qtbot, click):
    viewer, widget = scene
    click(widget.scope_section.toggleButton())
    fine = viewer.layers["fine"]
    qtbot.keyClick(widget.scope.show_protected, Qt.Key.Key_Space)
    shown = viewer.layers[NAME]
    assert not shown.data.any()
    assert viewer.layers.selection.active is fine
    painted = paint(viewer, fine, DISK, 30)

    def is_shown(expected):
        corner = np.round(shown.translate).astype(int)
        place = tuple(
            slice(start, start + length)
            for start, length in zip(corner, shown.data.shape, strict=True)
        )
        found = np.zeros(fine.data.shape, bool)
        found[place] = shown.data == 1
        return (found == expected).all()

    qtbot.waitUntil(lambda: is_shown(painted))
    assert widget.coarse.value is viewer.layers["coarse"]
    fine.undo()
    qtbot.waitUntil(lambda: is_shown(np.zeros_like(painted)))
    fine.redo()
    refine(widget)
    qtbot.waitUntil(lambda: is_shown(painted))
    more = paint(viewer, viewer.layers["fine"], 1, 60)
    qtbot.waitUntil(lambda: is_shown(painted | more))
    qtbot.keyClick(widget.scope.keep_fine, Qt.Key.Key_Space)
    assert not shown.data.any()
    viewer.layers.remove(shown)
    qtbot.keyClick(widget.scope.keep_fine, Qt.Key.Key_Space)
    assert NAME in viewer.layers
    qtbot.keyClick(widget.scope.show_protected, Qt.Key.Key_Space)
    assert NAME not in viewer.layers


def test_what_stays_of_a_stack_is_shown_in_its_plane(
    docked, next_class, refine, drag, click, qtbot
):
    viewer, widget = docked
    pair = synthetic_pair(96)
    viewer.add_image(np.stack([pair.image] * 3), name="scenes", rgb=True)
    maps = np.stack([SHAPES.to_labels(pair.coarse)] * 3)
    data, keywords, _ = labels_layer_data(maps, SHAPES, "coarse")
    viewer.add_labels(data, **keywords)
    viewer.dims.set_current_step(0, 1)
    refine(widget)
    fine = viewer.layers["fine"]
    before = fine.data.copy()
    viewer.layers.selection.active, fine.mode, fine.brush_size = fine, "paint", 6
    fine.selected_label = TRIANGLE
    drag(viewer, (30, 20), (30, 45), (30, 70))
    click(widget.scope_section.toggleButton())
    qtbot.keyClick(widget.scope.show_protected, Qt.Key.Key_Space)
    shown = viewer.layers[NAME]
    painted = np.argwhere(fine.data != before)
    assert set(painted[:, 0]) == {1}
    corner = np.round(shown.translate).astype(int)
    np.testing.assert_array_equal(np.argwhere(shown.data == 1) + corner, painted)
    viewer.dims.set_current_step(0, 2)
    qtbot.keyClick(widget.scope.show_protected, Qt.Key.Key_Space)
    viewer.dims.set_current_step(0, 0)
    qtbot.wait(300)  # The window draws.
    assert NAME not in viewer.layers
