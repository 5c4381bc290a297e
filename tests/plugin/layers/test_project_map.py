"""Maps drawn or opened for an image of a project go into its own map; without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from c2f_core.classes.editing import with_class
from c2f_core.data.synthetic import SHAPES
from c2f_core.io.maps import write_map
from c2f_core.project import ImageRecord, Work
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.controller import PaletteController
from napari_c2f.layers.convert import TABLE_KEY
from napari_c2f.layers.session import Session
from napari_c2f.project.open_image import OpenImage
from napari_c2f.refine.controller import RefineController

SIZE = (20, 30)
GROUND, DISK, NOTHING = SHAPES.classes[0], SHAPES.classes[1], SHAPES.unlabelled.index
BOX = np.array([(3.5, 5.5), (3.5, 20.5), (12.5, 20.5), (12.5, 5.5)])


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def opened(qtbot, viewer):
    """An image of a project in the viewer; the lower half of its map is drawn."""
    coarse = np.full(SIZE, NOTHING, np.uint8)
    coarse[10:] = GROUND.index
    record = ImageRecord(name="one", image="one.png", size=SIZE)
    work = Work(record, SHAPES, coarse)
    image = OpenImage(viewer, Session.of(viewer), work, np.zeros(SIZE, np.uint8))
    for _ in image.show(work):
        pass
    return image


@pytest.fixture
def palette(qtbot, viewer):
    controller = PaletteController(viewer, Session.of(viewer))
    yield controller
    controller.close()


@pytest.fixture
def refining(qtbot, viewer):
    controller = RefineController(viewer, Session.of(viewer))
    yield controller
    controller.close()


@pytest.fixture
def map_file(tmp_path):
    """Write a map that is all of one class; return its path."""

    def write(entry=DISK, table=SHAPES, size=SIZE):
        write_map(tmp_path / "map.png", np.full(size, entry.index, np.uint8), table)
        return str(tmp_path / "map.png")

    return write


def draw_box(viewer, palette, image, entry=DISK, table=SHAPES):
    shapes = viewer.add_shapes([BOX], shape_type="polygon", features={"class": [entry.name]})
    palette.map_of_shapes(image, shapes, TableSelection(table))
    viewer.layers.remove(shapes)


def open_map(refining, path, image):
    refining.open_map(path, TableSelection(), image, lambda _: None)
    return refining.model.message


def maps(viewer):
    return [layer.name for layer in viewer.layers if not isinstance(layer, Image)]


def test_shapes_go_on_top_of_the_own_map_however_often(viewer, opened, palette):
    opened.coarse.mode, opened.coarse.visible = "paint", False
    events = []
    opened.changed.connect(lambda: events.append("changed"))
    draw_box(viewer, palette, opened.image)
    draw_box(viewer, palette, opened.image, GROUND)
    draw_box(viewer, palette, opened.image)
    assert maps(viewer) == ["one coarse"]
    assert "in 'one coarse'" in palette.model.message
    assert (opened.coarse.data[4:12, 6:20] == DISK.index).all()
    assert (opened.coarse.data[15:] == GROUND.index).all()
    assert (opened.coarse.data[:3] == NOTHING).all()
    assert viewer.layers.selection.active is opened.coarse
    assert opened.coarse.visible
    assert events
    assert opened.painted == 0
    opened.coarse.undo()
    assert (opened.coarse.data[4:12, 6:20] == GROUND.index).all()


def test_shapes_of_the_eraser_erase_in_the_own_map(viewer, opened, palette):
    draw_box(viewer, palette, opened.image)
    palette.follow(opened.coarse)
    shapes = viewer.add_shapes([BOX], shape_type="polygon")
    shapes.selected_data = {0}
    palette.choose(NOTHING)
    palette.map_of_shapes(opened.image, shapes, TableSelection(SHAPES))
    assert "Drew 1 shape in 'one coarse'" in palette.model.message
    assert (opened.coarse.data[4:12, 6:20] == NOTHING).all()
    assert (opened.coarse.data[15:] == GROUND.index).all()
    opened.coarse.undo()
    assert (opened.coarse.data[4:12, 6:20] == DISK.index).all()


def test_shapes_are_drawn_in_the_classes_of_the_own_map(viewer, opened, palette):
    moved = [entry.model_copy(update={"index": entry.index + 10}) for entry in SHAPES.classes]
    draw_box(viewer, palette, opened.image, DISK, SHAPES.model_copy(update={"classes": moved}))
    assert (opened.coarse.data[4:12, 6:20] == DISK.index).all()
    other, before = with_class(SHAPES), opened.coarse.data.copy()
    draw_box(viewer, palette, opened.image, other.classes[-1], other)
    assert f"no class '{other.classes[-1].name}'; add it" in palette.model.message
    np.testing.assert_array_equal(opened.coarse.data, before)


def test_an_opened_map_takes_the_place_of_what_was_drawn_until_that_is_undone(
    viewer, opened, refining, map_file
):
    before = opened.coarse.data.copy()
    tracker = Session.of(viewer).strokes
    tracker.follow(opened.coarse)
    message = open_map(refining, map_file(), opened.image)
    assert maps(viewer) == ["one coarse"]
    assert "Opened in 'one coarse'" in message
    assert (opened.coarse.data == DISK.index).all()
    assert all(stroke.refinable for stroke in tracker.strokes_of(opened.coarse))
    opened.coarse.undo()
    np.testing.assert_array_equal(opened.coarse.data, before)


def test_a_map_that_does_not_fit_leaves_the_own_map_unchanged(viewer, opened, refining, map_file):
    before = opened.coarse.data.copy()
    assert "open a map of this image" in open_map(refining, map_file(size=(5, 5)), opened.image)
    other = with_class(SHAPES)
    message = open_map(refining, map_file(other.classes[-1], other), opened.image)
    assert "add it in the Draw widget first" in message
    np.testing.assert_array_equal(opened.coarse.data, before)
    assert maps(viewer) == ["one coarse"]


def test_locked_classes_stay(viewer, opened, refining, map_file):
    Session.of(viewer).locks.lock(opened.coarse, GROUND.index)
    open_map(refining, map_file(), opened.image)
    assert (opened.coarse.data[:10] == DISK.index).all()
    assert (opened.coarse.data[10:] == GROUND.index).all()


@pytest.mark.parametrize("widget", ["palette", "refining"])
def test_a_new_map_of_the_image_is_its_own(viewer, opened, request, widget):
    controller = request.getfixturevalue(widget)
    viewer.layers.selection.active, opened.coarse.visible = opened.image, False
    controller.new_map(opened.image, TableSelection(SHAPES))
    assert maps(viewer) == ["one coarse"]
    assert viewer.layers.selection.active is opened.coarse
    assert opened.coarse.visible
    assert "the project saves" in controller.model.message


def test_other_images_get_separate_maps(viewer, opened, palette, refining, map_file):
    other = viewer.add_image(np.zeros(SIZE, np.uint8), name="other")
    palette.new_map(other, TableSelection(SHAPES))
    open_map(refining, map_file(), other)
    draw_box(viewer, palette, other)
    assert maps(viewer) == ["one coarse", "other coarse", "map", "other coarse 2"]
    assert viewer.layers["map"].metadata[TABLE_KEY] == SHAPES


def test_an_image_that_was_left_has_no_own_map(viewer, opened):
    assert Session.of(viewer).lineage.project_map(viewer.layers, opened.image) is opened.coarse
    opened.release()
    assert Session.of(viewer).lineage.project_map(viewer.layers, opened.image) is None
