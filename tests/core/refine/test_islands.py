"""Small regions that the coarse map does not have are dissolved."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.refine.islands import dissolve_islands


def test_islands_take_the_class_around_them() -> None:
    coarse = np.zeros((20, 20), np.uint8)
    fine = coarse.copy()
    fine[5, 5] = 1
    fine[10:12, 10:13] = 2
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 10), coarse)
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 2), np.where(fine == 1, 0, fine))


def test_small_things_that_were_drawn_stay() -> None:
    coarse = np.zeros((20, 20), np.uint8)
    coarse[5:7, 5:7] = 1
    fine = coarse.copy()
    fine[5:7, 7] = 1
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 16), fine)


def test_what_is_left_of_a_large_region_is_an_island() -> None:
    coarse = np.zeros((30, 30), np.uint8)
    coarse[5:25, 5:25] = 1
    fine = np.zeros_like(coarse)
    fine[10:12, 10:12] = 1
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 16), np.zeros_like(coarse))


def test_a_map_of_islands_only_is_unchanged() -> None:
    fine = np.indices((8, 8)).sum(axis=0).astype(np.uint8) % 2
    coarse = np.full_like(fine, UNLABELLED_ID)
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 100), fine)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_classes_are_those_of_the_map(seed: int, smallest: int) -> None:
    rng = np.random.default_rng(seed)
    coarse, fine = rng.choice([0, 1, 2, UNLABELLED_ID], (2, 15, 17)).astype(np.uint8)
    cleaned = dissolve_islands(coarse, fine, smallest)
    assert set(np.unique(cleaned)) <= set(np.unique(fine))
    np.testing.assert_array_equal(cleaned == UNLABELLED_ID, fine == UNLABELLED_ID)
