"""The Project widget, driven by mouse and keys on a real viewer."""

import json
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QTreeWidget,
)

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.maps import read_map
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.project import Project, Status
from c2f_core.project.export import rerun
from c2f_core.project.records import Parameters
from c2f_core.training.fine_tuning import FineTuningSettings
from napari_c2f.base.proxies import bare
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.project.image_section import KEYS
from napari_c2f.project.table import DOUBT, NAME, ROLE, STATUS
from napari_c2f.widgets.parts import StatusText

PLUGIN = "napari-c2f"
PAIRS = [synthetic_pair(48, seed) for seed in range(3)]


@pytest.fixture
def widget(dock):
    return dock("Project")


@pytest.fixture
def folder(tmp_path):
    """A project of three images; the first two have fine maps of a refiner."""
    with Project.create(tmp_path / "project", SHAPES) as project:
        for pair, doubt in zip(PAIRS, (0.1, 0.3, None), strict=True):
            work = project.read(project.add_image(pair.image, pair.name).name)
            work = replace(work, coarse=SHAPES.to_labels(pair.coarse))
            if doubt is not None:
                record = work.record.refined("watershed", 1 - doubt, Parameters())
                work = replace(work, record=record, fine=SHAPES.to_labels(pair.fine))
            project.save(work)
    return tmp_path / "project"


@pytest.fixture
def wait(qtbot, widget):
    """Wait until the widget's work is done."""
    return lambda: qtbot.waitUntil(lambda: not widget.state.busy, timeout=20000)


@pytest.fixture
def open_project(qtbot, click, widget, folder, wait):
    """Type the folder of the project, and open it."""

    def begin(at=folder):
        widget.folder.line.clear()
        qtbot.keyClicks(widget.folder.line, str(at))
        click(widget.open_button)
        wait()

    return begin


def column(widget, number):
    table = widget.images.table
    return [table.topLevelItem(row).text(number) for row in range(table.topLevelItemCount())]


def choose(qtbot, widget, name, twice=False):
    """Click the row of an image."""
    table = widget.images.table
    (item,) = table.findItems(name, Qt.MatchFlag.MatchExactly, NAME)
    place = table.visualItemRect(item).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    if twice:
        qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def click_heading(qtbot, widget, number):
    header = widget.images.table.header()
    place = header.rect().topLeft()
    place.setX(header.sectionViewportPosition(number) + 8)
    place.setY(header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_new_project_takes_the_classes_of_the_selected_map(
    viewer, widget, qtbot, click, wait, tmp_path, monkeypatch
):
    click(widget.create_button)
    assert "Choose the folder" in widget.status.text()
    qtbot.keyClicks(widget.folder.line, str(tmp_path / "new"))
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(PAIRS[0].coarse), SHAPES, "map")
    viewer.add_labels(data, **keywords)
    click(widget.create_button)
    assert "Created the project" in widget.status.text()
    assert ClassTable.from_file(tmp_path / "new" / "classes.json") == SHAPES
    for pair in PAIRS:
        Image.fromarray(pair.image).save(tmp_path / f"{pair.name}.png")
    chosen = [str(tmp_path / f"{pair.name}.png") for pair in PAIRS[:2]]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (chosen, ""))
    click(widget.images.add_button)
    wait()
    assert column(widget, NAME) == ["shapes-0", "shapes-1"]
    assert column(widget, STATUS) == ["pending", "pending"]
    assert not widget.images.review_button.isEnabled()


@pytest.mark.parametrize("answer", ["No", "Yes"])
def test_an_image_leaves_the_project_after_a_question(
    viewer, widget, qtbot, click, wait, open_project, folder, monkeypatch, answer
):
    open_project()
    assert not widget.images.remove_button.isEnabled()
    choose(qtbot, widget, "shapes-1", twice=True)
    wait()
    chosen = getattr(QMessageBox.StandardButton, answer)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: chosen)
    click(widget.images.remove_button)
    wait()
    left = ["shapes-0", "shapes-1", "shapes-2"]
    if answer == "Yes":
        left.remove("shapes-1")
        assert not viewer.layers
        assert sorted(path.name for path in (folder / "removed" / "shapes-1").iterdir()) == [
            "coarse.png",
            "drafts.png",
            "shapes-1.tif",
        ]
    assert sorted(column(widget, NAME)) == left
    assert widget.state.opened == ("" if answer == "Yes" else "shapes-1")


