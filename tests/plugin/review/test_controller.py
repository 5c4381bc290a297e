"""Reviewing without a window: decisions, history, what is shown."""

import numpy as np
import pytest
from napari.components import ViewerModel

from c2f_core.classes.table import ClassTable
from c2f_core.review.decisions import Decision
from napari_c2f.layers.lineage import CHANGES
from napari_c2f.layers.session import Session
from napari_c2f.review import controller as _review_controller
from napari_c2f.review.camera import look_at
from napari_c2f.review.controller import ReviewController
from napari_c2f.review.keys import KEYS
from napari_c2f.review.layers import final_layer

FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, EYES = 1, 2, 3
UNDECIDED, ACCEPTED, REJECTED, EDITED = Decision


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def start(viewer, qtbot):
    """Begin a review of the fine layer, and return the controller and the final layer."""
    controllers = []

    def begin(fine, coarse, confidence):
        controller = ReviewController(viewer, Session.of(viewer))
        controllers.append(controller)
        controller.begin(fine, coarse, confidence)
        qtbot.waitUntil(lambda: not controller.model.busy, timeout=10000)
        assert controller.model.reviewing, controller.model.message
        return controller, viewer.layers["face final"]

    yield begin
    for controller in controllers:
        controller.close()


@pytest.fixture
def review(viewer, start, add_result):
    return start(*add_result(viewer))


def decisions(controller):
    return [Decision(each) for each in controller.model.decisions]


def code_of(controller, number):
    region = controller.model.regions[number - 1]
    row, column = (axis.start for axis in region.window)
    return CHANGES.names[controller._viewer.layers["face changes"].data[row, column] - 1]


def test_a_review_begins_with_the_most_doubtful_region(viewer, review, review_maps):
    controller, final = review
    coarse_map, fine_map, _ = review_maps
    assert [region.after for region in controller.model.regions] == ["skin", "eyes", "hair", "hair"]
    assert controller.model.current == 1
    assert decisions(controller) == [UNDECIDED] * 4
    np.testing.assert_array_equal(final.data, coarse_map)
    outlines = viewer.layers["face changes"].data > 0
    assert (outlines <= (coarse_map != fine_map)).all()
    assert outlines[4:10, 4:12].sum() == 48 - 2 * 4  # Two pixels wide.
    assert [code_of(controller, n) for n in (1, 2, 3, 4)] == ["current"] + ["undecided"] * 3
    center = viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(center, (6.5, 7.5))


def test_a_review_whose_map_goes_as_it_begins_leaves_no_final_map(
    viewer, add_result, qtbot, monkeypatch
):
    fine, coarse, confidence = add_result(viewer)

    def make_and_lose(*arguments):
        made = final_layer(*arguments)
        viewer.layers.remove(fine)
        return made

    monkeypatch.setattr(_review_controller, "final_layer", make_and_lose)
    controller = ReviewController(viewer, Session.of(viewer))
    controller.begin(fine, coarse, confidence)
    qtbot.waitUntil(lambda: not controller.model.busy, timeout=10000)
    assert "was removed" in controller.model.message
    assert "face final" not in viewer.layers
    controller.close()


def test_accepted_regions_alone_go_into_the_final_map(viewer, review, review_maps):
    controller, final = review
    coarse_map, fine_map, _ = review_maps
    controller.review.accept()
    assert controller.model.current == 2
    controller.review.reject()
    controller.review.accept()
    assert decisions(controller) == [ACCEPTED, REJECTED, ACCEPTED, UNDECIDED]
    assert [code_of(controller, n) for n in (1, 2, 3)] == ["accepted", "rejected", "accepted"]
    expected = np.where(np.isin(fine_map, [SKIN]), fine_map, coarse_map)
    expected[20:25, 30:36] = HAIR
    np.testing.assert_array_equal(final.data, expected)
    np.testing.assert_array_equal(viewer.layers["face coarse"].data, coarse_map)
    np.testing.assert_array_equal(viewer.layers["face fine"].data, fine_map)
    assert "1 region left to review" in controller.model.message


