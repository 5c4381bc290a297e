"""Classes of a project are deleted and moved in Draw, on a real viewer."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.project import Project
from c2f_core.project.records import Parameters
from napari_c2f.draw.table import NAME
from napari_c2f.layers.convert import class_table_of_layer

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)
DELETED, OTHER = SHAPES.classes[1], SHAPES.classes[2]


@pytest.fixture
def folder(tmp_path):
    """A project of a drawn, a refined and an empty image."""
    with Project.create(tmp_path / "project", SHAPES) as project:
        for name in ("drawn", "refined", "empty"):
            project.add_image(PAIR.image, name)
        project.save(replace(project.read("drawn"), coarse=COARSE))
        record = project.record("refined").refined("watershed", 0.75, Parameters())
        project.save(replace(project.read("refined"), record=record, coarse=COARSE, fine=FINE))
    return tmp_path / "project"


@pytest.fixture
def widgets(dock, qtbot, folder):
    """Draw and Project, in which an image is open."""
    draw, project = dock("Draw"), dock("Project")
    controller = project._controller
    controller.open(folder)
    qtbot.waitUntil(lambda: bool(project.state.images), timeout=20000)
    controller.images.show("refined")
    qtbot.waitUntil(lambda: project.state.opened == "refined", timeout=20000)
    qtbot.waitUntil(lambda: not project.state.busy, timeout=20000)
    return draw, project


def press(qtbot, draw, button, entry):
    """Click the row of a class in Draw, then a button."""
    row = next(
        row for row in range(draw.table.rowCount()) if draw.table.item(row, NAME).text() == entry
    )
    place = draw.table.visualItemRect(draw.table.item(row, NAME)).center()
    qtbot.mouseClick(draw.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def answer(monkeypatch, name, ok=True):
    """Answer the question by choosing a class; return the list of questions."""
    questions = []

    def get_item(_parent, _title, question, names, *_):
        questions.append((question, names))
        return name, ok

    monkeypatch.setattr(QInputDialog, "getItem", get_item)
    return questions


@pytest.mark.parametrize("selected", ["coarse", "fine"])
def test_a_class_goes_from_all_maps_after_a_question(viewer, widgets, qtbot, monkeypatch, selected):
    draw, project = widgets
    viewer.layers.selection.active = getattr(project._controller.images.image, selected)
    questions = answer(monkeypatch, OTHER.name)
    press(qtbot, draw, draw.delete_button, DELETED.name)
    assert "all maps of the project" in draw.status.text()
    qtbot.waitUntil(lambda: "Deleted" in project.status.text(), timeout=20000)
    qtbot.waitUntil(lambda: project.state.opened == "refined", timeout=20000)
    qtbot.waitUntil(lambda: not project.state.busy, timeout=20000)
    ((question, names),) = questions
    pixels = sum(project._controller.workspace.project.pixels_of_class(OTHER.index).values())
    assert f"'{DELETED.name}' has" in question
    assert "in 2 images" in question
    assert names[0] == SHAPES.unlabelled.name
    assert DELETED.name not in names
    assert pixels > 0
    image = project._controller.images.image
    for layer, before in ((image.coarse, COARSE), (image.fine, FINE)):
        assert DELETED.name not in class_table_of_layer(layer).names
        expected = np.where(before == DELETED.index, OTHER.index, before)
        np.testing.assert_array_equal(layer.data, expected)
    names = [draw.table.item(row, NAME).text() for row in range(draw.table.rowCount())]
    assert DELETED.name not in names
    opened = project._controller.workspace.project
    opened.save(opened.read("empty"))  # The class does not come back.
    assert DELETED.name not in opened.class_table.names
    assert not (opened.read("drawn").coarse == DELETED.index).any()


def test_nothing_changes_if_the_question_is_cancelled(widgets, qtbot, monkeypatch):
    draw, project = widgets
    answer(monkeypatch, OTHER.name, ok=False)
    press(qtbot, draw, draw.delete_button, DELETED.name)
    qtbot.waitUntil(lambda: "is not deleted" in project.status.text(), timeout=20000)
    opened = project._controller.workspace.project
    assert opened.class_table == SHAPES
    np.testing.assert_array_equal(opened.read("drawn").coarse, COARSE)
    np.testing.assert_array_equal(project._controller.images.image.coarse.data, COARSE)


def test_a_class_that_was_just_added_goes_without_a_question(widgets, qtbot, monkeypatch):
    draw, project = widgets
    questions = answer(monkeypatch, None, ok=False)
    draw._controller.add()
    added = class_table_of_layer(project._controller.images.image.coarse).names[-1]
    press(qtbot, draw, draw.delete_button, added)
    qtbot.waitUntil(lambda: "Deleted" in project.status.text(), timeout=20000)
    qtbot.waitUntil(lambda: not project.state.busy, timeout=20000)
    assert questions == []
    assert project._controller.workspace.project.class_table.names == SHAPES.names


def test_no_class_is_deleted_while_images_are_refined(widgets, qtbot, monkeypatch):
    draw, project = widgets
    questions = answer(monkeypatch, OTHER.name)
    monkeypatch.setattr(project._controller.batch.model, "busy", True)
    press(qtbot, draw, draw.delete_button, DELETED.name)
    assert "Refining is running in this project; stop it first." in project.status.text()
    assert questions == []


def test_a_class_is_moved_in_the_whole_project(widgets, qtbot, folder):
    draw, project = widgets
    press(qtbot, draw, draw.up_button, DELETED.name)
    project._controller.images.show("drawn")
    qtbot.waitUntil(lambda: project.state.opened == "drawn", timeout=20000)
    expected = [DELETED.name, SHAPES.names[0], *SHAPES.names[2:]]
    image = project._controller.images.image
    assert class_table_of_layer(image.coarse).names == expected
    np.testing.assert_array_equal(image.coarse.data, COARSE)
    assert ClassTable.from_file(folder / "classes.json").names == expected
