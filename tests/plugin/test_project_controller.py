"""The controller of the project, without a window."""

import itertools
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from c2f_core.class_editing import renamed, with_class
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.decisions import Decision
from c2f_core.errors import DataError
from c2f_core.io import read_map, write_map
from c2f_core.project import Project, Status
from c2f_core.project.records import Parameters
from c2f_core.project.snapshots import stored_confidence
from napari_c2f._decision_history import DecisionHistory
from napari_c2f._layers import (
    COARSE_KEY,
    FINE_KEY,
    PLACE_KEY,
    PROVENANCE_KEY,
    RESULT_KEY,
    add_map,
    confidence_of,
    set_class_table,
)
from napari_c2f._locks import lock
from napari_c2f._painted import follow
from napari_c2f._palette_controller import PaletteController
from napari_c2f._project_controller import ProjectController
from napari_c2f._refine_controller import RefineController
from napari_c2f._refining import Asked
from napari_c2f._review_controller import ReviewController
from napari_c2f._scoping import ScopeChoice

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_indices(PAIR.coarse), SHAPES.to_indices(PAIR.fine)


@pytest.fixture
def folder(tmp_path):
    """A project of two images; the coarse map of the first is drawn."""
    with Project.create(tmp_path / "project", SHAPES) as project:
        for name in ("one", "two"):
            project.add_image(PAIR.image, name)
        project.save(replace(project.read("one"), coarse=COARSE))
    return tmp_path / "project"


class Desk:
    """A controller at work, and what a test needs around it."""

    def __init__(self, qtbot, folder):
        self.qtbot, self.folder = qtbot, folder
        self.viewer = ViewerModel()
        self.active = True
        self.controller = ProjectController(self.viewer, lambda: self.active)
        self.state = self.controller.state
        self.controller.open(folder)

    def wait(self):
        self.qtbot.waitUntil(lambda: not self.state.busy, timeout=20000)

    def show(self, name):
        self.controller.show(name)
        self.wait()
        return self.controller.image

    def draw(self, layer, label, rows=slice(0, 4), columns=slice(0, 5)):
        """Paint as the brush does: one stroke in its mode."""
        layer.mode = "paint"
        places = np.mgrid[rows, columns].reshape(2, -1)
        layer.data_setitem(tuple(places), label)

    def read(self, name="one"):
        """Read what is on the disk, as another program would after a crash."""
        copy = self.folder.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy)
        with Project.open(copy) as project:
            return project.read(name)


@pytest.fixture
def desk(qtbot, folder):
    desk = Desk(qtbot, folder)
    yield desk
    desk.controller.close()


def add_fine(desk, data=FINE, **about):
    """Add a fine layer as refining does."""
    told = {"refiner": "watershed", "sha256": None, "mean_confidence": 0.75}
    about = {RESULT_KEY: True, COARSE_KEY: desk.controller.image.coarse.unique_id} | about
    fine = add_map(desk.viewer, data.copy(), SHAPES, "fine", {}, **{PROVENANCE_KEY: told} | about)
    desk.wait()
    return fine


def test_an_image_comes_with_its_maps_and_goes_with_them(desk):
    image = desk.show("one")
    np.testing.assert_array_equal(image.image.data, PAIR.image)
    np.testing.assert_array_equal(image.coarse.data, COARSE)
    assert [layer.name for layer in desk.viewer.layers] == ["one", "one coarse"]
    assert desk.viewer.layers.selection.active is image.coarse
    desk.show("two")
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]
    assert desk.state.opened == "two"


def test_what_was_drawn_is_saved_when_another_image_is_opened(desk):
    image = desk.show("one")
    image.coarse.data[:4] = 3
    image.coarse.refresh()
    desk.show("two")
    again = desk.show("one")
    assert (again.coarse.data[:4] == 3).all()
    assert desk.state.saved.startswith("Saved ")


