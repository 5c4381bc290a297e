"""The controller of the palette, without a window."""

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from c2f_core.classes.table import ClassTable
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.controller import PaletteController
from napari_c2f.layers.session import Session

FASSEG = ClassTable.preset("fasseg")
HAIR, NOTHING = 1, 255
BOX = np.array([(3.5, 5.5), (3.5, 20.5), (12.5, 20.5), (12.5, 5.5)])


@pytest.fixture
def controller(qtbot):
    controller = PaletteController(ViewerModel(), Session())
    yield controller
    controller.close()


@pytest.fixture
def draw(controller):
    """Draw a box of hair on an image of the viewer; return the map that it went into."""

    def make(image, box=BOX):
        viewer = controller._viewer
        shapes = viewer.add_shapes([box], shape_type="polygon", features={"class": ["hair"]})
        controller.map_of_shapes(image, shapes, TableSelection(FASSEG))
        return viewer.layers.selection.active

    return make


def test_no_part_of_a_lazy_image_is_loaded_to_draw_shapes_on_it(controller, draw):
    loaded = []

    def load(block):
        loaded.append(block.shape)
        return block

    chunks = da.zeros((64, 96), np.uint8, chunks=32)
    lazy = da.map_blocks(load, chunks, dtype=np.uint8, meta=np.zeros((0, 0), np.uint8))
    image = controller._viewer.add_image(lazy, contrast_limits=(0, 255))
    controller.new_map(image, TableSelection(FASSEG))
    empty = controller._viewer.layers[-1]
    controller.follow(empty)
    loaded.clear()
    drawn = draw(image)
    assert drawn is empty
    assert (drawn.data[4:12, 6:20] == HAIR).all()
    assert loaded == []


def test_shapes_are_drawn_on_the_finest_level_of_a_pyramid(controller, draw):
    levels = [np.zeros((64, 96, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)]
    image = controller._viewer.add_image(levels, multiscale=True, rgb=True, scale=(2, 2))
    drawn = draw(image, BOX * 2)
    assert isinstance(drawn, Labels)
    assert drawn.data.shape == (64, 96)
    assert (drawn.data[5:12, 7:20] == HAIR).all()
    assert drawn.data[20, 30] == NOTHING
    np.testing.assert_array_equal(drawn.scale, image.scale)


def test_shapes_are_not_drawn_on_a_stack(controller, draw):
    draw(controller._viewer.add_image(np.zeros((2, 64, 96)), name="Image"))
    assert "'Image' is a stack; choose a two-dimensional layer." in controller.model.message
