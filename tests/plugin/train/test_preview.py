"""The preview's layer, in a viewer without a window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from c2f_core.data.synthetic import synthetic_pair
from napari_c2f.train.model import Panel, Phase, Training
from napari_c2f.train.preview import PreviewController, PreviewLayer

PANEL = Panel(1, synthetic_pair(32, 0).image)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def preview(viewer):
    return PreviewLayer(viewer)


def test_the_preview_leaves_alone_what_was_opened_before_it_came(viewer, preview):
    preview.prepare()
    viewer.add_image(np.zeros((40, 60)))
    viewer.scene.camera.zoom = 3.5
    camera = viewer.scene.camera.zoom, viewer.scene.camera.center
    preview.show(PANEL)
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == camera
    assert preview.layer.translate[-1] > 59


def test_a_preview_that_the_user_removed_stays_away(viewer, preview):
    preview.prepare()
    assert not preview.layer.visible
    preview.show(PANEL)
    assert preview.layer.visible
    height, width = preview.layer.data.shape[:2]
    centre = ((height - 1) / 2, (width - 1) / 2)
    assert viewer.scene.camera.center[-2:] == pytest.approx(centre, abs=1)
    viewer.layers.remove(preview.layer)
    preview.show(PANEL)
    assert len(viewer.layers) == 0
    preview.prepare()
    preview.show(PANEL)
    preview.layer.visible = False
    preview.show(replace(PANEL, step=2))
    assert not preview.layer.visible
    preview.prepare()
    assert len(viewer.layers) == 1


def test_a_run_that_showed_nothing_leaves_no_layer(viewer, preview):
    preview.prepare()
    preview.tidy()
    assert len(viewer.layers) == 0
    preview.prepare()
    preview.show(PANEL)
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


def test_a_closed_preview_shows_nothing_more(viewer, model, controller):
    controller.close()
    model.phase = Phase.PREPARING
    model.preview = PANEL
    assert len(viewer.layers) == 0