def test_maps_that_are_drawn_with_shapes_and_opened_are_saved(desk, tmp_path):
    """However often: no other map appears, that would not be saved."""
    image = desk.show("two")
    box = np.array([(3.5, 5.5), (3.5, 20.5), (12.5, 20.5), (12.5, 5.5)])
    palette, refining = PaletteController(desk.viewer), RefineController(desk.viewer)
    for moved in (box, box + 20):
        features = {"class": [SHAPES.names[1]]}
        shapes = desk.viewer.add_shapes([moved], shape_type="polygon", features=features)
        palette.map_of_shapes(image.image, shapes, lambda: SHAPES)
    desk.show("one")
    saved = desk.read("two").coarse
    assert (saved == SHAPES.classes[1].index).sum() == 2 * 9 * 15
    image = desk.show("two")
    write_map(tmp_path / "map.png", FINE, SHAPES)
    refining.open_map(str(tmp_path / "map.png"), lambda: None, image.image, lambda _: None)
    desk.show("one")
    np.testing.assert_array_equal(desk.read("two").coarse, FINE)
    assert desk.read("two").record.before.painted == 0
    palette.close()
    refining.close()


def test_what_is_drawn_while_another_image_is_read_is_saved(desk):
    image = desk.show("one")
    desk.controller.show("two")  # Not waited for.
    desk.draw(image.coarse, 4)
    desk.wait()
    assert desk.state.opened == "two"
    assert (desk.read().coarse[:4, :5] == 4).all()


def test_an_image_that_cannot_be_saved_stays_open(desk, monkeypatch):
    def fail(_project, _work):
        raise DataError("The disk is full.")

    image = desk.show("one")
    desk.draw(image.coarse, 4)
    monkeypatch.setattr(Project, "save", fail)
    desk.show("two")
    assert desk.state.opened == "one"
    assert desk.state.message == "The disk is full."
    monkeypatch.undo()
    desk.show("two")
    assert (desk.read().coarse[:4, :5] == 4).all()


@pytest.mark.parametrize("ask", ["export", "effort", "learn"])
def test_nothing_goes_on_from_an_image_that_cannot_be_saved(desk, monkeypatch, tmp_path, ask):
    def fail(_project, _work):
        raise DataError("The disk is full.")

    desk.show("one")
    fine = add_fine(desk)
    desk.draw(fine, 4)
    monkeypatch.setattr(Project, "save", fail)
    path, learned = tmp_path / "file.png", []
    asked = {
        "export": lambda: desk.controller.export("one", path),
        "effort": lambda: desk.controller.write_effort(path),
        "learn": lambda: desk.controller.when_saved(learned.append),
    }
    asked[ask]()
    desk.wait()
    assert desk.state.message == "The disk is full."
    assert not path.exists()
    assert not learned


def test_a_removed_image_that_cannot_be_saved_is_kept_until_it_can(desk, monkeypatch):
    def fail(_project, _work):
        raise DataError("The disk is full.")

    image = desk.show("one")
    desk.draw(image.coarse, 4)
    monkeypatch.setattr(Project, "save", fail)
    desk.viewer.layers.remove(image.coarse)
    desk.wait()
    assert desk.state.message == "The disk is full."
    monkeypatch.undo()
    desk.show("two")
    assert (desk.read().coarse[:4, :5] == 4).all()


def test_autosave_writes_only_what_changed(desk):
    image = desk.show("one")
    snapshots = desk.folder / "autosave"
    image.coarse.contour = 1  # tells of a change, but there is none
    desk.controller.autosave()
    desk.wait()
    assert not list(snapshots.iterdir())
    desk.draw(image.coarse, 4)
    desk.controller.autosave()
    desk.wait()
    assert [path.name for path in snapshots.iterdir()] == ["one.npz"]
    assert (desk.read().coarse[:4, :5] == 4).all()
    (snapshots / "one.npz").unlink()
    desk.controller.autosave()
    desk.wait()
    assert not list(snapshots.iterdir())


def test_refining_is_saved_with_its_doubt_and_model(desk):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    add_fine(desk)
    work = desk.read()
    assert work.record.status is Status.REFINED
    assert work.record.doubt == 0.25
    assert work.record.model == "watershed"
    assert work.record.before.painted == np.count_nonzero(COARSE[:4, :5] != 4)
    np.testing.assert_array_equal(work.fine, FINE)
    assert next(record for record in desk.state.images if record.name == "one").doubt == 0.25


def asked_of(image, kind):
    """Return what the Refine widget asks for."""
    choice = ScopeChoice(all_planes=True)
    return Asked(image.image, image.coarse, lambda: None, kind, choice, None, lambda: None)


