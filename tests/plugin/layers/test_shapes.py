"""A Shapes layer becomes a coarse map."""

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels, Shapes

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, ImageError
from c2f_core.geometry.shapes import Area, LineStroke
from napari_c2f.layers.shapes import coarse_of_shapes, labelled_shapes, set_class

FASSEG = ClassTable.preset("fasseg")
SIZE = (20, 30)
BOX = np.array([(1.5, 2.5), (1.5, 8.5), (5.5, 8.5), (5.5, 2.5)])


def picture(**spatial):
    return Image(np.zeros(SIZE), name="photo", **spatial)


def test_polygons_rectangles_ellipses_and_strokes_with_one_class_each():
    names = ["background", "skin", "hair", "eyes"]
    layer = Shapes(
        [
            BOX * 3,
            BOX,
            np.array([(10, 10), (10, 20), (18, 20), (18, 10)]),
            np.array([(8, 1), (8, 26)]),
        ],
        shape_type=["polygon", "rectangle", "ellipse", "path"],
        edge_width=[1, 1, 1, 3],
        features=pd.DataFrame({"class": names}),
    )
    index_map, report = coarse_of_shapes(layer, picture(), FASSEG)
    assert report.message() == ""
    assert (index_map[2:6, 3:9] == FASSEG.classes[2].index).all()
    assert (index_map[7:10, 2:26] == FASSEG.classes[3].index).all()
    assert index_map[14, 15] == FASSEG.classes[1].index
    assert index_map[11, 10] == FASSEG.classes[0].index
    assert index_map[19, 29] == FASSEG.unlabelled.index


def test_a_shape_in_front_lies_on_top():
    layer = Shapes([BOX, BOX], shape_type="polygon", features={"class": ["hair", "skin"]})
    assert coarse_of_shapes(layer, picture(), FASSEG)[0].max() == 255
    assert coarse_of_shapes(layer, picture(), FASSEG)[0][3, 5] == 2
    layer.z_index = [1, 0]
    assert coarse_of_shapes(layer, picture(), FASSEG)[0][3, 5] == 1


@pytest.mark.parametrize(
    "spatial",
    [
        {"scale": (0.5, 2)},
        {"translate": (100, -3)},
        {"rotate": 30, "scale": (3, 3)},
        {"affine": np.array([[0.5, 0.2, 7], [-0.3, 1, 1], [0, 0, 1]])},
    ],
)
def test_shapes_lie_where_they_are_seen(spatial):
    """Points of the world are the same in whatever pixels a layer counts."""
    image = picture(**spatial)
    seen = np.array([image.data_to_world(point) for point in BOX])
    kinds = ["polygon", "ellipse"]
    world = Shapes([seen, seen], shape_type=kinds, features={"class": ["hair", "skin"]})
    drawn, _ = coarse_of_shapes(world, image, FASSEG)
    plain = Shapes([BOX, BOX], shape_type=kinds, features={"class": ["hair", "skin"]})
    expected, _ = coarse_of_shapes(plain, picture(), FASSEG)
    np.testing.assert_array_equal(drawn, expected)
    moved = Shapes([BOX], shape_type="polygon", **spatial)
    (labelled,) = labelled_shapes(moved, image, "hair")
    np.testing.assert_allclose(labelled.shape.rings[0], BOX)


def test_the_width_of_a_stroke_is_measured_in_pixels_of_the_image():
    layer = Shapes([BOX[:2]], shape_type="path", edge_width=2, scale=(3, 3))
    (labelled,) = labelled_shapes(layer, picture(scale=(0.5, 0.5)), "hair")
    assert isinstance(labelled.shape, LineStroke)
    assert labelled.shape.width == pytest.approx(12)


def test_shapes_without_a_class_take_the_chosen_one():
    features = pd.DataFrame({"class": ["eyes", "", None]})
    layer = Shapes([BOX] * 3, shape_type="polygon", features=features)
    labels = [labelled.label for labelled in labelled_shapes(layer, picture(), "nose")]
    assert labels == ["eyes", "nose", "nose"]
    with pytest.raises(ClassTableError, match="Shape 2 of 'Shapes' has no class"):
        labelled_shapes(layer, picture())
    plain = Shapes([BOX], shape_type="polygon")
    assert [labelled.label for labelled in labelled_shapes(plain, picture(), "nose")] == ["nose"]
    with pytest.raises(ClassTableError, match="'tail', which 'fasseg' does not have"):
        coarse_of_shapes(plain, picture(), FASSEG, "tail")


@pytest.mark.parametrize("given", [pd.Categorical(["hair"]), [7]])
def test_shapes_with_other_classes_take_the_chosen_one(given):
    layer = Shapes([BOX], shape_type="polygon", features=pd.DataFrame({"class": given}))
    layer.selected_data = {0}
    set_class(layer, FASSEG.classes[2])
    assert coarse_of_shapes(layer, picture(), FASSEG)[0].flat[3 * SIZE[1] + 5] == 2


def test_an_empty_layer_is_an_unlabelled_map():
    index_map, report = coarse_of_shapes(Shapes(ndim=2), picture(), FASSEG)
    assert (index_map == 255).all()
    assert report.message() == ""


def test_stacks_are_refused():
    stack = Labels(np.zeros((2, *SIZE), dtype=int), name="stack")
    layer = Shapes([BOX], shape_type="polygon")
    with pytest.raises(ImageError, match="'stack' is a stack"):
        labelled_shapes(layer, stack, "hair")
    with pytest.raises(ImageError, match="'Shapes' is a stack"):
        labelled_shapes(Shapes(ndim=3), picture(), "hair")


def test_napari_draws_the_same_polygon():
    layer = Shapes([BOX * 2.03 + 0.11], shape_type="polygon")
    (labelled,) = labelled_shapes(layer, picture(), "hair")
    assert isinstance(labelled.shape, Area)
    mask = np.zeros(SIZE, dtype=bool)
    window, covered = labelled.shape.cover(SIZE)
    mask[window] = covered
    np.testing.assert_array_equal(mask, layer.to_masks(SIZE)[0])
