"""Refining within a scope, driven by mouse and keys on a real viewer."""

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.run import RefineJob, run_refinement
from c2f_core.refine.scope import Scope
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.session import Session
from napari_c2f.refine.request import CleanUpChoice, ScopeChoice, Where, scope_of
from napari_c2f.refine.scope_editor import ScopeEditor

SIZE = 96


def scene(shape=(SIZE, SIZE)):
    """Return images, and coarse maps, of this shape."""
    pairs = [synthetic_pair(SIZE, seed) for seed in range(int(np.prod(shape[:-2])))]
    images = np.stack([pair.image for pair in pairs]).reshape(*shape, 3)
    return images, SHAPES.to_labels(np.stack([pair.coarse for pair in pairs]).reshape(shape))


def add_scene(viewer, shape=(SIZE, SIZE), **keywords):
    images, maps = scene(shape)
    viewer.add_image(images, name="scene", rgb=True, **keywords)
    return add_coarse(viewer, maps, **keywords)


def add_coarse(viewer, maps, **keywords):
    data, table_keywords, _ = labels_layer_data(maps, SHAPES, "coarse")
    return viewer.add_labels(data, **table_keywords, **keywords)


def settle(viewer):
    """Let the window follow the camera."""
    QApplication.processEvents()
    viewer.window._qt_viewer.canvas.on_draw(None)


@pytest.fixture
def expanded(docked, next_class, click):
    """The docked widget, its scope opened by a click."""
    viewer, widget = docked
    click(widget.scope_section.toggleButton())
    return viewer, widget


def test_the_scope_is_hidden_until_it_is_opened(docked, qtbot):
    viewer, widget = docked
    add_scene(viewer)
    assert widget.scope.isHidden()
    assert widget.scope_section.text() == "Scope: whole image"
    button = widget.scope_section.toggleButton()
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert not widget.scope.isHidden()
    assert widget.scope.shapes.native.isHidden()
    assert widget.scope.planes.isHidden()


@pytest.mark.window
def test_only_the_view_is_refined(expanded, refine, following):
    viewer, widget = expanded
    coarse = add_scene(viewer)
    viewer.scene.camera.zoom *= 3
    settle(viewer)
    widget.scope.where.setValue("view")
    assert "current view" in widget.scope_section.text()
    # The window may still grow or shrink until the click, and does so when layers are added.
    corners = []
    widget.refine_button.clicked.connect(lambda: corners.append(coarse.corner_pixels.copy()))
    refine(widget)
    ((top, left), (bottom, right)) = corners[0]
    fine = viewer.layers["fine"].data
    inside = np.zeros(fine.shape, bool)
    inside[top : bottom + 1, left : right + 1] = True
    assert 0 < inside.sum() < inside.size / 3
    np.testing.assert_array_equal(fine, np.where(inside, following(coarse.data), coarse.data))
    confidence = viewer.layers["confidence"].data
    np.testing.assert_array_equal(~np.isnan(confidence), inside)


@pytest.mark.window
def test_a_view_outside_the_map_is_reported(expanded, refine):
    viewer, widget = expanded
    add_scene(viewer)
    viewer.scene.camera.center = (900, 900)
    settle(viewer)
    widget.scope.where.setValue("view")
    refine(widget)
    assert "shows no part of 'coarse'" in widget.status.text()
    viewer.dims.ndisplay = 3
    settle(viewer)
    refine(widget)
    assert "two dimensions" in widget.status.text()


