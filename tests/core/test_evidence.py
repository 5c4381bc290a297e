"""What coarse maps say about fine ones, and the losses on coarse-only images."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from c2f_core.data.pairs import Pair
from c2f_core.semi_supervised import (
    at_pixels,
    class_thresholds,
    evidence_loss,
    join_evidence,
    pseudo_labels,
)
from c2f_core.training.evidence import (
    BANDS,
    NO_CODE,
    coarse_codes,
    code_shape,
    evidence_of,
    likelihoods,
)

MAPS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                  elements=st.sampled_from([0, 1, 2, 255]))  # fmt: skip


def pair_of(coarse, fine):
    return Pair("pair", np.zeros((*coarse.shape, 3), np.uint8), coarse, fine)


@given(MAPS)
def test_codes_name_class_and_nearest_other_class(coarse):
    shape = code_shape(3)
    codes = coarse_codes(coarse, 3)
    assert ((codes == NO_CODE) == (coarse == 255)).all()
    classes, others, _ = np.unravel_index(codes[codes != NO_CODE], shape)
    assert (classes == coarse[coarse != 255]).all()
    present = {*np.minimum(coarse, 3).ravel().tolist(), 3}
    assert set(others.tolist()) <= present
    assert (others != classes).all()


def test_codes_tell_the_distance_in_bands():
    coarse = np.zeros((1, 100), np.uint8)
    coarse[:, 50:] = 1
    _, others, bands = np.unravel_index(coarse_codes(coarse, 2), code_shape(2))
    assert others[0, 0] == 1
    assert others[0, 99] == 0
    assert bands[0, 49] == 0, "one pixel from the boundary"
    assert bands[0, 0] == len(BANDS), "farther than the last band"
    assert bands[0, 44] == 2, "six pixels: between 4 and 8"


@pytest.mark.parametrize("classes", [1, 2, 6, 7, 19, 42, 43, 254])
def test_codes_fit_into_a_byte_for_any_number_of_classes(classes):
    coarse = np.arange(classes, dtype=np.uint8)[None].repeat(3, axis=0)
    assert math.prod(code_shape(classes)) <= NO_CODE
    assert coarse_codes(coarse, classes).max() < math.prod(code_shape(classes))


def test_likelihoods_learn_where_coarse_maps_deviate():
    """Half of what is drawn as class 0 beside class 1 is class 1; far from it all is right."""
    coarse = np.zeros((60, 200), np.uint8)
    coarse[:, 100:] = 1
    fine = coarse.copy()
    fine[::2, 98:100] = 1
    table = likelihoods([pair_of(coarse, fine)] * 50, 2)
    codes = coarse_codes(coarse, 2)
    near, far, inside = table[codes[0, 99]], table[codes[0, 0]], table[codes[0, 150]]
    assert near[1] / near[0] == pytest.approx(1, abs=0.1), "both are likely"
    assert far[0] == 1
    assert far[1] < 0.05
    assert inside[1] == 1
    assert inside[0] < 0.05


def test_without_experience_the_coarse_map_is_trusted_half():
    fine = np.array([[0, 1]], np.uint8)
    table = likelihoods([pair_of(np.full((1, 2), 255, np.uint8), fine)], 2)
    code = coarse_codes(np.zeros((1, 1), np.uint8), 2)[0, 0]
    # P(0 | e) = 1/2 + 1/4, P(1 | e) = 1/4, both divided by the share 1/2.
    assert table[code].tolist() == pytest.approx([1, 1 / 3])


def test_no_evidence_favours_no_class():
    table = torch.tensor([[1.0, 0.25], [0.5, 1.0]])
    evidence = evidence_of(torch.tensor([[[0, NO_CODE, 1]]]), table)
    assert evidence[0, :, 0].T.tolist() == [[1.0, 0.25], [1.0, 1.0], [0.5, 1.0]]


def test_joining_is_bayes():
    probabilities = torch.tensor([0.6, 0.4])[None, :, None, None]
    evidence = torch.tensor([0.5, 1.0])[None, :, None, None]
    assert join_evidence(probabilities, evidence).flatten().tolist() == pytest.approx(
        [3 / 7, 4 / 7]
    )


def test_evidence_loss_by_hand():
    # Two crops of two pixels, softmax (3/4, 1/4); only the first crop is hidden.
    logits = torch.tensor([math.log(3), 0.0])[None, :, None, None].expand(2, 2, 1, 2)
    evidence = torch.tensor([1.0, 0.2])[None, :, None, None].expand(2, 2, 1, 2)
    loss = evidence_loss(logits, evidence, torch.tensor([True, False]))
    assert loss.item() == pytest.approx(-2 * math.log(0.75 + 0.05) / 4)


def test_evidence_of_nothing_gives_no_gradient():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    evidence_loss(logits, torch.ones(1, 3, 2, 2), torch.tensor([True])).backward()
    assert logits.grad.abs().max() < 1e-6


def test_thresholds_are_lower_for_classes_of_which_the_teacher_is_less_sure():
    confidence = torch.tensor([[[1.0, 0.8, 0.45, 0.45]]])
    labels = torch.tensor([[[0, 0, 1, 1]]])
    thresholds = class_thresholds(confidence, labels, 3, 0.8)
    assert thresholds.tolist() == pytest.approx([0.8, 0.4, 0.0])


def test_pseudo_labels_need_confidence_and_trust():
    probabilities = torch.tensor([[0.9, 0.6, 0.2, 0.9], [0.1, 0.4, 0.8, 0.1]])[None, :, None]
    trusted = torch.tensor([[[True, True, True, False]]])
    labels = pseudo_labels(probabilities, torch.tensor([0.8, 0.7]), trusted)
    assert labels.tolist() == [[[0, 255, 1, 255]]]


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 1, 3, 2), (2, 1, 6, 4)])
def test_scores_of_every_kind_reach_all_pixels(shape):
    scores = torch.rand(shape)
    spread = at_pixels(scores, (6, 4))
    assert spread.shape == (2, 6, 4)
    assert spread[1, 5, 3] == scores[1, 0, -1, -1]
