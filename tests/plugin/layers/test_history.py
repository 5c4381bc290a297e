"""napari's history of edits, read through our interface; these tests fail if napari changes it."""

from itertools import pairwise

import numpy as np
import pytest
from napari.layers import Labels

from napari_c2f.layers.history import LayerHistory, Step, painted_step

BEFORE, AFTER = 3, 5
PRIVATE = ("_undo_history", "_redo_history", "_staged_history", "_save_history")


def make_layer(shape=(20, 30)):
    layer = Labels(np.full(shape, BEFORE, np.uint8))
    layer.mode, layer.brush_size = "paint", 4
    return layer


def brush(layer):
    with layer.block_history():
        for first, second in pairwise([(10, 5), (10, 15), (14, 20)]):
            layer._draw(AFTER, first, second)


def square_brush(layer):
    """All pixels of the brush's box change: napari stores no mask for it."""
    layer.brush_size = 1
    with layer.block_history():
        layer._draw(AFTER, (3, 3), (3, 3))


def fill(layer):
    layer.data[5:9, 4:12] = 1
    layer.fill((6, 6), AFTER)


def polygon(layer):
    layer.paint_polygon([(2, 2), (2, 20), (15, 20)], AFTER)


def one_label(layer):
    layer.data_setitem((np.array([3, 8]), np.array([2, 12])), AFTER)


def several_labels(layer):
    layer.data_setitem((np.array([3, 8, 9]), np.array([2, 12, 25])), [AFTER, 7, BEFORE])


EDITS = [brush, square_brush, fill, polygon, one_label, several_labels]


def replayed(step, data, side):
    """Return the data of a layer with the labels before or after a step."""
    data, bounds = data.copy(), step.bounds
    edits = step.edits() if side == "after" else reversed(step.edits())
    for edit in edits:
        edit.write(data[bounds], bounds, getattr(edit, side))
    return data


def test_napari_has_the_private_members_that_we_read():
    layer = make_layer()
    missing = [name for name in PRIVATE if not hasattr(layer, name)]
    assert not missing, f"napari's Labels no longer has {missing}; adapt layers/history.py"
    brush(layer)
    atom = layer._undo_history[-1][0]
    fields = ("slice_key", "mask", "old_values", "new_value")
    assert getattr(atom, "_fields", ()) == fields, (
        f"a brush stroke is stored as {atom!r}, not as {fields}; adapt layers/history.py"
    )
    one_label(layer)
    atom = layer._undo_history[-1][0]
    assert type(atom) is tuple, (
        f"data_setitem is stored as {type(atom).__name__}; adapt layers/history.py"
    )
    assert len(atom) == 3, f"data_setitem stores {len(atom)} values, not 3; adapt layers/history.py"


@pytest.mark.parametrize("draw", EDITS)
def test_a_step_has_the_pixels_that_an_edit_changed(draw):
    layer = make_layer()
    if draw is fill:
        layer.data[5:9, 4:12] = 1
    before, painted = layer.data.copy(), []
    layer.events.paint.connect(lambda event: painted.append(painted_step(event)))
    draw(layer)
    after = layer.data.copy()
    (step,) = LayerHistory(layer).steps
    assert painted == [step]
    assert LayerHistory(layer).latest == step
    mask = np.zeros(before.shape, bool)
    mask[step.bounds] = step.changed(layer.data)
    np.testing.assert_array_equal(mask, before != after)
    np.testing.assert_array_equal(replayed(step, after, "before"), before)
    np.testing.assert_array_equal(replayed(step, before, "after"), after)
    assert sum(edit.number_changed for edit in step.edits()) == (before != after).sum()
    assert next(edit.is_restoration for edit in step.edits()) == (draw is several_labels)


@pytest.mark.parametrize("draw", EDITS)
def test_undo_and_redo_replace_the_step(draw):
    layer = make_layer()
    history = LayerHistory(layer)
    draw(layer)
    (step,), after = history.steps, layer.data.copy()
    layer.undo()
    assert history.steps == []
    assert history.latest is None
    layer.redo()
    (again,) = history.steps
    assert again != step
    np.testing.assert_array_equal(layer.data, after)
    np.testing.assert_array_equal(again.changed(layer.data), step.changed(layer.data))


def test_the_stroke_being_drawn_is_the_open_step():
    layer = make_layer()
    history = LayerHistory(layer)
    assert history.open_step is None
    with layer.block_history():
        layer._draw(AFTER, (10, 5), (10, 15))
        step = history.open_step
        assert step == history.latest
        assert history.steps == []
    assert history.open_step is None
    assert history.steps == [step]


def test_steps_are_known_though_the_layer_changes_later():
    layer = make_layer()
    brush(layer)
    (first,), changed = LayerHistory(layer).steps, layer.data == AFTER
    polygon(layer)
    assert LayerHistory(layer).steps[0] == first
    np.testing.assert_array_equal(first.changed(layer.data), changed[first.bounds])


@pytest.mark.parametrize("draw", EDITS)
def test_restored_pixels_are_part_of_the_step(draw):
    layer = make_layer()
    if draw is fill:
        layer.data[5:9, 4:12] = 1
    before, history = layer.data.copy(), LayerHistory(layer)
    draw(layer)
    (step,) = history.steps
    (edit, *_), drawn = step.edits(), step.number_painted()
    chosen = np.zeros(edit.before.shape, bool)
    chosen[0] = True
    history.restore(step, edit, chosen)
    where = edit.indices(chosen)
    assert layer.data[where] == before[where]
    assert len(step) == len(history.steps[0].edits())
    assert step.number_painted() == drawn - 1
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    assert layer.data[where] == before[where]


def test_marks_follow_undo_and_redo():
    layer = make_layer()
    history = LayerHistory(layer)
    where = np.array([3, 8]), np.array([2, 12])
    with layer.block_history():
        layer.data_setitem(where, AFTER)
        history.mark(where, "first")
    with layer.block_history():  # A decision that changes no pixel.
        history.mark(where, "second")
    after = layer.data.copy()
    assert history.marks() == (["first", "second"], [])
    layer.undo()
    assert history.marks() == (["first"], ["second"])
    layer.undo()
    assert history.marks() == ([], ["second", "first"])
    assert (layer.data == BEFORE).all()
    layer.redo()
    layer.redo()
    assert history.marks() == (["first", "second"], [])
    np.testing.assert_array_equal(layer.data, after)


def test_an_unknown_entry_is_named():
    with pytest.raises(TypeError, match="contains a dict, which this version"):
        Step([{}]).edits()
