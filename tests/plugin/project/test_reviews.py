"""Reviews of a project's image, and what is marked reviewed, without a window."""

import numpy as np
import pytest

from c2f_core.classes.editing import renamed
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.io.maps import read_map, write_map
from c2f_core.project import Status
from c2f_core.review.decisions import Decision
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.controller import PaletteController
from napari_c2f.layers.convert import set_class_table
from napari_c2f.refine.controller import RefineController
from napari_c2f.review.controller import ReviewController
from napari_c2f.review.history import DecisionHistory

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


def test_a_review_under_way_is_restored(desk):
    desk.show("one")
    desk.add_fine()
    final = np.where(np.arange(48) < 20, FINE, COARSE).astype(np.uint8)
    layer = desk.add_final(final)
    assert desk.controller.images.image.final is layer
    layer.mode = "pan_zoom"
    layer.data_setitem((np.array([0]), np.array([0])), 4)  # as accepting a region does
    desk.qtbot.waitUntil(lambda: (desk.folder / "autosave" / "one.npz").exists(), timeout=5000)
    desk.wait()
    desk.show("two")
    image = desk.show("one")
    np.testing.assert_array_equal(image.fine.data, FINE)
    assert desk.session.lineage.fine_of(desk.viewer.layers, image.final) is image.fine
    assert image.final.data[0, 0] == 4
    np.testing.assert_array_equal(image.final.data[1:], final[1:])
    assert desk.read().record.before.painted == desk.read().record.after.painted == 0


def test_the_review_widget_continues_a_restored_review(desk, next_class):
    image = desk.show("one")
    refining = RefineController(desk.viewer, desk.session)
    refining.refine(desk.request())
    desk.qtbot.waitUntil(lambda: not refining.model.busy, timeout=20000)
    controller = ReviewController(desk.viewer, desk.session)

    def begin():
        image = desk.controller.images.image
        confidence = desk.session.lineage.confidence_of(desk.viewer.layers, image.fine)
        controller.begin(image.fine, image.coarse, confidence)
        desk.qtbot.waitUntil(lambda: controller.model.reviewing, timeout=20000)

    begin()
    controller.review.accept()
    controller.review.accept()
    controller.review.reject()
    assert controller.model.count(Decision.ACCEPTED) == 2
    final = desk.controller.images.image.final.data.copy()
    desk.wait()
    desk.show("two")
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]
    assert not controller.model.reviewing
    image = desk.show("one")
    np.testing.assert_array_equal(image.final.data, final)
    np.testing.assert_array_equal(desk.read().fine, final)
    begin()
    assert controller.model.count(Decision.ACCEPTED) == 2
    assert controller.model.count(Decision.REJECTED) == 1
    assert desk.controller.images.image.final is image.final
    controller.close()


class Reviewing:
    """The Refine and Review controllers along with that of a project."""

    def __init__(self, desk):
        self.desk = desk
        self.refining = RefineController(desk.viewer, desk.session)
        self.controller = ReviewController(desk.viewer, desk.session)

    def refine(self):
        self.refining.refine(self.desk.request())
        self.desk.qtbot.waitUntil(lambda: not self.refining.model.busy, timeout=20000)
        self.desk.wait()
        return self.desk.controller.images.image.fine

    def begin(self):
        image = self.desk.controller.images.image
        confidence = self.desk.session.lineage.confidence_of(self.desk.viewer.layers, image.fine)
        self.controller.begin(image.fine, image.coarse, confidence)
        self.desk.qtbot.waitUntil(lambda: not self.controller.model.busy, timeout=20000)
        assert self.controller.model.reviewing, self.controller.model.message
        self.desk.wait()
        return image.final

    def choose(self, after):
        """Go to the largest region that became this class; return its pixels."""
        regions = [each for each in self.controller.model.regions if each.after == after]
        largest = max(regions, key=lambda region: region.size)
        self.controller.choose(largest.number)
        numbers = self.controller.review.data.review.numbers
        return numbers == largest.number

    def counts(self):
        return {each.name: self.controller.model.count(each) for each in Decision}


@pytest.fixture
def reviewing(desk, next_class):
    """Those of the image "one", which was refined."""
    desk.show("one")
    reviewing = Reviewing(desk)
    reviewing.refine()
    yield reviewing
    reviewing.controller.close()
    reviewing.refining.close()