def test_the_refine_widget_and_the_project_work_together(desk, next_class):
    image = desk.show("one")
    refining = RefineController(desk.viewer)
    refining.refine(asked_of(image, next_class))
    desk.qtbot.waitUntil(lambda: not refining.activity.busy, timeout=20000)
    desk.wait()
    work = desk.read()
    expected = SHAPES.to_indices((PAIR.coarse + 1) % 4)
    np.testing.assert_array_equal(work.fine, expected)
    assert work.record.doubt == pytest.approx(0.25, abs=0.01)
    assert work.record.model == ""  # Nobody could find this refiner again.
    assert work.confidence.max() == 254
    desk.show("two")
    again = desk.show("one")
    np.testing.assert_array_equal(again.fine.data, expected)
    assert not again.coarse.visible
    assert desk.viewer.layers.selection.active is again.fine


def test_a_fine_map_of_a_part_is_saved_as_a_whole(desk):
    desk.show("one")
    place = slice(10, 30), slice(5, 25)
    add_fine(desk, FINE[place], **{PLACE_KEY: place})
    expected = COARSE.copy()
    expected[place] = FINE[place]
    np.testing.assert_array_equal(desk.read().fine, expected)


def test_what_was_painted_in_a_fine_map_stays_in_a_later_session(desk, next_class):
    desk.show("one")
    follow(add_fine(desk))
    desk.draw(desk.controller.image.fine, 4)
    desk.show("two")
    assert (desk.read().painted[:4, :5]).all()
    assert desk.read().painted.sum() <= 20
    image = desk.show("one")
    refine = RefineController(desk.viewer)
    refine.refine(asked_of(image, next_class))
    desk.qtbot.waitUntil(lambda: not refine.activity.busy, timeout=20000)
    desk.wait()
    np.testing.assert_array_equal(image.fine.data[:4, :5], 4)
    expected = SHAPES.to_indices((PAIR.coarse + 1) % 4)
    np.testing.assert_array_equal(image.fine.data[4:], expected[4:])
    refine.close()
    desk.show("two")
    assert (desk.read().painted[:4, :5]).all()


def test_a_review_under_way_is_restored(desk):
    desk.show("one")
    fine = add_fine(desk)
    final = np.where(np.arange(48) < 20, FINE, COARSE).astype(np.uint8)
    coarse = desk.controller.image.coarse.unique_id
    about = {RESULT_KEY: True, COARSE_KEY: coarse, FINE_KEY: fine.unique_id}
    add_map(desk.viewer, final, SHAPES, "final", {}, **about)
    layer = desk.controller.image.final
    layer.mode = "pan_zoom"
    layer.data_setitem((np.array([0]), np.array([0])), 4)  # as accepting a region does
    desk.qtbot.waitUntil(lambda: (desk.folder / "autosave" / "one.npz").exists(), timeout=5000)
    desk.wait()
    desk.show("two")
    image = desk.show("one")
    np.testing.assert_array_equal(image.fine.data, FINE)
    assert image.final.metadata[FINE_KEY] == image.fine.unique_id
    assert image.final.data[0, 0] == 4
    np.testing.assert_array_equal(image.final.data[1:], final[1:])
    assert desk.read().record.before.painted == desk.read().record.after.painted == 0


def test_the_review_widget_goes_on_with_a_restored_review(desk, next_class):
    image = desk.show("one")
    refining = RefineController(desk.viewer)
    refining.refine(asked_of(image, next_class))
    desk.qtbot.waitUntil(lambda: not refining.activity.busy, timeout=20000)
    review = ReviewController(desk.viewer)

    def begin():
        image = desk.controller.image
        confidence = confidence_of(desk.viewer.layers, image.fine)
        review.begin(image.fine, image.coarse, confidence)
        desk.qtbot.waitUntil(lambda: review.state.reviewing, timeout=20000)

    begin()
    review.accept()
    review.accept()
    review.reject()
    assert review.state.count(Decision.ACCEPTED) == 2
    final = desk.controller.image.final.data.copy()
    desk.wait()
    desk.show("two")
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]
    assert not review.state.reviewing
    image = desk.show("one")
    np.testing.assert_array_equal(image.final.data, final)
    np.testing.assert_array_equal(desk.read().fine, final)
    begin()
    assert review.state.count(Decision.ACCEPTED) == 2
    assert review.state.count(Decision.REJECTED) == 1
    assert desk.controller.image.final is image.final
    review.close()


