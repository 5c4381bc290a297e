"""Hand-painted pixels are found in napari's history, and undo reverts them."""

from itertools import pairwise

import numpy as np
import pytest
from napari.layers import Labels

from c2f_core.classes.table import ClassTable
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.locks import Locks
from napari_c2f.layers.strokes import Stroke, StrokeTracker, patch_of

FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, EYES, NOTHING = 1, 2, 3, 255
TRACKER = StrokeTracker()


def layer_of(shape=(20, 30)):
    index_map = np.full(shape, NOTHING, np.uint8)
    index_map[..., :10], index_map[..., 10:20] = HAIR, SKIN
    data, keywords, _ = labels_layer_data(index_map, FASSEG, "face")
    layer = Labels(data, **keywords)
    layer.mode, layer.brush_size = "paint", 5
    return layer


def stroke(layer, points, label):
    with layer.block_history():
        for first, second in pairwise(points):
            layer._draw(label, first, second)


def painted(layer):
    """Return where strokes of the layer are, without what was erased."""
    mask = np.zeros(layer.data.shape, bool)
    for one in TRACKER.strokes_of(layer):
        patch = patch_of(layer, one)
        mask[patch.slices] |= patch.mask
        np.testing.assert_array_equal(patch.values, layer.data[patch.slices][patch.mask])
    return mask


def wipe(layer, row=10, label=EYES):
    stroke(layer, [(row, 2), (row, 27)], label)


def fill(layer):
    layer.mode = "fill"
    stroke(layer, [(3, 3), (3, 3)], EYES)


def polygon(layer):
    layer.paint_polygon([(2, 2), (2, 27), (15, 27), (15, 2)], EYES)


def setitem(layer):
    layer.data_setitem((np.array([3, 3, 3]), np.array([2, 12, 25])), [EYES, EYES, HAIR])


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("draw", [wipe, fill, polygon, setitem])
def test_painted_pixels_are_those_that_changed(draw, locked):
    layer = layer_of()
    TRACKER.follow(layer)
    Locks().lock(layer, HAIR, locked)
    before = layer.data.copy()
    draw(layer)
    changed = layer.data != before
    assert changed.any() != (draw is fill and locked)
    np.testing.assert_array_equal(painted(layer), changed)
    layer.undo()
    assert not painted(layer).any()
    layer.redo()
    np.testing.assert_array_equal(painted(layer), changed)


def test_strokes_are_numbered_per_viewer_over_all_its_layers():
    for _ in range(2):
        tracker, layers = StrokeTracker(), [layer_of(), layer_of()]
        for layer in layers:
            tracker.follow(layer)
        for layer in layers:
            wipe(layer)
            tracker.strokes_of(layer)
        earlier = tracker.stroke_of(np.ones((2, 3), bool))
        stamps = [each.stamp for layer in layers for each in tracker.strokes_of(layer)]
        assert [*stamps, earlier.stamp] == [1, 2, 3]


def test_earlier_strokes_are_not_tracked_and_undoing_them_is_harmless():
    layer = layer_of()
    wipe(layer, 4)
    TRACKER.follow(layer)
    assert not painted(layer).any()


def test_a_stroke_over_another_and_their_undoing():
    layer = layer_of()
    TRACKER.follow(layer)
    first = layer.data.copy()
    wipe(layer, 8)
    second = layer.data.copy()
    wipe(layer, 10, HAIR)
    both = painted(layer)
    np.testing.assert_array_equal(both, (second != first) | (layer.data != second))
    layer.undo()
    np.testing.assert_array_equal(painted(layer), second != first)
    wipe(layer, 15)
    assert painted(layer)[15, 12]
    layer.undo()
    layer.undo()
    assert not painted(layer).any()
    layer.redo()
    layer.redo()
    assert painted(layer)[15, 12]


def test_what_napari_no_longer_remembers_stays_painted(monkeypatch):
    monkeypatch.setattr(Labels, "_history_limit", 3)
    layer = layer_of((60, 30))
    TRACKER.follow(layer)
    for row in range(5, 55, 10):
        wipe(layer, row)
    for _ in range(9):
        layer.undo()
    rows = painted(layer).any(axis=1)
    assert rows[[5, 15]].all()
    assert not rows[20:].any()
    wipe(layer, 45)
    assert painted(layer)[[5, 15, 45], 12].all()


def test_erasing_ends_the_protection_of_pixels():
    layer = layer_of()
    TRACKER.follow(layer)
    wipe(layer)
    assert painted(layer)[10, 12]
    wipe(layer, 10, NOTHING)
    assert not painted(layer).any()


def test_strokes_are_no_longer_refinable_after_an_error():
    layer = layer_of()
    TRACKER.follow(layer)
    with pytest.raises(IndexError), TRACKER.drawing_refinable(layer):
        layer.data_setitem((np.array([99]), np.array([0])), EYES)
    wipe(layer)
    assert [one.refinable for one in TRACKER.strokes_of(layer)] == [False]


def test_a_stack_is_followed_plane_by_plane():
    layer = layer_of((3, 20, 30))
    TRACKER.follow(layer)
    before = layer.data.copy()
    with layer.block_history():
        layer._draw(EYES, (1, 10, 2), (1, 10, 27))
    np.testing.assert_array_equal(painted(layer), layer.data != before)
    assert painted(layer)[1].any()


def test_undone_and_redone_strokes_are_reported():
    layer, places = layer_of(), []
    TRACKER.follow(layer).touched.connect(lambda place: places.append(place))
    wipe(layer)
    layer.undo()
    layer.redo()
    layer.refresh()
    assert len(places) == 3
    assert len(set(map(str, places))) == 1
    assert places[0][0].start <= 8
    assert places[0][0].stop >= 12


def test_strokes_are_seen_from_another_corner():
    mask = np.arange(12).reshape(3, 4) % 2 == 0
    one = Stroke((slice(5, 8), slice(2, 6)), mask, 1)
    part = one.relative_to((slice(6, 20), slice(4, 5)))
    assert part.slices == (slice(0, 2), slice(0, 1))
    np.testing.assert_array_equal(part.mask, mask[1:3, 2:3])
    back = part.within((slice(6, 20), slice(4, 5)))
    assert back.slices == (slice(6, 8), slice(4, 5))
    assert one.relative_to((slice(0, 5), slice(0, 9))) is None
