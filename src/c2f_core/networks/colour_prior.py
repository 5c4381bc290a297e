"""Colour prior: correct class logits by the colours of the classes in the same image.

A network trained on few fine maps has seen few people's hair and skin, but in each image
it is sure of some pixels of each class: those well inside the regions that it predicts.
Their colours are a model of that class in that image, which tells to which side of a
boundary a pixel belongs (Boykov and Jolly, ICCV 2001; Rother et al., GrabCut, 2004). The
models are histograms, smoothed as in kernel density estimation.
"""

import torch
from torch import Tensor
from torch.nn import functional

from c2f_core.networks.encoding import most_likely

BINS = 18
"""Number of bins of each of the three colour axes."""
INSIDE = 5
"""Distance from a boundary, in rows and columns, at which pixels enter the colour models."""
PRIOR_PIXELS = 50.0
"""Weight of the prior that a class is coloured like all others, in pixels."""
RARE = 1e-6
"""Likelihood of colours that no class has."""


def with_colour_models(logits: Tensor, images: Tensor, weight: float) -> Tensor:
    r"""Add weighted log-likelihoods of the colours to logits.

    .. math:: z'_{pc} = z_{pc} + w \log P(x_p \mid c)

    so that with w = 1 the softmax is Bayes' rule, the network's softmax being the prior.

    Parameters
    ----------
    logits : (N, C, Y, X) float tensor
        Logits z of the network.
    images : (N, 3, Y, X) float tensor
        RGB images in [-1, 1].
    weight : float
        Weight w; 0 leaves the logits unchanged.

    Returns
    -------
    (N, C, Y, X) float tensor
        Corrected logits z'.
    """
    if not weight:
        return logits
    seen, likelihoods = _sampled(images, logits)
    logs = weight * likelihoods.log()
    corrected = logits.float() + logs[:, -1:]
    corrected[:, seen] = logits[:, seen].float() + logs[:, :-1]
    return corrected


def colour_likelihoods(images: Tensor, logits: Tensor) -> Tensor:
    """Return the likelihood of the colour of each pixel for each class in the same image.

    Parameters
    ----------
    images : (N, 3, Y, X) float tensor
        RGB images in [-1, 1].
    logits : (N, C, Y, X) float tensor
        Logits, the largest of which decides the class of a pixel.

    Returns
    -------
    (N, C, Y, X) float tensor
        P(x | c), positive. A class without pixels well inside a region is taken to be
        coloured like all others.
    """
    seen, likelihoods = _sampled(images, logits)
    found = likelihoods[:, -1:].repeat(1, logits.shape[1], 1, 1)
    found[:, seen] = likelihoods[:, :-1]
    return found


def _sampled(images: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the classes with pixels well inside a region, (K,), and likelihoods (N, K + 1, Y, X).

    The last likelihood is that of all other classes: of hundreds, few are in one image.
    """
    bins = _bins_of(images)
    histograms = _smooth(_histograms(bins, logits))
    masses = histograms.sum(dim=(2, 3, 4), keepdim=True)
    of_all = histograms.sum(dim=1, keepdim=True)
    of_all = of_all / of_all.sum(dim=(2, 3, 4), keepdim=True).clamp(min=1)
    seen = masses.flatten(1).gt(0).any(dim=0).nonzero()[:, 0]
    densities = (histograms[:, seen] + PRIOR_PIXELS * of_all) / (masses[:, seen] + PRIOR_PIXELS)
    densities = torch.cat([densities, of_all], dim=1)
    # grid_sample takes coordinates in [-1, 1] in the order of the axes 4, 3, 2.
    places = bins.flip(1).movedim(1, -1).mul(2 / (BINS - 1)).sub(1)[:, None]
    found: Tensor = functional.grid_sample(densities, places, align_corners=True)[:, :, 0]
    return seen, found + RARE


def _bins_of(images: Tensor) -> Tensor:
    """Brightness and two opponent colours, (N, 3, Y, X) in [0, BINS - 1]."""
    red, green, blue = images.float().mul(0.5).add(0.5).unbind(dim=1)
    opponents = (
        (red + green + blue) / 3,
        (red - blue) + 0.4,
        (2 * green - red - blue) + 0.5,
    )
    return torch.stack(opponents, dim=1).clamp(0, 1).mul(BINS - 1)


def _histograms(bins: Tensor, logits: Tensor) -> Tensor:
    """Count the colours of the pixels well inside of each class, (N, C, BINS, BINS, BINS)."""
    classes = most_likely(logits)
    index = classes.flatten(1).long()
    for axis in bins.round().long().flatten(2).unbind(dim=1):
        index = index * BINS + axis
    counts = bins.new_zeros(len(bins), logits.shape[1] * BINS**3)
    counts.scatter_add_(1, index, _well_inside(classes).flatten(1))
    return counts.view(len(bins), -1, BINS, BINS, BINS)


def _well_inside(classes: Tensor) -> Tensor:
    """1 where all pixels (N, Y, X) within `INSIDE` rows and columns are of one class, else 0."""
    crossed = torch.zeros_like(classes, dtype=torch.bool)
    for axis in (1, 2):
        changes = functional.pad(classes.diff(dim=axis) != 0, [INSIDE] * 4)
        # A change lies between two pixels, so that there is one less along this axis.
        for each in (1, 2):
            changes = _any_within(changes, each, 2 * INSIDE + (each != axis))
        crossed |= changes
    return (~crossed).float()


def _any_within(flags: Tensor, axis: int, window: int) -> Tensor:
    """Return whether any of `window` consecutive flags is set, for each place they start at."""
    # The window doubles with each pass: max_pool2d takes four times as long on a CPU (measured).
    reach = 1
    while reach < window:
        step = min(reach, window - reach)
        length = flags.shape[axis] - step
        flags = flags.narrow(axis, 0, length) | flags.narrow(axis, step, length)
        reach += step
    return flags


def _smooth(histograms: Tensor) -> Tensor:
    """Blur by a Gaussian of one bin, cut off at two."""
    bins = torch.arange(BINS, device=histograms.device)
    distances = (bins[:, None] - bins).abs()
    weights = torch.where(distances <= 2, torch.exp(-(distances**2) / 2), 0.0)
    weights = weights / weights[BINS // 2].sum()
    for equation in ("ia,ncabd->ncibd", "ib,ncabd->ncaid", "id,ncabd->ncabi"):
        histograms = torch.einsum(equation, weights, histograms)
    return histograms
