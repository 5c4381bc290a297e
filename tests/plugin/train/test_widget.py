"""The Train widget, driven by mouse and keys."""

import shutil

import numpy as np
import pytest
from PIL import Image
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QToolButton,
)

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.curves import Curves
from c2f_core.training.events import StepDone
from c2f_core.training.inspection import Inspection
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.train.model import Phase
from napari_c2f.train.monitor_view import LogView
from napari_c2f.train.preview import NAME

PLUGIN = "napari-c2f"
LONGEST = 60000


@pytest.fixture
def type_in(qtbot):
    """Replace the text of an editor by typing."""

    def type_in(editor, text):
        editor.setFocus()
        editor.selectAll()
        qtbot.keyClicks(editor, str(text))

    return type_in


@pytest.fixture
def widget(dock, data, type_in):
    widget = dock("Train")
    type_in(widget.data.data.line, data)
    type_in(widget.setup.steps, 4)
    type_in(widget.setup.stage2_steps, 2)
    type_in(widget.setup.batch_size, 2)
    type_in(widget.setup.crop, 32)
    widget.setup.all_settings.expand()
    for path, value in {
        "network.widths": "4, 8",
        "discriminator.widths": "4",
        "validate_every": 2,
        "threads": 1,
        "stage2.coarse_only_batch_size": 2,
        "stage2.guard": "",
    }.items():
        editor = widget.setup.form.editor(path)
        editor.selectAll()
        type_in(editor, value) if value != "" else editor.clear()
    return widget


@pytest.fixture
def ended(widget, qtbot):
    def ended(phase=Phase.DONE):
        over = (Phase.IDLE, Phase.DONE, Phase.STOPPED, Phase.FAILED)
        model = widget.model
        qtbot.waitUntil(lambda: model.phase in over, timeout=LONGEST)
        assert model.phase is phase, widget.status.text()

    return ended


def test_data_are_chosen_a_mismatch_is_reported_and_fixed(
    widget, data, qtbot, click, ended, tmp_path
):
    assert widget.data.class_table.value() == str(data / "classes.json")
    missing = (data / "coarse" / "0.png").read_bytes()
    (data / "coarse" / "0.png").unlink()
    click(widget.train_button)
    ended(Phase.FAILED)
    assert "0: the image has no coarse map" in widget.status.text()
    assert "0: the image has no coarse map" in widget.data.summary.text()
    (data / "coarse" / "0.png").write_bytes(missing)
    click(widget.data.check_button)
    ended(Phase.IDLE)
    assert "ready for training" in widget.status.text()
    assert "5 pairs: 3 for training, 1 for validation, 1 skipped." in widget.data.summary.text()
    rows = [widget.data.pairs.topLevelItem(place) for place in range(5)]
    assert [row.text(0) for row in rows] == list("01234")
    assert not rows[0].icon(0).isNull()
    assert [row.text(1) for row in rows].count("trains") == 3
    assert [row.text(2) for row in rows] == ["yes"] * 4 + ["no"]
    click(widget.train_button)
    ended()


def test_many_problems_scroll_and_leave_the_form_its_height(widget):
    heights = []
    for count in (20, 300):
        problems = [f"{number}: the image has no coarse map" for number in range(count)]
        widget.data.show_inspection(Inspection(SHAPES, [], problems))
        QApplication.processEvents()
        assert problems[-1] in widget.data.summary.text()
        heights.append((widget.data.summary.height(), widget.data.sizeHint().height()))
    assert heights[0] == heights[1]


@pytest.mark.window
def test_model_1_is_trained_and_refines_in_the_other_widget(
    dock, viewer, widget, data, qtbot, click, ended, tmp_path
):
    refine = dock("Refine")
    click(widget.train_button)
    assert widget.train_button.text() == "S&top"
    assert not widget.resume_button.isEnabled()
    ended()
    assert widget.train_button.text() == "&Train"
    assert "Done after step 4" in widget.status.text()
    assert "Refine widget" in widget.status.text()
    assert widget.progress.value() == widget.progress.maximum()
    run = widget.setup.run_folder.value()
    assert run == data.parent / "runs" / "data-1"
    best = run / "best.safetensors"
    _, metadata = load_checkpoint(best)
    place = refine.model.findData(str(best))
    score = f"{100 * metadata.scores['pixel accuracy']:.1f} %"
    assert refine.model.itemText(place) == f"data-1: best, {score}"
    pair = synthetic_pair(48, 7)
    viewer.add_image(pair.image)
    layer, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "drawn")
    viewer.add_labels(layer, **keywords)
    refine.model.setCurrentIndex(place)
    click(refine.refine_button)
    qtbot.waitUntil(lambda: refine.refine_button.isEnabled(), timeout=LONGEST)
    assert "drawn fine" in viewer.layers


