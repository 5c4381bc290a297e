"""The losses on coarse-only images."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.losses.pixelwise import unbiased_cross_entropy
from c2f_core.losses.semi_supervised import cut_mix, draw_boxes, soft_cross_entropy
from c2f_core.networks.encoding import at_pixels, one_hot


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
