"""Live mode, driven by strokes of the mouse on a real viewer."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QWidget

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import ImageError
from c2f_core.io.maps import write_map
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import RefineJob, run_refinement
from c2f_core.refine.scope import Scope
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.session import Session
from napari_c2f.refine import live as _live
from napari_c2f.refine.live import live_work
from napari_c2f.refine.request import RefinerChoice
from napari_c2f.review.controller import ReviewController

SIZE = 96
TRIANGLE = 4


def add_scene(viewer, leading=()):
    pair = synthetic_pair(SIZE)
    image = np.broadcast_to(pair.image, (*leading, *pair.image.shape)).copy()
    viewer.add_image(image, name="scene", rgb=True)
    maps = np.broadcast_to(SHAPES.to_labels(pair.coarse), (*leading, SIZE, SIZE)).copy()
    data, keywords, _ = labels_layer_data(maps, SHAPES, "coarse")
    return viewer.add_labels(data, **keywords)


@pytest.fixture
def seen(next_class, monkeypatch):
    """Sizes of the parts that the quick refiner refined."""
    parts, original = [], next_class.refine_ids

    def refine_ids(self, rgb, class_ids, monitor):
        parts.append(class_ids.shape)
        return original(self, rgb, class_ids, monitor)

    monkeypatch.setattr(next_class, "refine_ids", refine_ids)
    monkeypatch.setattr(_live, "PAUSE", 30)
    return parts


@pytest.fixture
def live(docked, seen, qtbot):
    """A viewer in live mode: its map was refined by switching it on."""
    viewer, widget = docked
    add_scene(viewer)
    widget.model.setValue("watershed")
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: "confidence" in viewer.layers, timeout=10000)
    qtbot.waitUntil(widget.refine_button.isEnabled, timeout=10000)
    seen.clear()
    return viewer, widget


@pytest.fixture
def paint(drag):
    """Paint a stroke with the mouse."""

    def stroke(viewer, layer, label, row, columns=(20, 30, 40)):
        viewer.layers.selection.active = layer
        layer.mode, layer.brush_size, layer.selected_label = "paint", 6, label
        drag(viewer, *((row, column) for column in columns))
        layer.mode = "pan_zoom"

    return stroke


def assert_idle(live):
    """Check that live mode neither runs, nor waits for a pause, nor remembers strokes."""
    assert live._task is None
    assert not live._debouncer._hasPendingEmission
    assert live._touched == {}


def wait_for(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=10000)


def test_a_stroke_is_refined_in_the_layers_that_are_there(live, seen, paint, qtbot, following):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    assert widget.live.isChecked()
    assert coarse.visible
    assert viewer.layers.selection.active is coarse
    data, names = fine.data, [layer.name for layer in viewer.layers]
    fine.data[0, 0] = TRIANGLE  # Far from the stroke.
    paint(viewer, coarse, TRIANGLE, 30)
    wait_for(qtbot, lambda: widget.status.text().startswith("Live:"))
    expected = following(coarse.data)
    expected[0, 0] = TRIANGLE
    assert fine.data is data
    np.testing.assert_array_equal(fine.data, expected)
    assert [layer.name for layer in viewer.layers] == names
    assert max(map(max, seen)) < SIZE / 2
    assert Session.of(viewer).lineage.record_of(fine)["live_updates"] >= 1
    assert widget.state.report.pixels < SIZE**2 / 4
    paint(viewer, coarse, TRIANGLE, 60)
    expected = following(coarse.data)
    expected[0, 0] = TRIANGLE
    wait_for(qtbot, lambda: (fine.data == expected).all())
    coarse.undo()
    coarse.undo()
    expected = following(coarse.data)
    expected[0, 0] = TRIANGLE
    wait_for(qtbot, lambda: (fine.data == expected).all())


def test_corrections_are_protected_and_refinable_strokes_are_not(
    live, paint, qtbot, refine, following
):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    before = fine.data.copy()
    paint(viewer, fine, TRIANGLE, 30)
    corrected = fine.data != before
    assert corrected.any()
    wait_for(qtbot, lambda: widget.status.text().startswith("Live:"))
    paint(viewer, coarse, 3, 33)
    expected = np.where(corrected, TRIANGLE, following(coarse.data))
    wait_for(qtbot, lambda: (fine.data == expected).all())
    refine(widget)
    assert widget.live.isChecked()
    again = viewer.layers["fine"]
    np.testing.assert_array_equal(again.data, expected)
    assert coarse.visible
    paint(viewer, coarse, 3, 60)
    expected = np.where(corrected, TRIANGLE, following(coarse.data))
    wait_for(qtbot, lambda: (again.data == expected).all())
    assert (fine.data != expected).any()


def test_strokes_while_it_refines_are_queued_together(
    live, hold_refining, seen, paint, qtbot, following
):
    viewer, _ = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    started, released = hold_refining()
    paint(viewer, coarse, TRIANGLE, 20)
    wait_for(qtbot, started.is_set)
    paint(viewer, coarse, TRIANGLE, 50)
    paint(viewer, coarse, TRIANGLE, 70, (60, 70, 80))
    paint(viewer, fine, 3, 22)  # Where a result is on its way.
    corrected = fine.data.copy()
    released.set()
    wait_for(qtbot, lambda: len(seen) == 2)
    assert seen[1][0] > 50
    assert seen[1][1] > 50
    mask = np.zeros(fine.data.shape, bool)
    mask[19:25, 21:40] = corrected[19:25, 21:40] == 3
    assert mask.any()
    wait_for(qtbot, lambda: (fine.data == following(coarse.data))[~(corrected == 3)].all())
    assert (fine.data[mask] == 3).all()


def test_a_result_spares_the_stroke_that_is_being_drawn(
    live, hold_refining, paint, qtbot, following
):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    started, released = hold_refining()
    paint(viewer, coarse, TRIANGLE, 20)
    wait_for(qtbot, started.is_set)
    fine.selected_label = 3
    fine.brush_size = 4
    with fine.block_history():  # As between press and release of the mouse.
        fine.paint((20, 30), 3)
        drawn = fine.data == 3
        released.set()
        wait_for(qtbot, lambda: widget.status.text().startswith("Live:"))
    assert (fine.data[drawn] == 3).all()
    np.testing.assert_array_equal(fine.data[~drawn], following(coarse.data)[~drawn])


def test_a_map_opened_for_a_projects_image_is_refined_live(
    live, qtbot, following, tmp_path, monkeypatch
):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    Session.of(viewer).lineage.set_image(coarse, viewer.layers["scene"])
    path = tmp_path / "map.png"
    write_map(path, np.full((SIZE, SIZE), TRIANGLE, np.uint8), SHAPES)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    qtbot.mouseClick(widget.open_button, Qt.MouseButton.LeftButton)
    assert (coarse.data == TRIANGLE).all()
    wait_for(qtbot, lambda: (fine.data == following(coarse.data)).all())
    assert widget.live.isChecked()
    assert all(layer.visible for layer in (coarse, fine, viewer.layers["confidence"]))


def test_what_was_reviewed_is_refined_again_first(live, paint, qtbot, following):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    reviewing = ReviewController(viewer, Session.of(viewer))
    reviewing.begin(fine, coarse, viewer.layers["confidence"])
    wait_for(qtbot, lambda: reviewing.model.reviewing)
    assert not widget.live.isChecked()
    assert "is being reviewed" in widget.status.text()
    reviewing.review.accept()
    reviewing.review.reject_rest()
    final, before = viewer.layers["final"], fine.data.copy()
    accepted = final.data != coarse.data
    assert 0 < accepted.sum() < accepted.size
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    wait_for(qtbot, lambda: "confidence 2" in viewer.layers)
    wait_for(qtbot, widget.refine_button.isEnabled)
    assert widget.live.isChecked()
    again = viewer.layers["fine 2"]
    assert (again.visible, final.visible) == (True, False)
    paint(viewer, coarse, TRIANGLE, 30)
    expected = np.where(accepted, final.data, following(coarse.data))
    wait_for(qtbot, lambda: (again.data == expected).all())
    np.testing.assert_array_equal(fine.data, before)
    reviewing.close()


def test_switched_off_nothing_is_refined(live, seen, paint, qtbot):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    ended = widget._controller._live
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    assert not widget.live.isChecked()
    assert not coarse.visible
    before = fine.data.copy()
    coarse.visible = True
    paint(viewer, coarse, TRIANGLE, 30)
    assert_idle(ended)
    assert (widget._controller._live, widget.state.busy) == (None, False)
    assert seen == []
    np.testing.assert_array_equal(fine.data, before)


def test_the_scope_holds_in_live_mode_too(live, paint, qtbot, following):
    viewer, widget = live
    coarse, fine = viewer.layers["coarse"], viewer.layers["fine"]
    before = fine.data.copy()
    box = np.array([[0.0, 0], [0, 29], [95, 29], [95, 0]])
    viewer.add_shapes([box], name="box")
    widget.scope.where.setValue("shapes")
    paint(viewer, coarse, TRIANGLE, 30)
    wait_for(qtbot, lambda: widget.status.text().startswith("Live:"))
    expected = np.where(np.arange(SIZE) < 29, following(coarse.data), before)
    np.testing.assert_array_equal(fine.data, expected)


def test_a_slice_of_a_stack_is_refined(docked, seen, paint, qtbot, following):
    viewer, widget = docked
    coarse = add_scene(viewer, (3,))
    widget.model.setValue("watershed")
    widget.scope.planes.setValue("all")
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    wait_for(qtbot, lambda: "confidence" in viewer.layers)
    wait_for(qtbot, widget.refine_button.isEnabled)
    fine = viewer.layers["fine"]
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection.active = coarse
    coarse.mode = "paint"
    with coarse.block_history():
        coarse._draw(TRIANGLE, (2, 30, 20), (2, 30, 40))
    expected = following(coarse.data)
    wait_for(qtbot, lambda: (fine.data == expected).all())
    assert (coarse.data[0] != coarse.data[2]).any()


def test_live_mode_ends_where_its_layers_go(live, paint, qtbot):
    viewer, widget = live
    coarse = viewer.layers["coarse"]
    viewer.layers.remove("fine")
    paint(viewer, coarse, TRIANGLE, 30)
    wait_for(qtbot, lambda: not widget.live.isChecked())
    assert "its fine map was removed" in widget.status.text()


@pytest.mark.window
def test_live_mode_ends_with_the_dock(live, seen, paint, qtbot):
    viewer, widget = live
    ended = widget._controller._live
    viewer.window.remove_dock_widget(widget)
    paint(viewer, viewer.layers["coarse"], TRIANGLE, 30)
    assert_idle(ended)
    assert (widget._controller._live, widget._controller._task) == (None, None)
    assert not seen
    widget.deleteLater()  # napari has only taken it out of its dock.
    wait_for(qtbot, lambda: not isalive(widget))


@pytest.mark.window
@pytest.mark.parametrize("how", ["button", "menu"])
def test_live_mode_ends_when_the_dock_is_closed_and_not_destroyed(live, seen, paint, qtbot, how):
    viewer, widget = live
    dock, ended = widget.parent(), widget._controller._live
    before = viewer.layers["fine"].data.copy()
    if how == "button":
        qtbot.mouseClick(dock.title.hide_button, Qt.MouseButton.LeftButton)
    else:
        dock.toggleViewAction().trigger()
    assert dock.isHidden()
    viewer.layers["coarse"].visible = True
    paint(viewer, viewer.layers["coarse"], TRIANGLE, 30)
    assert_idle(ended)
    assert not seen
    np.testing.assert_array_equal(viewer.layers["fine"].data, before)
    dock.toggleViewAction().trigger()
    assert not widget.live.isChecked()
    assert "closed" in widget.status.text()
    assert viewer.layers["coarse"].contour == 0


@pytest.mark.window
def test_live_mode_stays_on_behind_another_tab(live, dock, qtbot):
    viewer, widget = live
    other = viewer.window.add_dock_widget(QWidget(), name="other", tabify=True)
    qtbot.waitUntil(other.isVisible)
    assert widget.live.isChecked()


@pytest.mark.window
def test_protected_edits_are_not_shown_after_the_dock_is_gone(live, paint, qtbot):
    viewer, widget = live
    widget.scope.show_protected.click()
    assert "protected edits" in viewer.layers
    layer = widget._controller._protected_layer
    viewer.window.remove_dock_widget(widget)
    paint(viewer, viewer.layers["fine"], TRIANGLE, 30)
    layer.update()
    assert "protected edits" not in viewer.layers
    assert not layer._debouncer._timer.isActive()
    widget.deleteLater()
    wait_for(qtbot, lambda: not isalive(widget))


@pytest.mark.parametrize("name", ["scene", "coarse", "fine", "confidence"])
def test_live_mode_ends_with_any_of_its_layers(live, seen, name):
    viewer, widget = live
    ended = widget._controller._live
    viewer.layers.remove(name)
    assert not widget.live.isChecked()
    assert "was removed" in widget.status.text()
    assert_idle(ended)


def test_live_mode_ends_where_another_image_is_chosen(live):
    viewer, widget = live
    widget.image.value = viewer.add_image(np.zeros((SIZE, SIZE)), name="other")
    assert not widget.live.isChecked()


def test_live_mode_ends_where_another_map_is_chosen(live):
    viewer, widget = live
    other = viewer.add_labels(np.ones((SIZE, SIZE), np.uint8), name="other")
    widget.coarse.value = other
    assert not widget.live.isChecked()


@pytest.fixture
def two_maps(docked, seen):
    """A viewer with two coarse maps of one image; the first one is chosen."""
    viewer, widget = docked
    first = add_scene(viewer)
    data, keywords, _ = labels_layer_data(np.flip(first.data).copy(), SHAPES, "other")
    other = viewer.add_labels(data, **keywords)
    viewer.layers.selection.active = first
    assert widget.coarse.value is first
    widget.model.setValue("watershed")
    return viewer, widget, first, other


def test_live_mode_ends_where_another_map_is_chosen_while_the_first_one_is_refined(
    two_maps, hold_refining, qtbot, following
):
    viewer, widget, first, other = two_maps
    started, released = hold_refining()
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    wait_for(qtbot, started.is_set)
    viewer.layers.selection.active = other
    assert widget.coarse.value is other
    assert not widget.live.isChecked()
    released.set()
    wait_for(qtbot, widget.refine_button.isEnabled)
    fine = viewer.layers["fine"]
    np.testing.assert_array_equal(fine.data, following(first.data))
    assert not Session.of(viewer).strokes.is_drawn_refinable(first)
    assert not widget.live.isChecked()


def test_live_mode_follows_the_map_it_is_switched_on_for_while_another_one_is_refined(
    two_maps, hold_refining, paint, qtbot, following
):
    viewer, widget, first, other = two_maps
    started, released = hold_refining()
    qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
    wait_for(qtbot, started.is_set)
    viewer.layers.selection.active = other
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    released.set()
    wait_for(qtbot, lambda: "other confidence" in viewer.layers)
    wait_for(qtbot, widget.refine_button.isEnabled)
    assert widget.live.isChecked()
    paint(viewer, other, TRIANGLE, 30)
    fine = viewer.layers["other fine"]
    wait_for(qtbot, lambda: (fine.data == following(other.data)).all())
    np.testing.assert_array_equal(viewer.layers["fine"].data, following(first.data))


def test_a_live_job_refines_the_map_that_live_mode_follows(live):
    viewer, widget = live
    controller, other = widget._controller, viewer.layers["fine"]
    target = controller._live.target
    controller._request = replace(controller._request, coarse=other)
    job, _ = controller._live_job(target)
    assert job.coarse is target.coarse.data


def test_without_layers_live_mode_is_not_switched_on(docked, qtbot):
    _, widget = docked
    qtbot.keyClick(widget.live, Qt.Key.Key_Space)
    assert not widget.live.isChecked()
    assert "Choose an image and a coarse map" in widget.status.text()


def test_an_error_ends_live_mode_and_is_reported(live, next_class, paint, qtbot, monkeypatch):
    viewer, widget = live

    def fail(*_, **__):
        raise ImageError("This cannot be refined.")

    monkeypatch.setattr(next_class, "refine_ids", fail)
    paint(viewer, viewer.layers["coarse"], TRIANGLE, 30)
    wait_for(qtbot, lambda: not widget.live.isChecked())
    assert widget.status.text() == "This cannot be refined."


@pytest.mark.window
def test_the_viewer_may_close_while_it_refines(live, next_class, paint, qtbot, monkeypatch):
    viewer, widget = live
    started = threading.Event()

    def wait(self, rgb, class_ids, monitor):
        started.set()
        while not monitor.should_stop():
            pass
        raise ImageError("stopped")

    monkeypatch.setattr(next_class, "refine_ids", wait)
    paint(viewer, viewer.layers["coarse"], TRIANGLE, 30)
    wait_for(qtbot, started.is_set)
    task = widget._controller._live._task
    viewer.close()
    wait_for(qtbot, task._done.is_set)


def test_the_instant_refiner_refines_only_what_is_near_a_stroke():
    pair = astronaut_pair(400)
    table = ClassTable.preset("fasseg")
    coarse = table.to_labels(pair.coarse)
    scope = Scope(care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
    latest = _live._LatestRefiner()
    opener = latest.opener(RefinerChoice("instant"), (), None)
    before = run_refinement(RefineJob(pair.image, coarse, table, scope), InstantRefiner(table))
    labels = before.labels.copy()
    for row in (120, 150):
        touched = slice(row, row + 20), slice(150, 190)
        coarse[touched] = 1
        run = RefineJob(pair.image, coarse, table, scope)
        part = live_work(run, (), touched, opener)(lambda _: None, lambda: False)
        assert part.labels.size < coarse.size / 8
        labels[part.slices] = part.labels
        anew = run_refinement(run, InstantRefiner(table))
        assert (labels != anew.labels).mean() < 0.01
    assert opener(table) is latest.opener(RefinerChoice("instant"), (), None)(table)
    assert opener(table) is not latest.opener(RefinerChoice("instant"), (1,), None)(table)


def test_live_results_equal_refining_everything_again():
    table = ClassTable.preset("fasseg")
    pair = astronaut_pair(800)
    coarse = table.to_labels(pair.coarse)
    refiner = Refiner.bundled("fasseg", "cpu")
    # What is expected to gain depends on all changes of the map, so all of them are kept here.
    scope = Scope(care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
    before = run_refinement(RefineJob(pair.image, coarse, table, scope), refiner)
    touched = slice(240, 330), slice(300, 420)
    coarse[touched] = 1
    run = RefineJob(pair.image, coarse, table, scope)
    anew = run_refinement(run, refiner)
    part = live_work(run, (), touched, lambda _: refiner)(lambda _: None, lambda: False)
    assert part.labels.size < coarse.size / 2
    labels, confidence = before.labels.copy(), before.confidence.copy()
    labels[part.slices], confidence[part.slices] = part.labels, part.confidence
    assert (before.labels != anew.labels).sum() > 100
    assert (labels != anew.labels).mean() <= 1e-4
    np.testing.assert_allclose(confidence, anew.confidence, atol=2e-3)
