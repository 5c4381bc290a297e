"""The decision on each region is read from the final map."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.classes.table import ClassTable
from c2f_core.review.decisions import Decision, changed_pixels
from c2f_core.review.regions import Review, review_changes

TABLE = ClassTable.preset("fasseg")


def drawn(seed: int, size=(12, 15)) -> Review:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 3, size, dtype=np.uint8)
    refined = np.where(random.random(size) < 0.7, coarse, random.integers(0, 3, size)).astype("u1")
    return review_changes(coarse, refined, random.random(size), TABLE)


@given(st.integers(0, 2**20), st.randoms(use_true_random=False))
def test_decisions_are_those_that_made_the_final_map(seed: int, random) -> None:
    review = drawn(seed)
    picked = [random.choice(list(Decision)[:3]) for _ in review.regions]
    accepted = [
        region
        for region, each in zip(review.regions, picked, strict=True)
        if each is Decision.ACCEPTED
    ]
    rejected = [number for number, each in enumerate(picked, 1) if each is Decision.REJECTED]
    pixels, final = changed_pixels(review), review.accept(accepted).final_map()
    assert pixels.decisions(final, rejected).tolist() == picked


def test_pixels_are_listed_by_region() -> None:
    review = drawn(1)
    pixels = changed_pixels(review)
    for region in review.regions:
        indices = pixels.flat_indices[pixels.of([region.number])]
        np.testing.assert_array_equal(indices, np.flatnonzero(review.numbers == region.number))
    both = pixels.of([3, 1])
    assert set(review.numbers.ravel()[pixels.flat_indices[both]].tolist()) == {1, 3}
    np.testing.assert_array_equal(pixels.coarse, review.coarse.ravel()[pixels.flat_indices])
    np.testing.assert_array_equal(pixels.refined, review.refined.ravel()[pixels.flat_indices])


def test_a_region_that_was_painted_is_edited_until_it_is_as_one_of_the_maps() -> None:
    coarse, refined = np.zeros((2, 9, 9), np.uint8)
    refined[2:5, 2:5] = 1
    review = review_changes(coarse, refined, np.ones(coarse.shape), TABLE)
    pixels, final = changed_pixels(review), coarse.copy()

    def decision(*rejected: int) -> Decision:
        return Decision(pixels.decisions(final, rejected)[0])

    final[2, 2] = 1
    assert decision() is decision(1) is Decision.EDITED
    final[2:5, 2:5] = 2
    assert decision() is Decision.EDITED
    final[2:5, 2:5] = 1
    assert decision(1) is Decision.ACCEPTED
    final[:] = 0
    assert (decision(), decision(1)) == (Decision.UNDECIDED, Decision.REJECTED)
    final[8, 8] = 2  # Pixels outside all regions do not count.
    assert decision() is Decision.UNDECIDED


def test_nothing_changed_leaves_nothing_to_decide() -> None:
    same = np.zeros((5, 5), np.uint8)
    review = review_changes(same, same, np.ones(same.shape), TABLE)
    assert changed_pixels(review).decisions(same, ()).tolist() == []


def test_regions_are_known_again_when_confidences_are_rounded() -> None:
    review = drawn(1)
    pixels = changed_pixels(review)
    assert len(set(pixels.keys)) == len(review.regions)
    again = changed_pixels(
        review_changes(review.coarse, review.refined, np.full(review.coarse.shape, 0.5), TABLE)
    )
    assert set(again.keys) == set(pixels.keys)
    assert again.keys != pixels.keys  # Their order differs.
    some = {pixels.keys[2], pixels.keys[0], (999, 1, 1)}
    assert pixels.numbers_of(some) == [1, 3]
    for number in again.numbers_of(some):
        indices = pixels.flat_indices[pixels.of(pixels.numbers_of({again.keys[number - 1]}))]
        np.testing.assert_array_equal(again.flat_indices[again.of([number])], indices)
