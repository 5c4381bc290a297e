"""Parts of a map that is drawn in are refined with what was learned before."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import bounding_box
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.instant.session import STROKES_TO_LEARN, InstantSession
from c2f_core.refine.interface import SILENT

Array = NDArray[np.uint8]
SIZE = 240
LARGEST_SHARE = 0.01
"""Share of the pixels of a part that may differ from a fresh refinement."""
WHOLE = slice(0, SIZE), slice(0, SIZE)


@pytest.fixture
def scene() -> tuple[Array, Array]:
    """Return a noisy picture of three disks, and a coarse map of them."""
    fine = np.zeros((SIZE, SIZE), np.uint8)
    for centre, radius, label in (((60, 60), 38, 1), ((150, 160), 50, 2), ((190, 50), 30, 1)):
        fine[disk(centre, radius)] = label
    colours = np.array([[60, 120, 60], [180, 70, 60], [70, 80, 190], [200, 200, 60]])
    noise = np.random.default_rng(0).normal(0, 12, (SIZE, SIZE, 3))
    rgb = np.clip(colours[fine] + noise, 0, 255).astype(np.uint8)
    return rgb, np.roll(fine, (6, -5), (0, 1))


def _fresh(rgb: Array, coarse: Array) -> Array:
    return InstantRefiner(SHAPES).refine_ids(rgb, coarse, SILENT)[0]


def _stroke(coarse: Array, number: int) -> Array:
    """Return the map after a stroke along a boundary."""
    drawn = coarse.copy()
    drawn[disk((30 + 9 * number, 90 + 5 * number), 9)] = number % 3
    return drawn


def test_the_first_part_is_that_of_a_whole_refinement(scene: tuple[Array, Array]) -> None:
    rgb, coarse = scene
    fine, confidence = InstantSession(rgb).refine_part(coarse, WHOLE)
    expected, sure = InstantRefiner(SHAPES).refine_ids(rgb, coarse, SILENT)
    np.testing.assert_array_equal(fine, expected)
    np.testing.assert_array_equal(confidence, sure)


def test_strokes_are_refined_nearly_as_in_a_fresh_refinement(scene: tuple[Array, Array]) -> None:
    rgb, coarse = scene
    session = InstantSession(rgb)
    shown = session.refine_part(coarse, WHOLE)[0]
    for number in range(STROKES_TO_LEARN + 2):
        drawn = _stroke(coarse, number)
        window = session.affected(bounding_box(drawn != coarse))
        shown[window] = session.refine_part(drawn, window)[0]
        coarse = drawn
        expected = _fresh(rgb, coarse)
        assert (shown[window] != expected[window]).mean() < LARGEST_SHARE
        assert (shown != expected).mean() < LARGEST_SHARE
    assert (shown != coarse).mean() > 0.03


def test_a_new_class_is_learned_at_once(scene: tuple[Array, Array]) -> None:
    rgb, coarse = scene
    rgb[5:45, 180:230] = 200, 200, 60
    session = InstantSession(rgb)
    session.refine_part(coarse, WHOLE)
    coarse[10:42, 184:226] = 3
    window = session.affected((slice(10, 42), slice(184, 226)))
    fine = session.refine_part(coarse, window)[0]
    np.testing.assert_array_equal(fine, _fresh(rgb, coarse)[window])
    assert (fine == 3).sum() > 1800


def test_the_map_of_the_caller_may_change_later(scene: tuple[Array, Array]) -> None:
    rgb, coarse = scene
    session = InstantSession(rgb)
    session.refine_part(coarse, WHOLE)
    coarse[100:140, 100:140] = UNLABELLED_ID
    window = session.affected((slice(100, 140), slice(100, 140)))
    fine = session.refine_part(coarse, window)[0]
    assert (fine != UNLABELLED_ID).all()
    assert (fine != _fresh(rgb, coarse)[window]).mean() < LARGEST_SHARE


def test_a_map_without_labels_is_refused(scene: tuple[Array, Array]) -> None:
    session = InstantSession(scene[0])
    with pytest.raises(ImageError, match="Nothing is labelled"):
        session.refine_part(np.full((SIZE, SIZE), UNLABELLED_ID, np.uint8), WHOLE)
