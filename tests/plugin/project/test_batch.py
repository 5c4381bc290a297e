"""All images of a project that are to do are refined in the background, without a window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from c2f_core.classes.editing import with_class
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.project import Project, Status
from napari_c2f.layers.session import Session
from napari_c2f.project.batch import BatchController
from napari_c2f.project.controller import ProjectController

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
def to_do(projects):
    controller = BatchController(projects)
    yield controller
    controller.close()


@pytest.fixture
def wait(qtbot, projects, to_do):
    def until_idle():
        for activity in (to_do.model, projects.state):
            qtbot.waitUntil(lambda activity=activity: not activity.busy, timeout=20000)

    return until_idle


def statuses(projects):
    return {record.name: str(record.status) for record in projects.state.images}


def test_drawn_images_are_refined_and_the_open_one_stays_as_it_is(projects, to_do, wait, following):
    projects.show("two")
    wait()
    to_do.refine()
    assert to_do.model.busy
    wait()
    expected = {"one": "refined", "two": "to do", "three": "refined", "blank": "to do"}
    assert statuses(projects) == expected
    assert to_do.model.message == (
        "Refined 2 of 3 images. Not refined: blank (nothing is drawn in the coarse map)."
    )
    work = projects.project.read("one")
    np.testing.assert_array_equal(work.fine, following(COARSE))
    assert work.record.doubt == pytest.approx(0.25, abs=0.01)
    assert work.record.model == "watershed"
    assert projects.project.read("two").fine is None
    assert projects.state.opened == "two"


def test_what_a_person_goes_on_with_meanwhile_is_not_overwritten(
    projects, to_do, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    to_do.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    projects.show("one")
    qtbot.waitUntil(lambda: projects.state.opened == "one", timeout=20000)
    projects.image.coarse.data_setitem((np.array([0]), np.array([0])), 4)
    projects.show("blank")  # The drawing is saved.
    qtbot.waitUntil(lambda: projects.state.opened == "blank", timeout=20000)
    projects.show("two")
    qtbot.waitUntil(lambda: projects.state.opened == "two", timeout=20000)
    released.set()
    wait()
    expected = {"one": "to do", "two": "to do", "three": "refined", "blank": "to do"}
    assert statuses(projects) == expected
    work = projects.project.read("one")
    assert work.coarse[0, 0] == 4
    assert work.fine is None
    assert "Not refined: one, two (you went on with it meanwhile)." in to_do.model.message


def test_what_a_person_refined_meanwhile_is_not_refined_again(
    projects, to_do, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    to_do.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    project = projects.project
    work = project.read("three")
    record = work.record.model_copy(update={"status": Status.REFINED})
    project.save(replace(work, record=record, fine=COARSE))
    released.set()
    wait()
    np.testing.assert_array_equal(project.read("three").fine, COARSE)
    assert "three (you went on with it meanwhile)" in to_do.model.message


def test_a_class_that_is_added_meanwhile_costs_no_refinement(
    projects, to_do, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    to_do.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    project, table = projects.project, with_class(SHAPES, "floor", (9, 9, 9))
    project.save(replace(project.read("blank"), class_table=table))
    released.set()
    wait()
    assert project.class_table == table
    assert statuses(projects)["one"] == "refined"


def test_an_image_that_is_removed_meanwhile_is_left_alone(
    projects, to_do, wait, qtbot, hold_refining
):
    started, released = hold_refining()
    to_do.refine()
    qtbot.waitUntil(started.is_set, timeout=20000)
    projects.remove("one")
    qtbot.waitUntil(lambda: "is in" in projects.state.message, timeout=20000)
    told = projects.state.message
    released.set()
    wait()
    assert projects.state.message == told
    assert "one (you went on with it meanwhile)" in to_do.model.message


def test_stopping_keeps_what_was_refined(projects, to_do, wait, qtbot, next_class, monkeypatch):
    refine, calls = next_class.refine_ids, []

    def stop_at_the_second(self, rgb, class_ids, monitor):
        calls.append(rgb)
        if len(calls) == 2:
            to_do.stop()
        return refine(self, rgb, class_ids, monitor)

    monkeypatch.setattr(next_class, "refine_ids", stop_at_the_second)
    to_do.refine()
    wait()
    assert len(calls) == 2
    assert list(statuses(projects).values()) == ["refined", "to do", "to do", "to do"]
    told = "Stopped. Refined 1 of 4 images. 'Refine all to do' goes on with the rest."
    assert to_do.model.message == told
    to_do.refine()
    wait()
    assert list(statuses(projects).values()) == ["refined", "refined", "refined", "to do"]


def test_one_image_that_cannot_be_refined_keeps_no_other_from_it(projects, to_do, wait, folder):
    projects.project.image_path("one").write_bytes(b"no image")
    to_do.refine()
    wait()
    assert list(statuses(projects).values()) == ["to do", "refined", "refined", "to do"]
    assert "Not refined: one (" in to_do.model.message
    assert "check that the file is complete)." in to_do.model.message


def test_what_is_lacking_is_told(projects, to_do, wait):
    projects.choose_model("")
    wait()
    to_do.refine()
    assert "no model yet; choose one" in to_do.model.message
    projects.choose_model("watershed")
    for name in ("three", "two", "one"):
        projects.remove(name)
    projects.show("blank")
    wait()
    to_do.refine()
    assert "No image is to do but the open one" in to_do.model.message
    projects.remove("blank")
    wait()
    to_do.refine()
    assert "No image is to do; add images" in to_do.model.message
    assert not to_do.model.busy