def test_undo_and_redo_of_the_layer_take_decisions_back_and_forth(viewer, review, review_maps):
    controller, final = review
    controller.review.display.show_final(True)
    steps = [decisions(controller)]
    for decide in (
        controller.review.accept,
        controller.review.reject,
        controller.review.accept_rest,
    ):
        decide()
        steps.append(decisions(controller))
    assert steps[-1] == [ACCEPTED, REJECTED, ACCEPTED, ACCEPTED]
    for expected in steps[-2::-1]:
        final.undo()
        assert decisions(controller) == expected
    np.testing.assert_array_equal(final.data, review_maps[0])
    for expected in steps[1:]:
        final.redo()
        assert decisions(controller) == expected


def test_undo_selects_the_region_whose_decision_it_reverts(review):
    controller, final = review
    controller.review.accept()
    controller.review.reject()
    controller.review.undo()
    assert (controller.model.current, decisions(controller)[1]) == (2, UNDECIDED)
    assert "Undone: background → eyes, 24 px" in controller.model.message
    controller.review.undo()
    assert (controller.model.current, decisions(controller)[0]) == (1, UNDECIDED)
    controller.review.redo()
    assert decisions(controller) == [ACCEPTED, UNDECIDED, UNDECIDED, UNDECIDED]
    assert not final.visible  # The refined map is shown: hidden layers follow undo, too.


def test_a_decision_can_be_changed(review, review_maps):
    controller, final = review
    controller.review.accept()
    controller.choose(1)
    controller.review.reject()
    assert decisions(controller)[0] is REJECTED
    np.testing.assert_array_equal(final.data, review_maps[0])
    controller.choose(1)
    controller.review.accept()
    assert decisions(controller)[0] is ACCEPTED
    controller.review.undo()
    assert decisions(controller)[0] is REJECTED
    controller.review.undo()
    assert decisions(controller)[0] is ACCEPTED


def test_without_a_region_in_view_or_above_the_threshold_nothing_is_decided(review):
    controller, final = review
    controller.set_threshold(0.97)
    controller.review.accept_above()
    message = "No undecided region has a confidence of at least 97 %. 4 regions left to review."
    assert controller.model.message == message
    controller.review.accept_rest()
    final.undo()
    assert controller.model.current == 0
    controller.review.accept()
    assert controller.model.message == "Choose a region first. 4 regions left to review."
    assert decisions(controller) == [UNDECIDED] * 4


def test_what_is_painted_over_a_region_by_hand_is_edited_and_kept(review):
    controller, final = review
    controller.review.display.show_final(True)
    with final.block_history():
        final.data_setitem((np.array([5, 5]), np.array([5, 6])), EYES)
    assert decisions(controller)[0] is EDITED
    controller.review.accept_rest()
    assert decisions(controller) == [EDITED, ACCEPTED, ACCEPTED, ACCEPTED]
    assert (final.data[5, 5:7] == EYES).all()
    final.undo()
    final.undo()
    assert decisions(controller) == [UNDECIDED] * 4


