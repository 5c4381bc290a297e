"""Layers of one shape that lie elsewhere are refused wherever they are combined by pixel."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.layers.pairs import images_of_layers, pairs_of_layers
from napari_c2f.layers.planes import lie_alike
from napari_c2f.layers.session import Session
from napari_c2f.refine.request import check_layers
from napari_c2f.review.controller import ReviewController

FASSEG = ClassTable.preset("fasseg")
SIZE = 24, 36
ELSEWHERE = [
    {"translate": (0, 1)},
    {"translate": (-4, 0)},
    {"scale": (0.5, 0.5)},
    {"scale": (1, -1)},
    {"rotate": 90},
    {"rotate": 3},
    {"shear": [0.2]},
    {"affine": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]},
]


def make_map(labels=1, **placed):
    data, keywords, _ = labels_layer_data(np.full(SIZE, labels, np.uint8), FASSEG, "coarse")
    return Labels(data, **keywords, **placed)


@pytest.mark.parametrize("placed", ELSEWHERE, ids=str)
@pytest.mark.parametrize("moved", ["image", "map"])
def test_a_map_that_lies_elsewhere_is_refused(placed, moved):
    image = Image(np.zeros(SIZE), name="scene", **(placed if moved == "image" else {}))
    coarse = make_map(**(placed if moved == "map" else {}))
    assert not lie_alike(coarse, image)
    for combine in (
        lambda: check_layers(image, coarse),
        lambda: pairs_of_layers(image, coarse, None),
        lambda: pairs_of_layers(image, make_map(**placed) if moved == "image" else coarse, coarse),
        lambda: images_of_layers([image, coarse], FASSEG),
    ):
        with pytest.raises(ImageError, match="'coarse' does not lie on 'scene'"):
            combine()


@pytest.mark.parametrize("placed", ELSEWHERE, ids=str)
def test_a_map_with_the_same_placement_is_combined(placed):
    image, coarse = Image(np.zeros(SIZE), name="scene", **placed), make_map(**placed)
    assert check_layers(image, coarse) == (image, coarse)
    assert len(pairs_of_layers(image, coarse, coarse)[0]) == 1
    assert len(images_of_layers([image, coarse], FASSEG)) == 1


def test_differences_far_below_a_pixel_do_not_matter():
    image = Image(np.zeros(SIZE), scale=(0.1, 0.1), translate=(7.00001, 0))
    assert lie_alike(make_map(scale=(0.100001, 0.1), translate=(7, 0)), image)


def test_a_stack_with_other_slices_is_refused():
    image = Image(np.zeros((3, *SIZE)), name="scene", scale=(2, 1, 1))
    coarse = Labels(np.ones((3, *SIZE), np.uint8), name="coarse", scale=(4, 1, 1))
    with pytest.raises(ImageError, match="'coarse' does not lie on 'scene'"):
        check_layers(image, coarse)


@pytest.mark.parametrize("which", ["fine", "coarse", "confidence"])
def test_a_review_refuses_maps_that_lie_elsewhere(qapp, add_result, which):
    viewer = ViewerModel()
    fine, coarse, confidence = add_result(viewer)
    controller = ReviewController(viewer, Session.of(viewer))
    {"fine": fine, "coarse": coarse, "confidence": confidence}[which].translate = (0, 5)
    controller.begin(fine, coarse, confidence)
    assert "does not lie on" in controller.model.message
    assert not controller.model.busy
    controller.close()
