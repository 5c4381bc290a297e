"""Adversarial losses against cases computed by hand."""

import math

import pytest
import torch

from c2f_core.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    discriminator_accuracy,
    least_squares_discriminator,
    least_squares_generator,
    minimax_discriminator,
    minimax_generator,
)

LOG3 = math.log(3)  # its sigmoid is 3/4


def logits(*values):
    """Return one image of a row of pixels, (1, 1, 1, X)."""
    return torch.tensor([[[list(map(float, values))]]])


REAL, FAKE = logits(LOG3, 0), logits(-LOG3, LOG3)  # D = (3/4, 1/2) and (1/4, 3/4)


def test_minimax_by_hand():
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2 - (math.log(3 / 4) + math.log(1 / 4)) / 2
    assert minimax_discriminator(REAL, FAKE).item() == pytest.approx(expected)


def test_minimax_of_an_undecided_discriminator_is_log_4():
    assert minimax_discriminator(logits(0), logits(0)).item() == pytest.approx(math.log(4))


def test_minimax_generator_by_hand():
    expected = (math.log(3 / 4) + math.log(1 / 4)) / 2
    assert minimax_generator(FAKE).item() == pytest.approx(expected)


def test_the_minimax_generator_stalls_before_a_sure_discriminator():
    fake = logits(-20).requires_grad_()
    minimax_generator(fake).backward()
    assert fake.grad.item() == pytest.approx(0, abs=1e-8)


def test_least_squares_by_hand():
    real, fake = logits(1, 3), logits(0, 2)
    assert least_squares_discriminator(real, fake).item() == pytest.approx(4 / 4 + 4 / 4)
    assert least_squares_generator(fake).item() == pytest.approx((1 + 1) / 4)


def test_losses_stay_finite_at_extreme_logits():
    assert minimax_discriminator(logits(-1e4), logits(1e4)).item() == pytest.approx(2e4)
    assert minimax_generator(logits(1e4)).item() == pytest.approx(-1e4)


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES.values(), ids=ADVERSARIAL_LOSSES)
def test_pixels_of_weight_zero_do_not_count(loss):
    weights = torch.tensor([[[[True, False]]]])
    junk = torch.full_like(REAL, 9.0)
    real, fake = REAL.where(weights, junk), FAKE.where(weights, junk)
    expected = loss.discriminator(REAL[..., :1], FAKE[..., :1], None, None)
    assert loss.discriminator(real, fake, weights, weights).item() == pytest.approx(expected.item())
    expected = loss.generator(FAKE[..., :1], None)
    assert loss.generator(fake, weights).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES.values(), ids=ADVERSARIAL_LOSSES)
def test_nothing_labelled_gives_no_loss_and_no_gradient(loss):
    fake = FAKE.clone().requires_grad_()
    none = torch.zeros_like(fake)
    value = loss.discriminator(REAL, fake, none, none) + loss.generator(fake, none)
    value.backward()
    assert value.item() == 0
    assert not fake.grad.any()


def test_one_logit_per_image_weighs_its_labelled_share():
    """Two images, of which the second is half labelled and counts half."""
    fake = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    weights = torch.ones(2, 1, 4, 4)
    weights[1, :, :2] = 0
    expected = (1 * 0 + 0.5 * 4) / 1.5 / 2
    assert least_squares_generator(fake, weights).item() == pytest.approx(expected)


def test_patches_weigh_the_pixels_below_them():
    fake = torch.tensor([[[[1.0, 3.0]]]])
    weights = torch.ones(1, 1, 8, 16)
    weights[..., 8:] = 0
    assert least_squares_generator(fake, weights).item() == 0


def test_real_and_fake_batches_may_differ_in_size():
    loss = minimax_discriminator(torch.zeros(3, 1, 2, 2), torch.zeros(1, 1, 4, 4))
    assert loss.item() == pytest.approx(math.log(4))


def test_accuracy_by_hand():
    assert discriminator_accuracy(logits(1, -1), logits(-1, -2, -3, 4)) == (1 / 2 + 3 / 4) / 2
    assert discriminator_accuracy(logits(1, 2), logits(-1)) == 1
    assert discriminator_accuracy(logits(-1), logits(1)) == 0
    weights = torch.tensor([[[[1.0, 0.0]]]])
    assert discriminator_accuracy(logits(1, -1), logits(-1, 1), weights, weights) == 1


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES.values(), ids=ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("logit", [-1, 0, 0.5, 1])
def test_a_constant_discriminator_is_right_half_of_the_time(loss, logit):
    same = logits(logit, logit)
    assert discriminator_accuracy(same, same, threshold=loss.threshold) == 0.5


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES.values(), ids=ADVERSARIAL_LOSSES)
def test_the_threshold_is_the_best_logit_of_an_undecided_discriminator(loss):
    logit = torch.tensor([[[[0.3]]]], requires_grad=True)
    optimiser = torch.optim.LBFGS([logit], line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        value = loss.discriminator(logit, logit, None, None)
        value.backward()
        return value

    optimiser.step(closure)
    assert logit.item() == pytest.approx(loss.threshold, abs=1e-4)