class Reviewing:
    """The Refine and Review controllers beside that of a project."""

    def __init__(self, desk, kind):
        self.desk, self.kind = desk, kind
        self.refining, self.review = RefineController(desk.viewer), ReviewController(desk.viewer)

    def refine(self):
        self.refining.refine(asked_of(self.desk.controller.image, self.kind))
        self.desk.qtbot.waitUntil(lambda: not self.refining.activity.busy, timeout=20000)
        self.desk.wait()
        return self.desk.controller.image.fine

    def begin(self):
        image = self.desk.controller.image
        confidence = confidence_of(self.desk.viewer.layers, image.fine)
        self.review.begin(image.fine, image.coarse, confidence)
        self.desk.qtbot.waitUntil(lambda: not self.review.state.busy, timeout=20000)
        assert self.review.state.reviewing, self.review.state.message
        self.desk.wait()
        return image.final

    def choose(self, after):
        """Look at the largest region that became this class; return where it is."""
        regions = [each for each in self.review.state.regions if each.after == after]
        largest = max(regions, key=lambda region: region.size)
        self.review.choose(largest.number)
        numbers = self.review._review.reviewed.review.numbers
        return numbers == largest.number

    def counts(self):
        return {each.name: self.review.state.count(each) for each in Decision}


@pytest.fixture
def reviewing(desk, next_class):
    """Those of the image "one", which was refined."""
    desk.show("one")
    reviewing = Reviewing(desk, next_class)
    reviewing.refine()
    yield reviewing
    reviewing.review.close()
    reviewing.refining.close()


def test_work_of_a_review_outlives_that_the_map_is_refined_and_reviewed_again(desk, reviewing):
    reviewing.begin()
    accepted = reviewing.choose("disk")
    reviewing.review.accept()
    rejected = reviewing.choose("ellipse")
    reviewing.review.reject()
    final = desk.controller.image.final
    rows, columns = np.nonzero(accepted)
    rows, columns = rows[:9], columns[:9]
    final.mode = "paint"
    final.data_setitem((rows, columns), 4)
    final.mode = "pan_zoom"
    expected = final.data.copy()
    fine = reviewing.refine()
    again = reviewing.begin()
    assert again is not final
    assert again.metadata[FINE_KEY] == fine.unique_id
    np.testing.assert_array_equal(again.data, expected)
    np.testing.assert_array_equal(again.data[rejected], desk.controller.image.coarse.data[rejected])
    assert reviewing.counts()["REJECTED"] == 1
    assert reviewing.counts()["ACCEPTED"] == 2  # The brush cut a region of its own out of one.
    desk.controller.autosave()
    desk.wait()
    np.testing.assert_array_equal(desk.read().fine, expected)
    reviewing.review.reject_rest()
    np.testing.assert_array_equal(again.data, expected)
    np.testing.assert_array_equal(reviewing.refine().data[rows, columns], 4)


def test_corrections_of_the_fine_map_are_decided_when_its_review_begins(desk, reviewing):
    fine = desk.controller.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    changed = fine.data != before
    final = reviewing.begin()
    assert changed.any()
    assert (final.data[changed] == 4).all()
    coarse = desk.controller.image.coarse.data
    np.testing.assert_array_equal(final.data[~changed], coarse[~changed])
    reviewing.review.reject_rest()
    assert (final.data[changed] == 4).all()


def test_a_class_that_is_added_in_the_fine_map_is_one_of_all_its_maps(desk, reviewing):
    palette = PaletteController(desk.viewer)
    palette.follow(desk.controller.image.fine)
    palette.add()
    desk.draw(desk.controller.image.fine, 5)
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
    table = desk.controller.project.class_table
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
    reviewing.review.accept()
    reviewing.choose("ellipse")
    reviewing.review.reject()
    left = reviewing.counts()["UNDECIDED"]
    assert left > 1
    if not opened:
        desk.show("two")
    asked = []
    desk.controller.review("one", True, lambda undecided: bool(asked.append(undecided)) or mark)
    desk.wait()
    assert asked == [left]
    assert desk.read().record.status is (Status.REVIEWED if mark else Status.REFINED)
    assert ("one is reviewed" if mark else "decide on its regions") in desk.state.message
    desk.controller.export("one", tmp_path / "one.png")
    desk.wait()
    assert f"how it was made. {left} regions are undecided" in desk.state.message


