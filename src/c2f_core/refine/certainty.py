"""Confidence of the classical refiners: a logistic model of whether a label is right.

The model looks at what usually tells a right label from a wrong one: whether the coarse map
had the same class, how far away the boundary of the coarse map is, and how sharp the
boundaries of the result are. `scripts/calibrate_classical.py` fits it.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.geometry.arrays import boundary_pixels
from c2f_core.opencv import cv2
from c2f_core.refine.interface import ClassIds, Confidence

FARTHEST = 50.0
"""Distance in pixels from which on a boundary is too far away to matter."""
CONTRASTS = (0.5, 30.0)
"""Smallest and largest contrast that were seen when the model was fitted."""
SMALLEST_GRADIENT = 0.1
"""Gradient in CIELAB units per pixel that is added to both: plain images have contrast 1."""
LARGEST_PROBABILITY = 0.9999
"""Largest probability whose odds count."""
SAMPLED = 1 << 20
"""Number of pixels of which the gradient of an image is the median."""
BAND = 64
"""Number of rows whose confidence is computed at a time, to bound the memory."""


@dataclass(frozen=True)
class Certainty:
    """Coefficients of the log odds that a label is right.

    Distances are log(1 + distance in pixels to the boundary of the coarse map).

    Attributes
    ----------
    same, same_distance : float
        Constant and factor of the distance where the coarse map has the same class.
    other, other_distance : float
        The same where the coarse map has another class.
    unlabelled, unlabelled_distance : float
        The same where the coarse map is unlabelled.
    contrast : float
        Factor of the log contrast of the result; see `log_contrast`.
    probability : float
        Factor of the log odds of the refiner's own probability, if it has one.
    """

    same: float
    same_distance: float
    other: float
    other_distance: float
    unlabelled: float
    unlabelled_distance: float
    contrast: float
    probability: float = 0.0

    def confidence(
        self,
        coarse: ClassIds,
        fine: ClassIds,
        contrast: float,
        probability: Confidence | None,
    ) -> Confidence:
        """Return the probability that each label is right.

        Parameters
        ----------
        coarse, fine : (Y, X) uint8 array
            Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
            fine map.
        contrast : float
            Log contrast of the result; see `log_contrast`.
        probability : (Y, X) float32 array, optional
            The refiner's own probability of the labels in [0, 1].

        Returns
        -------
        (Y, X) float32 array
        """
        distance = boundary_distance(coarse)
        found = np.empty(coarse.shape, np.float32)
        for start in range(0, len(coarse), BAND):
            rows = slice(start, start + BAND)
            own = None if probability is None else probability[rows]
            columns = features(coarse[rows], fine[rows], distance[rows], contrast, own)
            log_odds = columns @ np.array(astuple(self), np.float32)
            found[rows] = 1 / (1 + np.exp(-log_odds))
        return found


def features(
    coarse: ClassIds,
    fine: ClassIds,
    distance: NDArray[np.float32],
    contrast: float,
    probability: Confidence | None,
) -> NDArray[np.float32]:
    """Return what the log odds are a weighted sum of.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map and of the fine map.
    distance : (Y, X) float32 array
        Distance to the boundary of the coarse map in pixels.
    contrast : float
        Log contrast of the result.
    probability : (Y, X) float32 array, optional
        The refiner's own probability of the labels in [0, 1].

    Returns
    -------
    (Y, X, 8) float32 array
        In the order of the coefficients of `Certainty`.
    """
    unlabelled = coarse == UNLABELLED_ID
    same = coarse == fine
    far = np.log1p(distance)
    found = np.zeros((*coarse.shape, 8), np.float32)
    for number, where in enumerate((same, ~same & ~unlabelled, unlabelled)):
        found[..., 2 * number] = where
        found[..., 2 * number + 1] = where * far
    found[..., 6] = contrast
    if probability is not None:
        share = np.clip(probability, 1 - LARGEST_PROBABILITY, LARGEST_PROBABILITY)
        found[..., 7] = np.log(share / (1 - share))
    return found


def boundary_distance(class_ids: ClassIds) -> NDArray[np.float32]:
    """Return the distance to the nearest boundary in pixels, at most `FARTHEST`.

    The outline of unlabelled regions is a boundary.
    """
    boundary = boundary_pixels(class_ids, unlabelled=None)
    if not boundary.any():
        return np.full(class_ids.shape, FARTHEST, np.float32)
    return np.minimum(distance_to(boundary), np.float32(FARTHEST))


def log_contrast(fine: ClassIds, gradient: NDArray[np.float32]) -> float:
    """Return the logarithm of how much sharper the boundaries of a map are than the image.

    Parameters
    ----------
    fine : (Y, X) uint8 array
        Class ids of the fine map.
    gradient : (Y, X) float32 array
        Colour gradient of the image.
    """
    step = max(1, round((gradient.size / SAMPLED) ** 0.5))
    return contrast_of(gradient[boundary_pixels(fine)], gradient[::step, ::step])


def contrast_of(boundary: NDArray[np.float32], everywhere: NDArray[np.float32]) -> float:
    """Return the logarithm of how much sharper boundaries are than the image, in medians.

    Parameters
    ----------
    boundary, everywhere : float32 array
        Colour gradients of pixels along the boundaries, and all over the image.
    """
    if not boundary.size:
        return 0.0
    of_image = np.median(everywhere)
    contrast = (np.median(boundary) + SMALLEST_GRADIENT) / (of_image + SMALLEST_GRADIENT)
    return float(np.log(np.clip(contrast, *CONTRASTS)))


def distance_to(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance of each pixel to the nearest one of a mask, in pixels.

    Parameters
    ----------
    mask : (Y, X) boolean array
        Pixels, of which there must be at least one.
    """
    outside = (~mask).view(np.uint8)
    return np.asarray(
        cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )
