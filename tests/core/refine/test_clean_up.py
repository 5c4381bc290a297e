"""Specks, holes and spurs that the coarse map does not have are removed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.refine.clean_up import clean_up, dissolve_islands, fill_holes, remove_spurs


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


def test_all_that_is_left_of_a_small_drawn_region_stays() -> None:
    coarse = np.zeros((30, 30), np.uint8)
    coarse[5:12, 5:12] = 1  # Less than four times the smallest region.
    fine = np.zeros_like(coarse)
    fine[8:10, 8:10] = 1
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 16), fine)
    smooth = fine.copy()
    fine[5:12, 9:12] = smooth[5:12, 9:12] = 1  # There is more left, so this is a speck.
    fine[8:10, 8] = smooth[8:10, 8] = 0
    fine[5, 5] = 1
    np.testing.assert_array_equal(dissolve_islands(coarse, fine, 16), smooth)


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


def test_holes_that_one_class_encloses_are_filled_unless_drawn() -> None:
    coarse = np.zeros((40, 40), np.uint8)
    coarse[5:35, 5:35] = 1
    fine = coarse.copy()
    fine[10:17, 10:17] = 0
    np.testing.assert_array_equal(fill_holes(coarse, fine, 64), coarse)
    np.testing.assert_array_equal(fill_holes(coarse, fine, 49), fine)
    coarse[10, 10] = 0  # Part of the hole was drawn.
    np.testing.assert_array_equal(fill_holes(coarse, fine, 64), fine)


def test_regions_between_classes_at_the_edge_or_unlabelled_are_no_holes() -> None:
    coarse = np.zeros((40, 40), np.uint8)
    coarse[:, 20:] = 1
    fine = coarse.copy()
    fine[10:14, 18:22] = 2  # Between two classes.
    fine[0:4, 5:9] = 2  # At the edge of the image.
    fine[30:33, 5:8] = UNLABELLED_ID
    np.testing.assert_array_equal(fill_holes(coarse, fine, 64), fine)


def test_comb_like_edges_become_smooth_and_thin_lines_stay() -> None:
    coarse = np.zeros((40, 60), np.uint8)
    coarse[:20] = 1
    fine = np.zeros_like(coarse)
    fine[:23] = 1
    smooth = fine.copy()
    fine[23, 5:25:2] = 1  # A comb.
    fine[25:38, 40] = 1  # A thin line, such as a whisker.
    smooth[25:38, 40] = 1
    cleaned = remove_spurs(coarse, fine, 5)
    assert (fine != smooth).sum() == 10
    np.testing.assert_array_equal(cleaned, smooth)


def test_edges_that_the_refiner_left_alone_stay_as_drawn() -> None:
    coarse = np.zeros((20, 40), np.uint8)
    coarse[:10] = 1
    coarse[10, ::2] = 1
    np.testing.assert_array_equal(clean_up(coarse, coarse.copy(), 16, 64, 5), coarse)


def test_spurs_that_were_drawn_stay_next_to_changes() -> None:
    coarse = np.zeros((20, 40), np.uint8)
    coarse[:10] = 1
    coarse[10, ::2] = 1
    fine = coarse.copy()
    fine[9:11, 21] = 2
    np.testing.assert_array_equal(remove_spurs(coarse, fine, 2)[:, ::2], fine[:, ::2])


@given(st.integers(0, 2**32 - 1))
def test_a_map_that_the_refiner_left_alone_is_unchanged(seed: int) -> None:
    coarse = np.random.default_rng(seed).choice([0, 1, 2, UNLABELLED_ID], (15, 17))
    coarse = coarse.astype(np.uint8)
    np.testing.assert_array_equal(clean_up(coarse, coarse, 16, 64, 5), coarse)


@given(st.integers(0, 2**32 - 1))
def test_cleaning_invents_no_class_and_labels_no_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse, fine = rng.choice([0, 1, 2, UNLABELLED_ID], (2, 15, 17)).astype(np.uint8)
    cleaned = clean_up(coarse, fine, 4, 6, 3)
    assert set(np.unique(cleaned)) <= set(np.unique(fine))
    np.testing.assert_array_equal(cleaned == UNLABELLED_ID, fine == UNLABELLED_ID)
