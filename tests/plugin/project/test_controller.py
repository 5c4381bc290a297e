"""The controller of the project, without a window."""

import itertools
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from c2f_core.classes.editing import renamed, with_class
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.maps import write_map
from c2f_core.project import Project, Status
from c2f_core.project.records import Parameters
from c2f_core.project.work import stored_confidence
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.controller import PaletteController
from napari_c2f.layers.convert import set_class_table
from napari_c2f.layers.session import Session
from napari_c2f.project.controller import ProjectController
from napari_c2f.refine.controller import RefineController

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


def test_an_image_comes_with_its_maps_and_goes_with_them(desk):
    image = desk.show("one")
    np.testing.assert_array_equal(image.image.data, PAIR.image)
    np.testing.assert_array_equal(image.coarse.data, COARSE)
    assert [layer.name for layer in desk.viewer.layers] == ["one", "one coarse"]
    assert desk.viewer.layers.selection.active is image.coarse
    desk.show("two")
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]
    assert desk.state.opened == "two"


def hold_queue(desk):
    """Keep other work running; return the function that ends it."""
    released = threading.Event()
    desk.controller.workspace.do(lambda *_: released.wait(20), lambda _: None)
    return released.set


def begin_to_show(desk, name):
    """Open an image; return as soon as its first layer exists, before the others."""
    desk.controller.images.show(name)
    desk.qtbot.waitUntil(lambda: [layer.name for layer in desk.viewer.layers] == [name])
    assert desk.state.opened == ""


def test_an_image_that_is_asked_for_while_another_is_shown_comes_next(desk):
    begin_to_show(desk, "one")
    desk.controller.images.show("two")
    desk.qtbot.waitUntil(lambda: desk.state.opened == "two", timeout=20000)
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]


def test_what_is_drawn_while_an_image_is_shown_is_saved_when_the_window_closes(desk):
    desk.controller.images.show("one")
    desk.qtbot.waitUntil(lambda: len(desk.viewer.layers) == 2)
    desk.draw(desk.viewer.layers["one coarse"], 4)
    desk.controller.save_quietly()
    assert desk.state.opened == "one"
    assert (desk.read().coarse[:4, :5] == 4).all()


def test_an_image_whose_layer_goes_while_it_is_shown_is_not_open(desk):
    begin_to_show(desk, "one")
    desk.viewer.layers.clear()
    desk.wait()
    assert desk.state.opened == ""
    assert desk.state.message == "A layer of one was removed; open the image again."
    assert not desk.viewer.layers
    desk.show("one")
    assert desk.state.opened == "one"


def test_what_was_drawn_is_saved_when_another_image_is_opened(desk):
    image = desk.show("one")
    image.coarse.data[:4] = 3
    image.coarse.refresh()
    desk.show("two")
    again = desk.show("one")
    assert (again.coarse.data[:4] == 3).all()
    assert desk.state.saved.startswith("Saved ")


def test_maps_that_are_drawn_with_shapes_and_opened_are_saved(desk, tmp_path):
    """However often shapes are drawn, no second map appears, which would not be saved."""
    image = desk.show("two")
    box = np.array([(3.5, 5.5), (3.5, 20.5), (12.5, 20.5), (12.5, 5.5)])
    palette, refining = (
        PaletteController(desk.viewer, desk.session),
        RefineController(desk.viewer, desk.session),
    )
    for moved in (box, box + 20):
        features = {"class": [SHAPES.names[1]]}
        shapes = desk.viewer.add_shapes([moved], shape_type="polygon", features=features)
        palette.map_of_shapes(image.image, shapes, TableSelection(SHAPES))
    desk.show("one")
    saved = desk.read("two").coarse
    assert (saved == SHAPES.classes[1].index).sum() == 2 * 9 * 15
    image = desk.show("two")
    write_map(tmp_path / "map.png", FINE, SHAPES)
    refining.open_map(str(tmp_path / "map.png"), TableSelection(), image.image, lambda _: None)
    desk.show("one")
    np.testing.assert_array_equal(desk.read("two").coarse, FINE)
    assert desk.read("two").record.before.painted == 0
    palette.close()
    refining.close()


def test_what_is_drawn_while_another_image_is_read_is_saved(desk):
    image = desk.show("one")
    desk.controller.images.show("two")  # Not waited for.
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


