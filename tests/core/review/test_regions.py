"""Reviewing changes region by region, and where to look next."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, ImageError
from c2f_core.geometry.arrays import whole
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within
from c2f_core.review.regions import Review, doubtful_regions, review_changes

TABLE = ClassTable.preset("fasseg")
UNLABELLED = TABLE.unlabelled.index


def drawn(size, seed, alike=0.7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a coarse map, one that differs from it here and there, and a confidence."""
    random = np.random.default_rng(seed)
    coarse = random.choice([0, 1, 2, UNLABELLED], size).astype(np.uint8)
    other = random.integers(0, 3, size, dtype=np.uint8)
    refined = np.where(random.random(size) < alike, coarse, other)
    return coarse, refined, random.random(size).astype(np.float32)


@st.composite
def reviews(draw) -> Review:
    size = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    alike = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    return review_changes(*drawn(size, draw(st.integers(0, 2**20)), alike), TABLE)


@given(reviews())
def test_regions_partition_the_changed_pixels(review: Review) -> None:
    covered = np.zeros(review.coarse.shape, dtype=int)
    for region in review.regions:
        mask = review.numbers[region.window] == region.number
        covered[region.window] += mask
        assert mask.any(axis=1)[[0, -1]].all()  # The window is not larger than needed.
        assert mask.any(axis=0)[[0, -1]].all()
        assert mask.sum() == region.size
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
        names = TABLE.names_by_id
        for index_map, name in ((review.coarse, region.before), (review.refined, region.after)):
            positions = TABLE.to_class_ids(index_map[region.window][mask])
            assert {names[position] for position in positions.tolist()} == {name}
    np.testing.assert_array_equal(covered, review.coarse != review.refined)
    np.testing.assert_array_equal(review.numbers > 0, review.coarse != review.refined)
    assert [region.number for region in review.regions] == list(range(1, len(review.regions) + 1))


@given(reviews())
def test_neighbours_of_the_same_change_are_one_region(review: Review) -> None:
    numbers, pair = review.numbers, review.coarse.astype(int) * 256 + review.refined
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shifted = [np.roll(each, (-row, -column), (0, 1)) for each in (numbers, pair)]
        real = np.ones(numbers.shape, dtype=bool)
        real[len(real) - row :] = False
        real[:, -1 if column > 0 else 0] &= column == 0
        both = real & (numbers > 0) & (shifted[0] > 0) & (pair == shifted[1])
        np.testing.assert_array_equal(numbers[both], shifted[0][both])


@given(reviews(), st.randoms(use_true_random=False))
def test_final_map_is_the_coarse_one_with_what_was_accepted(review: Review, random) -> None:
    np.testing.assert_array_equal(review.final_map(), review.coarse)
    everything = review.accept(review.regions)
    np.testing.assert_array_equal(everything.final_map(), review.refined)
    some = [region for region in review.regions if random.random() < 0.5]
    accepted = review.accept(some)
    taken = np.isin(review.numbers, [region.number for region in some])
    np.testing.assert_array_equal(
        accepted.final_map(), np.where(taken, review.refined, review.coarse)
    )
    rest = [region for region in review.regions if region not in some]
    np.testing.assert_array_equal(accepted.accept(rest).final_map(), review.refined)
    assert review.accepted == frozenset()  # Accepting leaves the review itself unchanged.


def test_accepting_all_of_a_scope_is_the_map_refined_within_it() -> None:
    class Fixed(RefinerInterface):
        name, class_table = "fixed", TABLE

        def refine_ids(self, rgb, class_ids, monitor):
            return TABLE.to_class_ids(refined), confidence

        def receptive_window(self, _part, size, /):
            return whole(size)

    coarse, refined, confidence = drawn((30, 40), 0)
    image = np.zeros((30, 40), np.uint8)
    box = Scope(box=(slice(5, 20), slice(7, 30)), band=2, minimal_confidence=0.4)
    result = refine_within(Fixed(), image, coarse, box)
    expected = coarse.copy()
    expected[result.window] = result.labels
    review = review_changes(coarse, expected, confidence, TABLE)
    final = review.accept(review.regions).final_map()
    np.testing.assert_array_equal(final, expected)
    inner = review_changes(coarse[result.window], result.labels, result.confidence, TABLE)
    assert sum(region.size for region in inner.regions) == result.report.changed


def islands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a map with a small doubtful, a large doubtful and a large sure change."""
    coarse = np.zeros((20, 30), np.uint8)
    refined, confidence = coarse.copy(), np.full(coarse.shape, 0.9, np.float32)
    for window, index, sure in (
        ((slice(1, 3), slice(1, 3)), 1, 0.5),
        ((slice(6, 12), slice(2, 9)), 2, 0.5),
        ((slice(6, 12), slice(9, 16)), 1, 0.95),
    ):
        refined[window], confidence[window] = index, sure
    return coarse, refined, confidence


def test_doubt_times_size_decides_the_order() -> None:
    review = review_changes(*islands(), TABLE)
    large, sure, small = review.regions
    assert (large.before, large.after, large.size) == ("background", "skin", 42)
    assert large.window == (slice(6, 12), slice(2, 9))
    assert large.priority == pytest.approx(21)
    assert (sure.after, small.after) == ("hair", "hair")
    assert sure.priority == pytest.approx(42 * 0.05, abs=1e-5)
    assert small.priority == pytest.approx(2, abs=1e-5)


def test_region_of_another_review_is_refused() -> None:
    review = review_changes(*islands(), TABLE)
    coarse, refined, confidence = islands()
    other = review_changes(coarse, refined, confidence / 2, TABLE)
    with pytest.raises(ValueError, match="not of this review"):
        review.accept([other.regions[0]])


def test_unknown_confidence_is_full_doubt() -> None:
    coarse, refined, confidence = islands()
    confidence[:] = np.nan
    review = review_changes(coarse, refined, confidence, TABLE)
    assert [region.confidence for region in review.regions] == [0, 0, 0]
    assert doubtful_regions(confidence) == []


def test_maps_that_do_not_fit_are_refused() -> None:
    coarse, refined, confidence = islands()
    with pytest.raises(ImageError, match="choose those of one image"):
        review_changes(coarse, refined[1:], confidence, TABLE)
    with pytest.raises(ClassTableError, match="77"):
        review_changes(coarse, np.where(refined == 2, 77, refined), confidence, TABLE)


def test_doubtful_regions_are_found_in_unchanged_areas_too() -> None:
    confidence = islands()[2]
    confidence[15:18, 20:29] = 0.1
    first, second, third = doubtful_regions(confidence)
    assert first.window == (slice(15, 18), slice(20, 29))
    assert (first.number, first.size) == (1, 27)
    assert first.confidence == pytest.approx(0.1)
    assert (second.size, third.size) == (42, 4)
    looked_at = np.zeros(confidence.shape, dtype=bool)
    looked_at[14:, 18:] = True
    assert [region.size for region in doubtful_regions(confidence, ignore=looked_at)] == [42, 4]
    assert [region.size for region in doubtful_regions(confidence, 0.2)] == [27]


def test_many_regions_of_a_large_map_take_seconds() -> None:
    coarse, refined, confidence = drawn((1000, 1000), 0, alike=0.98)
    started = time.process_time()
    review = review_changes(coarse, refined, confidence, TABLE)
    doubtful = doubtful_regions(confidence, 0.02)
    final = review.accept(
        region for region in review.regions if region.confidence >= 0.5
    ).final_map()
    assert time.process_time() - started < 5
    assert min(len(review.regions), len(doubtful)) > 10_000
    assert (final != coarse).any()
