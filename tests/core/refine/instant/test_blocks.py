"""Large images are refined in blocks, after learning from some windows of them."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import Cancelled, ImageError
from c2f_core.geometry.arrays import Window, area
from c2f_core.geometry.lazy import Computed
from c2f_core.refine.instant import refiner as module
from c2f_core.refine.instant import sampling
from c2f_core.refine.instant.refiner import HALO, InstantRefiner
from c2f_core.refine.instant.sampling import LEAST_SAMPLED, sample_windows, survey
from c2f_core.refine.instant.session import SessionRefiner
from c2f_core.refine.interface import SILENT, Monitor
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within

Array = NDArray[np.uint8]
BLOCK = 256
SIZE = 600, 800
AS_REFINED = Scope(care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
LEAST_ALIKE = 0.999
"""Share of the pixels that get the same class in blocks as in the whole image."""


def _scene(unlabelled: bool = False) -> tuple[Array, Array]:
    """Return a noisy picture of three materials, and a coarse map of it that is 6 px off."""
    rng = np.random.default_rng(0)
    fields = ndimage.gaussian_filter(rng.normal(size=(3, *SIZE)), (0, 25, 25))
    fine = fields.argmax(axis=0).astype(np.uint8)
    colours = np.array([[60, 120, 60], [150, 90, 60], [90, 80, 160]])
    rgb = np.clip(colours[fine] + rng.normal(0, 15, (*SIZE, 3)), 0, 255).astype(np.uint8)
    coarse = np.roll(fine, (5, -4), (0, 1))
    if unlabelled:
        coarse[ndimage.gaussian_filter(rng.normal(size=SIZE), 20) > 0.015] = UNLABELLED_ID
    return rgb, coarse


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks so small that the scene has twelve."""
    monkeypatch.setattr(module, "BLOCK", BLOCK)


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("windows", [12, 64])
@pytest.mark.usefixtures("in_blocks")
def test_blocks_look_like_the_whole(
    monkeypatch: pytest.MonkeyPatch, unlabelled: bool, windows: int
) -> None:
    monkeypatch.setattr(sampling, "SAMPLED", windows)
    monkeypatch.setattr(sampling, "WINDOW", 128)
    rgb, coarse = _scene(unlabelled)
    refiner = InstantRefiner(SHAPES)
    expected, _ = refiner.refine_ids(rgb, coarse, SILENT)
    found = refiner.refine(rgb, SHAPES.to_labels(coarse))
    assert (expected != coarse).mean() > 0.05
    assert (found.labels == SHAPES.to_labels(expected)).mean() >= LEAST_ALIKE
    again = refiner.refine(rgb, SHAPES.to_labels(coarse))
    np.testing.assert_array_equal(again.labels, found.labels)
    np.testing.assert_array_equal(again.confidence, found.confidence)


@pytest.mark.usefixtures("in_blocks")
def test_a_box_and_another_process_give_what_the_whole_gives() -> None:
    rgb, coarse = _scene()
    refiner = InstantRefiner(SHAPES)
    labels = SHAPES.to_labels(coarse)
    expected = refine_within(refiner, rgb, labels, AS_REFINED)
    box = slice(200, 430), slice(130, 700)
    found = refine_within(refiner, rgb, labels, replace(AS_REFINED, box=box))
    np.testing.assert_array_equal(found.labels, expected.labels[box])
    np.testing.assert_array_equal(found.confidence, expected.confidence[box])
    sent = pickle.loads(pickle.dumps(refiner.prepared(rgb, coarse, SILENT)))
    fine, _ = sent.assembled(rgb, coarse, SILENT)
    np.testing.assert_array_equal(SHAPES.to_labels(fine), expected.labels)


@pytest.mark.usefixtures("in_blocks")
def test_no_more_than_a_block_and_its_surroundings_is_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "READ", 512)
    read: list[int] = []

    def watched(array: Array) -> Computed:
        def compute(window: Window) -> Array:
            read.append(area(window))
            return array[window]

        return Computed(array.shape, array.dtype, compute)

    rgb, coarse = _scene()
    images = np.tile(rgb, (2, 2, 1)), np.tile(coarse, (2, 2))
    prepared = InstantRefiner(SHAPES).prepared(*map(watched, images), SILENT)
    parts = prepared.refine_parts(*map(watched, images), SILENT)
    assert sum(area(window) for window, *_ in parts) == images[1].size
    assert max(read) == (BLOCK + 2 * HALO) ** 2


@pytest.mark.usefixtures("in_blocks")
def test_a_map_without_labels_is_refused_and_work_stops_when_asked() -> None:
    rgb, coarse = _scene()
    with pytest.raises(ImageError, match="Nothing is labelled"):
        InstantRefiner(SHAPES).refine(rgb, np.full(SIZE, SHAPES.unlabelled.index))
    with pytest.raises(Cancelled):
        InstantRefiner(SHAPES).prepared(rgb, coarse, Monitor(should_stop=lambda: True))


@pytest.mark.usefixtures("in_blocks")
def test_the_progress_grows_to_one() -> None:
    shares: list[float] = []
    rgb, coarse = _scene()
    InstantRefiner(SHAPES).refine(rgb, SHAPES.to_labels(coarse), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert len(shares) > 20


@pytest.mark.usefixtures("in_blocks")
def test_the_session_of_a_large_image_stays_its_own() -> None:
    rgb, coarse = _scene()
    session = SessionRefiner(SHAPES)
    session.part = slice(100, 200), slice(100, 200)
    scope = replace(AS_REFINED, box=session.part)
    found = refine_within(session, rgb, SHAPES.to_labels(coarse), scope)
    expected, _ = InstantRefiner(SHAPES).refine_ids(rgb, coarse, SILENT)
    np.testing.assert_array_equal(found.labels, SHAPES.to_labels(expected[session.part]))


def test_the_sample_has_every_class_and_windows_all_over_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "WINDOW", 16)
    monkeypatch.setattr(sampling, "SAMPLED", 8)
    coarse = np.zeros((320, 320), np.uint8)
    coarse[160:] = 1
    for class_id in range(2, 30):
        coarse[5 * class_id, 10 * class_id] = class_id
        coarse[5 * class_id, 310] = class_id
    found = survey(coarse, SILENT)
    windows = sample_windows(found)
    assert windows == sample_windows(found)
    for class_id in np.unique(coarse):
        assert sum((coarse[window] == class_id).any() for window in windows) >= LEAST_SAMPLED
    assert {window[0].start // 160 for window in windows} == {0, 1}
    assert len(windows) < 8 + 2 * 28
    np.testing.assert_array_equal(found.counts, np.bincount(coarse.ravel(), minlength=256))
