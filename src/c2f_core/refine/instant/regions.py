"""Geometry of the regions of a coarse map: depth, examples and signed distances."""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.opencv import cv2
from c2f_core.refine.interface import ClassIds

EXAMPLE_DEPTH = 4.0
"""Examples of a class lie at least so many pixels inside its regions ..."""
EXAMPLE_SHARE = 0.5
"""... or deeper than this share of the depth of the region."""


def depth_of_regions(class_ids: ClassIds) -> NDArray[np.float32]:
    """Return the distance of each pixel to the nearest pixel of another class.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids; unlabelled pixels count as one more class.

    Returns
    -------
    (Y, X) float32 array
        Distances in pixels, infinite if there is only one class. The border of the
        image is no boundary.
    """
    boundary = np.zeros(class_ids.shape, dtype=bool)
    rows, columns = class_ids[1:] != class_ids[:-1], class_ids[:, 1:] != class_ids[:, :-1]
    boundary[1:] |= rows
    boundary[:-1] |= rows
    boundary[:, 1:] |= columns
    boundary[:, :-1] |= columns
    if not boundary.any():
        return np.full(class_ids.shape, np.inf, dtype=np.float32)
    inside = (~boundary).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32) + 1


def find_examples(class_ids: ClassIds, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels are well inside the regions of their class.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, `UNLABELLED_ID` where unlabelled.
    depth : (Y, X) float32 array
        Depth of each pixel in its region, in pixels.
    """
    regions = label(class_ids.astype(np.int16) + 1, connectivity=1, background=0)
    deepest = np.zeros(regions.max() + 1, np.float32)
    np.maximum.at(deepest, regions.ravel(), depth.ravel())
    threshold = np.minimum(EXAMPLE_DEPTH, EXAMPLE_SHARE * deepest)
    examples: NDArray[np.bool_] = (depth > threshold[regions]) & (class_ids != UNLABELLED_ID)
    return examples


def signed_distances(
    class_ids: ClassIds, candidates: NDArray[np.intp], largest: float
) -> NDArray[np.float32]:
    """Return the signed distance of each pixel to the regions of each class.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids of a window, `UNLABELLED_ID` where unlabelled.
    candidates : (K,) integer array
        Class ids.
    largest : float
        Limit of the distances in pixels.

    Returns
    -------
    (K, Y, X) float32 array
        Distances in pixels, positive inside and negative outside of the class.
    """
    distances = np.empty((len(candidates), *class_ids.shape), dtype=np.float32)
    for row, candidate in zip(distances, candidates, strict=True):
        mask = (class_ids == candidate).astype(np.uint8)
        if mask.all() or not mask.any():
            row[:] = largest if mask.all() else -largest
            continue
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        np.clip(inside - outside, -largest, largest, out=row)
    return distances
