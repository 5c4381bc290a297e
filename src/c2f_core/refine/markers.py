"""Markers of the classical refiners: the eroded regions of a coarse map."""

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import bounding_box, grown
from c2f_core.opencv import cv2
from c2f_core.refine.certainty import distance_to
from c2f_core.refine.interface import ClassIds

Markers = NDArray[np.uint8]
"""Class id + 1 where a marker is, else 0."""

SMALL_REGION_SHARE = 0.5
"""Regions too small for the erosion keep the pixels deeper than this share of their depth."""


def markers(class_ids: ClassIds, erosion: float) -> Markers:
    """Return the eroded regions of a coarse map, as markers.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, `UNLABELLED_ID` where unlabelled.
    erosion : float
        Depth of the erosion in pixels. Regions are not eroded at the border of the
        image.

    Returns
    -------
    (Y, X) uint8 array
        Class id + 1, and 0 outside of the eroded regions.
    """
    sure = np.zeros(class_ids.shape, np.uint8)
    for class_id in np.flatnonzero(np.bincount(class_ids.ravel())).tolist():
        if class_id == UNLABELLED_ID:
            continue
        window = grown(bounding_box(class_ids == class_id), 1, class_ids.shape)
        sure[window][_eroded(class_ids[window] == class_id, erosion)] = class_id + 1
    return sure


def _eroded(mask: NDArray[np.bool_], erosion: float) -> NDArray[np.bool_]:
    """Erode each region of a mask, which contains all of its surroundings."""
    if mask.all():
        return mask
    depth = distance_to(~mask)
    count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    regions = np.asarray(found, np.int32)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, regions, depth)
    threshold = np.minimum(np.float32(erosion), np.float32(SMALL_REGION_SHARE) * deepest)
    eroded: NDArray[np.bool_] = mask & (depth > threshold[regions])
    return eroded
