"""Watershed and random walker: what they find, preserve and refuse."""

import pickle

import numpy as np
import pytest
from scipy.sparse.linalg import cg
from skimage.segmentation import random_walker
from threadpoolctl import threadpool_info

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import Cancelled, ImageError
from c2f_core.geometry.arrays import area
from c2f_core.refine import certainty, classical, gradients, random_walk, reduced
from c2f_core.refine.classical import CLASSICAL_REFINERS, RandomWalkerRefiner
from c2f_core.refine.gradients import to_lab
from c2f_core.refine.interface import SILENT, ClassIds, Monitor
from c2f_core.refine.markers import markers
from c2f_core.refine.random_walk import walk


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


def random_walker_of_all_pixels(image: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Solve the equations of all pixels with scikit-image, without iterating."""
    lab = to_lab(image).astype(float)
    unknown = sure == 0
    squared = []
    for axis in (0, 1):
        before, after = np.moveaxis(lab, axis, 0)[:-1], np.moveaxis(lab, axis, 0)[1:]
        needed = np.moveaxis(unknown, axis, 0)
        squared.append(np.square(after - before).sum(axis=-1)[needed[:-1] | needed[1:]])
    scale = 10 * lab.std() * 3**0.5 / np.concatenate(squared).mean()
    return random_walker(
        lab, sure.astype(int), beta=random_walk.BETA * scale, mode="bf", channel_axis=-1,
        return_full_prob=True, prob_tol=np.inf,
    )  # fmt: skip


def test_random_walkers_give_the_exact_probabilities() -> None:
    image, coarse = noisy_disk()
    image = np.stack([image, image[::-1], image.T], axis=-1)
    sure = markers(coarse - 1, 10)
    found, probability = walk(image, sure, SILENT)
    exact = random_walker_of_all_pixels(image, sure)
    assert (found == exact.argmax(axis=0) + 1).mean() > 0.999
    assert np.abs(probability - exact.max(axis=0)).mean() < 1e-3


def test_the_solver_can_be_cancelled() -> None:
    asked = iter([False] * 3 + [True] * 9)
    image, coarse = noisy_disk()
    monitor = Monitor(should_stop=lambda: next(asked))
    with pytest.raises(Cancelled):
        walk(np.stack([image] * 3, axis=-1), markers(coarse - 1, 10), monitor)
    assert next(asked)


def test_the_solver_runs_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def spy(*arguments, **keywords):
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return cg(*arguments, **keywords)

    monkeypatch.setattr(random_walk, "cg", spy)
    RandomWalkerRefiner(SHAPES).refine(*noisy_disk())
    assert set(threads) == {1}


@pytest.mark.parametrize(
    ("inside", "outside"), [((200, 0, 0), (0, 59, 0)), ((0, 0, 255), (87, 0, 0))]
)
def test_edges_of_equal_lightness_are_found(refiner, inside, outside) -> None:
    image, coarse = square()
    image = np.where(image[..., None] > 0, inside, outside).astype(np.uint8)
    result = refiner.refine(image, coarse)
    expected = np.where((image == inside).all(axis=-1), 2, 1)
    assert (result.labels == expected).mean() > 0.99


def test_the_mean_confidence_is_the_accuracy_on_the_sample() -> None:
    pair = astronaut_pair()
    for kind in CLASSICAL_REFINERS.values():
        fine, confidence = kind(astronaut_class_table()).refine_ids(pair.image, pair.coarse, SILENT)
        assert abs(confidence.mean() - (fine == pair.fine).mean()) < 0.02


def test_the_image_is_processed_in_bands_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = synthetic_pair(96, seed=2)
    for kind in CLASSICAL_REFINERS.values():
        expected = kind(SHAPES).refine_ids(pair.image, pair.coarse, SILENT)
        with monkeypatch.context() as small:
            small.setattr(gradients, "BAND", 7)
            small.setattr(certainty, "BAND", 5)
            small.setattr(random_walk, "CHUNK", 11)
            found = kind(SHAPES).refine_ids(pair.image, pair.coarse, SILENT)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


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


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks and the reduced image as small against the images as for very large images."""
    monkeypatch.setattr(classical, "BLOCK", 128)
    monkeypatch.setattr(classical, "SAMPLE_SIDE", 64)
    monkeypatch.setattr(reduced, "PIXELS", 40_000)


def with_gap(coarse: ClassIds) -> ClassIds:
    """Return a coarse map of which the middle is unlabelled but for a spot."""
    gap = coarse.copy()
    gap[100:300, 60:340] = UNLABELLED_ID
    gap[190:200, 190:200] = coarse[190:200, 190:200]
    return gap


@pytest.mark.parametrize(("gap", "different"), [(False, 0.001), (True, 0.01)])
@pytest.mark.parametrize("kind", CLASSICAL_REFINERS.values())
def test_blocks_have_no_seams(monkeypatch, in_blocks, kind, gap: bool, different: float) -> None:
    pair, table = astronaut_pair(400), astronaut_class_table()
    coarse = with_gap(pair.coarse) if gap else pair.coarse
    expected, sure = kind(table).refine_ids(pair.image, coarse, SILENT)
    for most_unknown in (kind.most_unknown, 20_000):  # With the latter, blocks are cut again.
        monkeypatch.setattr(kind, "most_unknown", most_unknown)
        result = kind(table).refine(pair.image, table.to_labels(coarse))
        found = table.to_class_ids(result.labels)
        assert (found != expected).mean() < different
        if not gap:
            assert np.abs(result.confidence - sure).mean() < 0.005
            assert np.quantile(np.abs(result.confidence - sure), 0.999) < 0.05
        errors = [(refined != pair.fine).mean() for refined in (found, expected)]
        assert errors[0] < errors[1] + 0.003


@pytest.mark.parametrize("kind", CLASSICAL_REFINERS.values())
def test_parts_of_a_prepared_image_are_those_of_the_whole(in_blocks, kind) -> None:
    pair = astronaut_pair(400)
    coarse = with_gap(pair.coarse)
    refiner = kind(astronaut_class_table()).prepared(pair.image, coarse, SILENT)
    expected, sure = refiner.assembled(pair.image, coarse, SILENT)
    again = pickle.loads(pickle.dumps(refiner))
    place = slice(120, 140), slice(250, 300)
    seen = refiner.receptive_window(place, coarse.shape)
    assert area(seen) < coarse.size
    hidden = np.full_like(coarse, 200)  # A class that does not exist: what is not seen.
    hidden[seen] = coarse[seen]
    covered = np.zeros(coarse.shape, bool)
    for window, fine, confidence in again.refine_parts(pair.image, hidden, SILENT, place):
        covered[window] = True
        np.testing.assert_array_equal(fine, expected[window])
        np.testing.assert_array_equal(confidence, sure[window])
    assert covered[place].all()


def test_blocks_report_progress_and_can_be_cancelled(in_blocks, refiner) -> None:
    pair = synthetic_pair(400)
    coarse, shares = SHAPES.to_labels(pair.coarse), list[float]()
    refiner.refine(pair.image, coarse, progress=shares.append)
    assert shares == sorted(shares)
    assert len(set(shares)) >= 16
    assert shares[-1] == 1
    with pytest.raises(Cancelled):
        refiner.refine(pair.image, coarse, should_stop=lambda: len(shares) > 0)


def test_nothing_labelled_is_refused_in_blocks(in_blocks, refiner) -> None:
    with pytest.raises(ImageError, match="draw at least one class"):
        refiner.refine(np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8))
