"""The list of layers that follows the viewer."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication, QEvent

from napari_c2f.widgets.layer_choice import LayerChoice

PIXELS = np.zeros((4, 5), np.uint8)


def active(layers, kind, current):
    return layers.selection.active if isinstance(layers.selection.active, kind) else current


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def make(viewer, qapp):
    """Make a choice of Labels layers, and record the layers that it announces."""

    def make(*rule):
        box = LayerChoice(viewer, Labels, *rule)
        announced = []
        box.changed.connect(announced.append)
        return box, announced

    return make


def test_layers_that_are_added_renamed_and_removed_are_listed(viewer, make):
    box, _ = make()
    first = viewer.add_labels(PIXELS, name="first")
    viewer.add_image(PIXELS)
    assert box.choices == (None, first)
    second = viewer.add_labels(PIXELS, name="second")
    first.name = "renamed"
    assert set(box.choices) == {None, first, second}
    texts = {box.native.itemText(row) for row in range(box.native.count())}
    assert texts == {"-----", "renamed", "second"}
    viewer.layers.remove(first)
    assert box.choices == (None, second)


def test_without_a_rule_only_the_user_chooses(viewer, make):
    box, announced = make()
    layer = viewer.add_labels(PIXELS)
    assert box.value is None
    box.choose(layer)
    assert box.value is layer
    viewer.layers.remove(layer)
    assert box.value is None
    assert announced == [layer, None]


def test_the_choice_follows_its_rule_and_is_announced_once(viewer, make):
    first = viewer.add_labels(PIXELS, name="first")
    box, announced = make(active)
    assert box.value is first
    second = viewer.add_labels(PIXELS, name="second")
    viewer.layers.selection.active = first
    assert announced == [second, first]


def test_the_chosen_layer_is_not_announced_when_it_is_renamed_or_moved(viewer, make):
    layers = [viewer.add_labels(PIXELS, name=name) for name in ("first", "second")]
    box, announced = make(active)
    layers[1].name = "another"
    viewer.layers.move(0, 2)
    assert box.value is layers[1]
    assert announced == []


def test_a_choice_other_than_the_selected_layer_stays_when_layers_are_added(viewer, make):
    layers = [viewer.add_labels(PIXELS, name=name) for name in ("first", "second")]
    box, announced = make(active)
    box.choose(layers[0])
    viewer.add_image(PIXELS)
    assert box.value is layers[0]
    assert announced == [layers[0]]


def test_a_list_that_qt_has_deleted_is_left_alone(viewer, make):
    box, announced = make(active)
    box.native.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    viewer.add_labels(PIXELS)
    assert announced == []