@pytest.mark.window
def test_a_refine_widget_opened_later_lists_the_model_too(dock, viewer, widget, click, ended):
    click(widget.train_button)
    ended()
    refine = dock("Refine")
    texts = [refine.model.itemText(place) for place in range(refine.model.count())]
    assert any(text.startswith("data-1: best, ") for text in texts)


def test_curves_hold_the_points_of_the_log(widget, click, ended):
    widget.setup.method.setValue("stage1")
    click(widget.train_button)
    ended()
    logged = Curves.read(widget.setup.run_folder.value() / "log.csv")
    for plot, shown, name, factor in (
        (widget.monitor.curves.losses, "loss", "loss", 1),
        (widget.monitor.curves.losses, "adversarial loss", "adversarial loss", 1),
        (
            widget.monitor.curves.discriminator,
            "discriminator accuracy",
            "discriminator accuracy",
            1,
        ),
        (widget.monitor.curves.validation, "pixel accuracy", "validation pixel accuracy", 100),
        (widget.monitor.curves.validation, "trimap 5", "validation trimap 5", 100),
    ):
        steps, values = plot.points(shown)
        assert steps == logged[name].steps
        assert values == pytest.approx([factor * value for value in logged[name].values])
    legend = widget.monitor.curves.validation.legend.text()
    assert "dashed: coarse maps, dotted: " in legend
    assert widget.monitor.curves.discriminator.isVisibleTo(widget.monitor.curves)
    click(widget.reset_button)
    assert widget.model.phase is Phase.IDLE
    assert widget.setup.run_folder.value().name == "data-2"


def test_both_stages_are_trained_and_shown_in_a_row(widget, qtbot, click, ended):
    widget.setup.method.setFocus()
    qtbot.keyClick(widget.setup.method, Qt.Key.Key_Down)
    assert widget.setup.method.value() == "model2"
    assert widget.setup.stage2_steps.isVisibleTo(widget.setup)
    click(widget.train_button)
    ended()
    steps, _ = widget.monitor.curves.losses.points("loss")
    assert steps == [1, 2, 3, 4, 5, 6]
    assert "Pairs without fine maps (1) are used for training" in widget.monitor.log.text()
    for stage in ("stage1", "stage2"):
        load_checkpoint(widget.setup.run_folder.value() / stage / "best.safetensors")


def test_a_run_stops_and_resumes(widget, qtbot, click, ended, type_in):
    type_in(widget.setup.steps, 90000)
    click(widget.train_button)
    model = widget.model
    qtbot.waitUntil(lambda: model.phase is Phase.TRAINING and model.progress > 0, timeout=LONGEST)
    click(widget.train_button)
    ended(Phase.STOPPED)
    assert "Resume continues" in widget.status.text()
    reached = Curves.read(widget.setup.run_folder.value() / "log.csv").last_step
    click(widget.train_button)
    assert "already holds a run" in widget.status.text()
    assert model.phase is Phase.STOPPED
    click(widget.resume_button)
    qtbot.waitUntil(lambda: model.progress > reached / 90000, timeout=LONGEST)
    steps, _ = widget.monitor.curves.losses.points("loss")
    assert steps[: reached + 1] == list(range(1, reached + 2))
    click(widget.train_button)
    ended(Phase.STOPPED)