def test_selected_layers_become_images_of_the_project(
    viewer, widget, qtbot, click, wait, open_project, folder
):
    open_project()
    pair = synthetic_pair(48, 9)
    image = viewer.add_image(pair.image, name="my/leaf")
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "drawn")
    drawn = viewer.add_labels(data, **keywords)
    click(widget.images.layers_button)  # The map alone is selected.
    assert "Select the images" in widget.status.text()
    viewer.layers.selection = {image, drawn}
    click(widget.images.layers_button)
    wait()
    assert "Added 1 image" in widget.status.text()
    viewer.layers.selection = {image}
    click(widget.images.layers_button)
    wait()
    assert sorted(column(widget, NAME))[:2] == ["my_leaf", "my_leaf-2"]
    choose(qtbot, widget, "my_leaf", twice=True)
    wait()
    np.testing.assert_array_equal(viewer.layers["my_leaf"].data, pair.image)
    np.testing.assert_array_equal(viewer.layers["my_leaf coarse"].data, data)
    drawn.data = drawn.data[:-1]
    viewer.layers.selection = {image, drawn}
    click(widget.images.layers_button)
    assert "differ in size" in widget.status.text()


def test_fine_tuning_uses_the_settings_of_the_form(widget, qtbot, open_project, monkeypatch):
    open_project()
    asked = []

    def run(_project, _replay, config, *_):
        asked.append(config)
        raise DataError("There is nothing to train on.")

    monkeypatch.setattr("napari_c2f.project.fine_tuning.run_fine_tuning", run)
    widget.fine_tuning.settings.editor("steps").setValue(77)
    widget.fine_tuning.task.start_button.click()
    qtbot.waitUntil(lambda: len(asked) == 1, timeout=20000)
    assert asked == [FineTuningSettings(steps=77)]


def test_invalid_settings_of_fine_tuning_are_named(widget, open_project, monkeypatch):
    open_project()
    monkeypatch.setattr("napari_c2f.project.fine_tuning.run_fine_tuning", None)
    widget.fine_tuning.settings.editor("learning_rate").setText("-1")
    widget.fine_tuning.task.start_button.click()
    assert "learning_rate" in widget.status.text()


def test_a_click_on_doubt_sorts_the_most_doubtful_images_first(
    widget, qtbot, click, open_project, wait
):
    open_project()
    assert column(widget, DOUBT) == ["10.0", "30.0", ""]
    click_heading(qtbot, widget, DOUBT)
    assert column(widget, NAME) == ["shapes-1", "shapes-0", "shapes-2"]
    choose(qtbot, widget, "shapes-1")
    click(widget.images.review_button)
    wait()
    assert column(widget, NAME) == ["shapes-0", "shapes-2", "shapes-1"]
    click_heading(qtbot, widget, DOUBT)
    assert column(widget, NAME) == ["shapes-1", "shapes-2", "shapes-0"]


def test_a_model_of_a_file_counts_once_the_file_is_chosen(
    widget, qtbot, open_project, wait, folder, tmp_path, monkeypatch
):
    path = small_model(tmp_path / "own.safetensors")
    with Project.open(folder) as project:
        project.choose_model("watershed")
    open_project()
    answers = iter(["", str(path)])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (next(answers), ""))
    for chosen in ("watershed", "own.safetensors"):
        qtbot.keyClick(widget.fine_tuning.model, Qt.Key.Key_End)
        wait()
        assert widget.fine_tuning.model.value().endswith(chosen)
    journal = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    models = [record["model"] for record in map(json.loads, journal) if "model" in record]
    assert models == ["watershed", "own.safetensors"]


def test_all_pending_images_are_refined_by_one_click(
    widget, qtbot, click, open_project, wait, folder, hold_refining, tmp_path
):
    section = widget.batch
    assert not section.isEnabled()
    with Project.open(folder) as project:
        project.choose_model("watershed")
    open_project()
    assert section.start_button.isEnabled()
    assert not section.stop_button.isEnabled()
    started, released = hold_refining()
    click(section.start_button)
    qtbot.waitUntil(started.is_set, timeout=20000)
    assert not section.start_button.isEnabled()
    assert section.stop_button.isEnabled()
    assert "Refining 1 image" in section.text.text()
    click(widget.open_button)  # Not while work on this project is under way.
    assert "Refining is running" in widget.status.text()
    assert widget.state.root == folder
    released.set()
    qtbot.waitUntil(section.start_button.isEnabled, timeout=20000)
    assert section.text.text() == "Refined 1 of 1 image."
    assert section.progress.value() == 100
    assert column(widget, STATUS) == ["refined"] * 3
    assert column(widget, DOUBT)[:2] == ["10.0", "30.0"]
    assert 20 < float(column(widget, DOUBT)[2]) < 30
    click_heading(qtbot, widget, DOUBT)
    assert column(widget, NAME) == ["shapes-1", "shapes-2", "shapes-0"]