def test_finishing_a_review_leaves_three_layers_and_the_project_keeps_the_result(desk, reviewing):
    final = reviewing.begin()
    reviewing.choose("ellipse")
    reviewing.controller.review.reject()
    reviewing.controller.review.accept_rest()
    rejected, expected = desk.controller.images.image.work(desk.read().record), final.data.copy()
    reviewing.controller.finish()
    names = ["one", "one coarse", "one final"]
    assert [layer.name for layer in desk.viewer.layers] == names
    assert "'one final', which the project saves." in reviewing.controller.model.message
    desk.qtbot.waitUntil(lambda: desk.controller.images.image.final is None, timeout=5000)
    desk.show("two")
    image = desk.show("one")
    assert image.final is None
    np.testing.assert_array_equal(image.fine.data, expected)
    work = desk.read()
    assert work.refined is None
    assert work.record.rejected == rejected.record.rejected != ()
    assert work.record.status is Status.REFINED


def test_a_review_that_ends_with_undecided_regions_can_be_continued(desk, reviewing):
    final = reviewing.begin()
    reviewing.controller.review.accept()
    reviewing.controller.finish()
    assert "undecided, as in the coarse map." in reviewing.controller.model.message
    desk.show("two")
    image = desk.show("one")
    np.testing.assert_array_equal(image.final.data, final.data)
    reviewing.begin()
    assert reviewing.counts()["ACCEPTED"] == 1


def test_work_of_a_review_is_kept_when_the_map_is_refined_and_reviewed_again(desk, reviewing):
    reviewing.begin()
    accepted = reviewing.choose("disk")
    reviewing.controller.review.accept()
    rejected = reviewing.choose("ellipse")
    reviewing.controller.review.reject()
    final = desk.controller.images.image.final
    rows, columns = np.nonzero(accepted)
    rows, columns = rows[:9], columns[:9]
    final.mode = "paint"
    final.data_setitem((rows, columns), 4)
    final.mode = "pan_zoom"
    expected = final.data.copy()
    fine = reviewing.refine()
    again = reviewing.begin()
    assert again is not final
    assert desk.session.lineage.fine_of(desk.viewer.layers, again) is fine
    np.testing.assert_array_equal(again.data, expected)
    np.testing.assert_array_equal(
        again.data[rejected], desk.controller.images.image.coarse.data[rejected]
    )
    assert reviewing.counts()["REJECTED"] == 1
    assert reviewing.counts()["ACCEPTED"] == 2  # The brush cut a separate region out of one.
    desk.controller.images.autosave()
    desk.wait()
    np.testing.assert_array_equal(desk.read().fine, expected)
    reviewing.controller.review.reject_rest()
    np.testing.assert_array_equal(again.data, expected)
    np.testing.assert_array_equal(reviewing.refine().data[rows, columns], 4)


@pytest.mark.parametrize("image", ["as it is", "refined twice", "opened again"])
def test_a_review_is_kept_when_the_layer_of_its_refined_map_is_deleted(desk, reviewing, image):
    if image == "refined twice":
        reviewing.refine()  # The earlier fine map stays in the viewer.
    reviewing.begin()
    accepted = reviewing.choose("disk")
    reviewing.controller.review.accept()
    rejected = reviewing.choose("ellipse")
    reviewing.controller.review.reject()
    if image == "opened again":
        desk.show("two")
        desk.show("one")
    final, sure = desk.controller.images.image.final, desk.read().confidence
    desk.viewer.layers.remove(desk.controller.images.image.fine)
    desk.qtbot.waitUntil(lambda: desk.controller.images.image.fine is final)
    final.visible = True
    desk.draw(final, 4, slice(40, 44))
    expected = final.data.copy()
    desk.show("two")
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]
    np.testing.assert_array_equal(desk.read().fine, expected)
    np.testing.assert_array_equal(desk.read().confidence, sure)
    fine = desk.show("one").fine
    np.testing.assert_array_equal(fine.data, expected)
    assert (fine.data[accepted] != desk.controller.images.image.coarse.data[accepted]).all()
    final = reviewing.begin()
    np.testing.assert_array_equal(final.data, expected)
    refined = reviewing.refine()
    np.testing.assert_array_equal(refined.data[accepted], expected[accepted])
    np.testing.assert_array_equal(refined.data[40:44, :5], 4)
    reviewing.begin()
    assert reviewing.counts()["REJECTED"] == 1
    np.testing.assert_array_equal(
        desk.controller.images.image.final.data[rejected], expected[rejected]
    )


