"""Classical refiners: watershed and random walker from the eroded coarse map.

They need no training and work with any classes: baselines, and a fallback if no
trained model fits.
"""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Size, Window, boundary_pixels, bounding_box, grown, whole
from c2f_core.opencv import cv2
from c2f_core.refine.certainty import Certainty, distance_to
from c2f_core.refine.gradients import colour_gradient
from c2f_core.refine.interface import (
    ClassIds,
    Confidence,
    Monitor,
    RefinerInterface,
)
from c2f_core.refine.random_walk import walk

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


class MarkerRefiner(RefinerInterface):
    """Common part: markers, and then a method that floods the rest.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    erosion : float
        Depth in pixels by which the coarse regions are eroded.
    """

    certainty: Certainty

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
        marking, flooding, judging = monitor.split([2, 7, 1])
        marking.raise_if_stopped()
        sure = markers(class_ids, self._erosion)
        if not sure.any():
            raise ImageError("Nothing is labelled in the coarse map; draw at least one class.")
        marking.report(1.0)
        flooding.raise_if_stopped()
        gradient = colour_gradient(rgb)
        flooded, probability = self.flood(rgb, gradient, sure, flooding)
        fine = flooded - np.uint8(1)
        flooding.report(1.0)
        judging.raise_if_stopped()
        confidence = self.certainty.confidence(class_ids, fine, gradient, probability)
        judging.report(1.0)
        return fine, confidence

    def receptive_window(self, _part: Window, size: Size, /) -> Window:
        """Return the whole image, as a class can flood unlabelled pixels from far away."""
        return whole(size)

    @abstractmethod
    def flood(
        self,
        rgb: NDArray[np.uint8],
        gradient: NDArray[np.float32],
        sure: Markers,
        monitor: Monitor,
        /,
    ) -> tuple[Markers, Confidence | None]:
        """Extend the markers to all pixels.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image.
        gradient : (Y, X) float32 array
            Its colour gradient.
        sure : (Y, X) uint8 array
            Markers, from `markers`.
        monitor : Monitor
            Receives the progress, and is asked between steps whether to stop.

        Returns
        -------
        markers : (Y, X) uint8 array
            Marker of each pixel.
        probability : (Y, X) float32 array or None
            The method's own probability of these in [0, 1], if it has one.
        """


class WatershedRefiner(MarkerRefiner):
    """Marker-controlled watershed of the colour gradient (Meyer and Beucher 1990).

    The confidence is a calibrated probability; see `c2f_core.refine.certainty`.
    """

    name = "watershed"
    certainty = Certainty(
        same=0.75,
        same_distance=1.35,
        other=-0.24,
        other_distance=-0.57,
        unlabelled=2.53,
        unlabelled_distance=-0.76,
        contrast=0.33,
    )

    def flood(
        self,
        _rgb: NDArray[np.uint8],
        gradient: NDArray[np.float32],
        sure: Markers,
        _monitor: Monitor,
        /,
    ) -> tuple[Markers, None]:
        """Flood the gradient from the markers; see `MarkerRefiner.flood`."""
        # Markers inside of others do not flood, and would take 32 bytes each in the queue.
        inside = (sure > 0) & ~boundary_pixels(sure, unlabelled=None)
        flooded: Markers = watershed(gradient, sure, mask=~inside)
        flooded[inside] = sure[inside]
        return flooded, None


class RandomWalkerRefiner(MarkerRefiner):
    """Random walker (Grady, PAMI 2006) with differences of CIELAB colours.

    The confidence is a calibrated probability; see `c2f_core.refine.certainty`.
    """

    name = "random walker"
    certainty = Certainty(
        same=-0.03,
        same_distance=1.06,
        other=-1.02,
        other_distance=-0.56,
        unlabelled=1.62,
        unlabelled_distance=-0.75,
        contrast=0.43,
        probability=0.19,
    )

    def flood(
        self,
        rgb: NDArray[np.uint8],
        _gradient: NDArray[np.float32],
        sure: Markers,
        monitor: Monitor,
        /,
    ) -> tuple[Markers, Confidence]:
        """Let random walkers look for the markers; see `MarkerRefiner.flood`."""
        return walk(rgb, sure, monitor)


CLASSICAL_REFINERS: dict[str, type[MarkerRefiner]] = {
    WatershedRefiner.name: WatershedRefiner,
    RandomWalkerRefiner.name: RandomWalkerRefiner,
}
