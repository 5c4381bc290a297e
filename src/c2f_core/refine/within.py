"""Refine within a scope: change what was asked for, and compute no more than that takes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError, enough_memory
from c2f_core.geometry.arrays import (
    Sliceable,
    Window,
    extent,
    whole,
)
from c2f_core.refine.interface import (
    NO_MEMORY,
    SILENT,
    Confidence,
    Monitor,
    RefinerInterface,
)
from c2f_core.refine.plane import Limits, PlaneInputs, refine_plane
from c2f_core.refine.report import ScopeReport
from c2f_core.refine.scope import (
    Scope,
)

EVERYWHERE = Scope()


@dataclass(frozen=True, eq=False)
class ScopedResult:
    """A refined part of a map.

    Attributes
    ----------
    window : (slice, slice)
        Part of the map that contains box and mask of the scope; all arrays are
        of its size.
    labels : (Y, X) integer array
        Labels: those of the refiner where `changed`, of the coarse map elsewhere.
        The dtype is that of the coarse map if it can store all labels.
    confidence : (Y, X) float32 array
        Confidence of the refiner in [0, 1] where pixels could change; NaN elsewhere.
    changed : (Y, X) boolean array
        Pixels whose label differs from the coarse map.
    report : ScopeReport
        What changed, in numbers.
    """

    window: Window
    labels: NDArray[Any]
    confidence: Confidence
    changed: NDArray[np.bool_]
    report: ScopeReport


@enough_memory(ImageError, NO_MEMORY)
def refine_within(
    refiner: RefinerInterface,
    image: Sliceable,
    coarse: Sliceable,
    scope: Scope = EVERYWHERE,
    *,
    limits: Limits | None = None,
    monitor: Monitor = SILENT,
) -> ScopedResult:
    """Refine a map within a scope.

    Only the scope and what the refiner has to see around it are read and
    computed, however large the image is. The classes are those that refining
    the whole image gives (see `RefinerInterface.receptive_window`).

    Parameters
    ----------
    refiner : RefinerInterface
        The refiner.
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image of bool, integer or float values, in memory or loaded lazily.
    coarse : (Y, X) integer array
        Labels of the refiner's class table, in memory or loaded lazily.
    scope : Scope
        Region in which the map may change; by default everywhere.
    limits : (float, float), optional
        Values of the image that are black and white, by default its
        `intensity_limits`. Required for an image that is loaded lazily, unless
        it is uint8 or bool.
    monitor : Monitor
        Receives the progress, and is asked between steps whether to stop.

    Returns
    -------
    ScopedResult

    Raises
    ------
    ImageError
        If shapes or dtypes do not fit, or the limits are missing.
    ClassTableError
        If the coarse map has a label, or the scope names a class, that is not in
        the class table.
    Cancelled
        If the monitor asked to stop.
    """
    plane = PlaneInputs(image, coarse, refiner.class_table, scope, limits)
    labels = np.empty(extent(plane.region), label_dtype(coarse.dtype, refiner.class_table))
    confidence = np.empty(labels.shape, np.float32)
    before, report = refine_plane(refiner, plane, labels, confidence, monitor)
    changed = labels != before[whole(labels.shape)]
    return ScopedResult(plane.region, labels, confidence, changed, report)


def label_dtype(coarse: Any, class_table: ClassTable) -> np.dtype[Any]:
    """Return the dtype of a refined map: the coarse map's, if it can store all labels."""
    largest = max(entry.index for entry in class_table.entries)
    return np.promote_types(coarse, np.min_scalar_type(largest))
