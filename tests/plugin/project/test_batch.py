"""All pending images of a project are refined in the background, without a window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from c2f_core.classes.editing import with_class
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.project import Project, Status, refining
from c2f_core.refine.fitting import general_refiner
from napari_c2f.layers.session import Session
from napari_c2f.project.batch import BatchController
from napari_c2f.project.controller import ProjectController
from napari_c2f.widgets.choices import TITLES

PAIR = synthetic_pair(48, 0)
COARSE = SHAPES.to_labels(PAIR.coarse)
DRAWN = ("one", "two", "three")


@pytest.fixture
def folder(tmp_path, next_class):
    """A project of three images with a coarse map and one without."""
    with Project.create(tmp_path / "project", SHAPES) as project:
        project.choose_model("watershed")
        for name in (*DRAWN, "blank"):
            project.add_image(PAIR.image, name)
        for name in DRAWN:
            project.save(replace(project.read(name), coarse=COARSE))
    return tmp_path / "project"


@pytest.fixture
def projects(qtbot, folder):
    controller = ProjectController(ViewerModel(), Session())
    controller.open(folder)
    yield controller
    controller.close()


@pytest.fixture
def batch(projects):
    controller = BatchController(projects.workspace)
    yield controller
    controller.close()


@pytest.fixture
def wait(qtbot, projects, batch):
    def until_idle():
        for activity in (batch.model, projects.model):
            qtbot.waitUntil(lambda activity=activity: not activity.busy, timeout=20000)

    return until_idle


def statuses(projects):
    return {record.name: str(record.status) for record in projects.model.images}


def test_drawn_images_are_refined_and_the_open_one_stays_unchanged(
    projects, batch, wait, following
):
    projects.images.show("two")
    wait()
    batch.refine()
    assert batch.model.busy
    wait()
    expected = {"one": "refined", "two": "pending", "three": "refined", "blank": "pending"}
    assert statuses(projects) == expected
    assert batch.model.message == (
        "Refined 2 of 3 images. Not refined: two (it is open; refine it with the Refine widget). "
        "Not refined: blank (nothing is drawn in the coarse map)."
    )
    work = projects.workspace.project.read("one")
    np.testing.assert_array_equal(work.fine, following(COARSE))
    assert work.record.doubt == pytest.approx(0.25, abs=0.01)
    assert work.record.model == "watershed"
    assert projects.workspace.project.read("two").fine is None
    assert projects.model.opened == "two"


def test_what_is_edited_meanwhile_is_not_overwritten(projects, batch, wait, qtbot, hold_refining):
    started, released = hold_refining()
    batch.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    projects.images.show("one")
    qtbot.waitUntil(lambda: projects.model.opened == "one", timeout=20000)
    projects.images.image.coarse.data_setitem((np.array([0]), np.array([0])), 4)
    projects.images.show("blank")  # The drawing is saved.
    qtbot.waitUntil(lambda: projects.model.opened == "blank", timeout=20000)
    projects.images.show("two")
    qtbot.waitUntil(lambda: projects.model.opened == "two", timeout=20000)
    released.set()
    wait()
    expected = {"one": "pending", "two": "pending", "three": "refined", "blank": "pending"}
    assert statuses(projects) == expected
    work = projects.workspace.project.read("one")
    assert work.coarse[0, 0] == 4
    assert work.fine is None
    assert "Not refined: one, two (you changed it in the meantime)." in batch.model.message


def test_what_a_person_refined_meanwhile_is_not_refined_again(
    projects, batch, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    batch.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    project = projects.workspace.project
    work = project.read("three")
    record = work.record.model_copy(update={"status": Status.REFINED})
    project.save(replace(work, record=record, fine=COARSE))
    released.set()
    wait()
    np.testing.assert_array_equal(project.read("three").fine, COARSE)
    assert "three (you changed it in the meantime)" in batch.model.message


def test_a_class_that_is_added_meanwhile_costs_no_refinement(
    projects, batch, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    batch.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    project, table = projects.workspace.project, with_class(SHAPES, "floor", (9, 9, 9))
    project.save(replace(project.read("blank"), class_table=table))
    released.set()
    wait()
    assert project.class_table == table
    assert statuses(projects)["one"] == "refined"


def test_an_image_that_is_removed_meanwhile_is_left_alone(
    projects, batch, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    batch.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    projects.library.remove("one")
    qtbot.waitUntil(lambda: "was moved to" in projects.model.message, timeout=20000)
    message = projects.model.message
    released.set()
    wait()
    assert projects.model.message == message
    assert "one (you changed it in the meantime)" in batch.model.message


def test_stopping_keeps_what_was_refined(projects, batch, wait, qtbot, next_class, monkeypatch):
    refine, calls = next_class.refine_ids, []

    def stop_at_the_second(self, rgb, class_ids, monitor):
        calls.append(rgb)
        if len(calls) == 2:
            batch.stop()
        return refine(self, rgb, class_ids, monitor)

    monkeypatch.setattr(next_class, "refine_ids", stop_at_the_second)
    batch.refine()
    wait()
    assert len(calls) == 2
    assert list(statuses(projects).values()) == ["refined", "pending", "pending", "pending"]
    message = "Stopped. Refined 1 of 4 images. 'Refine all pending' continues with the others."
    assert batch.model.message == message
    batch.refine()
    wait()
    assert list(statuses(projects).values()) == ["refined", "refined", "refined", "pending"]


def test_other_images_are_refined_despite_one_that_cannot_be(projects, batch, wait, folder):
    projects.workspace.project.image_path("one").write_bytes(b"no image")
    batch.refine()
    wait()
    assert list(statuses(projects).values()) == ["pending", "refined", "refined", "pending"]
    assert "Not refined: one (" in batch.model.message
    assert "check that the file is complete)." in batch.model.message


def test_a_project_without_a_model_gets_the_one_for_its_classes(projects, batch, wait):
    projects.library.choose_model("")
    wait()
    batch.refine()
    wait()
    chosen = general_refiner()
    assert projects.model.model == chosen
    assert f"of 4 images with '{TITLES[chosen]}', the model for" in batch.model.message
    assert list(statuses(projects).values()) == ["refined", "refined", "refined", "pending"]


def test_missing_images_are_reported(projects, batch, wait):
    for name in ("three", "two", "one"):
        projects.library.remove(name)
    projects.images.show("blank")
    wait()
    batch.refine()
    assert "Only the open image is pending" in batch.model.message
    projects.library.remove("blank")
    wait()
    batch.refine()
    assert "No image is pending; add images" in batch.model.message
    assert not batch.model.busy


def test_a_model_that_does_not_know_the_classes_refuses_every_image_at_once(
    projects, batch, wait, monkeypatch
):
    monkeypatch.setattr(refining, "open_refiner", lambda *_, **__: pytest.fail("It was opened."))
    projects.library.choose_model("fasseg")
    wait()
    batch.refine()
    wait()
    assert set(statuses(projects).values()) == {"pending"}
    assert "'Faces' does not know 'ground'" in batch.model.message