def test_an_image_on_which_all_is_decided_is_marked_at_once(desk, reviewing, tmp_path):
    reviewing.begin()
    reviewing.review.accept()
    reviewing.review.reject_rest()
    asked = []
    desk.controller.review("one", True, asked.append)
    desk.wait()
    assert desk.read().record.status is Status.REVIEWED
    desk.controller.review("one", False, asked.append)
    desk.wait()
    assert desk.read().record.status is Status.REFINED
    assert asked == []
    desk.controller.export("one", tmp_path / "one.png")
    desk.wait()
    assert desk.state.message.endswith("how it was made.")


def test_what_was_painted_stays_where_an_image_is_opened_again_during_its_review(desk, reviewing):
    fine = desk.controller.image.fine
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
        # Of what was painted before the review, its own map tells what became of it.
        (work.painted_refined, (in_fine,)),
    ):
        where = np.zeros(mask.shape, bool)
        for each in rows:
            where[each, :5] = True
        np.testing.assert_array_equal(mask, where)
    desk.show("one")
    np.testing.assert_array_equal(reviewing.refine().data, expected)


def test_what_is_erased_in_the_final_map_is_given_free(desk, reviewing):
    fine = desk.controller.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    final = reviewing.begin()
    desk.draw(final, SHAPES.unlabelled.index)
    np.testing.assert_array_equal(reviewing.refine().data, before)


def test_what_is_erased_in_the_final_map_is_free_in_a_later_session_too(desk, reviewing):
    fine = desk.controller.image.fine
    before = fine.data.copy()
    desk.draw(fine, 4)
    desk.draw(reviewing.begin(), SHAPES.unlabelled.index)
    desk.show("two")
    desk.show("one")
    np.testing.assert_array_equal(reviewing.refine().data, before)


def test_work_of_a_map_with_more_classes_than_its_coarse_map_is_saved(desk):
    desk.show("one")
    fine = add_fine(desk)
    set_class_table(fine, with_class(SHAPES, "floor", (9, 9, 9)))
    desk.draw(fine, 5)
    desk.show("two")
    assert desk.state.opened == "two"
    np.testing.assert_array_equal(desk.read().fine, fine.data)


def test_what_was_rejected_in_a_part_of_an_image_is_decided(desk, next_class):
    place = (slice(8, 40), slice(4, 44))
    desk.show("one")
    add_fine(desk, FINE[place], **{PLACE_KEY: place})
    reviewing, asked = Reviewing(desk, next_class), []
    reviewing.begin()
    reviewing.review.reject_rest()
    assert reviewing.counts()["REJECTED"] > 0
    desk.controller.review("one", True, asked.append)
    desk.wait()
    reviewing.review.close()
    reviewing.refining.close()
    assert asked == []
    assert desk.read().record.status is Status.REVIEWED


@pytest.mark.parametrize("reviewed", [True, False])
def test_a_mark_that_needs_no_question_is_saved_though_the_window_closes(desk, reviewed):
    desk.show("one")
    add_fine(desk)
    if not reviewed:
        desk.controller.review("one", True)
        desk.wait()
    desk.controller.review("one", reviewed)
    desk.controller.close()
    assert desk.read().record.status is (Status.REVIEWED if reviewed else Status.REFINED)


def test_a_map_that_is_opened_is_not_hidden_by_the_fine_one(desk, reviewing, tmp_path):
    image = desk.controller.image
    write_map(tmp_path / "map.png", COARSE, SHAPES)
    reviewing.refining.open_map(str(tmp_path / "map.png"), lambda: None, image.image, min)
    assert image.coarse.visible
    assert not image.fine.visible


def test_review_says_who_judges(desk):
    desk.show("one")
    add_fine(desk)
    desk.controller.review("one", True)
    desk.wait()
    assert desk.state.message == "one is reviewed, and teaches."
    assert (desk.folder / "fine" / "one.png").exists()
    desk.show("two")
    add_fine(desk)
    desk.controller.review("two", True)
    desk.wait()
    assert desk.state.message == "two is reviewed, and judges what is learned."
    desk.controller.review("one", False)
    desk.wait()
    assert desk.state.message == "one is refined."
    assert not (desk.folder / "fine" / "one.png").exists()


def test_refining_a_reviewed_image_again_takes_the_review_back(desk):
    desk.show("one")
    add_fine(desk)
    desk.controller.review("one", True)
    desk.wait()
    add_fine(desk, COARSE)
    assert desk.read().record.status is Status.REFINED
    assert "one is no longer marked reviewed" in desk.state.message
    assert not (desk.folder / "fine" / "one.png").exists()
    kept, _ = read_map(desk.folder / "removed" / "one" / "reviewed-1.png", SHAPES)
    np.testing.assert_array_equal(kept, FINE)
    np.testing.assert_array_equal(desk.read().fine, COARSE)


