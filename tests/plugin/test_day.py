"""An annotator's whole day, by mouse and keys on a real viewer."""

import json
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.project.export import rerun
from c2f_core.project.work import stored_confidence
from c2f_core.training.fine_tuning import FineTuningSettings
from napari_c2f.project.table import NAME, ROLE, STATUS
from napari_c2f.review.table import DECISION

PLUGIN = "napari-c2f"
FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, NOSE = (FASSEG.names.index(name) for name in ("hair", "skin", "nose"))
NOTHING = FASSEG.unlabelled.index
SIDE = 256
OUTLINES = {
    HAIR: [(25, 128), (50, 64), (150, 50), (155, 218), (50, 205)],
    SKIN: [(70, 110), (70, 160), (130, 180), (200, 145), (200, 115), (130, 85)],
    NOSE: [(115, 128), (150, 115), (150, 148)],
}
"""A polygon of each class, in rows and columns."""
BOX = [(15, 35), (120, 150), (230, 235)]
"""From corner to corner."""
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier


@dataclass
class Desk:
    """A viewer with the widgets, operated like by a person."""

    viewer: Any
    qtbot: Any
    drag: Any

    def __post_init__(self):
        self.widgets = {
            name: self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
            for name in ("Draw", "Refine", "Review", "Project")
        }
        self.draw, self.refining, self.review, self.project = (
            widget for _, widget in self.widgets.values()
        )

    def press(self, key, modifier=NONE):
        self.qtbot.keyClick(self.viewer.window._qt_viewer.canvas.native, key, modifier)

    def click(self, name, button):
        """Click a button of a widget after raising the widget."""
        self.widgets[name][0].raise_()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait(self):
        """Wait until the project has saved."""
        self.qtbot.waitUntil(lambda: not self.project.state.busy, timeout=20000)

    def row(self, name):
        (item,) = self.project.images.table.findItems(name, Qt.MatchFlag.MatchExactly, NAME)
        return item

    def open_image(self, name):
        """Double-click an image of the project."""
        self.widgets["Project"][0].raise_()
        table = self.project.images.table
        place = table.visualItemRect(self.row(name)).center()
        self.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        self.qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        self.wait()
        assert self.project.state.opened == name

    def new_shapes(self, key):
        """Add a Shapes layer by napari's button, and take a tool by its key."""
        buttons = self.viewer.window._qt_viewer.layerButtons
        self.qtbot.mouseClick(buttons.newShapesButton, Qt.MouseButton.LeftButton)
        self.press(key)
        return self.viewer.layers.selection.active

    def draw_polygons(self):
        """Draw one shape of each class, and turn them into the coarse map."""
        coarse = self.draw.map.value
        shapes = self.new_shapes(Qt.Key.Key_P)
        for label, corners in OUTLINES.items():
            self.press(Qt.Key(Qt.Key.Key_1 + label), CONTROL)
            for corner in corners:
                self.drag(self.viewer, corner)
            self.press(Qt.Key.Key_Escape)
        assert list(shapes.features["class"]) == [FASSEG.names[label] for label in OUTLINES]
        self.click("Draw", self.draw.shapes_button)
        assert self.draw.map.value is coarse
        assert set(np.unique(coarse.data)) == {*OUTLINES, NOTHING}
        return coarse

    def refine(self):
        """Click Refine, and return the new fine layer."""
        self.click("Refine", self.refining.refine_button)
        self.qtbot.waitUntil(self.refining.refine_button.isEnabled, timeout=60000)
        self.wait()
        assert "changed" in self.refining.status.text()
        return self.viewer.layers.selection.active

    def paint(self, label, row):
        """Paint a stroke in the active layer, and return where it changed the map."""
        layer = self.viewer.layers.selection.active
        before = layer.data.copy()
        self.press(Qt.Key.Key_2)
        self.press(Qt.Key(Qt.Key.Key_1 + label), CONTROL)
        layer.brush_size = 8
        self.drag(self.viewer, (row, 90), (row, 110), (row, 130))
        assert layer.mode == "paint"
        return layer.data != before

    def decisions(self):
        model = self.review.table.model()
        return [model.index(row, DECISION).data() for row in range(model.rowCount())]

    def mark_reviewed(self):
        self.click("Project", self.project.images.review_button)
        self.wait()


@pytest.fixture
def sit_down(make_napari_viewer, qtbot, drag):
    """Open napari with all widgets of the plugin."""
    # Without cached bytecode, importing it in the background of a busy window takes minutes.
    import_module("lightning_fabric")

    def begin():
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1500, 1000)
        return Desk(viewer, qtbot, drag)

    return begin


@pytest.fixture
def files(tmp_path):
    """Two photographs."""
    pixels = astronaut_pair(SIDE).image
    paths = tmp_path / "astronaut.png", tmp_path / "mirrored.png"
    for path, image in zip(paths, (pixels, pixels[:, ::-1]), strict=True):
        Image.fromarray(image).save(path)
    return [str(path) for path in paths]


