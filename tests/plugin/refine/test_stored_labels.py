"""Labels of an OME-Zarr store are edited in a copy and written back, by clicks on the widget."""

import os
import shutil

import numpy as np
import pytest

pytest.importorskip("napari_ome_zarr")
zarr = pytest.importorskip("zarr")

from napari.layers import Image, Labels  # noqa: E402
from qtpy.QtCore import Qt  # noqa: E402

from c2f_core.classes.table import ClassEntry, ClassTable  # noqa: E402
from c2f_core.scale.multiscale import Axis  # noqa: E402
from c2f_core.scale.output import (  # noqa: E402
    OutputArrays,
    OutputGroup,
    OutputPlan,
    create_output,
)
from c2f_core.scale.shards import Pyramid  # noqa: E402
from napari_c2f.refine import stored_labels  # noqa: E402

# napari-ome-zarr gives napari colours without a default for other labels.
pytestmark = pytest.mark.filterwarnings("ignore:color_dict did not provide a default color")
SKY, EARTH, NOTHING = 1, 2, 0
TABLE = ClassTable(
    name="two",
    classes=(
        ClassEntry(name="sky", index=SKY, colour=(10, 20, 200)),
        ClassEntry(name="earth", index=EARTH, colour=(150, 90, 30)),
    ),
    unlabelled=ClassEntry(name="unlabelled", index=NOTHING, colour=(255, 255, 255)),
)
SHAPE = 2, 100, 150


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Store with the label group `fine` of two planes, in three levels."""
    store = tmp_path_factory.mktemp("stored") / "fine.zarr"
    axes = [Axis("z", "space"), Axis("y", "space", "micrometer"), Axis("x", "space", "micrometer")]
    plan = OutputPlan(
        group=OutputGroup(store, "fine"),
        version="0.5",
        pyramid=Pyramid(SHAPE, 3, 64, 32),
        axes=axes,
        scale=[2, 0.5, 0.5],
        translation=[0, 10, 20],
        class_table=TABLE,
        image=store,
    )
    create_output(plan)
    arrays = OutputArrays(plan.group, plan.pyramid)
    grid = plan.pyramid.grid(0)
    for number in range(len(grid)):
        shape = tuple(axis.stop - axis.start for axis in grid[number])
        arrays.write(grid[number], np.full(shape, SKY, np.uint8), np.full(shape, 0.5, np.float32))
    for stage in range(1, plan.pyramid.stages):
        for number in range(len(plan.pyramid.grid(stage))):
            arrays.build(stage, number)
    return store


@pytest.fixture
def store(written, tmp_path):
    return shutil.copytree(written, tmp_path / "fine.zarr")


@pytest.fixture
def opened(store, docked):
    """The widget, and the labels of the store as napari-ome-zarr opens them, chosen."""
    viewer, widget = docked
    layers = viewer.open(store, plugin="napari-ome-zarr")
    (labels,) = (layer for layer in layers if isinstance(layer, Labels))
    assert any(isinstance(layer, Image) for layer in layers)
    labels.visible = True
    widget.coarse.value = labels
    return viewer, widget, labels


def level(store, number):
    return zarr.open_array(store / "labels" / "fine" / str(number), mode="r")[...]


def push(qtbot, widget, button):
    """Click a button, and wait until the work is done."""
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=20000)


def edited(viewer, widget, qtbot, labels):
    push(qtbot, widget, widget.stored.edit_button)
    copy = viewer.layers[-1]
    assert widget.coarse.value is copy
    assert copy is not labels
    return copy


def test_a_painted_copy_is_written_back_with_all_levels(opened, store, qtbot):
    viewer, widget, labels = opened
    assert not labels.editable
    copy = edited(viewer, widget, qtbot, labels)
    assert not labels.visible
    assert copy.metadata["c2f_class_table"] == TABLE
    np.testing.assert_allclose(copy.extent.world, labels.extent.world)
    copy.brush_size = 9
    copy.paint((1, 40, 40), EARTH)
    push(qtbot, widget, widget.stored.write_button)
    assert "Wrote the edits into 1 shard of" in widget.status.text()
    assert (copy.data == EARTH).any()
    for number in range(3):
        step = 2**number
        np.testing.assert_array_equal(level(store, number), copy.data[:, ::step, ::step])
    np.testing.assert_array_equal(np.asarray(labels.data[0]), copy.data)
    push(qtbot, widget, widget.stored.write_button)
    assert "has these labels already; nothing was written" in widget.status.text()


def test_the_stored_layer_shows_what_was_written(opened, qtbot):
    viewer, widget, labels = opened
    before = np.array(labels._slice.image.raw)
    copy = edited(viewer, widget, qtbot, labels)
    copy.data[:] = EARTH
    push(qtbot, widget, widget.stored.write_button)
    labels.visible = True
    assert (before == SKY).all()
    assert (labels._slice.image.raw == EARTH).all()


def test_of_large_labels_the_view_is_copied_and_written(opened, store, qtbot, monkeypatch):
    viewer, widget, labels = opened
    monkeypatch.setattr(stored_labels, "LARGEST_COPY", 40 * 50)
    push(qtbot, widget, widget.stored.edit_button)
    assert "zoom in on what you want to edit" in widget.status.text()
    part = slice(1, 2), slice(30, 61), slice(70, 101)
    monkeypatch.setattr(stored_labels, "view_of", lambda _viewer, _layer: part[1:])
    viewer.dims.set_point(0, 2.0)
    copy = edited(viewer, widget, qtbot, labels)
    assert copy.data.shape == (1, 31, 31)
    copy.data[:] = EARTH
    push(qtbot, widget, widget.stored.write_button)
    expected = np.full(SHAPE, SKY, np.uint8)
    expected[part] = EARTH
    for number in range(3):
        np.testing.assert_array_equal(level(store, number), expected[:, :: 2**number, :: 2**number])


def test_a_second_copy_of_the_same_pixels_is_not_made(opened, qtbot):
    viewer, widget, labels = opened
    copy = edited(viewer, widget, qtbot, labels)
    labels.visible = True
    widget.coarse.value = labels
    count = len(viewer.layers)
    push(qtbot, widget, widget.stored.edit_button)
    assert len(viewer.layers) == count
    assert viewer.layers.selection.active is copy
    assert "is a copy of this part already" in widget.status.text()


def test_a_store_that_cannot_be_written_says_so_before_anything_is_edited(
    opened, qtbot, monkeypatch
):
    viewer, widget, _ = opened
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    count = len(viewer.layers)
    push(qtbot, widget, widget.stored.edit_button)
    assert "is read-only; check its permissions" in widget.status.text()
    assert len(viewer.layers) == count


def test_labels_outside_the_class_table_are_not_written(opened, store, qtbot):
    viewer, widget, labels = opened
    copy = edited(viewer, widget, qtbot, labels)
    copy.data[0, 3, 4] = 77
    push(qtbot, widget, widget.stored.write_button)
    assert "77" in widget.status.text()
    assert (level(store, 0) == SKY).all()


def test_a_renamed_layer_of_a_store_with_several_groups_is_not_guessed(opened, store, qtbot):
    _, widget, labels = opened
    shutil.copytree(store / "labels" / "fine", store / "labels" / "other")
    assert stored_labels.label_group_of(labels).name == "fine"
    labels.name = "labels/labels/other [1]"
    assert stored_labels.label_group_of(labels).name == "other"
    labels.name = "mine"
    push(qtbot, widget, widget.stored.edit_button)
    assert "the name of its group again: 'fine', 'other'" in widget.status.text()


def test_other_layers_have_no_such_buttons(docked):
    viewer, widget = docked
    assert not widget.stored.isVisible()
    viewer.add_labels(np.ones((20, 30), np.uint8))
    assert not widget.stored.isVisible()
