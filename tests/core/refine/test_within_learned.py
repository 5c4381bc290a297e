"""Refining within a scope with the bundled network, on parts of an image."""

from functools import partial
from unittest.mock import patch

import numpy as np
import pytest

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.refine import learned
from c2f_core.refine.interface import RefineResult
from c2f_core.refine.learned import Refiner
from c2f_core.refine.scope import Scope, cheapest_parts
from c2f_core.refine.within import refine_within

exact_scope = partial(Scope, care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
"""Scope in which all that a refiner changes is kept."""
EXACT = exact_scope()

TABLE = ClassTable.preset("fasseg")
BOX = (slice(290, 450), slice(301, 490))


@pytest.fixture(scope="module")
def faces() -> Refiner:
    return Refiner.bundled("fasseg", "cpu")


@pytest.fixture(scope="module")
def large() -> tuple[np.ndarray, np.ndarray]:
    pair = astronaut_pair(800)
    return pair.image, TABLE.to_labels(pair.coarse)


@pytest.fixture(scope="module")
def at_once(faces: Refiner, large) -> RefineResult:
    return faces.refine(*large)


def test_box_is_as_in_the_image_refined_at_once(faces, large, at_once) -> None:
    result = refine_within(faces, *large, exact_scope(box=BOX))
    assert result.report.changed > 1000
    assert (result.labels != at_once.labels[BOX]).mean() <= 1e-4
    np.testing.assert_allclose(result.confidence, at_once.confidence[BOX], atol=1e-3)


def test_box_is_nearly_as_in_the_image_refined_in_tiles(faces, large) -> None:
    with patch.object(learned, "LARGEST_TILE_ELSEWHERE", 512):
        tiled = faces.refine(*large)
    result = refine_within(faces, *large, exact_scope(box=BOX))
    assert (result.labels != tiled.labels[BOX]).mean() <= 1e-3
    assert np.abs(result.confidence - tiled.confidence[BOX]).mean() <= 1e-3


def test_blocks_leave_no_seam(faces, large, at_once) -> None:
    image, coarse = large
    corners = np.zeros(coarse.shape, dtype=bool)
    corners[:60, :60] = corners[-60:, -60:] = corners[-60:, 380:520] = True
    assert (
        len(cheapest_parts(corners, lambda part: faces.receptive_window(part, corners.shape))) == 3
    )
    result = refine_within(faces, image, coarse, exact_scope(mask=corners))
    labels = np.where(corners, at_once.labels, coarse)
    np.testing.assert_allclose(result.confidence[corners], at_once.confidence[corners], atol=1e-3)
    refined = coarse.copy()
    refined[result.window] = result.labels
    assert (refined != labels).mean() <= 1e-5