@pytest.mark.parametrize("ask", ["export", "effort", "fine-tune"])
def test_nothing_continues_from_an_image_that_cannot_be_saved(desk, monkeypatch, tmp_path, ask):
    def fail(_project, _work):
        raise DataError("The disk is full.")

    desk.show("one")
    fine = desk.add_fine()
    desk.draw(fine, 4)
    monkeypatch.setattr(Project, "save", fail)
    path, begun = tmp_path / "file.png", []
    asked = {
        "export": lambda: desk.controller.exporter.export_map("one", path),
        "effort": lambda: desk.controller.exporter.write_effort(path),
        "fine-tune": lambda: desk.controller.workspace.saving.when_saved(lambda: begun.append(1)),
    }
    asked[ask]()
    desk.wait()
    assert desk.state.message == "The disk is full."
    assert not path.exists()
    assert not begun


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
    image.coarse.contour = 1  # emits a change event, but nothing changed
    desk.controller.images.autosave()
    desk.wait()
    assert not list(snapshots.iterdir())
    desk.draw(image.coarse, 4)
    desk.controller.images.autosave()
    desk.wait()
    assert [path.name for path in snapshots.iterdir()] == ["one.npz"]
    assert (desk.read().coarse[:4, :5] == 4).all()
    (snapshots / "one.npz").unlink()
    desk.controller.images.autosave()
    desk.wait()
    assert not list(snapshots.iterdir())


def test_refining_is_saved_with_its_doubt_and_model(desk):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    desk.add_fine()
    work = desk.read()
    assert work.record.status is Status.REFINED
    assert work.record.doubt == 0.25
    assert work.record.model == "watershed"
    assert work.record.before.painted == np.count_nonzero(COARSE[:4, :5] != 4)
    np.testing.assert_array_equal(work.fine, FINE)
    assert next(record for record in desk.state.images if record.name == "one").doubt == 0.25


def test_the_refine_widget_and_the_project_work_together(desk, next_class):
    desk.show("one")
    refining = RefineController(desk.viewer, desk.session)
    refining.refine(desk.request())
    desk.qtbot.waitUntil(lambda: not refining.model.busy, timeout=20000)
    desk.wait()
    work = desk.read()
    expected = SHAPES.to_labels((PAIR.coarse + 1) % 4)
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
    desk.add_fine(FINE[place], place)
    expected = COARSE.copy()
    expected[place] = FINE[place]
    np.testing.assert_array_equal(desk.read().fine, expected)


def test_what_was_painted_in_a_fine_map_stays_in_a_later_session(desk, next_class):
    desk.show("one")
    desk.draw(desk.add_fine(), 4)
    desk.show("two")
    assert (desk.read().painted[:4, :5]).all()
    assert desk.read().painted.sum() <= 20
    image = desk.show("one")
    refine = RefineController(desk.viewer, desk.session)
    refine.refine(desk.request())
    desk.qtbot.waitUntil(lambda: not refine.model.busy, timeout=20000)
    desk.wait()
    np.testing.assert_array_equal(image.fine.data[:4, :5], 4)
    expected = SHAPES.to_labels((PAIR.coarse + 1) % 4)
    np.testing.assert_array_equal(image.fine.data[4:], expected[4:])
    refine.close()
    desk.show("two")
    assert (desk.read().painted[:4, :5]).all()


@pytest.mark.parametrize("reviewed", [False, True])
def test_what_is_painted_in_an_opened_image_stays_though_only_the_project_is_open(
    desk, next_class, reviewed
):
    work = desk.controller.workspace.project.read("one")
    maps = {"fine": COARSE, "refined": FINE} if reviewed else {"fine": FINE}
    record = work.record.refined("watershed", 0.75, Parameters())
    desk.controller.workspace.project.save(replace(work, record=record, **maps))
    image = desk.show("one")
    image.fine.visible = True  # It is hidden where there is a final map.
    desk.draw(image.fine, 4, slice(0, 4))
    desk.draw(image.final or image.fine, 4, slice(40, 44))
    refine = RefineController(desk.viewer, desk.session)  # Its widget is opened but now.
    refine.refine(desk.request())
    desk.qtbot.waitUntil(lambda: not refine.model.busy, timeout=20000)
    desk.wait()
    refine.close()
    for rows in (slice(0, 4), slice(40, 44)):
        np.testing.assert_array_equal(image.fine.data[rows, :5], 4)


