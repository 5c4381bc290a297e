"""Refining within a scope: what changes, what never does, and what is read for it."""

import math
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.errors import Cancelled, ClassTableError, ConfigError, ImageError
from c2f_core.geometry.arrays import area, boundary_pixels, grown
from c2f_core.refine import plane as plane_module
from c2f_core.refine import scope
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.clean_up import clean_up
from c2f_core.refine.interface import Monitor, RefinerInterface
from c2f_core.refine.report import class_changes, total_report
from c2f_core.refine.scope import ClassRules, Scope, boundary_band
from c2f_core.refine.stack import refine_stack
from c2f_core.refine.within import ScopedResult, refine_within

exact_scope = partial(Scope, care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
"""Scope in which all that a refiner changes is kept."""
EXACT = exact_scope()

TABLE = ClassTable.preset("fasseg")
UNLABELLED = TABLE.unlabelled.index
NAMES = [entry.name for entry in TABLE.entries]
INDEX = {entry.name: entry.index for entry in TABLE.entries}


class LocalRefiner(RefinerInterface):
    """Sees 3 pixels around each, on a grid of 4 pixels as a network with a stride does."""

    name = "local"
    class_table = TABLE

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def refine_ids(self, rgb, class_ids, monitor):
        monitor.raise_if_stopped()
        self.seen.append(class_ids.shape)
        near = ndimage.convolve(rgb.sum(axis=2, dtype=int), np.ones((7, 7), int), mode="constant")
        rows, columns = (np.arange(0, length, 4) for length in class_ids.shape)
        cells = np.add.reduceat(np.add.reduceat(class_ids.astype(int), rows), columns, axis=1)
        hash_ = near + 7 * cells.repeat(4, 0).repeat(4, 1)[: near.shape[0], : near.shape[1]]
        monitor.report(0.5)
        monitor.report(1.0)
        refined = (hash_ % TABLE.number_of_classes).astype(np.uint8)
        return refined, (hash_ % 101 / 100).astype(np.float32)

    def receptive_window(self, part, size, /):
        return grown(part, 3, size, 4)


class Recorder:
    """Lazily loaded array that records which parts were read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.dtype, self.shape = array, array.dtype, array.shape
        self.read: list[np.ndarray] = []

    def __getitem__(self, key) -> np.ndarray:
        self.read.append(self.array[key])
        return self.read[-1]

    def __array__(self, *_, **__) -> np.ndarray:
        raise AssertionError("loaded as a whole")

    def most(self) -> int:
        """Return the number of values of the largest part."""
        return max((part.size for part in self.read), default=0)


def noise(size, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image, and a coarse map of patches of which some are unlabelled."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    cells = random.choice([0, 1, 2, 3, UNLABELLED], (size[0] // 5 + 1, size[1] // 5 + 1))
    coarse = np.kron(cells, np.ones((5, 5), int))[: size[0], : size[1]].astype(np.uint8)
    return image, coarse


SIZES = st.tuples(st.integers(1, 26), st.integers(1, 26))
ENDS = st.none() | st.integers(-9, 35)
SLICES = st.builds(slice, ENDS, ENDS)
SOME_NAMES = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple)


@st.composite
def cases(draw):
    """Draw an image, a coarse map and a scope."""
    size, seed = draw(SIZES), draw(st.integers(0, 2**20))
    random = np.random.default_rng(seed)
    masks = [random.random(size) < share for share in draw(st.tuples(*[st.floats(0, 1)] * 2))]
    wanted = exact_scope(
        box=draw(st.none() | st.tuples(SLICES, SLICES)),
        mask=draw(st.sampled_from([None, masks[0]])),
        classes=draw(st.none() | SOME_NAMES),
        locked=draw(SOME_NAMES),
        protected=draw(st.sampled_from([None, masks[1]])),
        band=draw(st.none() | st.integers(1, 6)),
        minimal_confidence=draw(st.sampled_from([0.0, 0.3, 0.9, 1.0])),
    )
    return *noise(size, seed), wanted


def whole_map(result: ScopedResult, coarse: np.ndarray) -> np.ndarray:
    """Return the whole map, refined in the window of a result."""
    refined = coarse.astype(result.labels.dtype)
    refined[result.window] = result.labels
    return refined


def in_box(box, size) -> np.ndarray:
    inside = np.ones(size, dtype=bool)
    for axis, place in zip(box or (), np.indices(size), strict=False):
        inside &= place >= (-99 if axis.start is None else axis.start)
        inside &= place < (99 if axis.stop is None else axis.stop)
    return inside


def in_band(coarse, width) -> np.ndarray:
    edge = np.argwhere(boundary_pixels(coarse, unlabelled=None))
    places = np.indices(coarse.shape).reshape(2, -1).T
    if not len(edge):
        return np.zeros(coarse.shape, dtype=bool)
    distance = np.linalg.norm(places[:, None] - edge[None], axis=2).min(axis=1)
    return (distance < width).reshape(coarse.shape)


def expected(image, coarse, wanted) -> tuple[np.ndarray, np.ndarray]:
    """Refine the whole image, then discard what is outside the scope: slow and plain."""
    whole = LocalRefiner().refine(image, coarse)
    may = in_box(wanted.box, coarse.shape)
    may &= ~np.isin(coarse, [INDEX[name] for name in wanted.locked])
    if wanted.mask is not None:
        may &= wanted.mask
    if wanted.protected is not None:
        may &= ~wanted.protected
    if wanted.band is not None:
        may &= in_band(coarse, wanted.band) | (coarse == UNLABELLED)
    change = may & (whole.confidence >= wanted.minimal_confidence)
    change &= ~np.isin(whole.labels, [INDEX[name] for name in wanted.locked])
    if wanted.classes is not None:
        chosen = [INDEX[name] for name in wanted.classes]
        change &= np.isin(coarse, chosen) | np.isin(whole.labels, chosen)
    return np.where(change, whole.labels, coarse), np.where(may, whole.confidence, np.nan)


@settings(deadline=None, max_examples=150)
@given(cases(), st.sampled_from([4, 9, 512]))
def test_scope_is_the_whole_result_cut_to_what_was_asked(case, block) -> None:
    image, coarse, wanted = case
    kept = coarse.copy()
    labels, confidence = expected(image, coarse, wanted)
    with patch.object(scope, "BLOCK", block):
        result = refine_within(LocalRefiner(), image, coarse, wanted)
    np.testing.assert_array_equal(coarse, kept)
    np.testing.assert_array_equal(whole_map(result, coarse), labels)
    np.testing.assert_array_equal(result.changed, (labels != coarse)[result.window])
    known = ~np.isnan(result.confidence)
    np.testing.assert_array_equal(
        result.confidence[known], confidence[result.window].astype(np.float32)[known]
    )
    assert result.report.changed == result.changed.sum() == (labels != coarse).sum()
    assert sum(result.report.by_class.values()) == result.report.changed


@settings(deadline=None, max_examples=80)
@given(cases())
def test_nothing_outside_and_nothing_protected_ever_changes(case) -> None:
    image, coarse, wanted = case
    result = refine_within(LocalRefiner(), image, coarse, wanted)
    changed = whole_map(result, coarse) != coarse
    assert not changed[~in_box(wanted.box, coarse.shape)].any()
    for kept in (None if wanted.mask is None else ~wanted.mask, wanted.protected):
        assert kept is None or not changed[kept].any()
    for name in wanted.locked:
        was, became = coarse == INDEX[name], whole_map(result, coarse) == INDEX[name]
        np.testing.assert_array_equal(was, became)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_only_the_window_of_a_lazy_array_is_read(case) -> None:
    image, coarse, wanted = case
    lazy = Recorder(image), Recorder(coarse)
    result = refine_within(LocalRefiner(), *lazy, wanted)
    direct = refine_within(LocalRefiner(), image, coarse, wanted)
    np.testing.assert_array_equal(result.labels, direct.labels)
    around = area(grown(result.window, 3 + (wanted.band or 0), coarse.shape, 4))
    assert lazy[0].most() <= 3 * around
    assert lazy[1].most() <= around


def test_box_on_a_huge_image_costs_what_the_box_costs() -> None:
    image = Recorder(np.broadcast_to(np.uint8([10, 20, 30]), (10_000, 10_000, 3)))
    coarse = Recorder(np.broadcast_to(np.uint8(1), (10_000, 10_000)))
    refiner = LocalRefiner()
    box = (slice(5_001, 5_041), slice(9_990, 10_400))
    result = refine_within(refiner, image, coarse, exact_scope(box=box, band=3))
    assert result.window == (slice(5_001, 5_041), slice(9_990, 10_000))
    assert refiner.seen == []  # No boundary, nothing to do.
    result = refine_within(refiner, image, coarse, exact_scope(box=box))
    assert refiner.seen == [(48, 16)]
    assert image.most() == 3 * 48 * 16


def test_only_the_image_near_boundaries_is_read_for_a_band() -> None:
    image, coarse = noise((400, 400))
    coarse[:] = 1
    coarse[100:140, 200:230] = 2
    lazy = Recorder(image), Recorder(coarse)
    result = refine_within(LocalRefiner(), *lazy, exact_scope(band=2))
    assert sum(part.size for part in lazy[0].read) <= 3 * 56 * 48
    assert 0 < result.report.changed <= result.report.pixels <= 4 * 2 * 72


def test_scattered_pixels_are_refined_in_blocks() -> None:
    image, coarse = noise((300, 300))
    mask = np.zeros((300, 300), dtype=bool)
    mask[3, 5] = mask[290, 291] = True
    refiner, shares = LocalRefiner(), []
    with patch.object(scope, "BLOCK", 64):
        monitor = Monitor(shares.append)
        result = refine_within(refiner, image, coarse, exact_scope(mask=mask), monitor=monitor)
    assert len(refiner.seen) == 2
    assert max(map(max, refiner.seen)) <= 12
    assert result.report.pixels == 2
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_dense_pixels_are_refined_at_once() -> None:
    refiner = LocalRefiner()
    with patch.object(scope, "BLOCK", 16):
        refine_within(refiner, *noise((60, 70)))
    assert refiner.seen == [(60, 70)]


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_band_does_not_depend_on_blocks(width: int) -> None:
    coarse = noise((50, 40))[1]
    with patch.object(scope, "BLOCK", 16):
        band = boundary_band(coarse, width)
    np.testing.assert_array_equal(band, in_band(coarse, width))


def test_band_of_a_boundary_outside_of_the_box_reaches_into_it() -> None:
    image = noise((40, 60))[0]
    coarse = np.zeros((40, 60), np.uint8)
    coarse[:, 40:] = 1
    box = exact_scope(box=(slice(10, 20), slice(0, 20)), band=25)
    result = refine_within(LocalRefiner(), image, coarse, box)
    np.testing.assert_array_equal(~np.isnan(result.confidence), in_band(coarse, 25)[10:20, :20])
    assert result.report.pixels == 50


def test_chosen_class_grows_and_shrinks_and_others_keep_their_boundaries() -> None:
    image, coarse = noise((60, 60))
    changed = refine_within(LocalRefiner(), image, coarse, exact_scope(classes=("hair",)))
    assert changed.report.changed > 0
    assert all("hair" in pair for pair in changed.report.by_class)
    assert {pair[0] for pair in changed.report.by_class} > {"hair"}
    filled = refine_within(LocalRefiner(), image, coarse, exact_scope(classes=("unlabelled",)))
    assert filled.report.pixels == filled.report.changed == (coarse == UNLABELLED).sum()


def test_wide_coarse_dtype_is_kept_and_a_narrow_one_widened() -> None:
    image, coarse = noise((20, 20))
    for dtype, result in ((np.int64, np.int64), (np.uint8, np.uint8), (np.int8, np.int16)):
        part = np.where(coarse == UNLABELLED, 1, coarse).astype(dtype)
        assert refine_within(LocalRefiner(), image, part, EXACT).labels.dtype == result


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32])
def test_parts_of_an_image_are_as_bright_as_in_the_whole(dtype) -> None:
    image, coarse = noise((40, 50))
    image = (image.astype(float) * 200).astype(dtype)
    image[:20] //= 50
    box = exact_scope(box=(slice(2, 9), slice(3, 20)))
    whole = LocalRefiner().refine(image, coarse)
    result = refine_within(LocalRefiner(), image, coarse, box)
    np.testing.assert_array_equal(result.labels, whole.labels[result.window])
    with pytest.raises(ImageError, match="limits"):
        refine_within(LocalRefiner(), Recorder(image), coarse, box)
    lazy = refine_within(LocalRefiner(), Recorder(image), coarse, box, limits=(0, 51_000))
    assert lazy.labels.shape == (7, 17)


# Errors and reports


def test_what_does_not_fit_is_named() -> None:
    image, coarse = noise((20, 30))
    with pytest.raises(ConfigError, match="step"):
        exact_scope(box=(slice(0, 9, 2), slice(0, 9)))
    with pytest.raises(ConfigError, match="0 px"):
        exact_scope(band=0)
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            exact_scope(minimal_confidence=share)
    for field in ("mask", "protected"):
        with pytest.raises(ImageError, match=r"\(30, 20\)"):
            refine_within(
                LocalRefiner(), image, coarse, exact_scope(**{field: np.ones((30, 20), bool)})
            )
    for field in ("classes", "locked"):
        with pytest.raises(ClassTableError, match=r"'beard'.*hair"):
            refine_within(LocalRefiner(), image, coarse, exact_scope(**{field: ("beard",)}))
    with pytest.raises(ImageError, match="20 x 30"):
        refine_within(LocalRefiner(), image, coarse.T)
    with pytest.raises(ImageError, match="3 dimensions"):
        refine_within(LocalRefiner(), image, coarse[None])
    with pytest.raises(ClassTableError, match="77"):
        refine_within(LocalRefiner(), image, np.full_like(coarse, 77))


def test_classical_refiners_see_the_whole_image() -> None:
    pair = astronaut_pair(96)
    refiner = CLASSICAL_REFINERS["watershed"](TABLE)
    coarse = TABLE.to_labels(pair.coarse)
    coarse[20:80, 20:80] = UNLABELLED
    box = exact_scope(box=(slice(40, 60), slice(30, 70)))
    result = refine_within(refiner, pair.image, coarse, box)
    whole = refiner.refine(pair.image, coarse)
    np.testing.assert_array_equal(result.labels, whole.labels[result.window])


def test_reports_say_what_changed_and_add_up() -> None:
    image, coarse = noise((30, 40))
    everything = refine_within(LocalRefiner(), image, coarse, EXACT).report
    halves = [
        refine_within(LocalRefiner(), image, coarse, exact_scope(box=(slice(None), columns))).report
        for columns in (slice(0, 13), slice(13, None))
    ]
    total = total_report(halves)
    assert (total.pixels, total.changed) == (everything.pixels, everything.changed)
    assert total.by_class == everything.by_class
    assert total.confidence == pytest.approx(everything.confidence)
    assert list(total.by_class.values()) == sorted(total.by_class.values(), reverse=True)
    changes = class_changes(total)
    assert sum(change.gained for change in changes) == total.changed
    assert sum(change.net for change in changes) == 0
    labels = refine_within(LocalRefiner(), image, coarse, EXACT).labels
    for change in changes:
        index = INDEX[change.name]
        assert change.gained == ((labels == index) & (coarse != index)).sum()
        assert change.net == (labels == index).sum() - (coarse == index).sum()
    nothing = refine_within(LocalRefiner(), image, coarse, exact_scope(classes=()))
    assert (nothing.report.pixels, nothing.report.changed) == (1200, 0)
    assert math.isnan(nothing.report.confidence)
    assert math.isnan(total_report([]).confidence)


# Stacks


def stack(leading=(2, 3), size=(12, 14)) -> tuple[np.ndarray, np.ndarray]:
    planes = [noise(size, seed) for seed in range(math.prod(leading))]
    images, maps = (np.stack(each) for each in zip(*planes, strict=True))
    return images.reshape(*leading, *size, 3), maps.reshape(*leading, *size)


@pytest.mark.parametrize("grey", [False, True])
def test_stack_is_refined_plane_by_plane(grey: bool) -> None:
    images, maps = stack()
    images = images[..., 0] if grey else images
    protected = np.random.default_rng(0).random(maps.shape) < 0.5
    wanted = exact_scope(mask=protected[1, 1], protected=protected, band=2)
    shares: list[float] = []
    monitor = Monitor(shares.append)
    planes = dict(refine_stack(LocalRefiner(), images, maps, wanted, monitor=monitor))
    assert list(planes) == list(np.ndindex(2, 3))
    for index, result in planes.items():
        alone = exact_scope(mask=protected[1, 1], protected=protected[index], band=2)
        direct = refine_within(LocalRefiner(), images[index], maps[index], alone)
        np.testing.assert_array_equal(result.labels, direct.labels)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_single_plane_is_a_stack_too() -> None:
    image, coarse = noise((12, 14))
    ((index, result),) = refine_stack(LocalRefiner(), image, coarse, EXACT)
    assert index == ()
    np.testing.assert_array_equal(
        result.labels, refine_within(LocalRefiner(), image, coarse, EXACT).labels
    )


def test_lazy_stack_is_loaded_plane_by_plane_and_in_its_box() -> None:
    images, maps = stack()
    lazy = Recorder(images), Recorder(maps)
    planes = refine_stack(LocalRefiner(), *lazy, exact_scope(box=(slice(0, 4), slice(0, 4))))
    assert lazy[0].read == lazy[1].read == []
    next(planes)
    assert [part.shape for part in lazy[0].read] == [(8, 8, 3)]
    chunked = da.from_array(images, chunks=(1, 1, 12, 14, 3)), da.from_array(maps, chunks=5)
    for (index, result), direct in zip(
        refine_stack(LocalRefiner(), *chunked, EXACT), maps.reshape(-1, 12, 14), strict=True
    ):
        expected_ = refine_within(LocalRefiner(), images[index], direct, EXACT)
        np.testing.assert_array_equal(result.labels, expected_.labels)


def test_stack_stops_when_asked_and_says_where() -> None:
    images, maps = stack()
    done: list[tuple[tuple[int, ...], ScopedResult]] = []
    monitor = Monitor(should_stop=lambda: len(done) > 2)
    planes = refine_stack(LocalRefiner(), images, maps, EXACT, monitor=monitor)
    with pytest.raises(Cancelled, match="at plane 1, 0; the planes before"):
        list(map(done.append, planes))
    assert [index for index, _ in done] == [(0, 0), (0, 1), (0, 2)]


def test_bad_plane_of_a_stack_is_named() -> None:
    images, maps = stack()
    maps[1, 2, 3, 3] = 77
    with pytest.raises(ClassTableError, match=r"Plane 1, 2: .*77"):
        list(refine_stack(LocalRefiner(), images, maps))
    with pytest.raises(ImageError, match="stack of coarse maps"):
        refine_stack(LocalRefiner(), images[:1], maps)


def cleaned_scope(wanted: Scope) -> Scope:
    return replace(wanted, smallest_region=4, smallest_hole=6, smallest_spur=3)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_only_what_may_change_is_cleaned_up(case) -> None:
    image, coarse, wanted = case
    raw = refine_within(LocalRefiner(), image, coarse, wanted)
    cleaned = refine_within(LocalRefiner(), image, coarse, cleaned_scope(wanted))
    np.testing.assert_array_equal(cleaned.confidence, raw.confidence)
    before = whole_map(raw, coarse)
    coarse_ids, ids = TABLE.to_class_ids(coarse), TABLE.to_class_ids(before)
    after = TABLE.to_labels(clean_up(coarse_ids, ids, *cleaned_scope(wanted).clean_up_sizes))
    confidence = np.full(coarse.shape, np.nan)
    confidence[raw.window] = raw.confidence
    permitted = ClassRules.of(wanted, TABLE).permit(coarse, after)
    permitted &= confidence >= wanted.minimal_confidence
    permitted |= (after == coarse) & ~np.isnan(confidence)
    expected_map = np.where(permitted, after, before)
    np.testing.assert_array_equal(whole_map(cleaned, coarse), expected_map)
    np.testing.assert_array_equal(cleaned.changed, (expected_map != coarse)[raw.window])
    assert cleaned.report.changed == cleaned.changed.sum()


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from([3, 7, 30]))
def test_it_does_not_matter_where_the_blocks_end_that_are_cleaned_up(case, side) -> None:
    image, coarse, wanted = case
    image, coarse = np.tile(image, (4, 3, 1)), np.tile(coarse, (4, 3))
    sizes = {"smallest_region": 3, "smallest_hole": 6, "smallest_spur": 3}
    everywhere = replace(wanted, box=None, mask=None, protected=None, **sizes)
    entire = refine_within(LocalRefiner(), image, coarse, everywhere)
    with patch.object(plane_module, "GATED_BLOCK", side):
        blockwise = refine_within(LocalRefiner(), image, coarse, everywhere)
    np.testing.assert_array_equal(blockwise.labels, entire.labels)


def test_specks_and_holes_of_a_refiner_are_cleaned_up() -> None:
    class Speckled(LocalRefiner):
        def refine_ids(self, rgb, class_ids, monitor):
            refined = class_ids.copy()
            refined[5, 5] = refined[20:26, 20:26] = 1
            return refined, np.ones(class_ids.shape, np.float32)

    coarse = np.zeros((60, 60), np.uint8)
    image = np.zeros((60, 60, 3), np.uint8)
    cleaned = refine_within(Speckled(), image, coarse, Scope(care="model"))
    assert not cleaned.changed.any()
    kept = refine_within(Speckled(), image, coarse, EXACT)
    assert kept.report.changed == 37
    protected = np.zeros((60, 60), dtype=bool)
    painted = coarse.copy()
    painted[5, 5], protected[5, 5] = 1, True
    result = refine_within(Speckled(), image, painted, Scope(care="model", protected=protected))
    np.testing.assert_array_equal(result.labels, painted)