def test_corrections_of_the_fine_map_are_decided_when_its_review_begins(desk, reviewing):
    fine = desk.controller.images.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    changed = fine.data != before
    final = reviewing.begin()
    assert changed.any()
    assert (final.data[changed] == 4).all()
    coarse = desk.controller.images.image.coarse.data
    np.testing.assert_array_equal(final.data[~changed], coarse[~changed])
    reviewing.controller.review.reject_rest()
    assert (final.data[changed] == 4).all()


def test_a_class_that_is_added_in_the_fine_map_is_one_of_all_its_maps(desk, reviewing):
    palette = PaletteController(desk.viewer, desk.session)
    palette.follow(desk.controller.images.image.fine)
    palette.add()
    desk.draw(desk.controller.images.image.fine, 5)
    final = reviewing.begin()
    assert (final.data[:4, :5] == 5).all()
    palette.follow(final)
    palette.add()
    desk.draw(final, 6, slice(4, 8))
    fine = reviewing.refine()
    assert set(np.unique(fine.data[:8, :5])) == {5, 6}
    palette.follow(fine)
    palette.rename(1, "floor", None)
    palette.recolour(2, (1, 2, 3), None)
    palette.close()
    desk.show("two")
    table = desk.controller.workspace.project.class_table
    assert table.names == ["floor", *SHAPES.names[1:], "class 5", "class 6"]
    assert table.classes[1].colour == (1, 2, 3)
    np.testing.assert_array_equal(desk.read().fine, fine.data)
    assert (desk.show("one").fine.data[:4, :5] == 5).all()


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("mark", [True, False])
def test_an_image_with_undecided_regions_is_marked_only_after_a_question(
    desk, reviewing, opened, mark, tmp_path
):
    reviewing.begin()
    reviewing.controller.review.accept()
    reviewing.choose("ellipse")
    reviewing.controller.review.reject()
    left = reviewing.counts()["UNDECIDED"]
    assert left > 1
    if not opened:
        desk.show("two")
    asked = []
    desk.controller.review_mark.set(
        "one", True, lambda undecided: bool(asked.append(undecided)) or mark
    )
    desk.wait()
    assert asked == [left]
    assert desk.read().record.status is (Status.REVIEWED if mark else Status.REFINED)
    assert ("one marked as reviewed" if mark else "decide on its regions") in desk.state.message
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    desk.wait()
    assert f"how it was made. {left} regions are undecided" in desk.state.message


def test_an_image_on_which_all_is_decided_is_marked_at_once(desk, reviewing, tmp_path):
    reviewing.begin()
    reviewing.controller.review.accept()
    reviewing.controller.review.reject_rest()
    asked = []
    desk.controller.review_mark.set("one", True, asked.append)
    desk.wait()
    assert desk.read().record.status is Status.REVIEWED
    desk.controller.review_mark.set("one", False, asked.append)
    desk.wait()
    assert desk.read().record.status is Status.REFINED
    assert asked == []
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    desk.wait()
    assert desk.state.message.endswith("how it was made.")


def test_what_was_painted_stays_where_an_image_is_opened_again_during_its_review(desk, reviewing):
    fine = desk.controller.images.image.fine
    expected = fine.data.copy()
    before, in_fine, in_final = slice(0, 4), slice(30, 34), slice(40, 44)
    desk.draw(fine, 4, before)
    final = reviewing.begin()
    desk.draw(fine, 3, in_fine)  # There the final map is as the coarse one.
    desk.draw(final, 4, in_final)
    expected[before, :5] = expected[in_final, :5] = 4
    expected[in_fine, :5] = 3
    desk.show("two")
    work = desk.read()
    for mask, rows in (
        (work.painted, (before, in_final)),
        # The fine map itself records the state of what was painted before the review.
        (work.painted_refined, (in_fine,)),
    ):
        where = np.zeros(mask.shape, bool)
        for each in rows:
            where[each, :5] = True
        np.testing.assert_array_equal(mask, where)
    desk.show("one")
    np.testing.assert_array_equal(reviewing.refine().data, expected)


def test_what_is_erased_in_the_final_map_is_no_longer_protected(desk, reviewing):
    fine = desk.controller.images.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    final = reviewing.begin()
    desk.draw(final, SHAPES.unlabelled.index)
    np.testing.assert_array_equal(reviewing.refine().data, before)


def test_what_is_erased_in_the_final_map_is_unprotected_in_a_later_session_too(desk, reviewing):
    fine = desk.controller.images.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    desk.draw(reviewing.begin(), SHAPES.unlabelled.index)
    desk.show("two")
    desk.show("one")
    np.testing.assert_array_equal(reviewing.refine().data, before)


