"""Encode images and class maps as tensors, and decode the network's output."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def image_to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Turn an image (Y, X, 3) uint8 into a tensor (1, 3, Y, X) float32 in [-1, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


def one_hot(class_ids: Tensor, number_of_classes: int) -> Tensor:
    """One channel per class; an unlabelled pixel (255) is the all-zero vector.

    Parameters
    ----------
    class_ids : (N, Y, X) integer tensor
    number_of_classes : int

    Returns
    -------
    (N, C, Y, X) float32 tensor
    """
    count, height, width = class_ids.shape
    channels = torch.empty(count, number_of_classes, height, width, device=class_ids.device)
    for class_id in range(number_of_classes):
        # Without a boolean tensor in between it takes a fifth of the time.
        torch.eq(class_ids, class_id, out=channels[:, class_id])
    return channels


def most_likely(scores: Tensor) -> Tensor:
    """Return the class with the largest score, the first of equals.

    Parameters
    ----------
    scores : (N, C, Y, X) tensor

    Returns
    -------
    (N, Y, X) uint8 tensor
        Class ids.
    """
    # On a CPU torch's argmax over the classes takes thirty times as long, and channels last
    # in memory this does.
    scores = scores.contiguous()
    classes = scores.shape[1]
    countdown = torch.arange(classes, 0, -1, dtype=torch.uint8, device=scores.device)
    is_largest = scores == scores.amax(dim=1, keepdim=True)
    # Of scores that are not finite, none is the largest.
    return (classes - (is_largest * countdown[:, None, None]).amax(dim=1)).clamp_(max=classes - 1)


def at_pixels(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a discriminator's scores (N, 1, y, x) to (N, Y, X)."""
    return functional.interpolate(scores, size, mode="nearest")[:, 0]
