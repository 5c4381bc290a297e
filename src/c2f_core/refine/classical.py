"""Classical refiners: watershed and random walker from the eroded coarse map.

They need no training and work with any classes: baselines, and a fallback if no
trained model fits.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.segmentation import random_walker, watershed

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Size, Window, whole
from c2f_core.refine.interface import (
    ClassIds,
    Confidence,
    Monitor,
    RefinerInterface,
)

SMALL_REGION_SHARE = 0.5
"""Regions too small for the erosion keep the pixels deeper than this share of their depth."""
BETA = 250.0
"""How strongly colour differences hinder random walkers.

Twice scikit-image's default. Larger values follow the boundaries of faces better, but make
the equations hard to solve in noisy images.
"""
SOLVER_TOLERANCE = 1e-6
"""A thousandth of scikit-image's default, for the same reason."""
SMALLEST_PROBABILITY = 1e-12
"""Lower bound of probabilities: classes share the pixels that the solver has not reached."""


def markers(class_ids: ClassIds, erosion: float) -> NDArray[np.int32]:
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
    (Y, X) int32 array
        Class id + 1, and 0 outside of the eroded regions.
    """
    sure = np.zeros(class_ids.shape, dtype=np.int32)
    for class_id in np.unique(class_ids):
        if class_id == UNLABELLED_ID:
            continue
        mask = class_ids == class_id
        depth = _depth(mask)
        regions, count = ndimage.label(mask)
        deepest = ndimage.maximum(depth, regions, np.arange(count + 1))
        threshold = np.minimum(erosion, SMALL_REGION_SHARE * np.asarray(deepest))[regions]
        sure[mask & (depth > threshold)] = int(class_id) + 1
    return sure


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    if mask.all():
        return np.full(mask.shape, np.inf)
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(mask)
    return depth


class _MarkerRefiner(RefinerInterface):
    """Common part: markers, and then a method that floods the rest.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    erosion : float
        Depth in pixels by which the coarse regions are eroded.
    """

    def __init__(self, class_table: ClassTable, erosion: float = 10.0) -> None:
        self.class_table = class_table
        self._erosion = erosion

    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids; see `RefinerInterface.refine_ids`.

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop, between steps.
        """
        monitor.raise_if_stopped()
        sure = markers(class_ids, self._erosion)
        if not sure.any():
            raise ImageError("Nothing is labelled in the coarse map; draw at least one class.")
        monitor.report(0.2)
        monitor.raise_if_stopped()
        flooded, confidence = self._flood(rgb, sure)
        monitor.raise_if_stopped()
        monitor.report(1.0)
        return (flooded - 1).astype(np.uint8), confidence.astype(np.float32)

    def receptive_window(self, _part: Window, size: Size, /) -> Window:
        """Return the whole image, as a class can flood unlabelled pixels from far away."""
        return whole(size)

    def _flood(
        self, rgb: NDArray[np.uint8], sure: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        raise NotImplementedError


class WatershedRefiner(_MarkerRefiner):
    """Marker-controlled watershed of the Sobel gradient (Meyer and Beucher 1990).

    The confidence is a rule of thumb and not calibrated: 0.5 at a boundary of the
    result, rising to 1 at the depth of the erosion.
    """

    name = "watershed"

    def _flood(
        self, rgb: NDArray[np.uint8], sure: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        flooded: NDArray[np.int32] = watershed(sobel(rgb2gray(rgb)), sure)
        distance = np.min(
            [_depth(flooded == value) for value in np.unique(flooded)],
            axis=0,
            initial=np.inf,
            where=np.array([flooded == value for value in np.unique(flooded)]),
        )
        return flooded, np.clip(0.5 + 0.5 * (distance - 1) / max(self._erosion, 1), 0.5, 1.0)


class RandomWalkerRefiner(_MarkerRefiner):
    """Random walker (Grady, PAMI 2006); the confidence is the largest probability."""

    name = "random walker"

    def _flood(
        self, rgb: NDArray[np.uint8], sure: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        present = np.unique(sure[sure > 0])
        if len(present) == 1 or (sure > 0).all():
            flooded = np.where(sure > 0, sure, present[0]).astype(np.int32)
            return flooded, np.ones(sure.shape)
        seeds = np.searchsorted(present, sure) + 1
        seeds[sure == 0] = 0
        data, beta = rgb / 255.0, BETA
        if not data.std():
            # scikit-image divides by the standard deviation, which is 0 here.
            data, beta = np.indices((*sure.shape, 3)).sum(axis=0).astype(float), 0.0
        probabilities = random_walker(
            data,
            seeds,
            beta=beta,
            mode="cg_j",
            tol=SOLVER_TOLERANCE,
            channel_axis=-1,
            return_full_prob=True,
            prob_tol=np.inf,  # The remaining error is removed below by normalising.
        )
        flooded = present[probabilities.argmax(axis=0)].astype(np.int32)
        # Where noise isolates a pixel, the solver stops before its probabilities sum to one.
        probabilities = np.maximum(probabilities, SMALLEST_PROBABILITY)
        return flooded, probabilities.max(axis=0) / probabilities.sum(axis=0)


CLASSICAL_REFINERS: dict[str, type[WatershedRefiner] | type[RandomWalkerRefiner]] = {
    WatershedRefiner.name: WatershedRefiner,
    RandomWalkerRefiner.name: RandomWalkerRefiner,
}
