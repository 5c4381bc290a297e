"""Posterior of the classes of one image: what its pixels and its coarse map say together."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import (
    Window,
    blocks,
    extent,
    halves,
    to_corner,
    whole,
)
from c2f_core.opencv import cv2
from c2f_core.refine.instant import smoothing
from c2f_core.refine.instant.descriptors import Describer
from c2f_core.refine.instant.evidence import WindowEvidence
from c2f_core.refine.instant.learning import Learned, learn
from c2f_core.refine.instant.parts import WINDOW, ImagePart
from c2f_core.refine.instant.smoothing import GuidedFilter
from c2f_core.refine.interface import SILENT, ClassIds, Monitor

SUPPORT = 9
"""Side in pixels of the windows in which it is decided whether classes look alike."""
SMALLEST_SUPPORT = 0.1
"""Difference of the log-likelihoods below which classes look alike, and nothing changes."""


@dataclass(frozen=True)
class WindowPosterior:
    """What image and coarse map say together about a window.

    Attributes
    ----------
    evidence : WindowEvidence
        Evidence on its K candidates.
    posterior : (K, Y, X) float32 array
        Probabilities that sum to one, smoothed by the guided filter.
    distinct : (Y, X) boolean array
        Whether the histograms of the classes tell them apart around each pixel.
    """

    evidence: WindowEvidence
    posterior: NDArray[np.float32]
    distinct: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class InstantModel:
    """An image, or a part of it, and what was learned of its classes.

    Attributes
    ----------
    part : ImagePart
        The image, or a part of it.
    learned : Learned
        What was learned from the whole image and its coarse map.
    """

    part: ImagePart
    learned: Learned

    @classmethod
    def of_image(
        cls,
        rgb: NDArray[np.uint8],
        class_ids: ClassIds,
        describer: Describer | None = None,
        monitor: Monitor = SILENT,
    ) -> "InstantModel":
        """Learn from an image and its coarse map.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image.
        class_ids : (Y, X) uint8 array
            Class ids of the coarse map, `UNLABELLED_ID` where unlabelled; at least one
            pixel is labelled.
        describer : Describer, optional
            Describer of the image, if it was made before.
        monitor : Monitor, optional
            Asked between windows whether to stop.
        """
        part = ImagePart.read(rgb, class_ids, whole((rgb.shape[0], rgb.shape[1])))
        return cls(part, learn(part, describer or Describer.of_image(rgb), monitor))

    def knows(self, class_ids: ClassIds) -> bool:
        """Return whether the model has learned all these classes."""
        return bool(np.isin(class_ids, (*self.learned.classes.present, UNLABELLED_ID)).all())

    def redrawn(self, class_ids: ClassIds, window: Window) -> "InstantModel":
        """Return the model of a coarse map that differs in a window; what was learned stays.

        Parameters
        ----------
        class_ids : (Y, X) uint8 array
            Class ids of the part; the model knows all of them.
        window : (slice, slice)
            Rows and columns outside of which the map is the same.
        """
        return replace(self, part=self.part.redrawn(class_ids, window))

    def windows(self, place: Window) -> list[Window]:
        """Return the windows of a place in which something may change, which do not overlap.

        They are smaller where there are many classes.

        Parameters
        ----------
        place : (slice, slice)
            Rows and columns in the part.
        """
        parts = (to_corner(block, place) for block in blocks(extent(place), WINDOW))
        return [window for part in parts for window in self._windows(part)]

    def _windows(self, window: Window) -> list[Window]:
        if not self.part.may_change(window):
            return []
        if self.learned.classes.is_small(self.part, window):
            return [window]
        return [part for half in halves(window) for part in self._windows(half)]

    def posterior(self, window: Window) -> WindowPosterior:
        """Return the posterior of the classes in a window, and the evidence that it is made of.

        Parameters
        ----------
        window : (slice, slice)
            Rows and columns of the window in the part.
        """
        outer, inner = self.part.surrounded(window, smoothing.HALO)
        found = self.learned.classes.evidence(self.part, outer)
        evidence = self.learned.fusion.evidence(found.log_likelihoods)
        distinct = _distinct(found.log_likelihoods)
        posterior = self._smoothed(outer, found.distances, evidence)
        return WindowPosterior(found.within(inner), posterior[:, *inner], distinct[inner])

    def _smoothed(
        self, window: Window, distances: NDArray[np.float32], evidence: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        scores = distances / self.learned.fusion.width + evidence
        scores = np.exp(scores - scores.max(axis=0))
        scores /= scores.sum(axis=0)
        smooth = GuidedFilter(self.part.rgb[window])
        posterior = np.stack([np.clip(smooth(plane), 1e-4, 1) for plane in scores])
        posterior /= posterior.sum(axis=0)
        return posterior


def _distinct(log_likelihoods: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the colours or the texture of the classes differ, in means over windows.

    Colours nearby do not count: their variances differ where a class has few examples.
    """
    histograms = log_likelihoods[0] + log_likelihoods[2]
    means = np.stack([cv2.blur(plane, (SUPPORT, SUPPORT)) for plane in histograms])
    distinct: NDArray[np.bool_] = np.ptp(means, axis=0) > SMALLEST_SUPPORT
    return distinct
