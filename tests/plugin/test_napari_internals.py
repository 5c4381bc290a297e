"""napari still has the private attributes that the plugin uses outside `layers.history`."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.action_manager import action_manager


def check(owner, path, module):
    """Return an attribute of an object of napari by its dotted path; fail if it is not there."""
    kind = type(owner).__name__
    for name in path.split("."):
        assert hasattr(owner, name), (
            f"napari's {kind} no longer has '{path}' ('{name}' is missing), which "
            f"napari_c2f.{module} uses; adapt that module."
        )
        owner = getattr(owner, name)
    return owner


def test_a_missing_attribute_is_named_with_the_module_that_uses_it():
    with pytest.raises(AssertionError, match=r"ViewerModel no longer has '_gone'.*layers\.planes"):
        check(ViewerModel(), "_gone", "layers.planes")


def test_a_layer_knows_its_displayed_axes():
    layer = Labels(np.zeros((3, 4, 5), np.uint8))
    assert list(check(layer, "_slice_input.displayed", "layers.planes")) == [1, 2]


def test_a_layer_knows_its_picture():
    layer = Labels(np.zeros((4, 5), np.uint8))
    check(layer, "_slice.image.view", "layers.screen")
    check(layer, "_slice.empty", "layers.screen")


def test_a_viewer_knows_the_size_of_its_canvas():
    viewer = ViewerModel()
    if hasattr(viewer, "scene"):
        check(viewer, "scene.camera.zoom", "review.camera")
        size = check(viewer, "canvas.size", "review.camera")
    else:
        check(viewer, "camera.zoom", "review.camera")
        size = check(viewer, "_canvas_size", "review.camera")
    assert len(size) == 2


def test_the_action_manager_knows_the_keys_of_actions():
    shortcuts = check(action_manager, "_shortcuts", "base.keys")
    assert all(len(keys) > 0 for keys in shortcuts.values())


@pytest.mark.window
def test_a_window_has_a_canvas_with_a_context(viewer):
    check(viewer.window, "_qt_viewer.canvas.native.makeCurrent", "base.gl_context")
