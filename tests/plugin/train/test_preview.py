"""The preview's layer, in a viewer without a window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.training.inspection import Inspection
from c2f_core.training.pictures import SimulatedExamples
from napari_c2f.train.model import Panel, Phase, Training
from napari_c2f.train.preview import NAME, PreviewController, PreviewLayer

PIXELS = synthetic_pair(32, 0).image
PANEL = Panel(1, PIXELS)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def preview(viewer):
    return PreviewLayer(viewer, NAME)


def test_the_preview_leaves_alone_what_was_opened_before_it_came(viewer, preview):
    preview.prepare()
    viewer.add_image(np.zeros((40, 60)))
    viewer.scene.camera.zoom = 3.5
    camera = viewer.scene.camera.zoom, viewer.scene.camera.center
    preview.show(PIXELS)
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == camera
    assert preview.layer.translate[-1] > 59


def test_a_preview_that_the_user_removed_stays_away(viewer, preview):
    preview.prepare()
    assert not preview.layer.visible
    preview.show(PIXELS)
    assert preview.layer.visible
    height, width = preview.layer.data.shape[:2]
    centre = ((height - 1) / 2, (width - 1) / 2)
    assert viewer.scene.camera.center[-2:] == pytest.approx(centre, abs=1)
    viewer.layers.remove(preview.layer)
    preview.show(PIXELS)
    assert len(viewer.layers) == 0
    preview.prepare()
    preview.show(PIXELS)
    preview.layer.visible = False
    preview.show(255 - PIXELS)
    assert not preview.layer.visible
    preview.prepare()
    assert len(viewer.layers) == 1


def test_a_run_that_showed_nothing_leaves_no_layer(viewer, preview):
    preview.prepare()
    preview.tidy()
    assert len(viewer.layers) == 0
    preview.prepare()
    preview.show(PIXELS)
    preview.tidy()
    assert len(viewer.layers) == 1


@pytest.fixture
def model():
    return Training()


@pytest.fixture
def controller(qapp, viewer, model):
    controller = PreviewController(viewer, model)
    yield controller
    controller.close()


def test_a_preview_that_came_with_the_end_of_a_run_is_kept(viewer, model, controller):
    model.phase = Phase.PREPARING
    model.preview = PANEL
    model.phase = Phase.STOPPED
    assert [layer.data.shape for layer in viewer.layers] == [(32, 32, 3)]


def test_a_preview_is_shown_while_a_run_trains(viewer, model, controller, qtbot):
    model.phase = Phase.PREPARING
    model.phase = Phase.TRAINING
    model.preview = PANEL
    qtbot.waitUntil(lambda: viewer.layers[0].visible)
    assert viewer.layers[0].data.shape == (32, 32, 3)


def test_simulated_coarse_maps_of_a_check_are_shown_next_to_the_layers(viewer, model, controller):
    viewer.add_image(np.zeros((40, 60)))
    model.inspection = Inspection(SHAPES, [], [])
    assert len(viewer.layers) == 1
    examples = SimulatedExamples(PIXELS, "leaf", {"polygons": 0.8})
    model.inspection = Inspection(SHAPES, [], [], examples=examples)
    layer = viewer.layers[-1]
    assert "simulated" in layer.name
    assert layer.visible
    assert layer.translate[-1] > 59
    np.testing.assert_array_equal(layer.data, PIXELS)
    model.inspection = Inspection(SHAPES, [], [], examples=replace(examples, pixels=255 - PIXELS))
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(layer.data, 255 - PIXELS)


def test_a_closed_preview_shows_nothing_more(viewer, model, controller):
    controller.close()
    model.phase = Phase.PREPARING
    model.preview = PANEL
    assert len(viewer.layers) == 0