def test_work_of_a_map_with_more_classes_than_its_coarse_map_is_saved(desk):
    desk.show("one")
    fine = desk.add_fine()
    set_class_table(fine, with_class(SHAPES, "floor", (9, 9, 9)))
    desk.draw(fine, 5)
    desk.show("two")
    assert desk.state.opened == "two"
    np.testing.assert_array_equal(desk.read().fine, fine.data)


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
    desk.controller.library.add_files(paths)
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
    fine = desk.add_fine()
    desk.draw(fine, 4)
    desk.controller.images.show("two")
    for layer in (image.coarse, image.image, fine):  # Before the other is there.
        desk.viewer.layers.remove(layer)
    desk.wait()
    assert desk.state.opened == "two"
    assert (desk.read().fine[:4, :5] == 4).all()
    desk.draw(desk.controller.images.image.coarse, 4)
    desk.viewer.layers.remove(desk.controller.images.image.coarse)
    desk.wait()
    assert desk.state.opened == ""
    assert (desk.read("two").coarse[:4, :5] == 4).all()


def test_a_refinement_of_an_image_that_was_left_is_not_shown(desk, next_class, hold_refining):
    started, released = hold_refining()
    refining = RefineController(desk.viewer, desk.session)
    desk.show("one")
    refining.refine(desk.request())
    assert started.wait(20)
    desk.show("two")
    released.set()
    desk.qtbot.waitUntil(lambda: not refining.model.busy, timeout=20000)
    assert "is no longer open" in refining.model.message
    assert [layer.name for layer in desk.viewer.layers] == ["two", "two coarse"]