def test_a_box_drawn_with_the_mouse_is_refined(expanded, refine, drag):
    viewer, widget = expanded
    coarse = add_scene(viewer, scale=(2, 2), translate=(5, 7))
    widget.scope.where.setValue("shapes")
    refine(widget)
    assert "Draw a box or polygon first" in widget.status.text()
    shapes = viewer.add_shapes(name="boxes")
    shapes.mode = "add_rectangle"
    drag(viewer, (25, 47), (60, 60), (85.4, 107.4))
    drag(viewer, (145, 147), (170, 170), (175.4, 177.4))
    assert widget.scope.shapes.value is shapes
    assert not widget.scope.shapes.native.isHidden()
    widget.coarse.value = coarse
    refine(widget)
    fine = viewer.layers["fine"].data
    mask = np.zeros(fine.shape, bool)
    mask[10:41, 20:51], mask[70:86, 70:86] = True, True
    changed = fine != coarse.data
    assert changed[12:39, 22:49].all()
    assert changed[72:84, 72:84].all()
    grown = np.zeros(fine.shape, bool)
    grown[9:42, 19:52], grown[69:87, 69:87] = True, True
    assert not changed[~grown].any()
    shapes.mode, shapes.selected_data = "select", {1}
    refine(widget)
    changed = viewer.layers["fine 2"].data != coarse.data
    assert changed[72:84, 72:84].all()
    assert not changed[:60].any()


def test_shapes_outside_the_map_are_reported(expanded, refine):
    viewer, widget = expanded
    add_scene(viewer)
    viewer.add_shapes([np.array([[-9, -9], [-9, -4], [-4, -4], [-4, -9]])], name="far")
    widget.scope.where.setValue("shapes")
    refine(widget)
    assert "'far' cover nothing of 'coarse'" in widget.status.text()


def test_only_checked_classes_change(expanded, refine, qtbot, following):
    viewer, widget = expanded
    coarse = add_scene(viewer)
    classes = widget.scope.classes
    names = [entry.name for entry in SHAPES.entries]
    assert [classes.item(row).text() for row in range(classes.count())] == names
    classes.setFocus()
    for row in (0, 2, 3, 4):
        classes.setCurrentRow(row)
        qtbot.keyClick(classes, Qt.Key.Key_Space)
    assert classes.value() == ("disk",)
    assert "some classes" in widget.scope_section.text()
    refine(widget)
    fine, wanted = viewer.layers["fine"].data, following(coarse.data)
    disk = (coarse.data == 2) | (wanted == 2)
    np.testing.assert_array_equal(fine, np.where(disk, wanted, coarse.data))
    classes.setCurrentRow(1)
    qtbot.keyClick(classes, Qt.Key.Key_Space)
    refine(widget)
    assert "No class is checked" in widget.status.text()


def test_a_scope_in_which_nothing_may_change_is_reported(expanded, refine):
    viewer, widget = expanded
    coarse = add_scene(viewer)
    coarse.data = np.full_like(coarse.data, SHAPES.classes[0].index)
    widget.scope.classes.setValue((SHAPES.unlabelled.name,))
    refine(widget)
    assert widget.status.text().startswith("The scope has no pixel that may change; widen it")
    np.testing.assert_array_equal(viewer.layers["fine"].data, coarse.data)


def test_band_and_minimal_confidence_keep_the_coarse_label(expanded, refine, qtbot):
    viewer, widget = expanded
    coarse = add_scene(viewer)
    widget.scope.band.setFocus()
    widget.scope.band.selectAll()
    qtbot.keyClicks(widget.scope.band, "2")
    widget.scope.confidence.setValue(75)
    assert widget.scope_section.text() == "Scope: whole image, band 2 px, confidence from 75 %"
    refine(widget)
    changed = viewer.layers["fine"].data != coarse.data
    confidence = viewer.layers["confidence"].data
    np.testing.assert_array_equal(changed, confidence >= 0.75)
    assert 0 < changed.sum() < (~np.isnan(confidence)).sum() < changed.size / 2
    record = Session.of(viewer).lineage.record_of(viewer.layers["fine"])
    scope = Scope.from_record(record["scope"])
    assert (scope.band, scope.minimal_confidence) == (2, 0.75)
    assert widget.state.report.changed == changed.sum()
    fine = viewer.layers["fine"].data
    rows = {row[0]: row[1:] for row in widget.report.text()}
    for entry in SHAPES.classes:
        net = int((fine == entry.index).sum()) - int((coarse.data == entry.index).sum())
        assert rows[entry.name][2] == f"{net:+,}"
    assert not widget.report.isHidden()