def test_a_rejection_is_kept_after_more_strokes_than_napari_remembers(review):
    controller, final = review
    controller.review.reject()
    for column in range(110):
        final.data_setitem((np.array([39]), np.array([column % 60])), 1 + column // 60)
    assert decisions(controller)[0] is REJECTED
    for _ in range(110):
        final.undo()
    assert decisions(controller)[0] is REJECTED


def test_locked_classes_of_the_final_layer_are_kept(viewer, review, review_maps):
    controller, final = review
    Session.of(viewer).locks.lock(final, 0)
    controller.review.accept()
    assert decisions(controller)[0] is UNDECIDED
    np.testing.assert_array_equal(final.data, review_maps[0])


def test_classes_that_are_locked_in_the_fine_map_are_locked_in_the_final_one(
    viewer, start, add_result, review_maps
):
    fine, coarse, confidence = add_result(viewer)
    Session.of(viewer).locks.lock(fine, 0)
    controller, final = start(fine, coarse, confidence)
    controller.review.accept()
    assert decisions(controller)[0] is UNDECIDED
    np.testing.assert_array_equal(final.data, review_maps[0])


def test_regions_of_a_confidence_are_accepted_but_what_was_rejected(review):
    controller, _ = review
    controller.review.reject()
    controller.set_threshold(0.55)
    controller.review.accept_above()
    assert decisions(controller) == [REJECTED, ACCEPTED, ACCEPTED, UNDECIDED]
    controller.review.reject_rest()
    assert decisions(controller) == [REJECTED, ACCEPTED, ACCEPTED, REJECTED]
    assert "Nothing left to review; click Finish" in controller.model.message
    assert (controller.model.current, controller.model.shows_final) == (0, True)
    assert code_of(controller, 1) == "rejected"
    controller.review.reject_rest()
    assert controller.model.message == "Nothing left to review; click Finish."


def test_next_and_previous_go_round_the_undecided_regions(review):
    controller, _ = review
    seen = []
    for _ in range(4):
        controller.review.navigator.next()
        seen.append(controller.model.current)
    assert seen == [2, 3, 4, 1]
    controller.choose(2)
    controller.review.accept()
    controller.review.navigator.previous()
    assert controller.model.current == 1
    controller.review.navigator.previous()
    assert controller.model.current == 4
    controller.review.accept_rest()
    controller.choose(4)
    controller.review.navigator.next()
    assert controller.model.current == 1


def test_doubtful_regions_are_passed_over_once_seen(viewer, review):
    controller, _ = review
    centres, messages = [], []
    for _ in range(5):
        controller.review.navigator.next_doubtful()
        centres.append(tuple(viewer.scene.camera.center[-2:]))
        messages.append(controller.model.message)
    assert centres[0] == (4.5, 44.5)  # Nothing changed here.
    assert "region 1 of 4: 60 px, mean confidence 20 %" in messages[0]
    assert len(set(centres[:4])) == 4
    assert "last one" in messages[3]
    assert centres[4] == centres[0]


def test_comparing_shows_the_coarse_map_only_while_it_is_held(viewer, review):
    controller, final = review
    fine, coarse = viewer.layers["face fine"], viewer.layers["face coarse"]
    changes = viewer.layers["face changes"]

    def shown():
        return {layer.name for layer in viewer.layers if layer.visible}

    assert shown() == {fine.name, changes.name}
    controller.review.display.compare(True)
    controller.review.display.compare(True)  # A key that repeats.
    assert shown() == {coarse.name}
    controller.review.display.compare(False)
    controller.review.display.compare(False)
    assert shown() == {fine.name, changes.name}
    controller.review.display.show_final(True)
    assert shown() == {final.name, changes.name}
    Session.of(viewer).display.set_outlined(True)
    assert (fine.contour, final.contour, coarse.contour) == (2, 2, 2)
    Session.of(viewer).display.set_outlined(False)
    assert (fine.contour, final.contour, coarse.contour) == (0, 0, 0)


def test_a_region_as_large_as_the_image_fills_most_of_the_canvas(qapp):
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((300, 400), np.uint8))
    whole = slice(0, 300), slice(0, 400)
    viewer.scene.camera.zoom = 10.0
    look_at(viewer, layer, (), whole)
    assert 400 * viewer.scene.camera.zoom == pytest.approx(0.7 * min(viewer.canvas.size))
    viewer.scene.camera.zoom = 0.01
    look_at(viewer, layer, (), (slice(0, 30), slice(0, 40)))
    assert 40 * viewer.scene.camera.zoom == pytest.approx(0.3 * min(viewer.canvas.size))


def test_the_camera_finds_regions_in_the_world(viewer, start, add_result):
    spatial = {"scale": (0.5, 2.0), "translate": (10, -5)}
    viewer.add_image(np.zeros((3, 40, 60)), name="stack")
    controller, final = start(*add_result(viewer, **spatial))
    np.testing.assert_array_equal(final.scale, spatial["scale"])
    controller.choose(3)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (10 + 22 * 0.5, -5 + 32.5 * 2))


