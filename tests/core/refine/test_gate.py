"""The gate keeps changes that the image supports and takes back those that it does not."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.refine.changes import FEATURES, find_changes
from c2f_core.refine.gate import expected_gains, keep_gains

Array = NDArray[np.uint8]
SIZE = 160


@pytest.fixture
def scene() -> tuple[Array, Array, Array]:
    """Return a picture of a disk, a square drawn over it, and the true disk."""
    fine = np.zeros((SIZE, SIZE), np.uint8)
    fine[disk((80, 80), 45)] = 1
    coarse = np.zeros_like(fine)
    coarse[38:122, 40:124] = 1
    colours = np.array([[50, 110, 60], [190, 120, 90]])
    noise = np.random.default_rng(0).normal(0, 8, (SIZE, SIZE, 3))
    return np.clip(colours[fine] + noise, 0, 255).astype(np.uint8), coarse, fine


def _sure(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.full(shape, 0.95, np.float32)


def test_changes_to_the_boundary_of_the_image_stay(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    kept, confidence = keep_gains(rgb, coarse, fine, _sure(fine.shape))
    assert (kept != fine).mean() < 0.01
    assert (confidence >= 0.9).mean() > 0.99


@pytest.mark.parametrize("care", ["careful", "balanced"])
def test_a_planted_bad_change_is_taken_back(scene: tuple[Array, Array, Array], care: str) -> None:
    rgb, _, fine = scene
    planted = fine.copy()
    planted[70:90, 60:80] = 0  # A hole in the middle of a uniform disk.
    kept, confidence = keep_gains(rgb, fine, planted, _sure(fine.shape), care)
    np.testing.assert_array_equal(kept, fine)
    assert (confidence[70:90, 60:80] <= 0.5).all()


def test_the_model_alone_decides_on_demand(scene: tuple[Array, Array, Array]) -> None:
    rgb, _, fine = scene
    planted = fine.copy()
    planted[70:90, 60:80] = 0
    kept, _ = keep_gains(rgb, fine, planted, _sure(fine.shape), "model")
    np.testing.assert_array_equal(kept, planted)


def test_unlabelled_pixels_stay_filled(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    coarse[:, 60:100] = UNLABELLED_ID
    wrong = np.where(coarse == UNLABELLED_ID, 1 - fine, coarse).astype(np.uint8)
    kept, _ = keep_gains(rgb, coarse, wrong, _sure(fine.shape))
    assert (kept != UNLABELLED_ID).all()


def test_nothing_changed_means_nothing_to_judge(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, _ = scene
    changes = find_changes(rgb, coarse, coarse, _sure(coarse.shape))
    assert changes.features.shape == (0, len(FEATURES))
    kept, _ = keep_gains(rgb, coarse, coarse, _sure(coarse.shape))
    np.testing.assert_array_equal(kept, coarse)


def test_the_better_change_is_expected_to_gain_more(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    good = find_changes(rgb, coarse, fine, _sure(fine.shape))
    planted = fine.copy()
    planted[70:90, 60:80] = 0
    bad = find_changes(rgb, fine, planted, _sure(fine.shape))
    large = good.sizes > 20
    assert expected_gains(good.features)[large].min() > expected_gains(bad.features).max()


def test_a_calibrated_confidence_decides_by_itself(scene: tuple[Array, Array, Array]) -> None:
    rgb, _, fine = scene
    planted = fine.copy()
    planted[70:90, 60:80] = 0
    sure, unsure = _sure(fine.shape), _sure(fine.shape)
    unsure[70:90, 60:80] = 0.52
    kept, _ = keep_gains(rgb, fine, planted, sure, confidence_weight=1.0)
    np.testing.assert_array_equal(kept, planted)
    kept, _ = keep_gains(rgb, fine, planted, unsure, confidence_weight=1.0)
    np.testing.assert_array_equal(kept, fine)


def test_half_the_weight_needs_both_look_and_confidence(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    planted = fine.copy()
    planted[70:90, 60:80] = 0
    kept, _ = keep_gains(rgb, fine, planted, _sure(fine.shape) * 0 + 0.6, confidence_weight=0.5)
    np.testing.assert_array_equal(kept, fine)
    kept, _ = keep_gains(rgb, coarse, fine, _sure(fine.shape), confidence_weight=0.5)
    assert (kept == fine).mean() > (coarse == fine).mean()


def test_far_from_the_coarse_boundary_a_change_has_to_be_surer() -> None:
    rgb = np.full((200, 200, 3), 120, np.uint8)
    coarse = np.zeros((200, 200), np.uint8)
    coarse[:20] = 1
    near, far = coarse.copy(), coarse.copy()
    near[20:26, 40:60] = 1
    far[150:156, 40:60] = 1
    for changed, confidence, is_kept in (
        (near, 0.75, True),
        (far, 0.75, False),
        (far, 0.999, True),
    ):
        level = np.full(coarse.shape, confidence, np.float32)
        kept, _ = keep_gains(rgb, coarse, changed, level, confidence_weight=1.0)
        np.testing.assert_array_equal(kept, changed if is_kept else coarse)


def test_a_map_that_hardly_changes_is_nearly_fine_and_a_change_has_to_be_surer() -> None:
    rgb = np.full((200, 200, 3), 120, np.uint8)
    coarse = np.zeros((200, 200), np.uint8)
    coarse[:100] = 1
    changed = coarse.copy()
    changed[100:103, 40:120] = 1  # 240 pixels along a boundary of 200.
    for usual, confidence, is_kept in (
        (None, 0.75, True),
        (1.2, 0.75, True),
        (6.0, 0.75, False),
        (6.0, 0.999, True),
    ):
        level = np.full(coarse.shape, confidence, np.float32)
        kept, _ = keep_gains(
            rgb, coarse, changed, level, confidence_weight=1.0, usual_displacement=usual
        )
        np.testing.assert_array_equal(kept, changed if is_kept else coarse)
