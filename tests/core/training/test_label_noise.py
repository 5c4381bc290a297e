"""What coarse maps say about fine ones, and the losses on coarse-only images."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from c2f_core.data.pairs import Pair
from c2f_core.losses.pixelwise import unbiased_cross_entropy
from c2f_core.losses.semi_supervised import cut_mix, draw_boxes, evidence_loss, soft_cross_entropy
from c2f_core.networks.encoding import at_pixels, one_hot
from c2f_core.training.label_noise import (
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


def test_evidence_loss_by_hand():
    # Two crops of two pixels, softmax (3/4, 1/4); only the first crop is hidden.
    logits = torch.tensor([math.log(3), 0.0])[None, :, None, None].expand(2, 2, 1, 2)
    evidence = torch.tensor([1.0, 0.2])[None, :, None, None].expand(2, 2, 1, 2)
    loss = evidence_loss(
        logits, evidence, torch.tensor([True, False])[:, None, None].expand(2, 1, 2)
    )
    assert loss.item() == pytest.approx(-2 * math.log(0.75 + 0.05) / 4)


def test_evidence_of_nothing_gives_no_gradient():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    evidence_loss(logits, torch.ones(1, 3, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)).backward()
    assert logits.grad.abs().max() < 1e-6


def test_soft_cross_entropy_by_hand():
    # One trusted pixel of two, softmax (3/4, 1/4), target (1/2, 1/2).
    logits = torch.tensor([math.log(3), 0.0])[None, :, None, None].expand(1, 2, 1, 2)
    targets = torch.full((1, 2, 1, 2), 0.5)
    trusted = torch.tensor([[[True, False]]])
    loss = soft_cross_entropy(logits, targets, trusted, torch.ones(2))
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2 / 2)


def test_soft_cross_entropy_of_one_hot_targets_is_the_pixel_wise_loss():
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    weights = torch.tensor([0.5, 1.0, 2.0])
    soft = soft_cross_entropy(logits, one_hot(labels, 3), torch.ones(2, 4, 5), weights)
    assert soft.item() == pytest.approx(
        unbiased_cross_entropy(logits, labels, weights).item(), rel=1e-5
    )


def test_soft_cross_entropy_is_least_at_its_target():
    target = torch.tensor([0.7, 0.2, 0.1])[None, :, None, None]
    logits = target.log().requires_grad_()
    weights = torch.tensor([1.0, 3.0, 0.0])
    soft_cross_entropy(logits, target, torch.ones(1, 1, 1), weights).backward()
    assert logits.grad.abs().max() < 1e-6


@given(st.integers(1, 4), st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
def test_boxes_lie_within_the_crop_and_take_their_share(count, height, width, seed):
    boxes = draw_boxes(count, (height, width), np.random.default_rng(seed)).numpy()
    assert boxes.shape == (count, height, width)
    for box in boxes:
        rows, columns = box.any(axis=1), box.any(axis=0)
        assert np.array_equal(box, rows[:, None] & columns), "a box is a rectangle"
        rounding = 1 / height + 1 / width
        assert 0.1 - rounding <= box.mean() <= 0.5 + rounding


def test_cut_mix_pastes_the_same_boxes_into_everything():
    boxes = torch.zeros(2, 3, 4, dtype=torch.bool)
    boxes[0, 1:, :2] = True
    maps = torch.arange(24).view(2, 3, 4)
    mixed = cut_mix(maps, boxes)
    assert torch.equal(mixed[0, 1:, :2], maps[1, 1:, :2])
    assert torch.equal(mixed[0, :, 2:], maps[0, :, 2:])
    assert torch.equal(mixed[1], maps[1])
    images = torch.stack([maps, -maps], dim=1)
    assert torch.equal(cut_mix(images, boxes), torch.stack([mixed, -mixed], dim=1))


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 1, 3, 2), (2, 1, 6, 4)])
def test_scores_of_every_kind_reach_all_pixels(shape):
    scores = torch.rand(shape)
    spread = at_pixels(scores, (6, 4))
    assert spread.shape == (2, 6, 4)
    assert spread[1, 5, 3] == scores[1, 0, -1, -1]