def test_a_review_continues_where_it_was(viewer, start, add_result):
    fine, coarse, confidence = add_result(viewer)
    controller, final = start(fine, coarse, confidence)
    controller.review.accept()
    controller.review.reject()
    controller.end()
    assert not controller.model.reviewing
    controller, again = start(fine, coarse, confidence)
    assert again is final
    assert decisions(controller) == [ACCEPTED, REJECTED, UNDECIDED, UNDECIDED]
    names = [layer.name for layer in viewer.layers]
    assert [name for name in names if "changes" in name] == ["face changes"]
    controller.end()
    fine.data = coarse.data.copy()  # Refined anew: nothing that was rejected is meant any more.
    fine.data[30, 30] = SKIN
    controller, _ = start(fine, coarse, confidence)
    assert len(Session.of(viewer).lineage.rejected_in(final)) == 1
    assert decisions(controller) == [UNDECIDED]


def test_without_confidence_larger_regions_come_first(viewer, start, add_result):
    fine, coarse, _ = add_result(viewer)
    controller, _ = start(fine, coarse, None)
    assert [region.size for region in controller.model.regions] == [48, 30, 24, 4]
    controller.review.navigator.next_doubtful()
    assert controller.model.message == "No region is doubtful."


def test_a_removed_layer_ends_the_review(viewer, review):
    controller, final = review
    viewer.layers.remove(final)
    assert not controller.model.reviewing
    assert "'face final' was removed" in controller.model.message
    assert controller.review is None
    for name, action in KEYS.actions.items():
        action.run(controller, *([True] if action.is_held else []))
        assert "was removed" in controller.model.message, name
    controller.choose(1)
    assert controller.model.current == 0


def test_a_final_layer_of_another_size_ends_the_review(review):
    controller, final = review
    final.data = final.data[:20]
    assert controller.review is None
    assert not controller.model.reviewing
    message = "'face final' has a different size now; begin the review again."
    assert controller.model.message == message


def test_what_cannot_be_reviewed_is_explained(viewer, qtbot, add_result):
    fine, coarse, _ = add_result(viewer)
    controller = ReviewController(viewer, Session.of(viewer))
    for pair in ((None, coarse), (fine, None), (fine, fine)):
        controller.begin(*pair, None)
        assert "Choose a fine map" in controller.model.message
    small = viewer.add_labels(coarse.data[:20], metadata=coarse.metadata, name="small")
    controller.begin(fine, small, None)
    qtbot.waitUntil(lambda: not controller.model.busy, timeout=10000)
    assert "choose those of one image" in controller.model.message
    controller.close()


def test_a_fine_map_of_a_part_is_reviewed_in_its_place(viewer, start, add_result, review_maps):
    fine, coarse, confidence = add_result(viewer, scale=(2, 2))
    place = slice(2, 30), slice(3, 40)
    part = viewer.add_labels(
        fine.data[place], metadata=fine.metadata, translate=(4, 6), scale=(2, 2)
    )
    Session.of(viewer).lineage.add_fine(part, coarse, slices=place)
    sure = viewer.add_image(confidence.data[place], translate=(4, 6), scale=(2, 2))
    controller, final = start(part, coarse, sure)
    controller.review.accept_rest()
    expected = np.where(review_maps[1] > 0, review_maps[1], review_maps[0])[place]
    np.testing.assert_array_equal(final.data, expected)
    np.testing.assert_array_equal(final.translate, (4, 6))
    controller.choose(1)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (6.5 * 2, 7.5 * 2))


def test_what_was_accepted_counts_as_painted_when_the_map_is_refined_again(viewer, review):
    controller, _ = review

    def kept():
        coarse = viewer.layers["face coarse"]
        pixels = Session.of(viewer).lineage.protected_strokes(viewer.layers, coarse, True, True)
        return [int(each.patch.mask.sum()) for each in pixels if each.patch.mask.any()]

    controller.review.reject()
    controller.review.accept()
    assert kept() == [24]
    controller.review.undo()
    assert kept() == []


