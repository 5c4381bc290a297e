"""Watershed and random walker: what they find, preserve and refuse."""

import numpy as np
import pytest
from skimage.segmentation import random_walker

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import Cancelled, ImageError
from c2f_core.refine import classical
from c2f_core.refine.classical import CLASSICAL_REFINERS, RandomWalkerRefiner, markers


@pytest.fixture(params=list(CLASSICAL_REFINERS))
def refiner(request: pytest.FixtureRequest):
    return CLASSICAL_REFINERS[request.param](SHAPES)


def square() -> tuple[np.ndarray, np.ndarray]:
    """Bright square, and a coarse map that misses its edges by three pixels."""
    image, coarse = np.zeros((64, 64), np.uint8), np.full((64, 64), 1, np.uint8)
    image[16:48, 16:48] = 200
    coarse[19:51, 19:51] = 2
    return image, coarse


def test_edges_of_the_image_are_found(refiner) -> None:
    image, coarse = square()
    result = refiner.refine(image, coarse)
    assert (result.labels == np.where(image > 0, 2, 1)).mean() > 0.99


def test_confidence_is_a_share(refiner) -> None:
    pair = synthetic_pair(96, seed=1)
    result = refiner.refine(pair.image, SHAPES.to_labels(pair.coarse))
    assert result.labels.shape == result.confidence.shape == (96, 96)
    assert result.confidence.dtype == np.float32
    assert 0 <= result.confidence.min() <= result.confidence.max() <= 1


def noisy_disk() -> tuple[np.ndarray, np.ndarray]:
    """A disk that is hardly visible in noise, and a coarse map that misses it by six pixels."""
    row, column = np.mgrid[-64:64, -64:64]
    noise = np.random.default_rng(0).normal(0, 60, row.shape)
    image = np.where(row**2 + column**2 < 32**2, 170, 85) + noise
    coarse = np.where((row - 6) ** 2 + column**2 < 32**2, 2, 1)
    return image.clip(0, 255).astype(np.uint8), coarse.astype(np.uint8)


def solve_exactly(*arguments, **keywords):
    return random_walker(*arguments, **(keywords | {"mode": "bf"}))


def test_random_walkers_are_as_sure_of_noise_as_the_exact_solution(monkeypatch) -> None:
    refiner = RandomWalkerRefiner(SHAPES)
    found = refiner.refine(*noisy_disk())
    assert found.confidence.min() >= 0.5 - 1e-6
    monkeypatch.setattr(classical, "random_walker", solve_exactly)
    exact = refiner.refine(*noisy_disk())
    assert (found.labels == exact.labels).mean() > 0.999
    assert np.abs(found.confidence - exact.confidence).mean() < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (31, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_size_and_dtype(refiner, size: tuple[int, int], dtype: type) -> None:
    image = np.linspace(0, 1, size[0] * size[1]).reshape(size).astype(dtype)
    coarse = np.full(size, 1, np.uint8)
    coarse[size[0] // 2 :, size[1] // 2 :] = 3
    assert set(np.unique(refiner.refine(image, coarse).labels)) <= {1, 3}


def test_plain_image_and_unlabelled_pixels(refiner) -> None:
    coarse = np.zeros((20, 30), np.uint8)
    coarse[:, :3], coarse[:, -3:] = 1, 2
    result = refiner.refine(np.full((20, 30, 3), 90, np.uint8), coarse)
    assert set(np.unique(result.labels)) == {1, 2}
    assert np.isfinite(result.confidence).all()


def test_nothing_labelled_is_refused(refiner) -> None:
    with pytest.raises(ImageError, match="draw at least one class"):
        refiner.refine(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))


def test_progress_rises_to_one(refiner) -> None:
    shares: list[float] = []
    refiner.refine(*square(), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_cancelling_between_steps(refiner, answers: int) -> None:
    asked = iter([False] * answers + [True] * 9)
    with pytest.raises(Cancelled):
        refiner.refine(*square(), should_stop=lambda: next(asked))


def test_small_regions_keep_a_marker() -> None:
    coarse = np.zeros((60, 60), np.uint8)
    coarse[5, 5] = coarse[30:34, 30:40] = 2
    found = markers(coarse, 10)
    assert found[5, 5] == 3
    assert (found[30:34, 30:40] == 3).any()
    assert found[60 - 15, 30] == 1
