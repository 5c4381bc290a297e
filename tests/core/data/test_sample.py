"""The sample face and its two maps."""

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.filters import sobel

from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.geometry.arrays import boundary_pixels


def edge_strength(pair, class_ids):
    """Mean gradient of the photograph where a map has its boundaries."""
    return sobel(rgb2gray(pair.image))[boundary_pixels(class_ids)].mean()


@pytest.mark.parametrize("side", [256, 512])
def test_both_maps_hold_every_class_at_the_size_of_the_image(side):
    pair = astronaut_pair(side)
    assert pair.image.shape == (side, side, 3)
    for class_ids in (pair.coarse, pair.fine):
        assert class_ids.shape == (side, side)
        assert class_ids.dtype == np.uint8
        every = range(astronaut_class_table().number_of_classes)
        np.testing.assert_array_equal(np.unique(class_ids), every)


@pytest.mark.parametrize("side", [256, 512])
def test_coarse_and_fine_map_agree_as_much_as_those_of_real_data(side):
    pair = astronaut_pair(side)
    assert 0.85 < (pair.coarse == pair.fine).mean() < 0.97


def test_the_coarse_nose_is_less_than_half_of_the_fine_one():
    pair = astronaut_pair()
    nose = astronaut_class_table().names.index("nose")
    assert 0 < 2 * (pair.coarse == nose).sum() < (pair.fine == nose).sum()


def test_maps_grow_with_the_image():
    small, large = astronaut_pair(256), astronaut_pair(512)
    for first, second in ((small.coarse, large.coarse), (small.fine, large.fine)):
        assert (np.kron(first, np.ones((2, 2), np.uint8)) == second).mean() > 0.995


@pytest.mark.parametrize("side", [256, 512])
def test_fine_boundaries_lie_on_the_edges_of_the_photograph(side):
    pair = astronaut_pair(side)
    strength = edge_strength(pair, pair.fine)
    assert strength > 2 * edge_strength(pair, pair.coarse)
    for axis in (0, 1):
        for shift in (-1, 1):
            assert strength > edge_strength(pair, np.roll(pair.fine, shift, axis))
