"""Simplified polygons: few points, and no change farther from a boundary than was asked for."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.draw import disk

from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import DataError
from c2f_core.io.annotations import FORMATS, write_annotations
from c2f_core.io.formats.outlines import labelled_masks, outline
from c2f_core.io.formats.polygons import polygons
from c2f_core.io.maps import read_map

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
SMOOTH = st.builds(
    lambda seed, width, size: _smooth(np.random.default_rng(seed), width, size),
    st.integers(0, 1000),
    st.floats(0.3, 4),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
)
SMALL = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([0, 1, 255]),
)
TOLERANCES = st.sampled_from([0.3, 0.5, 1.0, 2.0, 4.0])


def _smooth(rng, width, size):
    """Return class ids, 255 where unlabelled, in regions about as large as the width."""
    values = [ndimage.gaussian_filter(rng.normal(size=size), width) for _ in range(4)]
    return np.array([0, 1, 2, 255], dtype=np.uint8)[np.argmax(values, axis=0)]


def _disk(classes=(0, 1)):
    ids = np.full((80, 100), classes[0], dtype=np.uint8)
    ids[disk((40, 50), 30)] = classes[1]
    return ids


def _distance_from_boundary(ids):
    """Return how far each pixel centre is from the nearest edge between two classes."""
    free = np.ones(2 * np.array(ids.shape) + 1, dtype=bool)
    free[1:-1:2, 2:-1:2] = ids[:, 1:] == ids[:, :-1]
    free[2:-1:2, 1:-1:2] = ids[1:] == ids[:-1]
    return ndimage.distance_transform_edt(free)[1::2, 1::2] / 2


def _write(folder, ids, layout, tolerance):
    path = folder / f"map{FORMATS[layout].SUFFIX}"
    labels = SHAPES.to_labels(ids)
    write_annotations(path, labels, SHAPES, layout, "a.png", "polygons", tolerance)
    return path


@pytest.mark.parametrize("layout", FORMATS)
@QUIET
@given(ids=SMOOTH | SMALL, tolerance=TOLERANCES)
@example(ids=_disk(), tolerance=0.5)
@example(ids=np.eye(9, dtype=np.uint8), tolerance=2.0)
def test_only_pixels_near_a_boundary_change_and_no_region_is_lost(tmp_path, layout, ids, tolerance):
    again, report = read_map(_write(tmp_path, ids, layout, tolerance), SHAPES)
    changed = again != SHAPES.to_labels(ids)
    if changed.any():
        assert _distance_from_boundary(ids)[changed].max() <= tolerance + 1
    assert report.message() == ""


@QUIET
@given(ids=SMOOTH | SMALL, tolerance=TOLERANCES)
def test_labelled_regions_that_touch_leave_no_gap(tmp_path, ids, tolerance):
    ids[ids == 255] = 0
    again, _ = read_map(_write(tmp_path, ids, "coco", tolerance), SHAPES)
    assert (again != SHAPES.unlabelled.index).all()


def _points(path, layout):
    if layout == "cvat":
        found = ET.parse(path).getroot().iterfind("image/polygon")
        return [point for each in found for point in each.get("points").split(";")]
    document = json.loads(path.read_text())
    if layout == "coco":
        rings = [ring for each in document["annotations"] for ring in each["segmentation"]]
        return [point for ring in rings for point in ring[::2]]
    key = {"labelme": ("shapes", "points"), "cityscapes": ("objects", "polygon")}[layout]
    return [point for each in document[key[0]] for point in each[key[1]]]


@pytest.mark.parametrize("layout", FORMATS)
def test_a_disk_needs_few_points_and_changes_few_pixels(tmp_path, layout):
    ids = _disk((255, 1))
    exact = len(_points(_write(tmp_path, ids, layout, 0), layout))
    path = _write(tmp_path, ids, layout, 0.5)
    assert len(_points(path, layout)) < 0.6 * exact
    again, _ = read_map(path, SHAPES)
    assert np.mean(again != SHAPES.to_labels(ids)) < 0.01


def test_rectangles_keep_their_corners_and_slopes_become_straight():
    ids = np.zeros((30, 40), dtype=np.uint8)
    ids[5:15, 8:30] = 1
    rings = {region.entry.name: ring for region, ring in polygons(ids, SHAPES, 0.5)}
    name = SHAPES.classes[1].name
    assert sorted(rings[name].tolist()) == [[5, 8], [5, 30], [15, 8], [15, 30]]
    slope = np.triu(np.ones((30, 30), dtype=np.uint8))
    assert max(len(ring) for _, ring in polygons(slope, SHAPES, 0.5)) <= 6


def test_neighbours_have_the_same_points_on_their_common_boundary():
    ids = np.zeros((80, 100), dtype=np.uint8)
    ids[:, 50:] = 1
    ids[disk((40, 50), 20)] = 2
    rings = [{*map(tuple, ring.tolist())} for _, ring in polygons(ids, SHAPES, 0.5)]
    assert len(rings) == 3
    inside = {point for ring in rings for point in ring if 0 < point[0] < 80 and 0 < point[1] < 100}
    assert all(sum(point in ring for ring in rings) >= 2 for point in inside)


def test_polygons_without_tolerance_are_the_outlines():
    ids = _smooth(np.random.default_rng(3), 2, (40, 30))
    exact = [outline(region) for region in labelled_masks(ids, SHAPES)]
    for expected, (_, ring) in zip(exact, polygons(ids, SHAPES, 0), strict=True):
        np.testing.assert_array_equal(ring, expected)


@pytest.mark.parametrize("tolerance", [-0.5, float("nan"), float("inf")])
def test_an_impossible_tolerance_is_refused(tmp_path, tolerance):
    with pytest.raises(DataError, match="give the largest deviation in pixels, or 0"):
        _write(tmp_path, _disk(), "coco", tolerance)
    assert not list(tmp_path.iterdir())