@pytest.fixture
def stopped_with(widget, qtbot, click, ended, type_in):
    """Train for a while, do something meanwhile, and stop; return the folder of the run."""

    def run(meanwhile=lambda: None):
        type_in(widget.setup.steps, 90000)
        folder = widget.setup.run_folder.value()
        click(widget.train_button)
        model = widget.model
        qtbot.waitUntil(lambda: model.progress > 0, timeout=LONGEST)
        meanwhile()
        click(widget.train_button)
        ended(Phase.STOPPED)
        return folder

    return run


def test_resume_continues_the_run_just_stopped(widget, click, ended, stopped_with, tmp_path):
    earlier = TrainConfig.model_validate(
        widget.settings() | {"run_folder": tmp_path / "earlier", "steps": 1}
    )
    list(train(earlier))
    run = stopped_with(lambda: widget.runs.opened.emit(earlier.run_folder))
    assert str(run) in widget.status.text()
    assert str(run) in widget.resume_button.toolTip()
    click(widget.resume_button)
    assert widget.model.run_folder == run
    click(widget.train_button)
    ended(Phase.STOPPED)
    widget.runs.opened.emit(earlier.run_folder)
    assert str(run) not in widget.resume_button.toolTip()
    click(widget.resume_button)
    assert widget.model.run_folder == earlier.run_folder
    ended()


def test_data_chosen_meanwhile_leave_the_run_folder_until_reset(
    widget, data, click, stopped_with, type_in, tmp_path
):
    shutil.copytree(data, tmp_path / "next")
    run = stopped_with(lambda: type_in(widget.data.data.line, tmp_path / "next"))
    assert widget.setup.run_folder.value() == run
    assert str(run) in widget.resume_button.toolTip()
    type_in(widget.setup.run_folder.line, tmp_path / "other")
    click(widget.resume_button)
    assert f"{tmp_path / 'other'} contains no run" in widget.status.text()
    click(widget.reset_button)
    assert widget.setup.run_folder.value().name == "next-1"


def test_a_failure_in_the_thread_reaches_the_user(widget, click, ended, monkeypatch, caplog):
    def train_in(folder, config, resume, accept_changes, should_stop):
        raise RuntimeError("cuDNN has a bad day")
        yield

    monkeypatch.setattr("c2f_core.training.trainer.train_in", train_in)
    click(widget.train_button)
    ended(Phase.FAILED)
    assert "cuDNN has a bad day" in widget.status.text()
    assert "Fix the problem above" in widget.status.text()
    assert widget.train_button.isEnabled()


def test_what_is_missing_is_asked_for(widget, click, type_in, tmp_path):
    widget.data.data.setValue("")
    click(widget.train_button)
    assert "Choose the data folder" in widget.status.text()
    click(widget.data.check_button)
    assert "Choose the data folder" in widget.status.text()
    widget.setup.run_folder.setValue("")
    click(widget.resume_button)
    assert "Choose the folder of the run" in widget.status.text()
    widget.setup.run_folder.setValue(widget.data.data.value())
    click(widget.resume_button)
    assert "no run to resume" in widget.status.text()
    widget.data.data.setValue(tmp_path / "data")
    widget.setup.method.setValue("stage2")
    for button in (widget.train_button, widget.data.check_button):
        widget.model.message = ""
        click(button)
        assert "choose its run folder under 'Start from'" in widget.status.text()
    click(widget.monitor.board_button)
    assert "Train or resume a run first" in widget.status.text()


@pytest.mark.window
@pytest.mark.parametrize("closes", ["widget", "viewer"])
def test_closing_midway_saves_and_ends_the_run(viewer, widget, qtbot, click, type_in, closes):
    type_in(widget.setup.steps, 90000)
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.model.progress > 0, timeout=LONGEST)
    run = RunFolder(widget.setup.run_folder.value())
    assert run.is_under_way
    if closes == "viewer":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not run.is_under_way, timeout=LONGEST)
    assert run.state.exists()
    if closes == "widget":
        widget.deleteLater()  # napari has only taken it out of its dock.
        qtbot.waitUntil(lambda: not isalive(widget))


# Layers


