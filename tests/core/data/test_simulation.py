"""Simulated coarse maps: what always holds, how coarse they are, and what each kind does."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.data.simulation import FULL_KINDS, KINDS, CoarseSimulation, MixedSimulation
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.metrics.scores import confusion_matrix, mean_iou

each_kind = pytest.mark.parametrize("kind", KINDS)
each_full_kind = pytest.mark.parametrize("kind", FULL_KINDS)


def simulate(kind, fine, seed=0, iou=None):
    return CoarseSimulation(kind, iou).simulate(fine, np.random.default_rng(seed))


def shapes(seed, side=128):
    return synthetic_pair(side, seed).fine


def nuclei(seed, side=192):
    """Return a map of many small disks on a background."""
    rng = np.random.default_rng(seed)
    fine = np.zeros((side, side), np.uint8)
    for x, y in rng.integers(0, side, (40, 2)).tolist():
        cv2.circle(fine, (x, y), int(rng.integers(2, 9)), 1, -1)
    return fine


class_ids = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=24),
    elements=st.sampled_from([0, 1, 7, 200, UNLABELLED_ID]),
)


@each_kind
@settings(max_examples=40)
@given(fine=class_ids, seed=st.integers(0, 9), low=st.floats(0.05, 0.9))
def test_any_map_keeps_its_size_type_and_classes(kind, fine, seed, low):
    before = fine.copy()
    found = simulate(kind, fine, seed, (low, low + 0.1))
    assert found.class_ids.shape == fine.shape
    assert found.class_ids.dtype == np.uint8
    assert set(np.unique(found.class_ids)) <= {*np.unique(fine), UNLABELLED_ID}
    np.testing.assert_array_equal(fine, before)
    again = simulate(kind, fine, seed, (low, low + 0.1))
    np.testing.assert_array_equal(found.class_ids, again.class_ids)


@each_full_kind
@settings(max_examples=20)
@given(fine=class_ids.filter(lambda fine: not (fine == UNLABELLED_ID).any()))
def test_full_kinds_leave_no_pixel_unlabelled(kind, fine):
    assert not (simulate(kind, fine).class_ids == UNLABELLED_ID).any()


@each_kind
@pytest.mark.parametrize("seed", range(3))
def test_ordinary_maps_are_as_coarse_as_wanted(kind, seed):
    fine = nuclei(seed) if kind == "small_parts" else shapes(seed)
    lowest = 0.03 if kind == "scribbles" else 0.75
    highest = 0.08 if kind == "scribbles" else 0.9
    found = simulate(kind, fine, seed, (lowest, highest))
    assert lowest <= found.iou <= highest
    assert found.iou == mean_iou(confusion_matrix(found.class_ids, fine, 4))


@each_kind
def test_a_lower_iou_is_a_coarser_map(kind):
    fine = nuclei(5)
    ranges = [(0.03, 0.05), (0.08, 0.12)] if kind == "scribbles" else [(0.6, 0.7), (0.85, 0.92)]
    coarser, finer = (simulate(kind, fine, 1, wanted) for wanted in ranges)
    assert (coarser.class_ids == fine).sum() < (finer.class_ids == fine).sum()


@each_kind
def test_another_seed_gives_another_map(kind):
    fine = shapes(3)
    first, second = (simulate(kind, fine, seed).class_ids for seed in (1, 2))
    assert (first != second).any()


@each_kind
def test_200_classes(kind):
    fine = np.kron(np.arange(200).reshape(10, 20), np.ones((12, 12))).astype(np.uint8)
    found = simulate(kind, fine)
    assert set(np.unique(found.class_ids)) <= {*range(200), UNLABELLED_ID}
    assert len(np.unique(found.class_ids)) > 100


@each_full_kind
def test_a_map_of_one_class_stays_as_it_is(kind):
    fine = np.full((40, 30), 3, np.uint8)
    found = simulate(kind, fine)
    np.testing.assert_array_equal(found.class_ids, fine)
    assert found.iou == 1


@each_kind
def test_unlabelled_regions_stay_unlabelled_inside(kind):
    fine = shapes(4, 200)
    fine[:, :60] = UNLABELLED_ID
    found = simulate(kind, fine).class_ids
    assert (found[:, :20] == UNLABELLED_ID).mean() > 0.9
    assert np.isnan(simulate(kind, np.full((9, 9), UNLABELLED_ID, np.uint8)).iou)


def test_polygons_have_few_vertices():
    fine = np.zeros((200, 200), np.uint8)
    cv2.circle(fine, (100, 100), 60, 1, -1)
    found = simulate("polygons", fine, 0, (0.8, 0.92)).class_ids
    contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    vertices = cv2.approxPolyDP(max(contours, key=len), 2, True)
    assert 3 <= len(vertices) <= 9


def test_polygons_of_parts_inside_others_are_kept():
    fine = np.zeros((200, 200), np.uint8)
    cv2.circle(fine, (100, 100), 80, 1, -1)
    cv2.circle(fine, (100, 100), 55, 0, -1)
    cv2.circle(fine, (100, 100), 30, 1, -1)
    found = simulate("polygons", fine, 0, (0.8, 0.9)).class_ids
    assert [int(found[100, x]) for x in (5, 32, 57, 100)] == [0, 1, 0, 1]


def test_morphology_only_moves_boundaries():
    fine = shapes(2)
    found = simulate("morphology", fine).class_ids
    changed = (found != fine).view(np.uint8)
    boundary = cv2.morphologyEx(fine, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    _, parts = cv2.connectedComponents(changed | boundary.view(np.uint8))
    touching = np.unique(parts[boundary])
    assert np.isin(parts[changed > 0], touching).all()


def test_small_parts_are_dropped_or_merged():
    fine = nuclei(1)
    found = simulate("small_parts", fine, 0, (0.6, 0.8)).class_ids
    before, after = (cv2.connectedComponents(each)[0] for each in (fine, found))
    assert after < before


def test_polygons_inside_regions_leave_out_what_is_thin():
    fine = np.zeros((160, 160), np.uint8)
    fine[40:120, 40:120] = 1
    fine[:, 140:142] = 2
    found = simulate("inside_polygons", fine, 0, (0.3, 0.6)).class_ids
    assert not (found == 2).any()
    assert (found == 1).any()
    drawn = found != UNLABELLED_ID
    assert (found == fine)[drawn].mean() > 0.98


def test_scribbles_stay_inside_their_classes():
    fine = shapes(6, 256)
    found = simulate("scribbles", fine).class_ids
    drawn = found != UNLABELLED_ID
    assert 0 < drawn.mean() < 0.3
    assert set(np.unique(found[drawn])) == set(np.unique(fine))
    assert (found == fine)[drawn].mean() > 0.99


def test_a_mixture_draws_all_its_kinds():
    rng, fine = np.random.default_rng(0), shapes(1)
    drawn = {MixedSimulation().simulate(fine, rng).kind for _ in range(60)}
    assert drawn == set(KINDS)
    two = MixedSimulation(("polygons", "displacement"), (0.8, 0.9))
    found = [two.simulate(fine, rng) for _ in range(12)]
    assert {each.kind for each in found} == {"polygons", "displacement"}
    assert all(0.8 <= each.iou <= 0.9 for each in found)
