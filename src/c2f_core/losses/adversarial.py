r"""Adversarial losses as pure functions of the discriminator's logits.

The logits are one per image, (N, 1, 1, 1), or one per pixel, (N, 1, Y, X). D is
their sigmoid for the minimax losses, and the logits themselves for least
squares. The mean is taken over images and pixels.

Optional weights (N, 1, Y, X) give the weight of each pixel, such as 0 where it is
unlabelled. They are averaged down to the size of the logits, so an image that
is half unlabelled counts half. Weights that are zero everywhere give a loss of 0.

Where several processes share a batch, each computes the losses of its part. The mean of these
losses over the processes is the loss of the whole batch if the weights are divided by the mean
of their sums, which `mean_over_processes` computes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Reduction = Callable[[Tensor], Tensor]
"""Function from a number of this process, () tensor, to its mean over all processes."""


def unreduced(number: Tensor) -> Tensor:
    """Return the number itself: the reduction of a single process."""
    return number


def _mean(values: Tensor, weights: Tensor | None, mean_over_processes: Reduction) -> Tensor:
    """Weighted mean of (N, 1, y, x) values; the weights may have a higher resolution."""
    if weights is None:
        return values.mean()
    height, width = values.shape[-2:]
    weights = weights.to(values.dtype)
    if weights.shape[-2:] != values.shape[-2:]:
        weights = functional.adaptive_avg_pool2d(weights, (height, width))
    total = mean_over_processes(weights.sum()).clamp(min=torch.finfo(values.dtype).tiny)
    return (weights * values).sum() / total


def minimax_discriminator(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
    mean_over_processes: Reduction = unreduced,
) -> Tensor:
    r"""Binary cross-entropy of the discriminator (Goodfellow et al., NeurIPS 2014, eq. 1).

    .. math:: L_D = -E[\log D(x, y)] - E[\log (1 - D(x, G(x)))]

    with the image x, its fine map y and the generator G.

    Parameters
    ----------
    real, fake : (N, 1, y, x) float tensor
        Logits of the real and of the fake maps.
    real_weights, fake_weights : (N, 1, Y, X) tensor, optional
        Weights of the pixels, at the resolution of the logits or a higher one.
    mean_over_processes : callable
        Mean of a number over all processes that share the batch; by default there is one process.

    Returns
    -------
    () float tensor
        Loss of the discriminator.
    """
    loss = _mean(functional.softplus(-real), real_weights, mean_over_processes)
    return loss + _mean(functional.softplus(fake), fake_weights, mean_over_processes)


def minimax_generator(
    fake: Tensor, weights: Tensor | None = None, mean_over_processes: Reduction = unreduced
) -> Tensor:
    r"""Minimax loss of the generator (Goodfellow et al., NeurIPS 2014, eq. 1).

    .. math:: L_G = E[\log (1 - D(x, G(x)))]

    Its gradient vanishes where the discriminator is sure that the map is fake.

    Parameters
    ----------
    fake : (N, 1, y, x) float tensor
        Logits of the fake maps.
    weights : (N, 1, Y, X) tensor, optional
        Weights of the pixels, at the resolution of the logits or a higher one.
    mean_over_processes : callable
        Mean of a number over all processes that share the batch; by default there is one process.

    Returns
    -------
    () float tensor
        Loss of the generator.
    """
    return -_mean(functional.softplus(fake), weights, mean_over_processes)


def least_squares_discriminator(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
    mean_over_processes: Reduction = unreduced,
) -> Tensor:
    r"""Least squares of the discriminator (Mao et al., ICCV 2017, eq. 9: a = 0, b = c = 1).

    .. math:: L_D = \tfrac12 E[(D(x, y) - 1)^2] + \tfrac12 E[D(x, G(x))^2]

    Parameters
    ----------
    real, fake, real_weights, fake_weights, mean_over_processes
        See `minimax_discriminator`.

    Returns
    -------
    () float tensor
        Loss of the discriminator.
    """
    loss = _mean((real - 1).square(), real_weights, mean_over_processes)
    return (loss + _mean(fake.square(), fake_weights, mean_over_processes)) / 2


def least_squares_generator(
    fake: Tensor, weights: Tensor | None = None, mean_over_processes: Reduction = unreduced
) -> Tensor:
    r"""Least squares of the generator (Mao et al., ICCV 2017, eq. 9: a = 0, b = c = 1).

    .. math:: L_G = \tfrac12 E[(D(x, G(x)) - 1)^2]

    Parameters
    ----------
    fake, weights, mean_over_processes
        See `minimax_generator`.

    Returns
    -------
    () float tensor
        Loss of the generator.
    """
    return _mean((fake - 1).square(), weights, mean_over_processes) / 2


@dataclass(frozen=True)
class AdversarialLoss:
    """The two losses of an adversarial game, and the logit between real and fake.

    Attributes
    ----------
    discriminator : callable
        Function from (real, fake, real_weights, fake_weights, mean_over_processes) to the
        discriminator's loss.
    generator : callable
        Function from (fake, weights, mean_over_processes) to the generator's loss.
    threshold : float
        Logit above which a map is classified as real.
    """

    discriminator: Callable[[Tensor, Tensor, Tensor | None, Tensor | None, Reduction], Tensor]
    generator: Callable[[Tensor, Tensor | None, Reduction], Tensor]
    threshold: float


ADVERSARIAL_LOSSES = {
    "minimax": AdversarialLoss(minimax_discriminator, minimax_generator, 0.0),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator, 0.5),
}
"""Adversarial losses by the names that the config gives them."""


def realness(logits: Tensor, loss: str) -> Tensor:
    """Turn the logits of a discriminator into scores.

    Parameters
    ----------
    logits : float tensor
        Logits of any shape.
    loss : str
        Adversarial loss of its training, a key of `ADVERSARIAL_LOSSES`.

    Returns
    -------
    float tensor
        Scores in [0, 1] of the same shape; 0 is fake, 1 is real.
    """
    return logits.clamp(0, 1) if loss == "least_squares" else logits.sigmoid()


def discriminator_accuracy(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
    threshold: float = 0.0,
    mean_over_processes: Reduction = unreduced,
) -> float:
    """Return the mean of the shares of real and of fake maps that are classified correctly.

    Parameters
    ----------
    real, fake, real_weights, fake_weights, mean_over_processes
        See `minimax_discriminator`.
    threshold : float
        Logit above which a map is classified as real, see `AdversarialLoss`.

    Returns
    -------
    float
        Accuracy in [0, 1]: at 0.5 the discriminator is guessing, at 1 it has won.
    """
    right = _mean((real > threshold).float(), real_weights, mean_over_processes)
    right = right + _mean((fake <= threshold).float(), fake_weights, mean_over_processes)
    return right.item() / 2