def add_stack(viewer, fine_planes):
    pairs = [synthetic_pair(48, seed) for seed in range(3)]
    viewer.add_image(np.stack([pair.image for pair in pairs]), rgb=True, name="my stack")
    coarse = np.stack([SHAPES.to_labels(pair.coarse) for pair in pairs])
    fine = np.stack([SHAPES.to_labels(pair.fine) for pair in pairs])
    fine[fine_planes:] = 0
    for name, stack in (("coarse", coarse), ("fine", fine)):
        data, keywords, _ = labels_layer_data(stack, SHAPES, name)
        viewer.add_labels(data, **keywords)
    return pairs


def test_layers_become_data(viewer, widget, click, ended, tmp_path, type_in):
    pairs = add_stack(viewer, fine_planes=2)
    for name in ("coarse", "fine"):
        widget.data.layers[name].value = viewer.layers[name]
    type_in(widget.data.target.line, tmp_path / "drawn")
    click(widget.data.write_button)
    assert not widget.train_button.isEnabled()
    ended(Phase.IDLE)
    assert widget.train_button.isEnabled()
    assert "3 pairs written" in widget.status.text()
    assert "2 of them with a fine map" in widget.status.text()
    assert widget.data.data.value() == tmp_path / "drawn"
    assert widget.data.class_table.value() == str(tmp_path / "drawn" / "classes.json")
    with Image.open(tmp_path / "drawn" / "images" / "my_stack_0001.png") as image:
        np.testing.assert_array_equal(np.array(image), pairs[1].image)
    click(widget.data.write_button)
    ended(Phase.FAILED)
    assert "already exists" in widget.status.text()
    widget.setup.run_folder.setValue(tmp_path / "run")
    click(widget.train_button)
    ended()


def test_layers_that_do_not_fit_are_refused(viewer, widget, click, tmp_path):
    click(widget.data.write_button)
    assert "Choose the folder" in widget.status.text()
    widget.data.target.setValue(tmp_path / "drawn")
    click(widget.data.write_button)
    assert "Choose an image and a coarse map" in widget.status.text()
    add_stack(viewer, fine_planes=1)
    viewer.add_image(synthetic_pair(48, 0).image, name="single")
    widget.data.layers["image"].value = viewer.layers["single"]
    widget.data.layers["coarse"].value = viewer.layers["coarse"]
    click(widget.data.write_button)
    assert "1 planes and 'coarse' 3" in widget.status.text()


# The preview


def test_the_preview_leaves_the_users_view_alone(viewer, widget, qtbot, click, ended):
    image = viewer.add_image(np.zeros((40, 60)), name=NAME)
    labels = viewer.add_labels(np.zeros((40, 60), int), visible=False)
    viewer.layers.selection = {image, labels}
    viewer.scene.camera.zoom = 3.5
    camera = viewer.scene.camera.zoom, viewer.scene.camera.center
    click(widget.train_button)
    ended()
    preview = widget.preview.layer.layer
    assert preview in viewer.layers
    assert preview.name != NAME
    assert preview.translate[-1] > 59
    assert viewer.layers.selection == {image, labels}
    assert not labels.visible
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == camera
    np.testing.assert_array_equal(image.data, 0)
    assert sum(layer.name.startswith(NAME) for layer in viewer.layers) == 2
    click(widget.monitor.preview_button)
    left = preview.translate[-1]
    assert left < viewer.scene.camera.center[-1] < left + preview.data.shape[1]


# Runs


