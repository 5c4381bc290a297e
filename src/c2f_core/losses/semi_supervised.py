"""Losses and augmentation on coarse-only images, as pure functions."""

import math

import numpy as np
import torch
from torch import Tensor


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, trusted: Tensor, class_weights: Tensor
) -> Tensor:
    r"""Cross-entropy against class probabilities instead of labels.

    .. math:: L = -\frac{1}{N A} \sum_{n, p} t_{np} \sum_c w_c\, q_{npc} \log s_{npc}

    with the target q, the trust t (0 or 1) and the softmax s of the logits
    :math:`z_c + \log w_c`, so that the softmax of z is q at the minimum (see
    `unbiased_cross_entropy`). Unlike labels, the target also tells where the teacher is
    uncertain, as at boundaries (Hinton et al., arXiv:1503.02531, 2015).

    Parameters
    ----------
    logits, targets : (N, C, Y, X) float tensor
        Logits, and class probabilities that sum to 1 over the classes.
    trusted : (N, Y, X) tensor
        1 for pixels that count, else 0.
    class_weights : (C,) float tensor
        Weight of each class. A weight of 0 counts as 1: the class is missing in the
        fine maps.

    Returns
    -------
    () float tensor
        Loss.
    """
    weights = class_weights.where(class_weights > 0, 1.0)[:, None, None]
    log_softmax = (logits + weights.log()).log_softmax(dim=1)
    total: Tensor = -(weights * targets * log_softmax * trusted[:, None]).sum()
    return total / trusted.numel()


def draw_boxes(count: int, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Draw a random box for each crop, a tenth to a half of its area.

    Parameters
    ----------
    count : int
        Number of crops.
    size : (int, int)
        Rows Y and columns X of the crops.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    (count, Y, X) boolean tensor
        True inside the boxes.
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


def cut_mix(values: Tensor, boxes: Tensor, predecessors: Tensor | None = None) -> Tensor:
    """Paste a box of each crop's predecessor into the crop (CutMix, Yun et al., ICCV 2019).

    French et al. (BMVC 2020) use it for consistency in semantic segmentation.

    Parameters
    ----------
    values : (N, Y, X) or (N, K, Y, X) tensor
        Images or maps of the crops.
    boxes : (N, Y, X) boolean tensor
        True inside the boxes.
    predecessors : tensor, optional
        Values of the predecessor of each crop, in the shape of `values`. By default this is
        the crop before it, and the last crop for the first one.

    Returns
    -------
    tensor
        Mixed values, of the shape and dtype of `values`.
    """
    inside = boxes if values.ndim == 3 else boxes[:, None]
    before = values.roll(1, 0) if predecessors is None else predecessors
    return before.where(inside, values)
