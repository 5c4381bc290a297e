"""What coarse-only images teach, as pure functions."""

import math

import numpy as np
import torch
from torch import Tensor


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, trusted: Tensor, class_weights: Tensor
) -> Tensor:
    r"""Cross-entropy against class probabilities instead of labels.

    .. math:: L = -\frac{1}{N A} \sum_{n, p} t_{np} \sum_c w_c\, q_{npc} \log s_{npc}

    with the target q, the trust t and the softmax s of the logits
    :math:`z_c + \log w_c`, so that the softmax of z is q at the minimum (see
    `unbiased_cross_entropy`). Where the teacher wavers, as at boundaries, the
    target says so (Hinton et al., arXiv:1503.02531, 2015).

    Parameters
    ----------
    logits, targets : (N, C, Y, X) float tensor
        The targets sum to 1 over the classes.
    trusted : (N, Y, X) tensor
        Pixels that count, 0 or 1.
    class_weights : (C,) float tensor
        A weight of 0 is taken as 1: the fine pairs lack that class.

    Returns
    -------
    () float tensor
    """
    weights = class_weights.where(class_weights > 0, 1.0)[:, None, None]
    log_softmax = (logits + weights.log()).log_softmax(dim=1)
    total: Tensor = -(weights * targets * log_softmax * trusted[:, None]).sum()
    return total / trusted.numel()


def draw_boxes(count: int, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Draw a box of a tenth to a half of the area for each crop.

    Parameters
    ----------
    count : int
    size : (int, int)
        Rows and columns.
    rng : numpy.random.Generator

    Returns
    -------
    (count, Y, X) boolean tensor
        True inside.
    """
    boxes = torch.zeros(count, *size, dtype=torch.bool)
    for box in boxes:
        share, ratio = math.sqrt(rng.uniform(0.1, 0.5)), math.sqrt(rng.uniform(0.6, 1.6))
        sides = (share * ratio, share / ratio)
        lengths = [min(whole, round(whole * side)) for whole, side in zip(size, sides, strict=True)]
        top, left = (
            int(rng.integers(whole - length + 1))
            for whole, length in zip(size, lengths, strict=True)
        )
        box[top : top + lengths[0], left : left + lengths[1]] = True
    return boxes


def cut_mix(values: Tensor, boxes: Tensor) -> Tensor:
    """Paste the boxes of each crop's predecessor into it (CutMix, Yun et al., ICCV 2019).

    For consistency in semantic segmentation see French et al. (BMVC 2020).

    Parameters
    ----------
    values : (N, Y, X) or (N, K, Y, X) tensor
    boxes : (N, Y, X) boolean tensor

    Returns
    -------
    tensor
        Like `values`.
    """
    inside = boxes if values.ndim == 3 else boxes[:, None]
    return values.roll(1, 0).where(inside, values)