def begin_project(desk, folder, files, monkeypatch):
    desk.project.folder.line.clear()
    desk.qtbot.keyClicks(desk.project.folder.line, str(folder))
    desk.project.class_table.setValue("fasseg")
    desk.click("Project", desk.project.create_button)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (files, ""))
    desk.click("Project", desk.project.images.add_button)
    desk.wait()
    desk.project.fine_tuning.model.setValue("fasseg")
    desk.wait()


def refine_in_a_box(desk, coarse):
    """Draw a box and refine in it."""
    desk.new_shapes(Qt.Key.Key_R)
    desk.drag(desk.viewer, *BOX)
    desk.click("Refine", desk.refining.scope_section.toggleButton())
    desk.refining.scope.where.setValue("shapes")
    fine = desk.refine()
    inside = np.zeros(coarse.data.shape, bool)
    inside[BOX[0][0] - 1 : BOX[-1][0] + 2, BOX[0][1] - 1 : BOX[-1][1] + 2] = True
    changed = fine.data != coarse.data
    assert changed.sum() > 1000
    assert not changed[~inside].any()
    return fine


def decide_on_three_regions(desk, coarse, fine):
    """Accept, reject and accept regions; undo and redo the last decision."""
    assert desk.review.maps.confidence.value is desk.viewer.layers["astronaut confidence"]
    desk.click("Review", desk.review.begin_button)
    desk.qtbot.waitUntil(desk.review.table.isEnabled, timeout=10000)
    for key in (Qt.Key.Key_A, Qt.Key.Key_R, Qt.Key.Key_A):
        desk.press(key)
    assert desk.decisions()[:3] == ["accepted", "rejected", "accepted"]
    final = desk.viewer.layers["astronaut final"]
    decided = final.data.copy()
    assert (decided != coarse.data).any()
    desk.press(Qt.Key.Key_Z, CONTROL)
    assert desk.decisions()[:3] == ["accepted", "rejected", "undecided"]
    desk.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(final.data, decided)
    assert set(np.unique(final.data[final.data != coarse.data])) <= set(np.unique(fine.data))
    return final


def fine_tune(desk):
    """Fine-tune the model in a few small steps, and return its record in the journal."""
    desk.project.fine_tuning.settings.setValue(
        FineTuningSettings(steps=4, batch_size=2, crop=64, threads=1).model_dump()
    )
    desk.click("Project", desk.project.fine_tuning_group.toggleButton())
    desk.click("Project", desk.project.fine_tuning.task.start_button)
    task = desk.project.fine_tuning.task.model
    ended = "Pixel accuracy on the held-out images (1): "
    desk.qtbot.waitUntil(lambda: ended in task.message and not task.busy, timeout=180000)
    lines = (desk.project.state.root / "journal.jsonl").read_text().splitlines()
    return next(result for line in reversed(lines) if "before" in (result := json.loads(line)))


@pytest.mark.slow
def test_a_day(sit_down, files, tmp_path, monkeypatch):
    desk = sit_down()
    begin_project(desk, tmp_path / "faces", files, monkeypatch)
    desk.open_image("astronaut")
    coarse = desk.draw_polygons()
    drawn = coarse.data.copy()
    fine = refine_in_a_box(desk, coarse)
    final = decide_on_three_regions(desk, coarse, fine)

    desk.press(Qt.Key.Key_G)
    assert desk.viewer.layers.selection.active is final
    painted = desk.paint(HAIR, 140)
    accepted = (final.data != drawn) & ~painted
    desk.refining.scope.where.setValue("image")
    again = desk.refine()
    assert (fine.data[painted] != HAIR).any()  # The model would have it otherwise.
    assert (again.data[painted] == HAIR).all()
    np.testing.assert_array_equal(again.data[accepted], final.data[accepted])
    assert (again.data != NOTHING).all()
    np.testing.assert_array_equal(coarse.data, drawn)
    shown = [layer for layer in desk.viewer.layers if isinstance(layer, Labels) and layer.visible]
    assert shown == [again]

    desk.mark_reviewed()
    assert desk.row("astronaut").text(STATUS) == "reviewed"
    left = {"coarse": drawn, "fine": again.data.copy()}
    sure = desk.viewer.layers["astronaut confidence 2"].data.copy()
    desk.open_image("mirrored")
    desk.draw_polygons()
    desk.refine()
    desk.mark_reviewed()
    assert [desk.row(name).text(ROLE) for name in ("astronaut", "mirrored")] == [
        "training",
        "held out",
    ]
    result = fine_tune(desk)
    assert result["pairs"] == result["held_out"] == 1

    desk.open_image("astronaut")
    made = tmp_path / "out.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(made), ""))
    desk.click("Project", desk.project.images.export_button)
    desk.wait()
    assert rerun(f"{made}.json", tmp_path / "again.png").read_bytes() == made.read_bytes()
    desk.viewer.close()

    desk = sit_down()
    desk.click("Project", desk.project.open_button)  # It remembers the folder.
    desk.open_image("astronaut")
    for kind, data in left.items():
        np.testing.assert_array_equal(desk.viewer.layers[f"astronaut {kind}"].data, data)
    np.testing.assert_array_equal(
        stored_confidence(desk.viewer.layers["astronaut confidence"].data),
        stored_confidence(sure),
    )
    np.testing.assert_array_equal(np.array(Image.open(made)), left["fine"])
