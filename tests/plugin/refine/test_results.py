"""Results of refining are renewed, not multiplied, and old ones are removed by a button."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.session import Session
from napari_c2f.review.controller import ReviewController

SIZE = 64
GROUP = ["fine", "confidence"]


@pytest.fixture
def scene(docked, next_class, refine):
    """A refined map."""
    viewer, widget = docked
    pair = synthetic_pair(SIZE)
    viewer.add_image(pair.image, name="scene", rgb=True)
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "coarse")
    viewer.add_labels(data, **keywords)
    refine(widget)
    return viewer, widget


def results(viewer):
    return [layer.name for layer in viewer.layers if layer.name not in ("scene", "coarse")]


def paint(layer, label=1, rows=slice(0, 4)):
    layer.mode = "paint"
    layer.data_setitem(tuple(np.mgrid[rows, 0:5].reshape(2, -1)), label)


def test_another_refinement_renews_the_group_and_keeps_corrections(scene, refine):
    viewer, widget = scene
    corrected = 3
    viewer.layers["fine"].data_setitem((np.array([5]), np.array([6])), corrected)
    for _ in range(3):
        refine(widget)
        assert results(viewer) == GROUP
        assert viewer.layers["fine"].data[5, 6] == corrected
    assert viewer.layers.selection.active is viewer.layers["fine"]


def test_the_same_part_is_renewed_and_the_whole_renews_all_parts(scene, refine):
    viewer, widget = scene
    box = np.array([[5, 5], [5, 30], [30, 30], [30, 5]])
    viewer.add_shapes([box], name="box")
    parts = ["fine 2", "confidence 2"]
    widget.scope.where.setValue("shapes")
    for _ in range(3):
        refine(widget)
        assert results(viewer) == ["fine", "confidence", "box", *parts]
    viewer.layers["box"].add([box + 25])  # Another part: the earlier one stays.
    refine(widget)
    assert {*GROUP, *parts, "fine 3"} < set(results(viewer))
    widget.scope.where.setValue("image")
    refine(widget)
    assert sorted(results(viewer)) == sorted([*GROUP, "box"])


def test_corrections_in_a_map_that_is_not_the_latest_are_not_lost(scene, refine):
    viewer, widget = scene
    first = viewer.layers["fine"]
    paint(first)
    widget.scope.keep_fine.setChecked(False)
    refine(widget)
    widget.scope.keep_fine.setChecked(True)
    refine(widget)
    assert first in viewer.layers
    assert len(results(viewer)) == 4


@pytest.mark.parametrize("reason", ["renamed", "scope", "edits", "review"])
def test_a_result_with_something_of_its_own_stays(scene, refine, qtbot, reason):
    viewer, widget = scene
    fine = viewer.layers["fine"]
    if reason == "renamed":
        fine.name = "the one I like"
    elif reason == "scope":
        widget.scope.band.setValue(2)
    elif reason == "edits":
        paint(fine)
        widget.scope.keep_fine.setChecked(False)
    else:
        controller = ReviewController(viewer, Session.of(viewer))
        controller.begin(fine, viewer.layers["coarse"], viewer.layers["confidence"])
        qtbot.waitUntil(lambda: controller.model.reviewing, timeout=10000)
        controller.close()
    before = fine.data.copy()
    refine(widget)
    assert fine in viewer.layers
    assert not fine.visible
    np.testing.assert_array_equal(fine.data, before)


def test_a_result_that_is_painted_in_while_its_successor_is_made_stays(scene, hold_refining, qtbot):
    viewer, widget = scene
    started, released = hold_refining()
    qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(started.is_set, timeout=10000)
    fine = viewer.layers["fine"]
    paint(fine)
    released.set()
    qtbot.waitUntil(widget.refine_button.isEnabled, timeout=10000)
    assert fine in viewer.layers


def test_a_button_removes_old_results_but_none_with_edits(scene, refine, click):
    viewer, widget = scene
    click(widget.clear_button)
    assert widget.status.text() == "There are no old results."
    for name in ("first", "second"):
        viewer.layers["fine"].name = name
        if name == "second":
            paint(viewer.layers[name])
            widget.scope.keep_fine.setChecked(False)
        refine(widget)
    click(widget.clear_button)
    assert "first" not in viewer.layers
    assert "second" in viewer.layers
    assert "'second' stay, because" in widget.status.text()
    assert viewer.layers.selection.active in viewer.layers
    assert {"scene", "coarse", "fine"} <= {layer.name for layer in viewer.layers}


def test_finishing_a_review_leaves_the_three_layers_that_one_needs(scene, qtbot):
    viewer, _ = scene
    controller = ReviewController(viewer, Session.of(viewer))
    fine = viewer.layers["fine"]
    controller.begin(fine, viewer.layers["coarse"], viewer.layers["confidence"])
    qtbot.waitUntil(lambda: controller.model.reviewing, timeout=10000)
    refined = fine.data.copy()
    controller.review.accept_rest()
    controller.finish()
    assert [layer.name for layer in viewer.layers] == ["scene", "coarse", "final"]
    assert "'coarse' and 'final'" in controller.model.message
    np.testing.assert_array_equal(viewer.layers["final"].data, refined)
    assert viewer.layers["final"].visible
    assert not controller.model.reviewing
    controller.close()