def test_refining_all_is_started_and_stopped_by_keys(
    widget, qtbot, open_project, folder, hold_refining
):
    with Project.open(folder) as project:
        project.choose_model("watershed")
    open_project()
    started, released = hold_refining()
    qtbot.keyClick(widget.batch.start_button, Qt.Key.Key_Space)
    qtbot.waitUntil(started.is_set, timeout=20000)
    qtbot.keyClick(widget.batch.stop_button, Qt.Key.Key_Space)
    released.set()
    qtbot.waitUntil(widget.batch.start_button.isEnabled, timeout=20000)
    qtbot.waitUntil(lambda: not widget.state.busy, timeout=20000)
    assert "Stopped. Refined 0 of 1 image." in widget.batch.text.text()
    assert column(widget, STATUS) == ["refined", "refined", "drawn"]


def test_a_double_click_opens_an_image_and_enter_the_next(
    viewer, widget, qtbot, open_project, wait
):
    open_project()
    choose(qtbot, widget, "shapes-0", twice=True)
    wait()
    assert widget.state.opened == "shapes-0"
    np.testing.assert_array_equal(
        viewer.layers["shapes-0 fine"].data, SHAPES.to_labels(PAIRS[0].fine)
    )
    assert not widget.images.show_button.isEnabled()
    qtbot.keyClick(widget.images.table, Qt.Key.Key_Down)
    qtbot.keyClick(widget.images.table, Qt.Key.Key_Return)
    wait()
    assert widget.state.opened == "shapes-1"
    assert "shapes-0" not in viewer.layers


def test_brush_strokes_are_counted_saved_and_come_back(
    viewer, widget, qtbot, click, drag, open_project, wait, folder
):
    open_project()
    choose(qtbot, widget, "shapes-2")
    click(widget.images.show_button)
    wait()
    layer = viewer.layers["shapes-2 coarse"]
    before = layer.data.copy()
    viewer.layers.selection.active = layer
    layer.mode, layer.selected_label, layer.brush_size = "paint", 4, 5
    drag(viewer, (20, 10), (20, 40))
    changed = np.count_nonzero(layer.data != before)
    assert changed > 50
    drawn = layer.data.copy()
    choose(qtbot, widget, "shapes-0", twice=True)
    wait()
    (item,) = widget.images.table.findItems("shapes-2", Qt.MatchFlag.MatchExactly, NAME)
    assert item.text(4) == f"{changed:,}"
    choose(qtbot, widget, "shapes-2", twice=True)
    wait()
    np.testing.assert_array_equal(viewer.layers["shapes-2 coarse"].data, drawn)


def test_refining_reviewing_and_exporting(
    viewer, widget, dock, qtbot, click, refine, open_project, wait, folder, tmp_path, monkeypatch
):
    refine_widget = dock("Refine")
    open_project()
    choose(qtbot, widget, "shapes-2", twice=True)
    wait()
    refine(refine_widget)
    assert "changed" in refine_widget.status.text()
    wait()
    (item,) = widget.images.table.findItems("shapes-2", Qt.MatchFlag.MatchExactly, NAME)
    (item,) = widget.images.table.findItems("shapes-2", Qt.MatchFlag.MatchExactly, NAME)
    assert item.text(STATUS) == "refined"
    assert float(item.text(DOUBT)) > 0
    assert widget.saved.text().startswith("Saved ")
    choose(qtbot, widget, "shapes-2")
    click(widget.images.review_button)
    wait()
    assert "shapes-2 marked as reviewed; it will be used for training" in widget.status.text()
    assert widget.images.review_button.text() == "Mar&k not reviewed"
    assert open_pairs(folder, SHAPES).names_with_fine == ["shapes-2"]
    made = tmp_path / "out.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(made), ""))
    click(widget.images.export_button)
    wait()
    again = rerun(f"{made}.json", tmp_path / "again.png")
    assert again.read_bytes() == made.read_bytes()
    maps = tmp_path / "maps"
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("LabelMe polygons", True))
    tolerances = []
    monkeypatch.setattr(
        QInputDialog, "getDouble", lambda *asked: (tolerances.append(asked[3]) or 0.0, True)
    )
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(maps))
    click(widget.images.export_all_button)
    wait()
    assert sorted(path.name for path in maps.iterdir()) == [
        "shapes-0.json", "shapes-1.json", "shapes-2.json",
    ]  # fmt: skip
    assert tolerances == [0.5]
    exact, _ = read_map(maps / "shapes-2.json", SHAPES)
    np.testing.assert_array_equal(exact, read_map(made, SHAPES)[0])
    table = tmp_path / "effort.md"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(table), ""))
    click(widget.images.effort_button)
    wait()
    assert "| shapes-2 | reviewed |" in table.read_text()


