"""Refinement of one image with the instant refiner again and again, while its map is drawn."""

from collections.abc import Iterator
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
    bounding_box,
    extent,
    from_corner,
    grown,
    whole,
)
from c2f_core.refine.instant import smoothing
from c2f_core.refine.instant.descriptors import Describer
from c2f_core.refine.instant.parts import REACH
from c2f_core.refine.instant.posterior import InstantModel
from c2f_core.refine.instant.refiner import (
    DEEP_CONFIDENCE,
    NOTHING_LABELLED,
    InstantRefiner,
    most_probable,
    posterior_of,
)
from c2f_core.refine.interface import SILENT, ClassIds, Confidence, Monitor

AFFECTED = REACH + smoothing.HALO
"""Distance in pixels up to which a stroke changes what the session makes of its surroundings."""
STROKES_TO_LEARN = 8
"""Number of changes of the map after which everything is learned again."""


class InstantSession:
    """Keep what was learned from an image and its coarse map, and refine parts of it.

    After a change of the map, the densities of the classes, their weights and the width stay
    as they were learned; only what lies near the change is computed again. After some changes,
    or when the map has another class, everything is learned again.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb, self._describer = rgb, Describer.of_image(rgb)
        self._model: InstantModel | None = None
        self._changes = 0

    def refine_part(
        self, class_ids: ClassIds, window: Window, monitor: Monitor = SILENT
    ) -> tuple[ClassIds, Confidence]:
        """Refine a part of the coarse map.

        Parameters
        ----------
        class_ids : (Y, X) uint8 array
            Class ids of the whole coarse map, `UNLABELLED_ID` where unlabelled.
        window : (slice, slice)
            Rows and columns of the part.
        monitor : Monitor
            Asked between steps whether to stop.

        Returns
        -------
        class_ids : (y, x) uint8 array
            Class ids of the fine map in the part.
        confidence : (y, x) float32 array
            Probability of the class in [0, 1].

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop.
        """
        model = self._latest(class_ids, monitor)
        fine = model.part.class_ids[window].copy()
        confidence = np.full(fine.shape, DEEP_CONFIDENCE, np.float32)
        present = model.learned.classes.present
        if len(present) == 1:
            fine[:] = present[0]
            return fine, confidence
        for part in model.windows(window):
            monitor.raise_if_stopped()
            there = from_corner(part, window)
            fine[there], confidence[there] = most_probable(model, part, posterior_of(model, part))
        return fine, confidence

    def _latest(self, class_ids: ClassIds, monitor: Monitor) -> InstantModel:
        """Return the model for a coarse map, learned again if that is due."""
        if not (class_ids != UNLABELLED_ID).any():
            raise ImageError(NOTHING_LABELLED)
        model = self._model
        if model is not None:
            changed = bounding_box(class_ids != model.part.class_ids)
            if self._changes < STROKES_TO_LEARN and model.knows(class_ids[changed]):
                if extent(changed) != (0, 0):
                    self._changes += 1
                    self._model = model = model.redrawn(class_ids.copy(), changed)
                return model
        self._changes = 0
        quiet = Monitor(should_stop=monitor.should_stop)
        self._model = InstantModel.of_image(self._rgb, class_ids.copy(), self._describer, quiet)
        return self._model

    def affected(self, window: Window) -> Window:
        """Return the window in which the result changes when the map changes in a window."""
        height, width = self._rgb.shape[:2]
        return affected(window, (height, width))


def affected(window: Window, size: Size) -> Window:
    """Return the window of a map in which the result changes when the map changes in a window."""
    return grown(window, AFFECTED, size)


class SessionRefiner(InstantRefiner):
    """Instant refiner that keeps a session of one image, and refines only a part of its map.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    """

    def __init__(self, class_table: ClassTable) -> None:
        super().__init__(class_table)
        self.part: Window | None = None
        self._session: InstantSession | None = None

    def refine_parts(
        self,
        rgb: Sliceable,
        class_ids: Sliceable,
        monitor: Monitor,
        /,
        place: Window | None = None,
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        """Refine the window `part` of the map or, if that is None, what is asked for."""
        everything = whole((class_ids.shape[0], class_ids.shape[1]))
        if self._session is None:
            self._session = InstantSession(np.asarray(rgb[everything]))
        part = self.part or place or everything
        yield part, *self._session.refine_part(np.asarray(class_ids[everything]), part, monitor)

    def prepared(self, _rgb: Sliceable, _class_ids: Sliceable, _monitor: Monitor, /) -> Self:
        """Return this refiner, whose session learns from the whole image."""
        return self

    def learning_cost(self, _size: Size, /) -> int:
        """Return 0, as nothing is prepared."""
        return 0

    def receptive_window(self, _part: Window, size: Size, /) -> Window:
        """Return the whole image, which the session has in memory."""
        return whole(size)
