"""Refine within a scope: change what was asked for, and compute no more than that takes."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import MAX_CLASS_IDS, ClassTable
from c2f_core.errors import C2FError, Cancelled, ImageError
from c2f_core.geometry.lazy import Sliceable, plane_of
from c2f_core.geometry.windows import Window, area, grown, inside, outside
from c2f_core.io.intensity import FIXED_LIMITS, as_rgb8, intensity_limits
from c2f_core.refine.interface import (
    Progress,
    RefineResult,
    RefinerInterface,
    ShouldStop,
    check_sizes,
    raise_if_stopped,
)
from c2f_core.refine.report import ScopeReport, by_frequency
from c2f_core.refine.scope import ClassRules, Scope, changeable, cheapest_parts

Limits = tuple[float, float]
EVERYWHERE = Scope()


@dataclass(frozen=True, eq=False)
class ScopedResult:
    """A refined part of a map.

    Attributes
    ----------
    window : (slice, slice)
        The part of the map that holds box and mask of the scope; all arrays are
        of its size.
    labels : (Y, X) integer array
        Class indices: those of the refiner where `changed`, of the coarse map
        elsewhere. Of the coarse map's dtype if that holds all class indices.
    confidence : (Y, X) float32 array
        The refiner's, in [0, 1], where pixels might have changed; NaN elsewhere.
    changed : (Y, X) boolean array
    report : ScopeReport
    """

    window: Window
    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    changed: NDArray[np.bool_]
    report: ScopeReport

    def applied_to(self, coarse: Sliceable) -> NDArray[Any]:
        """Return the whole map, refined in the window; `coarse` itself is not changed."""
        whole = np.array(coarse, dtype=self.labels.dtype)
        whole[self.window] = self.labels
        return whole


def refine_within(
    refiner: RefinerInterface,
    image: Sliceable,
    coarse: Sliceable,
    scope: Scope = EVERYWHERE,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> ScopedResult:
    """Refine a map within a scope.

    Only the scope and what the refiner has to see around it are read and
    computed; a box costs what the box costs, however large the image is. The
    classes are those that refining the whole image gives (see
    `RefinerInterface.receptive_window`).

    Parameters
    ----------
    refiner : RefinerInterface
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        bool, integer or float image, in memory or loaded lazily.
    coarse : (Y, X) integer array
        Class indices of the refiner's class table, in memory or loaded lazily.
    scope : Scope
        Without it the whole map.
    limits : (float, float), optional
        Which values of the image are black and white; without them
        `intensity_limits` of the image. An image that is loaded lazily needs
        them, unless it is uint8 or bool.
    progress : callable, optional
        Called with the finished share in [0, 1].
    should_stop : callable, optional
        Asked between steps; work ends when it returns True.

    Returns
    -------
    ScopedResult

    Raises
    ------
    ImageError
        Shapes or dtypes do not fit, or limits lack.
    ClassTableError
        The coarse map holds an index, or the scope names a class, that is not in
        the class table.
    Cancelled
        `should_stop` returned True.
    """
    started = time.perf_counter()
    size = check_sizes(tuple(image.shape), tuple(coarse.shape))
    scope.check_shapes(size)
    limits = limits or _limits_of(image)
    raise_if_stopped(should_stop)

    region = scope.region(size)
    around = refiner.receptive_window(grown(region, scope.band or 0, size), size)
    known = np.array(coarse[around])  # A copy: the user may go on drawing.
    may = changeable(scope, known, around, region, refiner.class_table)
    draft = _Draft(known[inside(region, around)], may, scope, refiner.class_table)

    def seen(part: Window) -> Window:
        return refiner.receptive_window(outside(part, region), size)

    parts = cheapest_parts(may, seen) if may.any() else []
    shares = _shares([area(seen(part)) for part in parts], progress)
    for part, report in zip(parts, shares, strict=True):
        window = seen(part)
        result = refiner.refine(
            as_rgb8(np.asarray(image[window]), limits),
            known[inside(window, around)],
            progress=report,
            should_stop=should_stop,
        )
        draft.take(part, result, inside(outside(part, region), window))
    if progress is not None:
        progress(1.0)
    return draft.finish(region, started)


def _limits_of(image: Sliceable) -> Limits | None:
    if np.dtype(image.dtype).name in FIXED_LIMITS:
        return None
    if isinstance(image, np.ndarray):
        return intensity_limits(image)
    raise ImageError(
        f"The image is loaded piece by piece and holds {image.dtype} values; give the limits, the "
        "values that are black and white, so that all pieces look alike."
    )


def _shares(costs: list[int], progress: Progress | None) -> Iterator[Progress]:
    """Yield for each part a function that reports its progress as that of the whole."""
    done = 0
    for cost in costs:

        def report(share: float, done: int = done, cost: int = cost) -> None:
            if progress is not None:
                progress((done + share * cost) / sum(costs))

        yield report
        done += cost


def label_dtype(coarse: Any, class_table: ClassTable) -> np.dtype[Any]:
    """Return the dtype of a refined map: the coarse map's, if that holds all class indices."""
    largest = max(entry.index for entry in class_table.entries)
    return np.promote_types(coarse, np.min_scalar_type(largest))


