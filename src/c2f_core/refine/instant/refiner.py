"""Refiner that needs no training: the image and its coarse map are enough."""

from abc import abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import (
    Size,
    Sliceable,
    Window,
    area,
    from_corner,
    grid_blocks,
    grown,
    whole,
)
from c2f_core.refine.instant.learning import Learned, learn_from_sample
from c2f_core.refine.instant.parts import REACH, WINDOW, ImagePart
from c2f_core.refine.instant.posterior import InstantModel
from c2f_core.refine.instant.sampling import SAMPLED, survey
from c2f_core.refine.interface import ClassIds, Confidence, Monitor, RefinerInterface

DEEP_CONFIDENCE = 0.995
"""Confidence far inside the regions of the coarse map, where nothing changes."""
COSTS = (2, 3)
"""What learning and refining cost, for the progress of images that are not in blocks."""
BLOCK, HALO = 2048, 256
"""Side of the blocks of large images, and surroundings that are seen of a block, in pixels.

The surroundings suffice for the network for any classes, too, and keep its grid.
"""
NOTHING_LABELLED = "Nothing is labelled in the coarse map; draw at least one class."


@dataclass(frozen=True)
class ClassProbabilities:
    """Probabilities of the classes in a window.

    Attributes
    ----------
    candidates : (K,) integer array
        Class ids in ascending order, all of the coarse map in the window among them.
    probabilities : (K, Y, X) float32 array
        Probabilities of these classes.
    distinct : (Y, X) boolean array
        Whether the classes look different around each pixel; elsewhere nothing changes.
    """

    candidates: NDArray[np.intp]
    probabilities: NDArray[np.float32]
    distinct: NDArray[np.bool_]


class WindowRefiner(RefinerInterface):
    """Refiner that learns the classes of the image, and goes through its windows.

    A pixel changes if it is unlabelled, or close to a coarse boundary where the classes
    look different; it gets the class that is most probable. Subclasses say how probable
    the classes are. Large images are refined in blocks, after learning from some windows
    all over them.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    """

    def __init__(self, class_table: ClassTable) -> None:
        self.class_table = class_table
        self._learned: Learned | None = None

    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids; see `RefinerInterface.refine_ids`.

        The confidence is the probability of the class.

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop.
        """
        monitor.raise_if_stopped()
        if not (class_ids != UNLABELLED_ID).any():
            raise ImageError(NOTHING_LABELLED)
        learning, refining = monitor.split(COSTS)
        model = InstantModel.of_image(rgb, class_ids, monitor=learning)
        return self._refined(model, whole(model.part.size), refining)

    def _refined(
        self, model: InstantModel, place: Window, monitor: Monitor
    ) -> tuple[ClassIds, Confidence]:
        """Refine a window of the part of a model."""
        fine = model.part.class_ids[place].copy()
        confidence = np.full(fine.shape, DEEP_CONFIDENCE, dtype=np.float32)
        present = model.learned.classes.present
        if len(present) == 1:
            fine[:] = present[0]
            return fine, confidence
        windows = self.windows(model, place)
        for window, share in zip(windows, monitor.split([*map(area, windows)]), strict=True):
            share.raise_if_stopped()
            found = self.probabilities(model, window)
            there = from_corner(window, place)
            fine[there], confidence[there] = most_probable(model, window, found)
            share.report(1.0)
        return fine, confidence

    def refine_parts(
        self,
        rgb: Sliceable,
        class_ids: Sliceable,
        monitor: Monitor,
        /,
        place: Window | None = None,
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        """Refine a large image block by block; see `RefinerInterface.refine_parts`."""
        if self._learned is None:
            yield from super().refine_parts(rgb, class_ids, monitor, place)
            return
        size = class_ids.shape[0], class_ids.shape[1]
        wanted = grid_blocks(place or whole(size), BLOCK, size)
        for block, share in zip(wanted, monitor.split([*map(area, wanted)]), strict=True):
            share.raise_if_stopped()
            seen = grown(block, HALO, size)
            model = InstantModel(ImagePart.read(rgb, class_ids, seen), self._learned)
            yield block, *self._refined(model, from_corner(block, seen), share)
            share.report(1.0)

    def learning_cost(self, size: Size, /) -> int:
        """Return what `prepared` costs; see `RefinerInterface.learning_cost`."""
        return SAMPLED * WINDOW**2 // 2 if is_in_blocks(size) else 0

    def prepared(self, rgb: Sliceable, class_ids: Sliceable, monitor: Monitor, /) -> Self:
        """Return a refiner for the blocks of a large image; see `RefinerInterface.prepared`.

        They share what is learned of the classes from some windows of the image.

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop, between windows.
        """
        if self._learned is not None or not is_in_blocks((class_ids.shape[0], class_ids.shape[1])):
            return self
        found = survey(class_ids, monitor)
        if not found.has_labels:
            raise ImageError(NOTHING_LABELLED)
        prepared = copy(self)
        prepared._learned = learn_from_sample(rgb, class_ids, found, monitor)
        return prepared

    def windows(self, model: InstantModel, place: Window) -> list[Window]:
        """Return the windows of a part in which something may change, which do not overlap.

        Parameters
        ----------
        model : InstantModel
            The part, and what was learned of its image.
        place : (slice, slice)
            Rows and columns in the part that are to be refined.
        """
        return model.windows(place)

    @abstractmethod
    def probabilities(self, model: InstantModel, window: Window) -> ClassProbabilities:
        """Return how probable the classes are in a window.

        Parameters
        ----------
        model : InstantModel
            The part with the window, and what was learned of its image.
        window : (slice, slice)
            Rows and columns of the window in the part.
        """

    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the whole image, or of a large one the blocks of a part and their surroundings.

        The classes are learned everywhere in a small image.
        """
        if not is_in_blocks(size):
            return whole(size)
        return grown(grown(part, 0, size, BLOCK), HALO, size)


def is_in_blocks(size: Size) -> bool:
    """Return whether an image of this size is refined in blocks."""
    return size[0] * size[1] > BLOCK**2


class InstantRefiner(WindowRefiner):
    """Refiner that learns from the image and the coarse map at hand alone.

    It models the colours and the texture of each class well inside of its coarse
    regions, estimates from held-out parts of the image how far these models can be
    trusted and how far off the coarse boundaries are, and gives each pixel near a
    boundary the class that is most probable, smoothed along the edges of the image.
    Unlabelled pixels get a class, too. Where classes look alike, nothing changes.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    """

    name = "instant"

    def probabilities(self, model: InstantModel, window: Window) -> ClassProbabilities:
        """Return the posterior of the model; see `WindowRefiner.probabilities`."""
        return posterior_of(model, window)


def posterior_of(model: InstantModel, window: Window) -> ClassProbabilities:
    """Return the posterior of the classes in a window."""
    found = model.posterior(window)
    return ClassProbabilities(found.evidence.candidates, found.posterior, found.distinct)


def most_probable(
    model: InstantModel, window: Window, found: ClassProbabilities
) -> tuple[ClassIds, Confidence]:
    """Return the most probable class of each pixel of a window, and its probability."""
    before = model.part.class_ids[window]
    best = found.probabilities.argmax(axis=0)
    unlabelled = before == UNLABELLED_ID
    now = np.where(unlabelled, best, np.searchsorted(found.candidates, before))
    change = unlabelled | (found.distinct & (model.part.depth[window] <= REACH))
    chosen = np.where(change, best, now)
    picked: Confidence = np.take_along_axis(found.probabilities, chosen[None], axis=0)[0]
    return found.candidates[chosen].astype(np.uint8), picked