def test_keys_open_the_next_and_the_previous_image_of_the_list(viewer, widget, open_project, wait):
    open_project()
    names = [widget.images.table.topLevelItem(row).text(NAME) for row in range(2)]
    for key, name in (
        ("next", names[0]),
        ("previous", names[0]),
        ("next", names[1]),
        ("previous", names[0]),
    ):
        KEYS.actions[key].run(KEYS.targets[bare(viewer)][-1])
        wait()
        assert (widget.state.opened, widget.images.table.value()) == (name, name)


@pytest.mark.parametrize("answer", ["Enter", "Yes"])
def test_undecided_regions_are_asked_about_before_an_image_is_marked(
    widget, qtbot, click, open_project, wait, folder, answer
):
    with Project.open(folder) as project:
        work = project.read("shapes-0")
        project.save(replace(work, fine=work.coarse, refined=work.fine))
    open_project()
    choose(qtbot, widget, "shapes-0")
    questions = []

    def reply():
        box = QApplication.activeModalWidget()
        if box is None:
            return
        timer.stop()
        questions.append(box.text())
        if answer == "Enter":
            qtbot.keyClick(box, Qt.Key.Key_Return)
        else:
            click(box.button(QMessageBox.StandardButton.Yes))

    timer = QTimer()
    timer.timeout.connect(reply)
    timer.start(50)
    click(widget.images.review_button)
    qtbot.waitUntil(lambda: len(questions) == 1, timeout=20000)
    wait()
    assert "regions are undecided" in questions[0]
    marked = answer == "Yes"
    with_fine = ["shapes-0"] if marked else []
    assert open_pairs(folder, SHAPES).names_with_fine == with_fine
    assert ("marked as reviewed" if marked else "is not marked") in widget.status.text()
    choose(qtbot, widget, "shapes-1")
    click(widget.images.review_button)  # Its map is not under review: nothing is undecided.
    wait()
    assert open_pairs(folder, SHAPES).names_with_fine == [*with_fine, "shapes-1"]


def small_model(path):
    torch.manual_seed(0)
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8), stem=2), colour_weight=0.0)
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    metadata = CheckpointMetadata(config=config, class_table=SHAPES)
    save_checkpoint(path, generator, metadata)
    return path