@pytest.fixture
def stack(viewer, add_result):
    """Two times of three refined planes; the last plane of each differs from the others."""
    where = {"scale": (1, 4, 0.5, 0.5), "translate": (0, 8, 1, 2)}
    fine, coarse, confidence = add_result(viewer, (2, 3), **where)
    fine.data[:, 2] = coarse.data[:, 2]
    fine.data[:, 2, 30:33, 30:33] = SKIN
    return fine, coarse, confidence


def test_the_shown_plane_of_a_stack_is_reviewed(viewer, start, stack):
    fine, coarse, _ = stack
    viewer.dims.set_current_step((0, 1), (1, 2))
    controller, final = start(*stack)
    assert [region.size for region in controller.model.regions] == [9]
    viewer.dims.set_current_step((0, 1), (0, 0))
    controller.choose(1)
    assert viewer.dims.current_step[:2] == (1, 2)  # The plane comes back into view.
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (1 + 31 / 2, 2 + 31 / 2))
    changes = viewer.layers["face changes"]
    np.testing.assert_array_equal(
        changes.data.any(axis=(2, 3)), [[False] * 3, [False, False, True]]
    )
    controller.review.accept()
    expected = coarse.data.copy()
    expected[1, 2] = fine.data[1, 2]
    np.testing.assert_array_equal(final.data, expected)
    assert final.data.shape == coarse.data.shape
    controller.review.undo()
    np.testing.assert_array_equal(final.data, coarse.data)


def test_each_plane_of_a_stack_keeps_its_decisions(viewer, start, stack):
    fine, coarse, _ = stack
    expected = coarse.data.copy()
    for plane in ((0, 0), (0, 1)):
        viewer.dims.set_current_step((0, 1), plane)
        controller, final = start(*stack)
        assert decisions(controller) == [UNDECIDED] * 4
        controller.review.reject()
        controller.review.accept()
        expected[plane] = np.where(fine.data[plane] == EYES, EYES, coarse.data[plane])
    np.testing.assert_array_equal(final.data, expected)
    viewer.dims.set_current_step((0, 1), (0, 0))
    controller, again = start(*stack)
    assert again is final
    assert decisions(controller) == [REJECTED, ACCEPTED, UNDECIDED, UNDECIDED]
    kept = Session.of(viewer).lineage.protected_strokes(viewer.layers, coarse, True, True)
    assert [int(each.patch.mask.sum()) for each in kept if each.patch.mask.any()] == [24, 24]


def test_layers_with_other_planes_are_not_reviewed(viewer, qtbot, stack):
    fine, coarse, confidence = stack
    controller = ReviewController(viewer, Session.of(viewer))
    fewer = viewer.add_labels(coarse.data[:, :2], metadata=coarse.metadata, name="fewer")
    flat = viewer.add_labels(coarse.data[0, 0], metadata=coarse.metadata, name="flat")
    for other, sure in (
        (fewer, None),
        (flat, None),
        (coarse, viewer.add_image(confidence.data[0])),
    ):
        controller.begin(fine, other, sure)
        assert "choose layers of one image" in controller.model.message
    assert not controller.model.busy
    controller.close()


def test_regions_of_a_few_pixels_are_decided_in_one_go(viewer, review, review_maps):
    controller, final = review
    controller.set_small(24)
    controller.review.accept_small()
    assert decisions(controller) == [UNDECIDED, ACCEPTED, UNDECIDED, ACCEPTED]
    assert "2 regions" in controller.model.message
    controller.review.undo()
    assert decisions(controller) == [UNDECIDED] * 4
    controller.review.reject_small()
    assert decisions(controller) == [UNDECIDED, REJECTED, UNDECIDED, REJECTED]
    np.testing.assert_array_equal(final.data, review_maps[0])
    controller.review.reject_small()
    assert "No undecided region has at most 24 px." in controller.model.message
