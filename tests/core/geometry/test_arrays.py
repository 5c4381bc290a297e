"""Boundaries of maps, against scikit-image."""

import numpy as np
from skimage.segmentation import find_boundaries

from c2f_core.geometry.arrays import boundary_pixels, displacement


def test_unlabelled_pixels_make_no_boundary() -> None:
    assert not boundary_pixels(np.uint8([[0, 0, 255, 1, 1]])).any()


def test_boundary_pixels_are_those_of_scikit_image() -> None:
    coarse = np.random.default_rng(1).integers(0, 3, (6, 6), dtype=np.uint8)
    fine = np.kron(coarse, np.ones((10, 8), dtype=np.uint8))
    np.testing.assert_array_equal(
        boundary_pixels(fine), find_boundaries(fine, connectivity=1, mode="thick")
    )


def test_the_displacement_of_a_moved_boundary_is_its_distance() -> None:
    first, second = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    first[:20], second[:23] = 1, 1
    assert displacement(first, second, 255) == 3
    second[:, :10] = 255
    assert displacement(first, second, 255) == 3 * 40 / 50
    assert displacement(np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8), 255) == 0
