"""The Refine widget, driven by clicks on a real viewer."""

import time

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from c2f_core.classes import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.io import write_map
from c2f_core.refine.classical import WatershedRefiner
from c2f_core.refine.learned import Refiner

PLUGIN = "napari-c2f"
FASSEG = ClassTable.preset("fasseg")


@pytest.fixture
def docked(make_napari_viewer, qtbot):
    """A viewer with the docked Refine widget."""
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Refine")
    return viewer, widget


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def refine(qtbot, widget, model="watershed", timeout=60000):
    widget.model.setValue(model)
    click(qtbot, widget.refine_button)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=timeout)


class SlowRefiner(WatershedRefiner):
    """Waits until it is asked to stop."""

    def refine(self, image, coarse, *, progress=None, should_stop=None):
        for step in range(200):
            if should_stop():
                break
            progress(step / 200)
            time.sleep(0.05)
        return super().refine(image, coarse, progress=progress, should_stop=should_stop)


@pytest.fixture
def slow_model(monkeypatch):
    monkeypatch.setitem(
        __import__("c2f_core.refine.classical").refine.classical.CLASSICAL_REFINERS,
        "watershed",
        SlowRefiner,
    )


def test_a_colour_coded_map_is_refined_saved_and_reloaded(docked, qtbot, tmp_path):
    viewer, widget = docked
    pair = astronaut_pair()
    path = tmp_path / "coarse.png"
    write_map(path, FASSEG.to_indices(pair.coarse), FASSEG, "colour")
    viewer.add_image(pair.image, name="face")
    (coarse,) = viewer.open(path, plugin=PLUGIN)
    coarse.scale = (0.5, 0.5)
    before = coarse.data.copy()
    refine(qtbot, widget, "fasseg")
    assert "% of the pixels changed" in widget.status.text()
    fine = viewer.layers["coarse refined"]
    np.testing.assert_array_equal(coarse.data, before)
    np.testing.assert_array_equal(fine.scale, coarse.scale)
    assert (fine.data != before).any()
    truth = FASSEG.to_indices(pair.fine)
    assert (fine.data == truth).mean() > (before == truth).mean()
    confidence = 1 - viewer.layers["coarse doubt"].data
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    for name in ("fine.png", "fine.tif"):
        fine.save(str(tmp_path / name), plugin=PLUGIN)
        (again,) = viewer.open(tmp_path / name, plugin=PLUGIN)
        np.testing.assert_array_equal(again.data, fine.data)
        assert list(again.features["name"]) == list(fine.features["name"])


def test_refining_goes_in_the_right_direction(docked, qtbot):
    viewer, widget = docked
    fine, coarse = np.ones((128, 128), dtype=np.uint8), np.ones((128, 128), dtype=np.uint8)
    fine[40:90, 40:90], coarse[34:94, 36:98] = 2, 2
    viewer.add_image(np.where(fine == 2, 200, 50).astype(np.uint8), name="square")
    viewer.add_labels(coarse, name="coarse")
    refine(qtbot, widget, "watershed")
    refined = viewer.layers["coarse refined"].data
    assert (refined == fine).mean() > 0.99 > (coarse == fine).mean()


def test_a_second_result_never_replaces_the_first(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    for _ in range(2):
        widget.coarse.value = viewer.layers["shapes-3 coarse"]
        refine(qtbot, widget)
    assert "shapes-3 coarse refined" in viewer.layers
    assert "shapes-3 coarse refined 2" in viewer.layers


def test_cancelling_midway_adds_nothing(docked, qtbot, slow_model):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    count = len(viewer.layers)
    widget.model.setValue("watershed")
    click(qtbot, widget.refine_button)
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=10000)
    assert not widget.refine_button.isEnabled()
    click(qtbot, widget.cancel_button)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=10000)
    assert "cancelled" in widget.status.text()
    assert len(viewer.layers) == count


def test_the_layer_may_go_while_it_is_refined(docked, qtbot, slow_model):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    widget.model.setValue("watershed")
    click(qtbot, widget.refine_button)
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=10000)
    viewer.layers.clear()
    click(qtbot, widget.cancel_button)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=10000)


def test_the_viewer_may_close_while_it_runs(docked, qtbot, slow_model):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    widget.model.setValue("watershed")
    click(qtbot, widget.refine_button)
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=10000)
    task = widget._controller._task
    viewer.close()
    qtbot.waitUntil(task._done.is_set, timeout=10000)


def test_errors_are_sentences_in_the_widget(docked, qtbot, tmp_path):
    viewer, widget = docked
    click(qtbot, widget.refine_button)
    assert "Choose an image and a coarse map" in widget.status.text()
    viewer.add_image(np.zeros((40, 50, 3), dtype=np.uint8), name="image")
    viewer.add_labels(np.ones((40, 51), dtype=np.uint8), name="coarse")
    refine(qtbot, widget)
    assert "40 x 50 pixels and the coarse map 40 x 51" in widget.status.text()
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"not a model")
    refine(qtbot, widget, str(foreign))
    assert "no readable checkpoint" in widget.status.text()
    refine(qtbot, widget, "fasseg")
    assert "does not have" in widget.status.text()


def test_runtime_errors_in_the_thread_reach_the_user(docked, qtbot, monkeypatch, caplog):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")

    def explode(*_args, **_keywords):
        raise RuntimeError("boom")

    monkeypatch.setattr(WatershedRefiner, "refine", explode)
    refine(qtbot, widget)
    assert "boom" in widget.status.text()
    assert "Unexpected error in a thread" in caplog.text


def test_a_layer_drawn_by_hand_gets_a_table_of_its_own(docked, qtbot):
    viewer, widget = docked
    pair = synthetic_pair(96, seed=2)
    viewer.add_image(pair.image, name="image")
    drawn = np.zeros((96, 96), dtype=np.int32)
    drawn[5:30, 5:30], drawn[50:90, 50:90] = 3, 7
    layer = viewer.add_labels(drawn, name="drawn")
    assert isinstance(layer, Labels)
    refine(qtbot, widget)
    refined = viewer.layers["drawn refined"].data
    assert set(np.unique(refined)) == {3, 7}


def test_the_bundled_model_loads_offline():
    assert Refiner.bundled("fasseg", "cpu").class_table == FASSEG
    assert SHAPES.unlabelled.index == 0
