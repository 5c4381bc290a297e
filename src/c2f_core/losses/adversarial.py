r"""Adversarial losses as pure functions of the discriminator's logits.

The logits :math:`l` may be of any kind, (N, 1, 1, 1), (N, 1, Y, X) or
(N, 1, y, x); D is their sigmoid for the minimax losses, and the logits
themselves for least squares. The mean is taken over images and places.

Optional weights (N, 1, Y, X) say how much each pixel counts, such as 0 where it
is unlabelled. They are averaged down to the size of the logits, so that one
call serves all kinds: an image that is half unlabelled counts half. Weights
that are zero everywhere give a loss of 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted mean of (N, 1, y, x) values; the weights may be of a finer size."""
    if weights is None:
        return values.mean()
    height, width = values.shape[-2:]
    weights = weights.to(values.dtype)
    if weights.shape[-2:] != values.shape[-2:]:
        weights = functional.adaptive_avg_pool2d(weights, (height, width))
    return (weights * values).sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)


def minimax_discriminator(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of the discriminator (Goodfellow et al., NeurIPS 2014, eq. 1).

    .. math:: L_D = -E[\log D(x, y)] - E[\log (1 - D(x, G(x)))]

    with the image x, its fine map y and the generator G.

    Parameters
    ----------
    real, fake : (N, 1, y, x) float tensor
        Logits of the real and of the fake maps.
    real_weights, fake_weights : (N, 1, Y, X) tensor, optional

    Returns
    -------
    () float tensor
    """
    return _mean(functional.softplus(-real), real_weights) + _mean(
        functional.softplus(fake), fake_weights
    )


def minimax_generator(fake: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""The generator's side of the minimax game (Goodfellow et al., NeurIPS 2014, eq. 1).

    .. math:: L_G = E[\log (1 - D(x, G(x)))]

    Its gradient vanishes where the discriminator is sure that the map is fake.

    Parameters
    ----------
    fake : (N, 1, y, x) float tensor
        Logits of the fake maps.
    weights : (N, 1, Y, X) tensor, optional

    Returns
    -------
    () float tensor
    """
    return -_mean(functional.softplus(fake), weights)


def least_squares_discriminator(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
) -> Tensor:
    r"""Least squares of the discriminator (Mao et al., ICCV 2017, eq. 9: a = 0, b = c = 1).

    .. math:: L_D = \tfrac12 E[(D(x, y) - 1)^2] + \tfrac12 E[D(x, G(x))^2]

    Parameters
    ----------
    real, fake, real_weights, fake_weights
        As in `minimax_discriminator`.

    Returns
    -------
    () float tensor
    """
    return (_mean((real - 1).square(), real_weights) + _mean(fake.square(), fake_weights)) / 2


def least_squares_generator(fake: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Least squares of the generator (Mao et al., ICCV 2017, eq. 9: a = 0, b = c = 1).

    .. math:: L_G = \tfrac12 E[(D(x, G(x)) - 1)^2]

    Parameters
    ----------
    fake, weights
        As in `minimax_generator`.

    Returns
    -------
    () float tensor
    """
    return _mean((fake - 1).square(), weights) / 2


@dataclass(frozen=True)
class AdversarialLoss:
    """The two losses of a game, and the logit between real and fake.

    Attributes
    ----------
    discriminator : callable
        (real, fake, real_weights, fake_weights) to the loss to descend on.
    generator : callable
        (fake, weights) to the loss to descend on.
    threshold : float
        Maps with logits above it are taken for real.
    """

    discriminator: Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    threshold: float


ADVERSARIAL_LOSSES = {
    "minimax": AdversarialLoss(minimax_discriminator, minimax_generator, 0.0),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator, 0.5),
}
"""By name."""


def realness(logits: Tensor, loss: str) -> Tensor:
    """Turn the logits of a discriminator into how real it finds a map.

    Parameters
    ----------
    logits : float tensor
    loss : str
        By which it was trained, see `ADVERSARIAL_LOSSES`.

    Returns
    -------
    float tensor
        In [0, 1]: 0 is fake, 1 is real.
    """
    return logits.clamp(0, 1) if loss == "least_squares" else logits.sigmoid()


def discriminator_accuracy(
    real: Tensor,
    fake: Tensor,
    real_weights: Tensor | None = None,
    fake_weights: Tensor | None = None,
    threshold: float = 0.0,
) -> float:
    """Mean of the share of real maps taken for real and of fake maps taken for fake.

    Parameters
    ----------
    real, fake, real_weights, fake_weights
        As in `minimax_discriminator`.
    threshold : float
        Logits above it say real: `AdversarialLoss.threshold`.

    Returns
    -------
    float in [0, 1]
        0.5 where the discriminator cannot tell; 1 means that it has won.
    """
    right = _mean((real > threshold).float(), real_weights)
    right = right + _mean((fake <= threshold).float(), fake_weights)
    return right.item() / 2
