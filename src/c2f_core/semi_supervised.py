"""What coarse-only images teach, as pure functions."""

import torch
from torch import Tensor
from torch.nn import functional

from c2f_core.classes import UNLABELLED_POSITION


def join_evidence(probabilities: Tensor, evidence: Tensor) -> Tensor:
    r"""Join class probabilities with the likelihood of what was not seen (Bayes).

    .. math:: p(f \mid x, e) = p(f \mid x)\, P(e \mid f) / \sum_g p(g \mid x)\, P(e \mid g)

    Parameters
    ----------
    probabilities : (N, C, Y, X) float tensor
        p(f | x), from the image alone.
    evidence : (N, C, Y, X) float tensor
        P(e | f) up to a factor for each pixel, positive.

    Returns
    -------
    (N, C, Y, X) float tensor
    """
    joined = probabilities * evidence
    total: Tensor = joined.sum(dim=1, keepdim=True)
    return joined / total.clamp(min=torch.finfo(joined.dtype).tiny)


def evidence_loss(logits: Tensor, evidence: Tensor, hidden: Tensor) -> Tensor:
    r"""Forward-corrected cross-entropy against the coarse map (Patrini et al., CVPR 2017).

    .. math:: L = -\frac{1}{N A} \sum_{n \in \mathrm{hidden}} \sum_p
        \log \sum_f P(e_{np} \mid f)\, s_{npf}

    with the softmax s of logits that were computed without the coarse map.

    Parameters
    ----------
    logits : (N, C, Y, X) float tensor
    evidence : (N, C, Y, X) float tensor
        P(e | f) up to a factor for each pixel, positive.
    hidden : (N,) boolean tensor
        Crops whose coarse map was hidden; only they count.

    Returns
    -------
    () float tensor
    """
    likelihood = torch.logsumexp(logits.log_softmax(dim=1) + evidence.log(), dim=1)
    total: Tensor = -(likelihood * hidden[:, None, None]).sum()
    return total / likelihood.numel()


def class_thresholds(confidence: Tensor, labels: Tensor, classes: int, threshold: float) -> Tensor:
    """Lower the threshold of classes that the teacher is less sure of.

    The threshold of a class is in proportion to the mean confidence of the
    pixels so labelled, the surest class having `threshold` (after FlexMatch,
    Zhang et al., NeurIPS 2021, equation 6), so that small and difficult classes
    do not vanish from the pseudo-labels.

    Parameters
    ----------
    confidence : (N, Y, X) float tensor in [0, 1]
    labels : (N, Y, X) int64 tensor
        Positions, 0 to C - 1.
    classes : int
    threshold : float

    Returns
    -------
    (C,) float tensor
    """
    counts = torch.bincount(labels.flatten(), minlength=classes)
    sums = torch.bincount(labels.flatten(), confidence.flatten(), minlength=classes)
    means = (sums / counts.clamp(min=1)).to(confidence.dtype)
    return threshold * means / means.max().clamp(min=torch.finfo(means.dtype).tiny)


def pseudo_labels(probabilities: Tensor, thresholds: Tensor, trusted: Tensor) -> Tensor:
    """Label the pixels whose confidence reaches the threshold of their class.

    Parameters
    ----------
    probabilities : (N, C, Y, X) float tensor
    thresholds : (C,) float tensor
    trusted : (N, Y, X) boolean tensor
        Pixels outside get no label.

    Returns
    -------
    (N, Y, X) int64 tensor
        Positions, 255 where unlabelled.
    """
    confidence, labels = probabilities.max(dim=1)
    kept = trusted & (confidence >= thresholds[labels])
    return labels.where(kept, UNLABELLED_POSITION)


def at_pixels(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a discriminator's scores (N, 1, y, x) to (N, Y, X)."""
    return functional.interpolate(scores, size, mode="nearest")[:, 0]