def test_the_shown_slice_of_a_stack_is_refined(expanded, refine, following):
    viewer, widget = expanded
    coarse = add_scene(viewer, (2, 3, SIZE, SIZE))
    assert not widget.scope.planes.isHidden()
    for step, name in (((1, 2), "fine"), ((0, 1), "fine")):
        viewer.dims.set_current_step((0, 1), step)
        refine(widget)
        fine = viewer.layers[name].data
        np.testing.assert_array_equal(fine[step], following(coarse.data[step]))
    changed = (fine != coarse.data).any(axis=(2, 3))
    # What was refined before stays.
    np.testing.assert_array_equal(changed, [[False, True, False], [False, False, True]])
    assert widget.state.report.pixels == SIZE**2


def test_all_slices_are_refined_and_stopping_keeps_those_that_are_done(
    expanded, refine, next_class, qtbot, click, monkeypatch, following
):
    viewer, widget = expanded
    coarse = add_scene(viewer, (4, SIZE, SIZE), scale=(5, 1, 1))
    widget.scope.planes.setValue("all")
    refine(widget)
    before = viewer.layers["fine"].data
    np.testing.assert_array_equal(before, following(coarse.data))
    np.testing.assert_array_equal(viewer.layers["fine"].scale, (5, 1, 1))
    coarse.data = np.full_like(coarse.data, SHAPES.classes[0].index)
    original, planes = next_class.refine_ids, []

    def stop_at_the_third(self, rgb, class_ids, monitor):
        planes.append(rgb)
        if len(planes) == 3:
            qtbot.waitUntil(monitor.should_stop, timeout=10000)
        return original(self, rgb, class_ids, monitor)

    monkeypatch.setattr(next_class, "refine_ids", stop_at_the_third)
    click(widget.refine_button)
    qtbot.waitUntil(lambda: len(planes) == 3, timeout=10000)
    click(widget.cancel_button)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=10000)
    assert "cancelled at plane 2; the planes before it are done" in widget.status.text()
    fine = viewer.layers["fine"].data
    np.testing.assert_array_equal(fine[:2], following(coarse.data[:2]))
    np.testing.assert_array_equal(fine[2:], before[2:])  # What was refined before stays.


def test_a_new_map_of_a_stack_is_a_stack(docked, click):
    viewer, widget = docked
    viewer.add_image(scene((3, SIZE, SIZE))[0], name="scene", rgb=True)
    widget.class_table.setValue("fasseg")
    click(widget.new_button)
    assert widget.coarse.value.data.shape == (3, SIZE, SIZE)


class Recorder:
    """Chunked array that counts how much of it was loaded."""

    def __init__(self, array, chunk):
        self.loaded = set()

        def load(block, block_info=None):
            if block_info:
                self.loaded.add(tuple(block_info[0]["chunk-location"]))
            return block

        chunks = da.from_array(array, chunks=chunk)
        self.array = da.map_blocks(load, chunks, dtype=array.dtype, meta=array[:0])


def test_only_the_needed_part_of_lazy_layers_is_loaded(expanded, refine, monkeypatch, following):
    viewer, widget = expanded
    images, maps = scene()
    image, coarse_map = Recorder(images, (16, 16, 3)), Recorder(maps, (16, 16))
    placed = {"translate": (3, 0)}
    viewer.add_image(image.array, rgb=True, name="scene", contrast_limits=(0, 255), **placed)
    coarse = add_coarse(viewer, coarse_map.array, **placed)
    viewer.add_shapes([np.array([[23.0, 36], [23, 44], [30, 44], [30, 36]])])
    widget.scope.where.setValue("shapes")
    widget.clean_up.on.setChecked(False)  # It sees more than what may change.
    widget.coarse.value = coarse
    image.loaded.clear()
    coarse_map.loaded.clear()
    monkeypatch.setattr(coarse, "refresh", lambda *_, **__: None)  # Hiding it loads what is shown.
    refine(widget)
    assert image.loaded == {(1, 2, 0)}
    assert coarse_map.loaded == {(1, 2)}
    fine, confidence = viewer.layers["fine"], viewer.layers["confidence"]
    place = Session.of(viewer).lineage.slices_of(fine)
    assert fine.data.shape == confidence.data.shape == (7, 8)
    assert place == (slice(20, 27), slice(36, 44))
    np.testing.assert_array_equal(fine.translate, (23, 36))
    np.testing.assert_array_equal(confidence.translate, (23, 36))
    before = maps[place]
    inside = ~np.isnan(confidence.data)
    np.testing.assert_array_equal(fine.data, np.where(inside, following(before), before))
    assert inside[1:-1, 1:-1].all()


