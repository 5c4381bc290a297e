"""Pixel-wise losses as pure functions."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from c2f_core.classes.table import UNLABELLED_ID


def weighted_cross_entropy(logits: Tensor, fine: Tensor, class_weights: Tensor) -> Tensor:
    r"""Weighted pixel-wise cross-entropy of the report.

    .. math:: L = -\frac{1}{N A} \sum_{n=1}^{N} \sum_{p=1}^{A} w_{y_{np}} \log s_{np y_{np}}

    with the batch size N, the image area A in pixels, the fine class y of a
    pixel, its weight w and the softmax s of the logits. Unlabelled pixels add
    nothing and still count in A, so that the scale does not depend on them.

    Parameters
    ----------
    logits : (N, C, Y, X) float tensor
        Logits of the classes.
    fine : (N, Y, X) int64 tensor
        Class ids 0 to C - 1, 255 where unlabelled.
    class_weights : (C,) float tensor
        Weight of each class.

    Returns
    -------
    () float tensor
        Loss.
    """
    total = functional.cross_entropy(
        logits, fine, class_weights, ignore_index=UNLABELLED_ID, reduction="sum"
    )
    return total / fine.numel()


def unbiased_cross_entropy(logits: Tensor, fine: Tensor, class_weights: Tensor) -> Tensor:
    r"""Weighted cross-entropy whose minimum is the true posterior.

    With weights w, the report's loss is smallest where the softmax is proportional
    to :math:`w_c\, p(c)`: rare classes are overestimated and grow at
    their boundaries. Here the loss sees the logits :math:`z_c + \log w_c`
    (after Menon et al., ICLR 2021, section 3), so that the softmax of z itself
    becomes p(c); the weights still direct the gradient to rare classes.

    Parameters
    ----------
    logits, fine, class_weights
        See `weighted_cross_entropy`. A class of weight 0 is not shifted.

    Returns
    -------
    () float tensor
        Loss.
    """
    shift = class_weights.where(class_weights > 0, 1.0).log()
    return weighted_cross_entropy(logits + shift[:, None, None], fine, class_weights)


PixelLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
PIXEL_LOSSES: dict[str, PixelLoss] = {
    "unbiased": unbiased_cross_entropy,
    "report": weighted_cross_entropy,
}
"""Pixel-wise losses by the names that the config gives them."""


def inverse_class_proportions(
    maps: Sequence[NDArray[np.uint8]], number_of_classes: int, cap: float
) -> NDArray[np.float32]:
    """Compute class weights: inverse class proportions averaged over the maps, capped.

    The weights are divided by the smallest one, capped at `cap`, and scaled so
    that an average labelled pixel weighs 1. A class that never occurs has weight 0.

    Parameters
    ----------
    maps : sequence of (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    number_of_classes : int
        Number of classes C.
    cap : float
        Largest weight relative to the smallest, at least 1.

    Returns
    -------
    (C,) float32 array
        Weight of each class.
    """
    shares = [
        np.bincount(class_ids.ravel(), minlength=256)[:number_of_classes]
        / max(1, int((class_ids < number_of_classes).sum()))
        for class_ids in maps
    ]
    proportions = np.mean(shares, axis=0)
    occurs = proportions > 0
    weights = np.zeros(number_of_classes)
    weights[occurs] = 1 / proportions[occurs]
    weights[occurs] = np.minimum(weights[occurs] / weights[occurs].min(), cap)
    weights /= max(float((weights * proportions).sum()), 1e-12)
    return np.asarray(weights, dtype=np.float32)