def test_effort_is_counted_while_the_window_is_active(desk, monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("napari_c2f.project.open_work.time.monotonic", lambda: now[0])
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
    desk.add_fine()
    pass_by(12)
    desk.draw(image.fine, 4)
    desk.draw(image.fine, 4)
    desk.controller.exporter.write_effort(tmp_path / "effort.csv")
    desk.wait()
    record = desk.read().record
    assert record.before.seconds == 62
    assert record.after.seconds == 12
    assert record.after.painted == np.count_nonzero(FINE[:4, :5] != 4)
    assert (tmp_path / "effort.csv").read_text().splitlines()[1].startswith("one,refined,0.250,1.0")


def test_what_a_lock_restores_is_not_counted_as_effort(desk):
    image = desk.show("one")
    label = int(image.coarse.data[0, 0])
    desk.session.locks.lock(image.coarse, label)
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
    assert desk.controller.workspace.project.class_table == table
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
    desk.controller.images.show("two")  # Not waited for.
    desk.controller.close()
    with Project.open(desk.folder) as project:
        assert project.restored == ()
        assert (project.read("one").coarse[:4, :5] == 4).all()


def test_a_failed_autosave_is_reported_and_tried_again(desk, monkeypatch):
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    shutil.rmtree(desk.folder / "autosave")
    desk.controller.images.autosave()
    desk.wait()
    assert "cannot be written" in desk.state.message
    (desk.folder / "autosave").mkdir()
    desk.controller.images.autosave()
    desk.wait()
    assert (desk.read().coarse[:4, :5] == 4).all()


def test_files_that_opening_skips_or_changes_are_reported(make_desk, desk):
    desk.controller.close()
    for name in ("hollow", "painted"):
        Image.fromarray(PAIR.image).save(desk.folder / "images" / f"{name}.png")
    (desk.folder / "coarse" / "hollow.png").write_bytes(b"")
    colours = np.full((*PAIR.coarse.shape, 3), (255, 0, 255), np.uint8)
    Image.fromarray(colours).save(desk.folder / "coarse" / "painted.png")
    message = make_desk(desk.folder).state.message
    assert "hollow.png was not added: " in message
    assert "Colours of no class became unlabelled in painted; see journal.jsonl" in message
    assert message.endswith("the folder 'removed' for the original maps.")


def test_a_project_in_use_is_refused_and_a_crash_is_reported(make_desk, desk):
    other = make_desk(desk.folder)
    assert "open in another window" in other.state.message
    assert other.state.root is None
    image = desk.show("one")
    desk.draw(image.coarse, 4)
    desk.controller.images.autosave()
    desk.wait()
    desk.controller.workspace.project._lock.release()  # as the end of the process does
    other.controller.open(desk.folder)
    assert other.state.message == "Restored unsaved work on one."
    other.controller.close()
    desk.controller.workspace._saving = None  # It was not closed.


def test_images_are_added_and_maps_exported(desk, tmp_path):
    Image.fromarray(PAIR.image).save(tmp_path / "three.png")
    desk.controller.library.add_files([tmp_path / "three.png"])
    desk.wait()
    assert desk.state.message == "Added 1 image."
    assert [record.name for record in desk.state.images] == ["one", "two", "three"]
    (tmp_path / "broken.png").write_bytes(b"no image")
    desk.controller.library.add_files([tmp_path / "three.png", tmp_path / "broken.png"])
    desk.wait()
    assert "cannot be read as an image" in desk.state.message
    assert [record.name for record in desk.state.images][3:] == ["three-2"]
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    desk.wait()
    assert "refine it first" in desk.state.message
    desk.show("one")
    desk.add_fine()
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    desk.wait()
    assert (tmp_path / "one.png.json").exists()
    assert "one.png.json records how it was made" in desk.state.message
    desk.controller.exporter.export_all(tmp_path / "all", "coco")
    desk.wait()
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["one.json"]
    assert "Exported 1 map to" in desk.state.message
    assert "Not exported: two, three, three-2 (no fine map yet)." in desk.state.message


def test_another_project_begins_without_the_messages_of_the_last_one(desk, tmp_path):
    for part in (desk.controller.batch, desk.controller.fine_tuning):
        part.tell("Refined 2 of 2 images.")
    desk.controller.create(tmp_path / "other", TableSelection(SHAPES))
    desk.wait()
    assert desk.state.root == tmp_path / "other"
    assert desk.controller.batch.model.message == desk.controller.fine_tuning.model.message == ""


def test_a_new_project_needs_no_classes(qtbot, tmp_path):
    controller = ProjectController(ViewerModel(), Session())
    controller.create(tmp_path / "bare", TableSelection())
    assert "add images to it" in controller.model.message
    controller.create(tmp_path / "new", TableSelection(SHAPES))
    assert controller.model.root == tmp_path / "new"
    assert controller.workspace.project.class_table == SHAPES
    controller.close()


def test_a_new_project_takes_the_classes_of_the_active_map(qtbot, tmp_path):
    viewer = ViewerModel()
    controller = ProjectController(viewer, Session.of(viewer))
    layer = viewer.add_labels(COARSE)
    set_class_table(layer, SHAPES)
    viewer.layers.selection.active = viewer.add_image(PAIR.image)
    controller.create(tmp_path / "other", TableSelection())
    assert controller.workspace.project.class_table != SHAPES
    viewer.layers.selection.active = layer
    controller.create(tmp_path / "new", TableSelection())
    assert controller.workspace.project.class_table == SHAPES
    controller.close()


def test_stored_confidence_is_shown(desk):
    work = desk.controller.workspace.project.read("one")
    stored = stored_confidence(np.full(COARSE.shape, 0.5, np.float32))
    record = work.record.refined("", 0.5, Parameters())
    desk.controller.workspace.project.save(
        replace(work, record=record, fine=FINE, confidence=stored)
    )
    image = desk.show("one")
    confidence = desk.viewer.layers["one confidence"]
    np.testing.assert_allclose(confidence.data, 0.5, atol=0.01)
    np.testing.assert_array_equal(image.work(record).confidence, stored)


def test_changes_are_saved_when_a_selection_of_layers_is_removed(desk):
    image = desk.show("one")
    fine = desk.add_fine()
    final = desk.add_final()
    desk.wait()
    desk.draw(final, 4)
    release = hold_queue(desk)
    for layer in (image.image, final, image.coarse, fine):
        desk.viewer.layers.remove(layer)
    assert desk.state.opened == ""
    desk.controller.images.show("one")
    release()
    desk.wait()
    assert (desk.controller.images.image.final.data[:4, :5] == 4).all()
    np.testing.assert_array_equal(desk.read().refined, FINE)
    assert (desk.read().fine[:4, :5] == 4).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_all_layers_that_go_at_once_are_saved_in_whatever_order(desk, order):
    image = desk.show("one")
    fine = desk.add_fine()
    final = desk.add_final()
    desk.wait()
    desk.draw(final, 4)
    layers = [image.image, image.coarse, fine, final]
    for place in order:
        desk.viewer.layers.remove(layers[place])
    desk.wait()
    assert (desk.read().fine[:4, :5] == 4).all()
    np.testing.assert_array_equal(desk.read().refined, FINE)


def test_other_images_are_saved_despite_one_that_cannot_be(desk, monkeypatch, tmp_path):
    save = Project.save

    def fail(project, work):
        if work.record.name == "one":
            raise DataError("The file is locked.")
        save(project, work)

    image = desk.show("one")
    desk.add_fine()
    desk.draw(image.coarse, 4)
    monkeypatch.setattr(Project, "save", fail)
    desk.viewer.layers.remove(image.coarse)
    desk.wait()
    assert desk.state.message == "The file is locked."
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    desk.wait()
    assert desk.state.message == "The work on one could not be saved; fix this first."
    assert not (tmp_path / "one.png").exists()
    desk.draw(desk.show("two").coarse, 4)
    desk.controller.close()
    desk.controller.close()
    assert (desk.read("two").coarse[:4, :5] == 4).all()


def test_pending_work_overwrites_nothing_newer(desk):
    image = desk.show("one")
    desk.add_fine()
    desk.draw(image.coarse, 4)
    release = hold_queue(desk)
    desk.viewer.layers.remove(image.coarse)
    desk.controller.review_mark.set("one", True)
    desk.controller.images.show("two")
    release()
    desk.wait()
    work = desk.read()
    assert work.record.status is Status.REVIEWED
    assert (work.coarse[:4, :5] == 4).all()


def test_what_is_asked_for_while_another_project_waits_to_open_is_done_first(desk, tmp_path):
    Project.create(tmp_path / "other", SHAPES).close()
    desk.show("one")
    desk.add_fine()
    release = hold_queue(desk)
    desk.controller.open(tmp_path / "other")
    desk.controller.exporter.export_map("one", tmp_path / "one.png")
    release()
    desk.qtbot.waitUntil(lambda: desk.state.root == tmp_path / "other", timeout=20000)
    assert (tmp_path / "one.png.json").exists()


@pytest.mark.parametrize("is_queued", [False, True])
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("fine_tuning", "Fine-tuning is running in this project; stop it first."),
        ("batch", "Refining is running in this project; stop it first."),
    ],
)
def test_another_project_does_not_open_over_work_in_the_background(
    desk, tmp_path, part, message, is_queued
):
    Project.create(tmp_path / "other", SHAPES).close()
    model = getattr(desk.controller, part).model
    if is_queued:  # The work begins while the other project waits to be opened.
        desk.controller.workspace.do(lambda *_: None, lambda _: setattr(model, "busy", True))
    else:
        model.busy = True
    desk.controller.open(tmp_path / "other")
    desk.wait()
    assert desk.state.message == message
    assert desk.state.root == desk.folder
    model.busy = False


def test_what_needs_a_project_asks_for_one(qtbot):
    controller = ProjectController(ViewerModel(), Session())
    controller.images.show("one")
    assert controller.model.message == "No project is open; open or create one first."
    controller.close()


def test_a_project_starts_from_a_folder_of_images_alone(qtbot, tmp_path):
    for name in ("b.png", "a.jpg"):
        Image.fromarray(PAIR.image).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    viewer = ViewerModel()
    controller = ProjectController(viewer, Session.of(viewer))
    controller.create(tmp_path, TableSelection())
    qtbot.waitUntil(lambda: len(controller.model.images) == 2, timeout=20000)
    assert sorted(image.name for image in controller.model.images) == ["a", "b"]
    assert {path.name for path in tmp_path.glob("*.*")} >= {"a.jpg", "b.png", "notes.txt"}
    controller.images.show("a")
    qtbot.waitUntil(lambda: controller.images.image is not None, timeout=20000)
    assert controller.images.image.coarse.metadata["c2f_class_table"].names == ["class 1"]
    controller.close()