@pytest.mark.window
def test_a_lazy_pyramid_is_refined_in_the_view(expanded, refine, following):
    viewer, widget = expanded
    images, maps = scene()
    levels = [da.from_array(images[::step, ::step], chunks=32) for step in (1, 2)]
    viewer.add_image(levels, rgb=True, name="scene", multiscale=True)
    coarse = add_coarse(viewer, da.from_array(maps, chunks=32))
    viewer.scene.camera.zoom *= 3
    settle(viewer)
    widget.scope.where.setValue("view")
    refine(widget)
    fine = viewer.layers["fine"]
    place = Session.of(viewer).lineage.slices_of(fine)
    assert fine.data.size < maps.size / 3
    np.testing.assert_array_equal(fine.data, following(maps[place]))
    np.testing.assert_array_equal(fine.translate, [axis.start for axis in place])
    assert coarse.visible is False


def test_classes_stay_unchecked_while_a_map_without_classes_is_chosen(viewer, qtbot):
    editor = ScopeEditor(viewer)
    qtbot.addWidget(editor)
    editor.show_classes(SHAPES)
    editor.classes.setValue((SHAPES.names[1],))
    editor.show_classes(None)
    editor.show_classes(SHAPES)
    assert editor.classes.value() == (SHAPES.names[1],)


def test_a_choice_that_is_set_is_the_one_that_is_read(viewer, qtbot):
    editor = ScopeEditor(viewer)
    editor.show_classes(SHAPES)
    qtbot.addWidget(editor)
    assert editor.value() == ScopeChoice()
    for choice in (
        ScopeChoice(Where.VIEW, ("disk", "ground"), 5, 0.4, True, False, True, "balanced"),
        ScopeChoice(Where.SHAPES, (), None, 0.0, False, True, False, "model"),
    ):
        editor.setValue(choice)
        value = editor.value()
        assert value.classes is not None
        assert set(value.classes) == set(choice.classes)
        for field in (
            *("where", "band", "minimal_confidence", "all_planes", "keep_coarse"),
            "care",
        ):
            assert getattr(value, field) == getattr(choice, field)


def test_care_and_clean_up_go_into_the_scope_and_the_record(docked, refine):
    viewer, widget = docked
    coarse = add_scene(viewer)
    scope = scope_of(widget.request(), viewer, coarse)
    assert (scope.care, *scope.clean_up_sizes) == ("careful", 16, 64, 2)
    assert widget.clean_up_section.text() == "Clean up: regions, holes, edges"
    widget.scope.care.setValue("model")
    assert widget.scope_section.text() == "Scope: whole image, as the model says"
    widget.clean_up.setValue(CleanUpChoice(True, 40, 0, 7))
    assert widget.clean_up_section.text() == "Clean up: regions, edges"
    refine(widget, "instant")
    record = Session.of(viewer).lineage.record_of(viewer.layers["fine"])
    made = Scope.from_record(record["scope"])
    assert (made.care, *made.clean_up_sizes) == ("model", 40, 0, 7)
    images, maps = scene()
    plain = run_refinement(RefineJob(images, maps, SHAPES, made), InstantRefiner(SHAPES))
    np.testing.assert_array_equal(viewer.layers["fine"].data, plain.labels)
    widget.clean_up.on.setChecked(False)
    assert widget.clean_up_section.text() == "Clean up: off"
    assert not widget.clean_up.region.isEnabled()
    assert scope_of(widget.request(), viewer, coarse).clean_up_sizes == (0, 0, 0)
