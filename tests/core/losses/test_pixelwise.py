"""Losses against cases computed by hand."""

import math

import numpy as np
import pytest
import torch

from c2f_core.losses.pixelwise import (
    inverse_class_proportions,
    unbiased_cross_entropy,
    weighted_cross_entropy,
)


def test_weighted_cross_entropy_by_hand():
    # Two pixels, two classes: softmax (3/4, 1/4) and (1/2, 1/2).
    logits = torch.tensor([[[[math.log(3), 0.0]], [[0.0, 0.0]]]])
    fine = torch.tensor([[[0, 1]]])
    loss = weighted_cross_entropy(logits, fine, torch.tensor([2.0, 5.0]))
    expected = (2 * -math.log(3 / 4) + 5 * -math.log(1 / 2)) / (1 * 2)
    assert loss.item() == pytest.approx(expected)


def test_unlabelled_pixels_add_nothing_and_count_in_the_area():
    logits = torch.zeros(1, 2, 1, 4)
    fine = torch.tensor([[[0, 255, 255, 255]]])
    loss = weighted_cross_entropy(logits, fine, torch.ones(2))
    assert loss.item() == pytest.approx(math.log(2) / 4)
    assert weighted_cross_entropy(logits, torch.full_like(fine, 255), torch.ones(2)).item() == 0


@pytest.mark.parametrize(
    ("loss_function", "rare"), [(unbiased_cross_entropy, 0.2), (weighted_cross_entropy, 0.5)]
)
def test_only_the_unbiased_loss_learns_the_true_shares(loss_function, rare):
    """One pixel in five is of the rare class, which weighs four times as much."""
    fine = torch.tensor([[[0, 0, 0, 0, 1]]])
    weights = torch.tensor([1.0, 4.0, 0.0])
    logits = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200)

    def closure():
        optimiser.zero_grad()
        loss = loss_function(logits[None, :, None, None].expand(1, 3, 1, 5), fine, weights)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert logits.softmax(0)[1].item() == pytest.approx(rare, abs=0.01)


def test_class_weights_by_hand():
    # Proportions: (3/4, 1/4) and (1/2, 1/2) of the labelled pixels; mean (5/8, 3/8).
    maps = [
        np.array([[0, 0, 0, 1]], dtype=np.uint8),
        np.array([[0, 1, 255, 255]], dtype=np.uint8),
    ]
    weights = inverse_class_proportions(maps, 3, cap=100)
    assert weights[1] / weights[0] == pytest.approx(5 / 3)
    assert weights[2] == 0
    assert weights[0] * 5 / 8 + weights[1] * 3 / 8 == pytest.approx(1)


def test_class_weights_are_capped():
    maps = [np.array([[0] * 99 + [1]], dtype=np.uint8)]
    weights = inverse_class_proportions(maps, 2, cap=4)
    assert weights[1] / weights[0] == pytest.approx(4)