def test_fine_tuning_on_reviewed_images(
    widget, qtbot, click, open_project, wait, folder, tmp_path, monkeypatch
):
    with Project.open(folder) as project:
        project.choose_model(small_model(tmp_path / "start.safetensors"))
    open_project()
    widget.fine_tuning_group.expand(animate=False)
    assert widget.fine_tuning.model.value().endswith("start.safetensors")
    click(widget.fine_tuning.task.start_button)
    qtbot.waitUntil(
        lambda: (
            not widget.fine_tuning.task.model.busy and bool(widget.fine_tuning.task.model.message)
        ),
        timeout=20000,
    )
    assert "two reviewed images" in widget.fine_tuning.task.text.text()
    for name in ("shapes-0", "shapes-1"):
        choose(qtbot, widget, name)
        click(widget.images.review_button)
        wait()
    assert column(widget, ROLE) == ["training", "held out", ""]
    widget.fine_tuning.settings.setValue(
        FineTuningSettings(steps=20000, batch_size=2, crop=32, threads=1).model_dump()
    )
    click(widget.fine_tuning.task.start_button)
    # The first step imports torch's compiler, which takes long on a busy machine.
    qtbot.waitUntil(lambda: "step 1" in widget.fine_tuning.task.model.message, timeout=120000)
    assert widget.fine_tuning.task.stop_button.isEnabled()
    assert not widget.fine_tuning.task.start_button.isEnabled()
    choose(qtbot, widget, "shapes-0", twice=True)  # The rest continues meanwhile.
    wait()
    assert widget.state.opened == "shapes-0"
    click(widget.fine_tuning.task.stop_button)
    qtbot.waitUntil(lambda: not widget.fine_tuning.task.model.busy, timeout=20000)
    assert "Stopped after step" in widget.fine_tuning.task.text.text()
    assert widget.fine_tuning.model.value().endswith("start.safetensors")
    accuracies = iter([0.5, 0.6, 0.7])  # of the coarse maps, the old model, the new one
    monkeypatch.setattr("c2f_core.training.fine_tuning.accuracy_of", lambda *_: next(accuracies))
    widget.fine_tuning.settings.setValue(
        FineTuningSettings(steps=4, batch_size=2, crop=32, threads=1).model_dump()
    )
    click(widget.fine_tuning.task.start_button)
    qtbot.waitUntil(
        lambda: "the new model is in use" in widget.fine_tuning.task.model.message, timeout=30000
    )
    qtbot.waitUntil(
        lambda: widget.fine_tuning.model.value().endswith("fine-tuned-1.safetensors"), timeout=5000
    )
    names = [
        widget.fine_tuning.model.itemText(row) for row in range(widget.fine_tuning.model.count())
    ]
    assert any("start" in name for name in names)


def test_two_clicks_at_once_start_one_run(widget, qtbot, click, open_project, wait, monkeypatch):
    asked, go_on = [], Event()

    def run(*settings):
        asked.append(settings)
        go_on.wait(20)
        raise DataError("There is nothing to train on.")

    monkeypatch.setattr("napari_c2f.project.fine_tuning.run_fine_tuning", run)
    open_project()
    click(widget.fine_tuning.task.start_button)
    click(widget.fine_tuning.task.start_button)
    qtbot.waitUntil(lambda: widget.fine_tuning.task.model.busy, timeout=20000)
    wait()
    go_on.set()
    qtbot.waitUntil(lambda: not widget.fine_tuning.task.model.busy, timeout=20000)
    assert len(asked) == 1
    assert widget.fine_tuning.task.start_button.isEnabled()


def test_everything_has_a_tool_tip_and_a_unique_key(widget):
    kinds = (QAbstractButton, QComboBox, QLineEdit, QProgressBar, QTreeWidget, StatusText)
    controls = [control for kind in kinds for control in widget.findChildren(kind)]
    assert len(controls) > 15
    qts = ("qt_toolbutton", "qt_spinbox_lineedit")
    own = [control for control in controls if control.objectName() not in qts]
    assert [control for control in own if not control.toolTip() and control.text()] == []
    texts = [each.text() for kind in (QPushButton, QLabel) for each in widget.findChildren(kind)]
    keys = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
    assert len(keys) == len(set(keys)) == 17


@pytest.mark.window
def test_closing_the_widget_saves_and_lets_others_in(
    viewer, widget, qtbot, open_project, wait, folder
):
    open_project()
    choose(qtbot, widget, "shapes-2", twice=True)
    wait()
    layer = viewer.layers["shapes-2 coarse"]
    layer.data_setitem((np.array([0]), np.array([0])), 4)
    viewer.window.remove_dock_widget(widget)
    with Project.open(folder) as project:
        assert project.read("shapes-2").coarse[0, 0] == 4
    widget.deleteLater()  # napari has only taken it out of its dock.
    qtbot.wait(50)


def test_closing_the_window_saves(make_napari_viewer, qtbot, folder):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Project")
    QApplication.processEvents()
    controller = widget._controller
    controller.open(folder)
    controller.images.show("shapes-2")
    qtbot.waitUntil(lambda: widget.state.opened == "shapes-2", timeout=20000)
    layer = viewer.layers["shapes-2 coarse"]
    layer.data_setitem((np.array([0]), np.array([0])), 4)
    viewer.close()
    QApplication.processEvents()
    qtbot.waitUntil(lambda: not controller.workspace.is_open, timeout=5000)
    with Project.open(folder) as project:
        assert project.restored == ()
        assert project.read("shapes-2").coarse[0, 0] == 4
        assert project.record("shapes-2").status is Status.PENDING
