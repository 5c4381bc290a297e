"""Locked classes keep their pixels, and undo stays consistent."""

from itertools import pairwise

import numpy as np
import pytest
from napari.layers import Labels

from c2f_core.classes.table import ClassTable
from napari_c2f.layers import history as _history
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.history import LayerHistory
from napari_c2f.layers.locks import Locks

FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, EYES, NOTHING = 1, 2, 3, 255
lock = Locks().lock


def face(shape=(20, 30)):
    """A layer whose left third is hair and whose middle is skin."""
    index_map = np.full(shape, NOTHING, np.uint8)
    index_map[..., :10], index_map[..., 10:20] = HAIR, SKIN
    data, keywords, _ = labels_layer_data(index_map, FASSEG, "face")
    return Labels(data, **keywords)


def stroke(layer, points, label):
    """Draw as napari's own mouse callback does."""
    with layer.block_history():
        for first, second in pairwise(points):
            layer._draw(label, first, second)


def wipe(layer):
    layer.mode, layer.brush_size = "paint", 5
    stroke(layer, [(10, 2), (10, 15), (12, 27), (8, 3)], EYES)


def fill(layer):
    layer.mode = "fill"
    stroke(layer, [(3, 3), (3, 3)], EYES)


def polygon(layer):
    layer.paint_polygon([(2, 2), (2, 27), (15, 27), (15, 2)], EYES)


def setitem(layer):
    layer.data_setitem((np.array([3, 3, 3]), np.array([2, 12, 25])), [EYES, EYES, HAIR])


def rectangle(layer):
    """All pixels of the brush's box change: napari stores no mask for it."""
    layer.mode, layer.brush_size = "paint", 1
    stroke(layer, [(3, 3), (3, 3)], EYES)


@pytest.mark.parametrize("largest_listed", [0, _history.LARGEST_LISTED])
@pytest.mark.parametrize("draw", [wipe, fill, polygon, setitem, rectangle])
def test_what_is_drawn_over_a_locked_class_is_taken_back(draw, largest_listed, monkeypatch):
    monkeypatch.setattr(_history, "LARGEST_LISTED", largest_listed)
    free, layer = face(), face()
    draw(free)
    lock(layer, HAIR, True)
    before = layer.data.copy()
    draw(layer)
    expected = np.where(before == HAIR, HAIR, free.data)
    np.testing.assert_array_equal(layer.data, expected)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, expected)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_a_plane_of_a_stack_is_kept_too():
    layer = face((3, 20, 30))
    lock(layer, HAIR, True)
    before = layer.data.copy()
    layer.mode, layer.brush_size = "paint", 5
    stroke(layer, [(0, 10, 2), (0, 10, 27)], EYES)
    np.testing.assert_array_equal(layer.data == HAIR, before == HAIR)
    assert (layer.data[0] == EYES).any()
    assert not (layer.data[1:] == EYES).any()


def test_what_is_shown_is_what_is_kept():
    layer = face()
    lock(layer, HAIR, True)
    wipe(layer)
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data)
    texture = layer.colormap._data_to_texture(layer.data)
    np.testing.assert_array_equal(layer._slice.image.view, texture)


def test_an_aborted_stroke_leaves_nothing():
    layer = face()
    lock(layer, HAIR, True)
    before = layer.data.copy()
    layer.mode, layer.brush_size = "paint", 5
    layer._begin_stroke()
    layer._draw(EYES, (10, 2), (10, 27))
    layer._abort_stroke()
    np.testing.assert_array_equal(layer.data, before)


def test_a_locked_class_is_drawn_where_none_is_locked_and_never_over_another():
    layer = face()
    lock(layer, HAIR, True)
    lock(layer, EYES, True)
    before = layer.data.copy()
    wipe(layer)
    assert (layer.data[before == HAIR] == HAIR).all()
    assert (layer.data[before == SKIN] == EYES).any()
    assert len(LayerHistory(layer).steps) == 1


def test_the_eraser_leaves_locked_classes_alone():
    layer = face()
    lock(layer, HAIR, True)
    layer.mode, layer.brush_size = "erase", 5
    stroke(layer, [(10, 2), (10, 27)], layer.colormap.background_value)
    assert (layer.data == HAIR).sum() == 200
    assert layer.data[10, 15] == NOTHING


def test_unlocking_lets_the_next_stroke_through():
    layer = face()
    lock(layer, HAIR, True)
    wipe(layer)
    lock(layer, HAIR, False)
    wipe(layer)
    assert layer.data[10, 3] == EYES


def test_the_eraser_of_napari_makes_pixels_unlabelled():
    layer = face()
    assert layer.colormap.background_value == NOTHING
    layer.swap_selected_and_background_labels()
    assert layer.selected_label == NOTHING
