r"""What a coarse map says about the fine one, learned from pairs that have both.

A coarse label is evidence, not truth: deep inside a region it is mostly right,
near the border to another class it often is not, and on some borders (a nose
drawn too small on its face) hardly ever. So a pixel's *code* is its coarse class,
the nearest other coarse class, and the distance to it in bands. Counting the fine
classes f under each code e gives P(f | e), and with Bayes the likelihood

.. math:: P(e \mid f) \propto P(f \mid e) / P(f)

The negative logarithm of :math:`\sum_f P(e \mid f)\, s_f` for a softmax s is the
forward-corrected cross-entropy of Patrini et al. (CVPR 2017, theorem 2) for noisy
labels, with a noise that depends on the place and not on the class alone.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.data.pairs import Pair

BANDS = (2, 4, 8, 16, 32)
"""Distances in pixels that part the bands."""
NO_CODE = 255
"""Code of unlabelled pixels; as codes are stored in a byte, it is also their largest number."""
PRIOR_PIXELS = 300.0
"""Weight of the prior belief in pixels: neighbours count alike, so few pixels say little."""


def code_shape(number_of_classes: int) -> tuple[int, int, int]:
    """Numbers of classes, of nearest other classes and of bands that codes tell apart.

    Where there are so many classes that codes would not fit into a byte, and few
    pixels would be left for each, the nearest other class or the bands are left out.
    """
    others, bands = number_of_classes + 1, len(BANDS) + 1
    if number_of_classes * others * bands <= NO_CODE:
        return number_of_classes, others, bands
    return number_of_classes, 1, bands if number_of_classes * bands <= NO_CODE else 1


def coarse_codes(coarse: NDArray[np.uint8], number_of_classes: int) -> NDArray[np.uint8]:
    """Code each pixel of a coarse map.

    Parameters
    ----------
    coarse : (Y, X) uint8 array
        Positions, 255 where unlabelled.
    number_of_classes : int

    Returns
    -------
    (Y, X) uint8 array
        Flat index into `code_shape`, where the last of the other classes stands
        for unlabelled and for no other class at all; 255 where the coarse map
        is unlabelled.
    """
    _, others, bands = code_shape(number_of_classes)
    known = np.minimum(coarse, number_of_classes).astype(np.intp)
    codes = np.full(coarse.shape, NO_CODE, dtype=np.uint8)
    for position in np.unique(known[known < number_of_classes]):
        inside = known == position
        other = np.full(coarse.shape, number_of_classes, dtype=np.intp)
        band = np.full(coarse.shape, len(BANDS), dtype=np.intp)
        if not inside.all():
            distance, nearest = ndimage.distance_transform_edt(inside, return_indices=True)
            other = known[tuple(nearest)]
            band = np.searchsorted(BANDS, distance, side="right")
        code = (position * others + other % others) * bands + band % bands
        codes[inside] = code[inside]
    return codes


def likelihoods(pairs: Sequence[Pair], number_of_classes: int) -> NDArray[np.float32]:
    """Learn P(e | f), up to a factor for each code, from pairs with fine maps.

    Codes that few pixels have lean on their coarse class in the same band, and
    that on the coarse class being right half of the time.

    Parameters
    ----------
    pairs : sequence of Pair
        With fine maps.
    number_of_classes : int

    Returns
    -------
    (codes, C) float32 array
        P(f | e) / P(f), scaled to a largest value of 1 in each row.
    """
    shape = (*code_shape(number_of_classes), number_of_classes)
    counts = np.zeros((math.prod(shape[:3]), number_of_classes))
    for pair in pairs:
        assert pair.fine is not None, "evidence is learned from pairs with fine maps"
        codes = coarse_codes(pair.coarse, number_of_classes)
        counted = (codes != NO_CODE) & (pair.fine != UNLABELLED_ID)
        np.add.at(counts, (codes[counted], pair.fine[counted]), 1.0)
    fine_shares = counts.sum(axis=0) + 1.0
    fine_shares /= fine_shares.sum()
    ratio = _posteriors(counts.reshape(shape), fine_shares).reshape(counts.shape) / fine_shares
    scaled: NDArray[np.float32] = (ratio / ratio.max(axis=1, keepdims=True)).astype(np.float32)
    return scaled


def _posteriors(
    counts: NDArray[np.float64], fine_shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(f | e) by class, other class and band, with priors from the coarser codes."""
    prior = (np.eye(len(counts)) + fine_shares)[:, None, None, :] / 2
    for level in (counts.sum(axis=1, keepdims=True), counts):
        smoothed = level + PRIOR_PIXELS * prior
        prior = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return prior


def evidence_of(codes: Tensor, table: Tensor) -> Tensor:
    """Look up the likelihoods of codes.

    Parameters
    ----------
    codes : (N, Y, X) int64 tensor
        255 where there is no evidence.
    table : (codes, C) float tensor

    Returns
    -------
    (N, C, Y, X) float tensor
        1 for every class where there is no evidence.
    """
    known = codes != NO_CODE
    values = torch.where(known[..., None], table[codes.where(known, 0)], 1.0)
    return values.permute(0, 3, 1, 2)