def add_final(desk, data=COARSE):
    """Add a final layer as a review does."""
    image = desk.controller.image
    about = {COARSE_KEY: image.coarse.unique_id, FINE_KEY: image.fine.unique_id}
    return add_map(desk.viewer, data.copy(), SHAPES, "final", {}, **{RESULT_KEY: True} | about)


def test_reviewing_a_reviewed_image_again_takes_that_back(desk):
    desk.show("one")
    add_fine(desk)
    desk.controller.review("one", True)
    desk.wait()
    add_final(desk)
    desk.wait()
    assert "one is no longer marked reviewed" in desk.state.message
    shown = next(record for record in desk.state.images if record.name == "one")
    assert shown.status is Status.REFINED
    desk.show("two")
    work = desk.read()
    assert work.record.status is Status.REFINED
    np.testing.assert_array_equal(work.refined, FINE)
    assert not (desk.folder / "fine" / "one.png").exists()


def test_decisions_are_autosaved_and_are_no_handwork(desk):
    desk.show("one")
    add_fine(desk)
    final = add_final(desk)
    final.mode = "paint"
    desk.controller.autosave()
    desk.wait()
    history = DecisionHistory(final)
    history.write(np.array([0]), final.data[0, :1], [(0, 0, 1)])
    desk.controller.autosave()
    desk.wait()
    assert desk.read().record.rejected == ((0, 0, 1),)
    history.write(np.arange(5), np.full(5, 4))
    assert desk.controller.image.painted == 0
    desk.qtbot.waitUntil(lambda: (desk.read().fine[0, :5] == 4).all(), timeout=5000)
    table = renamed(SHAPES, 1, "renamed")
    set_class_table(final, table)
    set_class_table(desk.controller.image.coarse, table)
    desk.controller.autosave()
    desk.wait()
    assert "renamed" in desk.read().class_table.names


def test_work_under_way_is_finished_before_another_project_opens(desk, monkeypatch, tmp_path):
    Project.create(tmp_path / "other", SHAPES).close()
    started, released, add_image = threading.Event(), threading.Event(), Project.add_image

    def wait(self, *arguments):
        started.set()
        assert released.wait(20)
        return add_image(self, *arguments)

    monkeypatch.setattr(Project, "add_image", wait)
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    paths = [tmp_path / "three.png", tmp_path / "four.png"]
    for path in paths:
        Image.fromarray(PAIR.image).save(path)
    desk.controller.add(paths)
    assert started.wait(20)
    desk.viewer.layers.remove(image.coarse)
    desk.controller.open(tmp_path / "other")
    assert desk.state.root == desk.folder
    released.set()
    desk.qtbot.waitUntil(lambda: desk.state.root == tmp_path / "other", timeout=20000)
    with Project.open(desk.folder) as project:
        assert [record.name for record in project.records] == ["one", "two", "three", "four"]
        assert (project.read("one").coarse[:4, :5] == 4).all()


def test_layers_that_go_one_by_one_while_another_image_opens_lose_nothing(desk):
    image = desk.show("one")
    fine = add_fine(desk)
    desk.draw(fine, 4)
    desk.controller.show("two")
    for layer in (image.coarse, image.image, fine):  # Before the other is there.
        desk.viewer.layers.remove(layer)
    desk.wait()
    assert desk.state.opened == "two"
    assert (desk.read().fine[:4, :5] == 4).all()
    desk.draw(desk.controller.image.coarse, 4)
    desk.viewer.layers.remove(desk.controller.image.coarse)
    desk.wait()
    assert desk.state.opened == ""
    assert (desk.read("two").coarse[:4, :5] == 4).all()


def test_a_refinement_of_an_image_that_was_left_is_not_shown(desk, next_class, hold_refining):
    started, released = hold_refining()
    refining = RefineController(desk.viewer)
    refining.refine(asked_of(desk.show("one"), next_class))
    assert started.wait(20)
    desk.show("two")
    released.set()
    desk.qtbot.waitUntil(lambda: not refining.activity.busy, timeout=20000)
    assert "is no longer open" in refining.activity.message
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]