def test_runs_are_listed_compared_reopened_exported_and_deleted(
    viewer, widget, click, ended, qtbot, tmp_path, monkeypatch, type_in
):
    for _ in range(2):
        click(widget.train_button)
        ended()
        click(widget.reset_button)
    widget.tabs.setCurrentWidget(widget.runs)
    runs, buttons = widget.runs, widget.runs.buttons
    qtbot.waitUntil(lambda: runs.runs.topLevelItemCount() == 2, timeout=LONGEST)
    names = [runs.runs.topLevelItem(place).text(0) for place in range(2)]
    assert names == ["data-2", "data-1"]
    assert runs.runs.topLevelItem(0).text(3) == "finished"
    runs.runs.selectAll()
    assert not buttons["delete"].isEnabled()
    click(buttons["compare"])
    qtbot.waitUntil(lambda: runs.plot.isVisibleTo(runs), timeout=LONGEST)
    assert runs.plot.points("data-1")[0] == [2, 4]
    assert "data-1" in runs.plot.legend.text()
    runs.runs.clearSelection()
    runs.runs.topLevelItem(1).setSelected(True)
    monkeypatch.setattr(QFileDialog, "exec", lambda dialog: save_as(dialog, tmp_path / "m"))
    click(buttons["export"])
    load_checkpoint(tmp_path / "m.safetensors")
    click(buttons["start"])
    assert widget.setup.start.value() == str(tmp_path / "runs" / "data-1")
    click(buttons["open"])
    assert widget.setup.run_folder.value() == tmp_path / "runs" / "data-1"
    assert widget.setup.form.editor("network.widths").value() == ["4", "8"]
    for answer, left in ((None, True), ("No", True), ("Yes", False)):
        asked = when_asked(qtbot, answer)
        click(buttons["delete"])
        assert not asked.isActive()
        assert (tmp_path / "runs" / "data-1").exists() is left
    assert runs.runs.topLevelItemCount() == 1


def save_as(dialog, path):
    """Do as a user who types a name and saves."""
    assert dialog.acceptMode() is QFileDialog.AcceptMode.AcceptSave
    dialog.selectFile(str(path))
    return 1


def when_asked(qtbot, answer):
    """Press a button of the next message box, or, without an answer, Enter."""

    def look():
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            return
        asked.stop()
        if answer is None:
            qtbot.keyClick(box, Qt.Key.Key_Return)
        else:
            button = box.button(getattr(QMessageBox.StandardButton, answer))
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    asked = QTimer()
    asked.timeout.connect(look)
    asked.start(10)
    return asked


def test_an_earlier_run_continues_with_a_smaller_batch(widget, click, ended, type_in, tmp_path):
    settings = widget.settings() | {"run_folder": tmp_path / "earlier", "steps": 8}
    config, done = TrainConfig.model_validate(settings), []
    events = train(config, should_stop=lambda: len(done) > 2)
    done.extend(event for event in events if isinstance(event, StepDone))
    widget.runs.opened.emit(config.run_folder)
    type_in(widget.setup.batch_size, 1)
    click(widget.resume_button)
    ended()
    assert RunFolder(config.run_folder).read_config().batch_size == 1
    assert widget.monitor.curves.losses.points("loss")[0][-1] == 8


@pytest.fixture
def opened(monkeypatch):
    """Addresses that the browser opened."""
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    return opened


def test_tensorboard_opens_on_the_run(widget, click, ended, qtbot, opened):
    click(widget.train_button)
    ended()
    click(widget.monitor.board_button)
    assert "TensorBoard is starting…" in widget.status.text()
    qtbot.waitUntil(lambda: bool(opened), timeout=LONGEST)
    assert opened[0].startswith("http://localhost:")
    assert f"TensorBoard is running at {opened[0]}" in widget.status.text()
    widget.close()
    assert not widget.board.is_running


def test_the_log_grows_and_starts_again(qtbot):
    log = LogView()
    qtbot.addWidget(log)
    for lines in (("one",), ("one", "two"), ()):
        log.show_lines(lines)
        assert log.text().splitlines() == list(lines)
    log.show_lines(("three",))
    assert log.text() == "three"


def test_every_control_has_a_tool_tip(widget):
    kinds = (
        QAbstractButton,
        QComboBox,
        QProgressBar,
        QLineEdit,
        QAbstractSpinBox,
        QPlainTextEdit,
    )
    controls = [control for kind in kinds for control in widget.findChildren(kind)]
    ours = [
        control
        for control in controls
        if control.objectName() != "qt_spinbox_lineedit" and not in_foreign(control)
    ]
    assert len(ours) > 60
    assert [(control, control.parent()) for control in ours if not control.toolTip()] == []


def in_foreign(control):
    """Return whether Qt, superqt or pyqtgraph made the control: titles, scroll buttons, menus."""
    names = set()
    parent = control
    while parent is not None:
        names.add(type(parent).__name__)
        parent = parent.parent()
    title = type(control.parent()).__name__ == "QCollapsible"
    return title or "_Canvas" in names or (isinstance(control, QToolButton) and "QTabBar" in names)
