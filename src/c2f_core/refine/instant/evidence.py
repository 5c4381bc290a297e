"""Evidence for the classes of the pixels of a window: distances and log-likelihoods."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Window, area, extent, to_corner
from c2f_core.refine.instant import smoothing
from c2f_core.refine.instant.descriptors import Describer
from c2f_core.refine.instant.likelihoods import FAR, ClassModels, fold_of_rows_and_columns
from c2f_core.refine.instant.parts import REACH, ImagePart
from c2f_core.refine.instant.regions import signed_distances

LARGEST_WINDOW, SMALLEST_SIDE = 1 << 25, 64
"""Pixels times classes that a window may have with its surroundings; it takes about 700 MB.

Windows of 512 pixels with up to 74 classes have no more. Below this side, they are never cut.
"""


@dataclass(frozen=True)
class WindowEvidence:
    """What is known about the classes in a window.

    Attributes
    ----------
    candidates : (K,) integer array
        Class ids that a pixel of the window may have.
    distances : (K, Y, X) float32 array
        Signed distances to the coarse regions in pixels, positive inside, within 24.
    log_likelihoods : (3, K, Y, X) float32 array
        By colours, by colours nearby and by texture.
    """

    candidates: NDArray[np.intp]
    distances: NDArray[np.float32]
    log_likelihoods: NDArray[np.float32]

    def within(self, window: Window) -> "WindowEvidence":
        """Return the evidence in a part of the window, counted from its corner."""
        return WindowEvidence(
            self.candidates, self.distances[:, *window], self.log_likelihoods[:, :, *window]
        )


@dataclass(frozen=True, eq=False)
class LearnedClasses:
    """What is learned of the classes of one image.

    Attributes
    ----------
    describer : Describer
        Describer of the image.
    models : ClassModels
        Densities of the classes.
    present : (K,) integer array
        Class ids that the coarse map has, in ascending order.
    frequent : (M,) integer array
        Class ids that can fill unlabelled places, in ascending order.
    """

    describer: Describer
    models: ClassModels
    present: NDArray[np.intp]
    frequent: NDArray[np.intp]

    def candidates(self, part: ImagePart, window: Window) -> NDArray[np.intp]:
        """Return the class ids that pixels of a window may have: those around it.

        Unlabelled pixels may have the most frequent classes of the image, too.
        """
        outer, inner = part.surrounded(window, FAR + REACH)
        class_ids = part.class_ids[outer]
        around = np.flatnonzero(np.bincount(class_ids.ravel(), minlength=256)[:UNLABELLED_ID])
        if not (class_ids[inner] == UNLABELLED_ID).any():
            return around
        candidates: NDArray[np.intp] = np.union1d(around, self.frequent)
        return candidates

    def is_small(self, part: ImagePart, window: Window) -> bool:
        """Return whether the evidence in a window takes little memory, or it cannot be cut."""
        if max(extent(window)) <= SMALLEST_SIDE:
            return True
        smoothed, _ = part.surrounded(window, smoothing.HALO)
        seen, _ = part.surrounded(smoothed, FAR + REACH)
        return len(self.candidates(part, smoothed)) * area(seen) <= LARGEST_WINDOW

    def evidence(self, part: ImagePart, window: Window) -> WindowEvidence:
        """Return the evidence in a window of a part of the image.

        Parameters
        ----------
        part : ImagePart
            The part.
        window : (slice, slice)
            Rows and columns of the window in the part.
        """
        outer, inner = part.surrounded(window, FAR + REACH)
        class_ids = part.class_ids[outer]
        candidates = self.candidates(part, window)
        masks = (class_ids[None] == candidates[:, None, None]) & part.examples[outer]
        likelihoods = self.models.log_likelihoods(
            self.describer.describe(part.rgb, outer),
            np.searchsorted(self.present, candidates),
            masks,
            fold_of_rows_and_columns(*to_corner(outer, part.place)),
        )
        distances = signed_distances(class_ids, candidates, REACH)
        return WindowEvidence(
            candidates, distances[:, *inner], np.ascontiguousarray(likelihoods[:, :, *inner])
        )