def test_effort_is_counted_while_the_window_is_active(desk, monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("napari_c2f._effort_clock.time.monotonic", lambda: now[0])
    image = desk.show("one")

    def pass_by(seconds):
        for _ in range(seconds):
            now[0] += 1
            desk.controller.clock.tick()

    pass_by(30)
    desk.active = False
    pass_by(500)
    desk.active = True
    pass_by(30)
    now[0] += 1000  # The machine slept.
    desk.controller.clock.tick()
    add_fine(desk)
    pass_by(12)
    desk.draw(image.fine, 4)
    desk.draw(image.fine, 4)
    desk.controller.write_effort(tmp_path / "effort.csv")
    desk.wait()
    record = desk.read().record
    assert record.before.seconds == 62
    assert record.after.seconds == 12
    assert record.after.painted == np.count_nonzero(FINE[:4, :5] != 4)
    assert (tmp_path / "effort.csv").read_text().splitlines()[1].startswith("one,refined,0.250,1.0")


def test_what_a_lock_puts_back_is_no_effort(desk):
    image = desk.show("one")
    label = int(image.coarse.data[0, 0])
    lock(image.coarse, label, True)
    image.coarse.mode = "paint"
    other = 1 + label % 4
    image.coarse.brush_size = 9
    with image.coarse.block_history():  # as a stroke of the mouse does
        image.coarse.paint((4, 4), other)
        image.coarse.paint((30, 30), other)
    changed = np.count_nonzero(image.coarse.data != COARSE)
    assert 0 < changed < 100
    assert image.painted == changed


def test_classes_that_were_added_and_renamed_are_saved(desk):
    image = desk.show("one")
    table = with_class(renamed(SHAPES, 2, "coin"))
    set_class_table(image.coarse, table)
    desk.draw(image.coarse, 5)
    desk.show("two")
    assert desk.controller.project.class_table == table
    again = desk.show("one")
    assert (again.coarse.data[:4, :5] == 5).all()


def test_removing_its_layers_saves_and_closes_an_image(desk):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    desk.viewer.layers.remove(image.coarse)
    desk.wait()
    assert desk.state.opened == ""
    assert (desk.read().coarse[:4, :5] == 4).all()
    assert not list((desk.folder / "autosave").iterdir())
    desk.show("two")


def test_closing_saves_and_lets_others_in(desk):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    desk.controller.show("two")  # Not waited for.
    desk.controller.close()
    with Project.open(desk.folder) as project:
        assert project.restored == ()
        assert (project.read("one").coarse[:4, :5] == 4).all()


def test_a_failed_autosave_is_told_and_tried_again(desk, monkeypatch):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    shutil.rmtree(desk.folder / "autosave")
    desk.controller.autosave()
    desk.wait()
    assert "cannot be written" in desk.state.message
    (desk.folder / "autosave").mkdir()
    desk.controller.autosave()
    desk.wait()
    assert (desk.read().coarse[:4, :5] == 4).all()


def test_a_project_in_use_is_refused_and_a_crash_is_told(qtbot, desk):
    other = Desk(qtbot, desk.folder)
    assert "open in another window" in other.state.message
    assert other.state.root is None
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    desk.controller.autosave()
    desk.wait()
    desk.controller.project._lock.release()  # as the end of the process does
    other.controller.open(desk.folder)
    assert other.state.message == "Restored the work on one, which was not saved."
    other.controller.close()
    desk.controller.project = desk.controller.image = None


def test_images_are_added_and_maps_exported(desk, tmp_path):
    Image.fromarray(PAIR.image).save(tmp_path / "three.png")
    desk.controller.add([tmp_path / "three.png"])
    desk.wait()
    assert desk.state.message == "Added one image."
    assert [record.name for record in desk.state.images] == ["one", "two", "three"]
    (tmp_path / "broken.png").write_bytes(b"no image")
    desk.controller.add([tmp_path / "three.png", tmp_path / "broken.png"])
    desk.wait()
    assert "cannot be read as an image" in desk.state.message
    assert [record.name for record in desk.state.images][3:] == ["three-2"]
    desk.controller.export("one", tmp_path / "one.png")
    desk.wait()
    assert "refine it first" in desk.state.message
    desk.show("one")
    add_fine(desk)
    desk.controller.export("one", tmp_path / "one.png")
    desk.wait()
    assert (tmp_path / "one.png.json").exists()
    assert "one.png.json tells how it was made" in desk.state.message


def test_a_new_project_needs_classes(qtbot, tmp_path):
    controller = ProjectController(ViewerModel())
    controller.create(tmp_path / "new", lambda: None)
    assert "Choose the classes" in controller.state.message
    controller.create(tmp_path / "new", lambda: SHAPES)
    assert controller.state.root == tmp_path / "new"
    controller.close()


def test_stored_confidence_is_shown(desk):
    work = desk.controller.project.read("one")
    stored = stored_confidence(np.full(COARSE.shape, 0.5, np.float32))
    record = work.record.refined("", 0.5, Parameters())
    desk.controller.project.save(replace(work, record=record, fine=FINE, confidence=stored))
    image = desk.show("one")
    confidence = desk.viewer.layers["one coarse confidence"]
    np.testing.assert_allclose(confidence.data, 0.5, atol=0.01)
    np.testing.assert_array_equal(image.work(record).confidence, stored)


def test_a_selection_of_layers_that_goes_is_saved_as_it_was(desk):
    image = desk.show("one")
    fine = add_fine(desk)
    final = add_final(desk)
    desk.wait()
    desk.draw(final, 4)
    desk.controller._do(lambda *_: time.sleep(0.3), lambda _: None)  # Other work is under way.
    for layer in (image.image, final, image.coarse, fine):
        desk.viewer.layers.remove(layer)
    assert desk.state.opened == ""
    desk.controller.show("one")
    desk.wait()
    assert (desk.controller.image.final.data[:4, :5] == 4).all()
    np.testing.assert_array_equal(desk.read().refined, FINE)
    assert (desk.read().fine[:4, :5] == 4).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_all_layers_that_go_at_once_are_saved_in_whatever_order(desk, order):
    image = desk.show("one")
    fine = add_fine(desk)
    final = add_final(desk)
    desk.wait()
    desk.draw(final, 4)
    layers = [image.image, image.coarse, fine, final]
    for place in order:
        desk.viewer.layers.remove(layers[place])
    desk.wait()
    assert (desk.read().fine[:4, :5] == 4).all()
    np.testing.assert_array_equal(desk.read().refined, FINE)


def test_one_image_that_cannot_be_saved_keeps_no_other_from_it(desk, monkeypatch, tmp_path):
    save = Project.save

    def fail(project, work):
        if work.record.name == "one":
            raise DataError("The file is locked.")
        save(project, work)

    image = desk.show("one")
    add_fine(desk)
    desk.draw(image.coarse, 4)
    monkeypatch.setattr(Project, "save", fail)
    desk.viewer.layers.remove(image.coarse)
    desk.wait()
    assert desk.state.message == "The file is locked."
    desk.controller.export("one", tmp_path / "one.png")
    desk.wait()
    assert desk.state.message == "The work on one could not be saved; mend that first."
    assert not (tmp_path / "one.png").exists()
    desk.draw(desk.show("two").coarse, 4)
    desk.controller.close()
    desk.controller.close()
    assert (desk.read("two").coarse[:4, :5] == 4).all()


def test_work_that_was_owed_overwrites_nothing_newer(desk):
    image = desk.show("one")
    add_fine(desk)
    desk.draw(image.coarse, 4)
    desk.controller._do(lambda *_: time.sleep(0.3), lambda _: None)  # Other work is under way.
    desk.viewer.layers.remove(image.coarse)
    desk.controller.review("one", True)
    desk.controller.show("two")
    desk.wait()
    work = desk.read()
    assert work.record.status is Status.REVIEWED
    assert (work.coarse[:4, :5] == 4).all()


def test_what_is_asked_for_while_another_project_waits_to_open_is_done_first(desk, tmp_path):
    Project.create(tmp_path / "other", SHAPES).close()
    desk.show("one")
    add_fine(desk)
    desk.controller._do(lambda *_: time.sleep(0.3), lambda _: None)
    desk.controller.open(tmp_path / "other")
    desk.controller.export("one", tmp_path / "one.png")
    desk.qtbot.waitUntil(lambda: desk.state.root == tmp_path / "other", timeout=20000)
    assert (tmp_path / "one.png.json").exists()


def test_another_project_does_not_open_over_a_lesson(desk, tmp_path):
    Project.create(tmp_path / "other", SHAPES).close()
    desk.controller.open(tmp_path / "other", lambda: False)
    assert desk.state.root == desk.folder
