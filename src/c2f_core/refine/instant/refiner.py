"""Refiner that needs no training: the image and its coarse map are enough."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Size, Window, whole
from c2f_core.refine.instant.posterior import REACH, InstantModel
from c2f_core.refine.interface import ClassIds, Confidence, Monitor, RefinerInterface

DEEP_CONFIDENCE = 0.995
"""Confidence far inside the regions of the coarse map, where nothing changes."""
FITTING_SHARE = 0.4
"""Share of the time that fitting takes, for the progress."""


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
    """Refiner that learns an `InstantModel` of the image, and goes through its windows.

    A pixel changes if it is unlabelled, or close to a coarse boundary where the classes
    look different; it gets the class that is most probable. Subclasses say how probable
    the classes are.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    """

    def __init__(self, class_table: ClassTable) -> None:
        self.class_table = class_table

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
        labelled = class_ids != UNLABELLED_ID
        if not labelled.any():
            raise ImageError("Nothing is labelled in the coarse map; draw at least one class.")
        fine = class_ids.copy()
        confidence = np.full(class_ids.shape, DEEP_CONFIDENCE, dtype=np.float32)
        model = InstantModel(rgb, class_ids, monitor=monitor)
        if len(model.present) == 1:
            fine[:] = model.present[0]
            return fine, confidence
        monitor.report(FITTING_SHARE)
        windows = self.windows(model)
        for number, window in enumerate(windows, start=1):
            monitor.raise_if_stopped()
            found = self.probabilities(model, window)
            fine[window], confidence[window] = most_probable(model, window, found)
            monitor.report(FITTING_SHARE + (1 - FITTING_SHARE) * number / len(windows))
        return fine, confidence

    def windows(self, model: InstantModel) -> list[Window]:
        """Return the windows in which something may change, which do not overlap."""
        return model.windows()

    @abstractmethod
    def probabilities(self, model: InstantModel, window: Window) -> ClassProbabilities:
        """Return how probable the classes are in a window.

        Parameters
        ----------
        model : InstantModel
            What is learned from the image and its coarse map.
        window : (slice, slice)
            Rows and columns of the window.
        """

    def receptive_window(self, _part: Window, size: Size, /) -> Window:
        """Return the whole image, as the classes are learned everywhere in it."""
        return whole(size)


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
    before = model.class_ids[window]
    best = found.probabilities.argmax(axis=0)
    unlabelled = before == UNLABELLED_ID
    now = np.where(unlabelled, best, np.searchsorted(found.candidates, before))
    change = unlabelled | (found.distinct & (model.depth[window] <= REACH))
    chosen = np.where(change, best, now)
    picked: Confidence = np.take_along_axis(found.probabilities, chosen[None], axis=0)[0]
    return found.candidates[chosen].astype(np.uint8), picked
