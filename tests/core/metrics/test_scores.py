"""Scores against hand-computed cases, scikit-image and their invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import dilation, disk, erosion, footprint_rectangle

from c2f_core.geometry.arrays import boundary_pixels
from c2f_core.metrics.scores import (
    boundary_iou,
    class_accuracy,
    confusion_matrix,
    intersection_over_union,
    mean_boundary_accuracy,
    mean_iou,
    mean_scores,
    pixel_accuracy,
    score_pair,
    trimap_accuracy,
)

CLASSES = 3
FINE = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], dtype=np.uint8)
PREDICTED = np.array([[0, 1, 1, 1], [0, 255, 0, 0]], dtype=np.uint8)


def blobs(seed: int, size: tuple[int, int] = (60, 48)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, CLASSES, (6, 6), dtype=np.uint8)
    return np.kron(coarse, np.ones((10, 8), dtype=np.uint8))[: size[0], : size[1]]


def maps(elements: st.SearchStrategy[int]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.uint8, (7, 9), elements=elements)


positions = st.sampled_from([0, 1, 2, 255])


def test_confusion_by_hand() -> None:
    confusion = confusion_matrix(PREDICTED, FINE, CLASSES)
    np.testing.assert_array_equal(confusion, [[2, 1, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]])
    assert pixel_accuracy(confusion) == pytest.approx(4 / 7)
    np.testing.assert_allclose(class_accuracy(confusion), [2 / 4, 2 / 3, np.nan])
    np.testing.assert_allclose(intersection_over_union(confusion), [2 / 5, 2 / 4, np.nan])
    assert mean_iou(confusion) == pytest.approx(0.45)


def test_class_in_the_prediction_only_counts_as_zero() -> None:
    predicted = np.where(PREDICTED == 255, 2, PREDICTED).astype(np.uint8)
    assert intersection_over_union(confusion_matrix(predicted, FINE, CLASSES))[2] == 0


def test_trimap_by_hand() -> None:
    fine = np.repeat(np.uint8([[0, 0, 0, 0, 1, 1, 1, 1]]), 3, axis=0)
    predicted = np.repeat(np.uint8([[0, 0, 0, 1, 1, 1, 1, 0]]), 3, axis=0)
    found = trimap_accuracy(predicted, fine, (1, 3, 5))
    assert found == pytest.approx({1: 1 / 2, 3: 5 / 6, 5: 6 / 8})


def test_without_boundaries_there_is_no_boundary_score() -> None:
    plain = np.zeros((5, 5), dtype=np.uint8)
    assert np.isnan(trimap_accuracy(plain, plain)[1])
    assert np.isnan(mean_boundary_accuracy(plain, plain, CLASSES))


@pytest.mark.parametrize("width", [1, 2])
def test_trimap_band_is_a_dilated_boundary(width: int) -> None:
    fine, predicted = blobs(1), blobs(2)
    band = dilation(boundary_pixels(fine), disk(width - 1)) if width > 1 else boundary_pixels(fine)
    if width == 2:  # distances below 2 reach the diagonal neighbours too
        band = dilation(boundary_pixels(fine), footprint_rectangle((3, 3)))
    expected = (fine == predicted)[band].mean()
    assert trimap_accuracy(predicted, fine, (width,))[width] == pytest.approx(expected)


def test_boundary_iou_is_that_of_morphology() -> None:
    fine, predicted = blobs(3), blobs(4)
    width = round(0.02 * float(np.hypot(*fine.shape)))
    square = footprint_rectangle((2 * width + 1,) * 2)
    expected = []
    for position in range(CLASSES):
        rims = []
        for mask in (fine == position, predicted == position):
            padded = np.pad(mask, width)
            rims.append((padded & ~erosion(padded, square))[width:-width, width:-width])
        expected.append((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())
    assert boundary_iou(predicted, fine, CLASSES) == pytest.approx(np.mean(expected))


def test_boundary_accuracy_counts_each_class_alike() -> None:
    fine = np.repeat(np.uint8([[0, 0, 0, 1, 1, 1]]), 4, axis=0)
    predicted = np.repeat(np.uint8([[0, 0, 0, 0, 1, 1]]), 4, axis=0)
    assert mean_boundary_accuracy(predicted, fine, CLASSES) == pytest.approx(1 / 2)


def test_damage_and_gain_by_hand() -> None:
    fine = np.uint8([[0, 0, 1, 1, 255]])
    coarse = np.uint8([[0, 255, 0, 1, 0]])
    predicted = np.uint8([[1, 0, 1, 1, 1]])
    scores = score_pair(predicted, coarse, fine, CLASSES)
    assert (scores.damage, scores.gain, scores.worse) == (1 / 4, 2 / 4, False)


@given(maps(positions), maps(positions), maps(positions))
def test_scores_obey_their_invariants(predicted, coarse, fine) -> None:
    scores = score_pair(predicted, coarse, fine, CLASSES)
    known = [scores.pixel_accuracy, scores.mean_iou, scores.boundary_iou, *scores.trimap.values()]
    known += [scores.mean_boundary_accuracy, scores.damage, scores.gain]
    assert all(np.isnan(value) or 0 <= value <= 1 for value in known)
    assert scores.confusion.sum() == (fine != 255).sum()
    if (fine != 255).any():
        reference = score_pair(coarse, coarse, fine, CLASSES)
        assert reference.damage == reference.gain == 0
        change = scores.pixel_accuracy - reference.pixel_accuracy
        assert scores.gain - scores.damage == pytest.approx(change)


@given(maps(st.integers(0, 2)))
def test_a_perfect_prediction_scores_one(fine) -> None:
    scores = score_pair(fine, fine, fine, CLASSES)
    assert scores.pixel_accuracy == scores.mean_iou == scores.boundary_iou == 1


def test_means_pool_regions_and_average_pixels() -> None:
    small, large = np.zeros((1, 2), np.uint8), np.zeros((1, 8), np.uint8)
    wrong = score_pair(small + np.uint8(1), small, small, CLASSES)
    right = score_pair(large, large, large, CLASSES)
    means = mean_scores([wrong, right], ["a", "b", "c"])
    assert means["pixel accuracy"] == 1 / 2
    assert means["IoU a"] == 8 / 10
    assert means["mIoU"] == pytest.approx((8 / 10 + 0) / 2)
    assert means["images made worse"] == 1
    assert np.isnan(means["IoU c"])
