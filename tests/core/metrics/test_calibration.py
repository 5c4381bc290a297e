"""Temperature scaling finds a known temperature; its measure matches hand-made cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from c2f_core.errors import DataError
from c2f_core.metrics.calibration import (
    TEMPERATURE_RANGE,
    expected_calibration_error,
    fit_temperature,
)


def drawn_from(logits: np.ndarray, seed: int) -> np.ndarray:
    """Draw a class for each row from the softmax of its logits."""
    probabilities = softmax(logits, axis=1)
    thresholds = np.random.default_rng(seed).random((len(logits), 1))
    return np.minimum((probabilities.cumsum(axis=1) < thresholds).sum(axis=1), 3)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_known_temperature_is_found(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(scale=2, size=(20000, 4))
    positions = drawn_from(logits, seed=1)
    assert fit_temperature(logits * temperature, positions) == pytest.approx(temperature, rel=0.04)


def test_fitting_lowers_the_calibration_error() -> None:
    logits = np.random.default_rng(2).normal(scale=2, size=(20000, 4))
    positions = drawn_from(logits, seed=3)
    overconfident = logits * 4

    def error(temperature: float) -> float:
        probabilities = softmax(overconfident / temperature, axis=1)
        return expected_calibration_error(
            probabilities.max(axis=1), probabilities.argmax(axis=1) == positions
        )

    assert error(1.0) > 0.15
    assert error(fit_temperature(overconfident, positions)) < 0.02


def test_unlabelled_pixels_do_not_count() -> None:
    logits = np.random.default_rng(4).normal(scale=2, size=(500, 4)).astype(np.float32)
    positions = drawn_from(logits, seed=5).astype(np.uint8)
    more_logits = np.concatenate([logits, np.full((200, 4), 7, dtype=np.float32)])
    more_positions = np.concatenate([positions, np.full(200, 255, dtype=np.uint8)])
    assert fit_temperature(more_logits, more_positions) == fit_temperature(logits, positions)


def test_perfect_logits_stay_in_the_range() -> None:
    logits = np.eye(3)[[0, 1, 2, 0]] * 5
    coldest, hottest = TEMPERATURE_RANGE
    assert coldest <= fit_temperature(logits, np.array([0, 1, 2, 0])) < 0.1
    assert 1 < fit_temperature(logits, np.array([1, 2, 0, 1])) <= hottest


@pytest.mark.parametrize(
    ("logits", "positions", "message"),
    [
        (np.zeros((3, 2)), np.full(3, 255), "No pixel is labelled"),
        (np.zeros((3, 2)), np.zeros(4, dtype=int), "do not fit"),
        (np.full((3, 2), np.nan), np.zeros(3, dtype=int), "not finite"),
    ],
)
def test_unusable_data_is_refused(logits: np.ndarray, positions: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_temperature(logits, positions)


def test_calibration_error_of_a_hand_made_case() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    # Two of fifteen bins: |0.75 - 0.95| for four pixels, |0.5 - 0.55| for two.
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.8 + 0.1) / 6)


def test_calibration_error_at_the_ends() -> None:
    assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0
    assert expected_calibration_error(np.zeros(4), np.ones(4, dtype=bool)) == 1
    assert expected_calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0
    with pytest.raises(DataError, match="do not fit"):
        expected_calibration_error(np.ones(3), np.ones(2, dtype=bool))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 30))
def test_calibration_error_is_bounded(pixels: list[tuple[float, bool]], bins: int) -> None:
    confidence, correct = map(np.array, zip(*pixels, strict=True))
    error = expected_calibration_error(confidence, correct, bins)
    assert 0 <= error <= 1
    assert error >= abs(float(np.mean(correct) - np.mean(confidence))) - 1e-9
