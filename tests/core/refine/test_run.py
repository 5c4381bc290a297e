"""Refinements of maps and stacks that leave hand-painted pixels unchanged."""

import base64
import hashlib
import json
import math
import zlib
from dataclasses import replace
from functools import partial

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.classes.codec import LabelCodec
from c2f_core.classes.editing import renamed, with_class
from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import Cancelled, ClassTableError, ImageError
from c2f_core.geometry.arrays import (
    Covered,
    Overlaid,
    Patch,
    around,
    common,
    from_corner,
    grown,
    is_empty,
    plane_of,
    to_corner,
)
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.refine import interface, plane
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import VALUES, RefineJob, run_record, run_refinement
from c2f_core.refine.scope import Scope

exact_scope = partial(Scope, care="model", smallest_region=0, smallest_hole=0, smallest_spur=0)
"""Scope in which all that a refiner changes is kept."""
EXACT = exact_scope()

TABLE = ClassTable(
    name="three",
    classes=tuple(
        ClassEntry(name=name, index=index, colour=(index, 0, 0))
        for name, index in (("a", 1), ("b", 2), ("c", 5))
    ),
    unlabelled=ClassEntry(name="nothing", index=0, colour=(0, 0, 0)),
)


class NextClass(RefinerInterface):
    """Refiner that turns each class into the next one; its receptive field is one pixel wider."""

    name = "next"
    class_table = TABLE

    def refine_ids(self, rgb, class_ids, monitor):
        monitor.raise_if_stopped()
        monitor.report(1.0)
        return (class_ids + 1) % 3, np.full(class_ids.shape, 0.75, np.float32)

    def receptive_window(self, part, size, /):
        return grown(part, 1, size)


@st.composite
def painted(draw, shape):
    """Draw some patches in an array of this shape."""
    patches = []
    for _ in range(draw(st.integers(0, 4))):
        place = []
        for length in shape:
            first = draw(st.integers(0, length - 1))
            place.append(slice(first, draw(st.integers(first + 1, length))))
        random = np.random.default_rng(draw(st.integers(0, 99)))
        mask = random.random([axis.stop - axis.start for axis in place]) < 0.5
        patches.append(Patch(tuple(place), mask, random.choice([1, 2, 5], mask.sum())))
    return patches


def pasted(below, patches):
    above, covered = below.copy(), np.zeros(below.shape, bool)
    for patch in patches:
        above[patch.slices][patch.mask] = patch.values
        covered[patch.slices] |= patch.mask
    return above, covered


SHAPE = (3, 7, 8)
KEYS = (
    ...,
    (),
    (1,),
    (slice(None), slice(2, 5), slice(None)),
    (2, slice(0, 4), slice(3, 8)),
    (slice(1, 9), 4, 5),
)


@given(painted(SHAPE), st.sampled_from(KEYS))
def test_patches_lie_over_a_map_as_if_they_were_pasted(patches, key):
    below = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    above, covered = pasted(below, patches)
    for lower in (below, da.from_array(below, chunks=3)):
        np.testing.assert_array_equal(Overlaid(lower, patches)[key], above[key])
    np.testing.assert_array_equal(Covered(SHAPE, patches)[key], covered[key])
    one = plane_of(Overlaid(below, patches), (1,))
    np.testing.assert_array_equal(one[2:4, 1:3], above[1, 2:4, 1:3])


