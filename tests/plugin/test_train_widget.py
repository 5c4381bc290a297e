"""The Train widget, driven by clicks on a real viewer."""

import pytest
from PIL import Image
from qtpy.QtCore import Qt

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
def widget(make_napari_viewer, data, tmp_path):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-c2f", "Train")
    widget.data.setValue(data)
    widget.class_table.setCurrentText(str(data / "table.json"))
    widget.run_folder.setValue(tmp_path / "run")
    widget.batch_size.setValue(2)
    widget.crop.setValue(32)
    return widget


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_model_is_trained(widget, qtbot, tmp_path):
    widget.steps.setValue(2)
    click(qtbot, widget.train_button)
    assert not widget.train_button.isEnabled()
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "Done after step 2" in widget.status.text()
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert metadata.class_table == SHAPES
    assert (tmp_path / "run" / "log.csv").read_text().count("loss") == 2


def test_training_stops_when_asked(widget, qtbot, tmp_path):
    widget.steps.setValue(5000)
    click(qtbot, widget.train_button)
    qtbot.waitUntil(lambda: widget.status.text().startswith("Step"), timeout=60000)
    click(qtbot, widget.stop_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "Stopped after step" in widget.status.text()
    assert (tmp_path / "run" / "state.pt").exists()


def test_settings_that_cannot_train_are_refused(widget, qtbot):
    widget.batch_size.setValue(1)
    click(qtbot, widget.train_button)
    assert "use a batch_size of 2" in widget.status.text()


def test_errors_are_sentences_in_the_widget(widget, qtbot, tmp_path):
    widget.data.setValue(tmp_path / "none")
    click(qtbot, widget.train_button)
    qtbot.waitUntil(lambda: widget.train_button.isEnabled(), timeout=60000)
    assert "does not exist" in widget.status.text()
    widget.data.setValue("")
    click(qtbot, widget.train_button)
    assert "Choose the data folder" in widget.status.text()