class _Draft:
    """A result in the making: takes part after part."""

    def __init__(
        self, before: NDArray[Any], may: NDArray[np.bool_], scope: Scope, class_table: ClassTable
    ) -> None:
        self._before, self._may, self._table = before, may, class_table
        self._rules = ClassRules.of(scope, class_table)
        self._minimum = scope.minimal_confidence
        self._labels = before.astype(label_dtype(before.dtype, class_table))
        self._confidence = np.full(before.shape, np.nan, dtype=np.float32)
        self._changed = np.zeros(before.shape, dtype=np.bool_)

    def take(self, part: Window, result: RefineResult, place: Window) -> None:
        """Take over what may change in a part; `place` is where the result holds it."""
        labels, confidence = result.labels[place], result.confidence[place]
        before, may = self._before[part], self._may[part]
        changed = may & (confidence >= self._minimum) & (labels != before)
        changed &= self._rules.permit(before, labels)
        np.copyto(self._labels[part], labels, where=changed)
        np.copyto(self._confidence[part], confidence, where=may)
        self._changed[part] = changed

    def finish(self, region: Window, started: float) -> ScopedResult:
        """Count what changed."""
        report = ScopeReport(
            pixels=int(self._may.sum()),
            changed=int(self._changed.sum()),
            by_class=self._count(),
            confidence=_mean_where(self._confidence, self._changed),
            mean_confidence=_mean_where(self._confidence, self._may),
            seconds=time.perf_counter() - started,
        )
        return ScopedResult(region, self._labels, self._confidence, self._changed, report)

    def _count(self) -> dict[tuple[str, str], int]:
        before, after = (
            self._table.to_class_ids(index_map[self._changed]).astype(np.intp)
            for index_map in (self._before, self._labels)
        )
        counts = np.bincount(before * MAX_CLASS_IDS + after)
        names = self._table.names_by_id
        return by_frequency(
            {
                (names[pair // MAX_CLASS_IDS], names[pair % MAX_CLASS_IDS]): int(counts[pair])
                for pair in np.flatnonzero(counts).tolist()
            }
        )


def _mean_where(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return float(values.mean(dtype=np.float64, where=where)) if where.any() else math.nan


def refine_stack(
    refiner: RefinerInterface,
    images: Sliceable,
    coarse: Sliceable,
    scope: Scope = EVERYWHERE,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Iterator[tuple[tuple[int, ...], ScopedResult]]:
    """Refine a stack (time, z) plane by plane; no more than one plane is loaded at a time.

    Parameters
    ----------
    refiner : RefinerInterface
    images : (..., Y, X) or (..., Y, X, 1, 3 or 4) array
        In memory or loaded lazily.
    coarse : (..., Y, X) integer array
        In memory or loaded lazily.
    scope : Scope
        Box, classes and band hold for each plane; masks may differ.
    limits : (float, float), optional
        As for `refine_within`. Without them a stack in memory is brought to 8 bits
        plane by plane.
    progress : callable, optional
        Called with the finished share of all planes in [0, 1].
    should_stop : callable, optional
        Asked between steps; work ends when it returns True.

    Yields
    ------
    index : tuple of int
        Place of the plane on the leading axes; () for a single plane.
    result : ScopedResult

    Raises
    ------
    C2FError
        As `refine_within`, with the place of the plane. Planes that were yielded
        before are whole.
    """
    shape = tuple(coarse.shape)
    if tuple(images.shape[: len(shape)]) != shape:
        raise ImageError(
            f"The images have shape {tuple(images.shape)} and the coarse maps {shape}; choose a "
            "stack of coarse maps drawn on these images."
        )
    scope.check_shapes(shape)
    indices = list(np.ndindex(*shape[:-2]))

    def refine_plane(index: tuple[int, ...], report: Progress) -> ScopedResult:
        with _plane_named(index):
            return refine_within(
                refiner,
                plane_of(images, index),
                plane_of(coarse, index),
                scope.of_plane(index),
                limits=limits,
                progress=report,
                should_stop=should_stop,
            )

    shares = _shares([1] * len(indices), progress)
    return ((index, refine_plane(index, next(shares))) for index in indices)


@contextmanager
def _plane_named(index: tuple[int, ...]) -> Iterator[None]:
    """Say in an error at which plane it happened."""
    if not index:
        yield
        return
    place = ", ".join(map(str, index))
    try:
        yield
    except Cancelled as error:
        message = f"Refining was cancelled at plane {place}; the planes before it are done."
        raise Cancelled(message) from error
    except C2FError as error:
        raise type(error)(f"Plane {place}: {error}") from error