@st.composite
def places(draw, shape=SHAPE):
    bounds = [sorted(draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in shape]
    return tuple(slice(*bound) for bound in bounds)


@given(places(), places())
def test_places_are_joined_cut_and_counted_from_corners(one, other):
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    first[one] = second[other] = True
    shared = common(one, other)
    assert is_empty(shared) == (not (first & second).any())
    assert first[shared].size == (first & second).sum()
    joined = around([one, other])
    assert first[joined].sum() + second[joined].sum() == first.sum() + second.sum()
    within = from_corner(one, joined)
    assert first[joined][within].all()
    assert to_corner(within, joined) == one


def stack(shape=SHAPE):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return images, random.choice(np.uint8([0, 1, 2, 5]), shape)


@given(painted(SHAPE), st.booleans())
def test_painted_pixels_stay_and_all_others_are_refined(patches, whole):
    images, maps = stack()
    kept = maps.copy()
    box = exact_scope(box=(slice(1, 6), slice(2, 20)))
    run = RefineJob(images, maps, TABLE, box, plane=None, painted=patches, whole=whole)
    result = run_refinement(run, NextClass())
    np.testing.assert_array_equal(maps, kept)
    above, covered = pasted(maps, patches)
    following = TABLE.to_labels((TABLE.to_class_ids(above) + 1) % 3)
    free = ~covered
    free[:, :1], free[:, 6:], free[:, :, :2] = False, False, False
    expected = np.where(free, following, above)
    np.testing.assert_array_equal(result.labels, expected[result.slices])
    np.testing.assert_array_equal(~np.isnan(result.confidence), free[result.slices])
    assert result.report.changed == (expected != above).sum()
    assert result.labels.shape == (SHAPE if whole else (3, 5, 6))


@pytest.mark.parametrize("plane", [None, (1,)])
def test_painted_pixels_may_be_of_a_class_that_the_refiner_does_not_know(plane):
    images, maps = stack()
    table = with_class(TABLE, "d")
    (new,) = {entry.index for entry in table.classes} - {1, 2, 5}
    mask = np.zeros(SHAPE, bool)
    mask[1:, 2:4, 3:6] = True
    patch = Patch((slice(0, 3), slice(0, 7), slice(0, 8)), mask, np.full(mask.sum(), new))
    known = run_refinement(RefineJob(images, maps, TABLE, EXACT, plane=plane), NextClass())
    run = RefineJob(images, maps, table, EXACT, plane=plane, painted=[patch])
    result = run_refinement(run, NextClass())
    np.testing.assert_array_equal(result.labels, np.where(mask, new, known.labels))
    np.testing.assert_array_equal(result.confidence[mask], np.nan)
    drawn = np.where(mask, new, maps).astype(np.uint8)
    with pytest.raises(ClassTableError, match="has the class 'd'"):
        run_refinement(RefineJob(images, drawn, table, EXACT, plane=plane), NextClass())


def painted_of_record(record):
    """Read the hand-painted pixels of a record, which a script can do to repeat a run."""

    def decompressed(text):
        return zlib.decompress(base64.b64decode(text))

    for patch in record["painted"]:
        shape = patch["mask"]["shape"]
        bits = np.frombuffer(decompressed(patch["mask"]["bits"]), np.uint8)
        mask = np.unpackbits(bits, count=math.prod(shape)).astype(bool).reshape(shape)
        values = np.frombuffer(decompressed(patch["values"]), VALUES)
        yield Patch(tuple(slice(*axis) for axis in patch["slices"]), mask, values)


def test_the_record_of_a_run_is_json_and_names_the_model():
    pair = synthetic_pair(48)
    refiner = CLASSICAL_REFINERS["watershed"](SHAPES)
    job = RefineJob(pair.image, SHAPES.to_labels(pair.coarse), SHAPES, exact_scope(band=4))
    result = run_refinement(job, refiner)
    report, record = result.report, json.loads(json.dumps(result.record))
    assert (record["refiner"], record["sha256"]) == ("watershed", None)
    assert Scope.from_record(record["scope"]) is not None
    assert record["changed"] == report.changed == sum(count for *_, count in record["by_class"])
    assert record["mean_confidence"] == pytest.approx(report.mean_confidence)
    nothing = run_refinement(replace(job, scope=exact_scope(classes=())), refiner)
    assert json.dumps(nothing.record, allow_nan=False)
    faces = Refiner.bundled("fasseg", "cpu")
    digest = hashlib.sha256((BUNDLED_FOLDER / "fasseg.safetensors").read_bytes()).hexdigest()
    assert run_record(job, faces, report)["sha256"] == digest


@given(painted(SHAPE))
def test_a_run_can_be_repeated_from_its_record(patches):
    images, maps = stack()
    run = RefineJob(images, maps, TABLE, exact_scope(band=2), plane=(1,), painted=patches)
    first = run_refinement(run, NextClass())
    record = json.loads(json.dumps(first.record))
    again = RefineJob(
        images,
        maps,
        TABLE,
        Scope.from_record(record["scope"]),
        plane=tuple(record["plane"]),
        painted=list(painted_of_record(record)),
    )
    np.testing.assert_array_equal(run_refinement(again, NextClass()).labels, first.labels)


def test_one_plane_is_refined_and_the_others_are_as_before():
    images, maps = stack()
    first = run_refinement(RefineJob(images, maps, TABLE, EXACT, plane=(1,)), NextClass())
    np.testing.assert_array_equal(first.labels[[0, 2]], maps[[0, 2]])
    assert (first.labels[1] != maps[1]).any()
    assert np.isnan(first.confidence[[0, 2]]).all()
    assert first.report.pixels == maps[1].size
    before = first.labels, first.confidence
    second = run_refinement(
        RefineJob(images, maps, TABLE, EXACT, plane=(2,), before=before), NextClass()
    )
    np.testing.assert_array_equal(second.labels[:2], first.labels[:2])
    np.testing.assert_array_equal(second.confidence[:2], first.confidence[:2])
    box = exact_scope(box=(slice(0, 7), slice(0, 4)))
    third = run_refinement(
        RefineJob(images, maps, TABLE, box, plane=(1,), before=before), NextClass()
    )
    np.testing.assert_array_equal(third.labels[1, :, :4], first.labels[1, :, :4])
    np.testing.assert_array_equal(third.labels[1, :, 4:], maps[1, :, 4:])
    assert np.isnan(third.confidence[1, :, 4:]).all()
    alone = run_refinement(
        RefineJob(images, maps, TABLE, EXACT, plane=(2,), whole=False), NextClass()
    )
    assert alone.slices == (slice(2, 3), slice(0, 7), slice(0, 8))
    np.testing.assert_array_equal(alone.labels, second.labels[2:])


def test_a_stack_that_is_stopped_keeps_the_planes_that_are_done():
    images, maps = stack()
    shares = []
    run = RefineJob(images, maps, TABLE, EXACT, plane=None)
    result = run_refinement(
        run, NextClass(), progress=shares.append, should_stop=lambda: max(shares, default=0) > 0.5
    )
    assert "at plane 2" in result.cancelled
    np.testing.assert_array_equal(result.labels[2], maps[2])
    assert (result.labels[:2] != maps[:2]).any()
    with pytest.raises(Cancelled):
        run_refinement(run, NextClass(), should_stop=lambda: True)


def test_what_does_not_fit_is_named():
    images, maps = stack()
    with pytest.raises(ImageError, match="drawn on these images"):
        run_refinement(RefineJob(images[:2], maps, TABLE, plane=(1,)), NextClass())
    with pytest.raises(ImageError, match="no planes"):
        run_refinement(RefineJob(images[:0], maps[:0], TABLE, plane=None), NextClass())


REVERSED = ClassTable(
    name="reversed",
    classes=tuple(
        entry.model_copy(update={"index": 90 + number})
        for number, entry in enumerate(reversed(TABLE.classes))
    ),
    unlabelled=TABLE.unlabelled.model_copy(update={"name": "empty", "index": 300}),
)


@pytest.mark.parametrize("painted_too", [False, True])
def test_maps_may_be_of_another_table_than_the_refiner(painted_too):
    images, maps = stack()
    mask = np.zeros(SHAPE, bool)
    mask[1:, 2:4, 3:6] = painted_too
    patch = Patch(tuple(slice(0, length) for length in SHAPE), mask, maps[mask])
    other = replace(patch, values=TABLE.translate(patch.values, REVERSED))
    scope = exact_scope(classes=("a",), locked=("c",), band=2)
    own = RefineJob(images, maps, TABLE, scope, plane=None, painted=[patch])
    translated = TABLE.translate(maps, REVERSED)
    job = RefineJob(images, translated, REVERSED, scope, plane=None, painted=[other])
    expected, result = run_refinement(own, NextClass()), run_refinement(job, NextClass())
    np.testing.assert_array_equal(result.labels, TABLE.translate(expected.labels, REVERSED))
    np.testing.assert_array_equal(result.confidence, expected.confidence)
    assert {
        tuple("nothing" if name == "empty" else name for name in pair): count
        for pair, count in result.report.by_class.items()
    } == expected.report.by_class
    assert result.report.changed > 0


def test_a_class_that_one_of_the_tables_does_not_have_is_named():
    images, _ = stack()
    unheard = renamed(REVERSED, 90, "unheard of")
    job = RefineJob(images, np.full(SHAPE, 90), unheard, plane=(1,))
    with pytest.raises(ClassTableError, match="has the class 'unheard of'"):
        run_refinement(job, NextClass())
    two = TABLE.model_copy(update={"classes": TABLE.classes[:2]})
    job = RefineJob(images, np.full(SHAPE, 2), two, EXACT, plane=(1,))
    with pytest.raises(ClassTableError, match="has the class 'c'"):
        run_refinement(job, NextClass())


@pytest.fixture
def conversions(monkeypatch):
    """Names of the conversions that were made of images and class maps."""
    made = []

    def count(owner, name):
        original = getattr(owner, name)

        def counting(*arguments, **keywords):
            if any(np.ndim(each) >= 2 for each in arguments):  # Lookup tables have one axis.
                made.append(name)
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, counting)

    for name in ("to_class_ids", "to_labels"):
        count(LabelCodec, name)
    for name in ("translate", "translate_ids"):
        count(ClassTable, name)
    for module in (plane, interface):
        count(module, "as_rgb8")
    return made


@pytest.mark.parametrize("table", [TABLE, REVERSED])
def test_an_image_is_converted_once_and_a_map_once_on_each_way(conversions, table):
    images, maps = stack()
    translated = TABLE.translate(maps, table)
    conversions.clear()
    run_refinement(RefineJob(images, translated, table, EXACT, plane=(1,)), NextClass())
    assert conversions == ["as_rgb8", "to_class_ids", "to_labels"]
    conversions.clear()
    NextClass().refine(images[1], maps[1])
    assert conversions == ["as_rgb8", "to_class_ids", "to_labels"]
