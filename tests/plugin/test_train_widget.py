"""The Train widget, driven by clicks on a real viewer."""

import numpy as np
import pytest
from PIL import Image
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QProgressBar

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.io import write_map
from c2f_core.training.checkpoint import load_checkpoint


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for kind in ("images", "coarse", "fine"):
        (root / kind).mkdir(parents=True)
    for seed in range(4):
        pair = synthetic_pair(64, seed)
        Image.fromarray(pair.image).save(root / "images" / f"{seed}.png")
        for kind in ("coarse", "fine"):
            write_map(root / kind / f"{seed}.png", SHAPES.to_indices(getattr(pair, kind)), SHAPES)
    (root / "table.json").write_text(SHAPES.model_dump_json())
    return root


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def widget(viewer, data, tmp_path):
    _, widget = viewer.window.add_plugin_dock_widget("napari-c2f", "Train")
    widget.data.setValue(data)
    widget.class_table.setValue(str(data / "table.json"))
    widget.run_folder.setValue(tmp_path / "run")
    widget.batch_size.setValue(2)
    widget.crop.setValue(32)
    return widget


def test_a_model_is_trained(widget, qtbot, click, tmp_path):
    widget.steps.setValue(2)
    click(widget.train_button)
    assert not widget.train_button.isEnabled()
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "Done after step 2" in widget.status.text()
    assert "Class weights: ground" in widget.status.text()
    assert widget.progress.value() == widget.progress.maximum()
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert metadata.class_table == SHAPES
    assert (tmp_path / "run" / "log.csv").read_text().count("loss") == 2


def test_both_stages_are_trained_where_fine_maps_lack(widget, qtbot, click, data, tmp_path):
    (data / "fine" / "3.png").unlink()
    widget.method.setValue("model2")
    widget.steps.setValue(2)
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=120000)
    assert "Done after step 2" in widget.status.text()
    assert "1 pairs without a fine map train with their coarse maps" in widget.status.text()
    for stage in ("stage1", "stage2"):
        load_checkpoint(tmp_path / "run" / stage / "best.safetensors")


def test_training_stops_when_asked(widget, qtbot, click, tmp_path):
    widget.steps.setValue(5000)
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.status.text().startswith("Step"), timeout=60000)
    click(widget.stop_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "Stopped after step" in widget.status.text()
    assert (tmp_path / "run" / "state.pt").exists()


def test_settings_that_cannot_train_are_refused(widget, qtbot, click):
    widget.batch_size.setValue(1)
    click(widget.train_button)
    assert "use a batch_size of 2" in widget.status.text()


def test_errors_are_sentences_in_the_widget(widget, qtbot, click, tmp_path):
    widget.data.setValue(tmp_path / "none")
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "does not exist" in widget.status.text()
    widget.data.setValue("")
    click(widget.train_button)
    assert "Choose the data folder" in widget.status.text()


def test_the_viewer_may_close_while_it_trains(viewer, widget, qtbot, click, tmp_path):
    widget.steps.setValue(5000)
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.status.text().startswith("Step"), timeout=60000)
    task = widget._controller._task
    viewer.close()
    qtbot.waitUntil(task._done.is_set, timeout=60000)
    assert (tmp_path / "run" / "state.pt").exists()


def test_colours_outside_the_class_table_are_told_with_count_and_place(
    widget, data, qtbot, click, tmp_path
):
    with Image.open(data / "coarse" / "0.png") as opened:
        colours = np.array(opened.convert("RGB"))
    colours[3, 5] = (0, 255, 255)
    Image.fromarray(colours).save(data / "coarse" / "0.png")
    widget.steps.setValue(1)
    click(widget.train_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "1 of 4096 pixels" in widget.status.text()
    assert "row 3, column 5" in widget.status.text()


def test_every_control_has_a_tool_tip(widget):
    kinds = (QAbstractButton, QComboBox, QProgressBar, QLineEdit, QAbstractSpinBox)
    controls = [control for kind in kinds for control in widget.findChildren(kind)]
    shown = [control for control in controls if control.objectName() != "qt_spinbox_lineedit"]
    assert len(shown) > 10
    assert [control for control in shown if not control.toolTip()] == []