def test_what_was_rejected_in_a_part_of_an_image_is_decided(desk, next_class):
    place = (slice(8, 40), slice(4, 44))
    desk.show("one")
    desk.add_fine(FINE[place], place)
    reviewing, asked = Reviewing(desk), []
    reviewing.begin()
    reviewing.controller.review.reject_rest()
    assert reviewing.counts()["REJECTED"] > 0
    desk.controller.review_mark.set("one", True, asked.append)
    desk.wait()
    reviewing.controller.close()
    reviewing.refining.close()
    assert asked == []
    assert desk.read().record.status is Status.REVIEWED


@pytest.mark.parametrize("reviewed", [True, False])
def test_a_review_mark_without_question_is_saved_even_if_the_window_closes(desk, reviewed):
    desk.show("one")
    desk.add_fine()
    if not reviewed:
        desk.controller.review_mark.set("one", True)
        desk.wait()
    desk.controller.review_mark.set("one", reviewed)
    desk.controller.close()
    assert desk.read().record.status is (Status.REVIEWED if reviewed else Status.REFINED)


def test_a_map_that_is_opened_is_not_hidden_by_the_fine_one(desk, reviewing, tmp_path):
    image = desk.controller.images.image
    write_map(tmp_path / "map.png", COARSE, SHAPES)
    reviewing.refining.open_map(str(tmp_path / "map.png"), TableSelection(), image.image, min)
    assert image.coarse.visible
    assert not image.fine.visible


def test_marking_an_image_says_whether_it_trains_or_is_held_out(desk):
    desk.show("one")
    desk.add_fine()
    desk.controller.review_mark.set("one", True)
    desk.wait()
    assert desk.state.message == "one marked as reviewed; it will be used for training."
    assert (desk.folder / "fine" / "one.png").exists()
    desk.show("two")
    desk.add_fine()
    desk.controller.review_mark.set("two", True)
    desk.wait()
    assert desk.state.message == "two marked as reviewed; it is held out to evaluate models."
    desk.controller.review_mark.set("one", False)
    desk.wait()
    assert desk.state.message == "one is no longer marked as reviewed."
    assert not (desk.folder / "fine" / "one.png").exists()


def test_refining_a_reviewed_image_again_revokes_its_review(desk):
    desk.show("one")
    desk.add_fine()
    desk.controller.review_mark.set("one", True)
    desk.wait()
    desk.add_fine(COARSE)
    assert desk.read().record.status is Status.REFINED
    assert "one is no longer marked as reviewed" in desk.state.message
    assert not (desk.folder / "fine" / "one.png").exists()
    kept, _ = read_map(desk.folder / "removed" / "one" / "reviewed-1.png", SHAPES)
    np.testing.assert_array_equal(kept, FINE)
    np.testing.assert_array_equal(desk.read().fine, COARSE)


def test_reviewing_a_reviewed_image_again_revokes_its_review(desk):
    desk.show("one")
    desk.add_fine()
    desk.controller.review_mark.set("one", True)
    desk.wait()
    desk.add_final()
    desk.wait()
    assert "one is no longer marked as reviewed" in desk.state.message
    shown = next(record for record in desk.state.images if record.name == "one")
    assert shown.status is Status.REFINED
    desk.show("two")
    work = desk.read()
    assert work.record.status is Status.REFINED
    np.testing.assert_array_equal(work.refined, FINE)
    assert not (desk.folder / "fine" / "one.png").exists()


def test_decisions_are_autosaved_and_do_not_count_as_painted(desk):
    desk.show("one")
    desk.add_fine()
    final = desk.add_final()
    final.mode = "paint"
    desk.controller.images.autosave()
    desk.wait()
    history = DecisionHistory(final, desk.session)
    history.write(np.array([0]), final.data[0, :1], [(0, 1, 1)])
    desk.controller.images.autosave()
    desk.wait()
    assert desk.read().record.rejected == ((0, 1, 1),)
    history.write(np.arange(5), np.full(5, 4))
    assert desk.controller.images.image.painted == 0
    desk.qtbot.waitUntil(lambda: (desk.read().fine[0, :5] == 4).all(), timeout=5000)
    table = renamed(SHAPES, 1, "renamed")
    set_class_table(final, table)
    set_class_table(desk.controller.images.image.coarse, table)
    desk.controller.images.autosave()
    desk.wait()
    assert "renamed" in desk.read().class_table.names
