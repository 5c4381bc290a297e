"""Refiner that needs no training: the image and its coarse map are enough."""

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


class InstantRefiner(RefinerInterface):
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

    def __init__(self, class_table: ClassTable) -> None:
        self.class_table = class_table

    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids; see `RefinerInterface.refine_ids`.

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
        windows = model.windows()
        for number, window in enumerate(windows, start=1):
            monitor.raise_if_stopped()
            fine[window], confidence[window] = _refine_window(model, window)
            monitor.report(FITTING_SHARE + (1 - FITTING_SHARE) * number / len(windows))
        return fine, confidence

    def receptive_window(self, _part: Window, size: Size, /) -> Window:
        """Return the whole image, as the classes are learned everywhere in it."""
        return whole(size)


def _refine_window(model: InstantModel, window: Window) -> tuple[ClassIds, Confidence]:
    """Return the most probable class of each pixel of a window, and its probability."""
    candidates, posterior, distinct = model.posterior(window)
    before = model.class_ids[window]
    best = posterior.argmax(axis=0)
    unlabelled = before == UNLABELLED_ID
    now = np.where(unlabelled, best, np.searchsorted(candidates, before))
    change = unlabelled | (distinct & (model.depth[window] <= REACH))
    chosen = np.where(change, best, now)
    return candidates[chosen].astype(np.uint8), _picked(posterior, chosen)


def _picked(planes: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the value of one plane for each pixel."""
    picked: NDArray[np.float32] = np.take_along_axis(planes, rows[None], axis=0)[0]
    return picked
