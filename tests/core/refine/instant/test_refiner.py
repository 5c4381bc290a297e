"""The instant refiner on small made-up images."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk, ellipse

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.errors import Cancelled, ImageError
from c2f_core.refine.instant import evidence
from c2f_core.refine.instant.likelihoods import ClassModels
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.interface import SILENT, Monitor

Array = NDArray[np.uint8]
SIZE = 160


def _table(count: int) -> ClassTable:
    return ClassTable(
        name="test",
        classes=tuple(
            ClassEntry(name=f"class {number}", index=number, colour=(number, 0, 0))
            for number in range(count)
        ),
        unlabelled=ClassEntry(name="unlabelled", index=255, colour=(0, 0, 1)),
    )


def _refine(rgb: Array, coarse: Array, count: int = 3) -> tuple[Array, NDArray[np.float32]]:
    return InstantRefiner(_table(count)).refine_ids(rgb, coarse, SILENT)


@pytest.fixture
def scene() -> tuple[Array, Array, Array]:
    """Return a noisy picture of a disk and an ellipse, its coarse map and its fine map."""
    fine = np.zeros((SIZE, SIZE), np.uint8)
    fine[disk((60, 60), 35)] = 1
    fine[ellipse(115, 110, 25, 40, shape=fine.shape)] = 2
    coarse = np.zeros_like(fine)
    coarse[30:92, 30:92] = 1
    coarse[88:140, 75:150] = 2
    colours = np.array([[60, 120, 60], [180, 70, 60], [70, 80, 190]])
    noise = np.random.default_rng(0).normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(colours[fine] + noise, 0, 255).astype(np.uint8), coarse, fine


def test_boundaries_move_to_where_the_image_has_them(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    refined, confidence = _refine(rgb, coarse)
    assert (coarse != fine).mean() > 0.05
    assert (refined != fine).mean() < 0.01
    assert confidence.shape == refined.shape
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_two_runs_give_the_same_map(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, _ = scene
    first, second = _refine(rgb, coarse), _refine(rgb, coarse)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_unlabelled_pixels_get_a_class(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, fine = scene
    coarse[40:80, 70:130] = UNLABELLED_ID
    refined, _ = _refine(rgb, coarse)
    assert (refined != UNLABELLED_ID).all()
    assert (refined != fine).mean() < 0.02


def test_a_few_strokes_are_enough(scene: tuple[Array, Array, Array]) -> None:
    rgb, _, fine = scene
    strokes = np.full_like(fine, UNLABELLED_ID)
    strokes[10:14, 20:140] = 0
    strokes[55:60, 40:80] = 1
    strokes[112:118, 85:135] = 2
    refined, _ = _refine(rgb, strokes)
    assert (refined != fine).mean() < 0.02


def test_a_flat_image_leaves_the_map_unchanged(scene: tuple[Array, Array, Array]) -> None:
    _, coarse, _ = scene
    refined, _ = _refine(np.full((SIZE, SIZE, 3), 120, np.uint8), coarse)
    np.testing.assert_array_equal(refined, coarse)


def test_one_class_fills_the_image() -> None:
    coarse = np.full((20, 30), UNLABELLED_ID, np.uint8)
    coarse[5:10, 5:10] = 1
    refined, _ = _refine(np.zeros((20, 30, 3), np.uint8), coarse)
    assert (refined == 1).all()


def test_a_map_without_labels_is_refused() -> None:
    coarse = np.full((20, 30), UNLABELLED_ID, np.uint8)
    with pytest.raises(ImageError, match="Nothing is labelled"):
        _refine(np.zeros((20, 30, 3), np.uint8), coarse)


def _mosaic() -> tuple[Array, Array]:
    """Return a noisy picture of two hundred squares of their own classes, and its fine map."""
    rng = np.random.default_rng(0)
    fine = np.repeat(np.repeat(np.arange(200, dtype=np.uint8).reshape(10, 20), 30, 0), 30, 1)
    colours = rng.integers(0, 255, (200, 3))
    rgb = np.clip(colours[fine] + rng.normal(0, 5, (*fine.shape, 3)), 0, 255).astype(np.uint8)
    return rgb, fine


def test_windows_with_many_classes_are_cut_to_bound_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rgb, fine = _mosaic()
    coarse = np.roll(fine, (3, 3), (0, 1))
    expected, _ = _refine(rgb, coarse, 200)
    sizes: list[int] = []
    log_likelihoods = ClassModels.log_likelihoods

    def watched(*arguments: Any) -> NDArray[np.float32]:
        found = log_likelihoods(*arguments)
        sizes.append(found[0].size)
        return found

    monkeypatch.setattr(ClassModels, "log_likelihoods", watched)
    monkeypatch.setattr(evidence, "LARGEST_WINDOW", 5_000_000)
    refined, _ = _refine(rgb, coarse, 200)
    assert len(sizes) > 10
    assert max(sizes) <= evidence.LARGEST_WINDOW
    assert (refined == expected).mean() > 0.998
    assert (refined != fine).mean() < 0.2 * (coarse != fine).mean()


def test_two_hundred_classes_stay_a_partition_of_the_classes_there() -> None:
    rng = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(np.arange(200, dtype=np.uint8).reshape(10, 20), 12, 0), 12, 1)
    colours = rng.integers(0, 255, (200, 3))
    rgb = np.clip(colours[coarse] + rng.normal(0, 5, (*coarse.shape, 3)), 0, 255).astype(np.uint8)
    refined, _ = _refine(rgb, coarse, 200)
    assert set(np.unique(refined)) <= set(range(200))
    assert (refined != coarse).mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (700, 5)])
def test_any_size(shape: tuple[int, int]) -> None:
    coarse = np.zeros(shape, np.uint8)
    coarse[:, shape[1] // 2 :] = 1
    refined, confidence = _refine(np.zeros((*shape, 3), np.uint8), coarse)
    assert refined.shape == confidence.shape == shape


def test_work_stops_when_asked(scene: tuple[Array, Array, Array]) -> None:
    rgb, coarse, _ = scene
    with pytest.raises(Cancelled):
        InstantRefiner(_table(3)).refine_ids(rgb, coarse, Monitor(should_stop=lambda: True))
