"""One run of a refiner on a map or stack, and the map that comes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, ImageError
from c2f_core.geometry.lazy import Sliceable, plane_of
from c2f_core.geometry.patches import Covered, Overlaid, Patch, Slices, from_corner
from c2f_core.refine.interface import Progress, RefinerInterface, ShouldStop, Translated
from c2f_core.refine.record import Record, run_record
from c2f_core.refine.report import ScopeReport, total_report
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import Limits, ScopedResult, label_dtype, refine_stack, refine_within

Plane = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RefineJob:
    """What is to be refined.

    Attributes
    ----------
    image : (..., Y, X) or (..., Y, X, 1, 3 or 4) array
        In memory or loaded lazily.
    coarse : (..., Y, X) integer array
        In memory or loaded lazily.
    class_table : ClassTable
        Of the coarse map; the refiner's own may have other indices.
    scope : Scope
        Its mask, if any, is one for all planes: (Y, X).
    limits : (float, float), optional
        As for `refine_within`.
    plane : tuple of int, optional
        The one plane of a stack to refine; () for a single map, None for all.
    painted : sequence of Patch
        Pixels painted by hand, the latest last: the refiner sees them in the
        coarse map, as unlabelled where it does not know their class, and they stay.
    whole : bool
        The result is as large as the coarse map; else it holds no more than box
        and mask of the scope, of which alone the memory is needed.
    before : (labels, confidence), optional
        Arrays of an earlier result, as large as the coarse map: what a whole
        result holds in the planes that are not refined now. Without it that is
        the coarse map and NaN.
    """

    image: Sliceable
    coarse: Sliceable
    class_table: ClassTable
    scope: Scope = field(default_factory=Scope)
    limits: Limits | None = None
    plane: Plane | None = ()
    painted: Sequence[Patch] = ()
    whole: bool = True
    before: tuple[Sliceable, Sliceable] | None = None


@dataclass(frozen=True, eq=False)
class JobResult:
    """What came of it.

    Attributes
    ----------
    place : tuple of slices
        Part of the coarse map or stack that the arrays hold.
    labels : (..., Y, X) integer array
        Class indices of the run's class table.
    confidence : (..., Y, X) float32 array
        In [0, 1]; NaN where nothing might have changed.
    report : ScopeReport
    record : dict
        How it was made, as JSON; see `run_record`.
    cancelled : str
        Empty, or the sentence for a user who stopped a stack half-way.
    """

    place: Slices
    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    report: ScopeReport
    record: Record
    cancelled: str = ""


def run_refinement(
    run: RefineJob,
    refiner: RefinerInterface,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> JobResult:
    """Refine what a run asks for.

    A stack that is stopped half-way keeps the planes that are done.

    Raises
    ------
    C2FError
        As `refine_within`.
    Cancelled
        `should_stop` returned True before a plane was done.
    """
    _check_stack(run)
    below, coarse, scope = run.coarse, run.coarse, run.scope
    if run.painted:
        below = Overlaid(run.coarse, run.painted)
        coarse = Overlaid(run.coarse, _as_seen(run.painted, run.class_table, refiner.class_table))
        scope = replace(scope, protected=Covered(tuple(run.coarse.shape), run.painted))
    speaking = Translated(refiner, run.class_table)
    sheet, reports, cancelled = None, [], ""
    try:
        for index, result in _planes(run, coarse, scope, speaking, progress, should_stop):
            sheet = sheet or _Sheet(run, below)
            sheet.take(index, _with_painted(result, index, run.painted))
            reports.append(result.report)
    except Cancelled as error:
        if sheet is None:
            raise
        cancelled = str(error)
    if sheet is None:
        raise ImageError("The stack has no planes; choose another coarse map.")
    report = total_report(reports)
    record = run_record(speaking, run.scope, report, run.plane, run.painted)
    return JobResult(sheet.place, *sheet.arrays, report, record, cancelled)


def _as_seen(painted: Sequence[Patch], table: ClassTable, known: ClassTable) -> list[Patch]:
    """Return painted pixels as unlabelled where another table does not know their class."""
    unknown = [entry.index for entry in table.classes if entry.name not in known.names]
    return [
        replace(
            each,
            values=np.where(np.isin(each.values, unknown), table.unlabelled.index, each.values),
        )
        for each in painted
    ]


def _with_painted(result: ScopedResult, index: Plane, painted: Sequence[Patch]) -> ScopedResult:
    """Return the result of a plane with what was painted in it, whatever the refiner saw."""
    if not painted:
        return result
    place = (*(slice(number, number + 1) for number in index), *result.window)
    patches = [replace(each, place=from_corner(each.place, place)) for each in painted]
    labels = result.labels[(np.newaxis,) * len(index)]
    return replace(result, labels=Overlaid(labels, patches)[(0,) * len(index)])


def _check_stack(run: RefineJob) -> None:
    image, coarse = tuple(run.image.shape), tuple(run.coarse.shape)
    leading = len(coarse) - 2
    if image[:leading] != coarse[:leading]:
        raise ImageError(
            f"The images have shape {image} and the coarse maps {coarse}; choose coarse maps "
            "drawn on these images."
        )


def _planes(
    run: RefineJob,
    coarse: Sliceable,
    scope: Scope,
    refiner: RefinerInterface,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> Iterator[tuple[Plane, ScopedResult]]:
    options: dict[str, Any] = {
        "limits": run.limits,
        "progress": progress,
        "should_stop": should_stop,
    }
    if run.plane is None:
        yield from refine_stack(refiner, run.image, coarse, scope, **options)
        return
    image, one = plane_of(run.image, run.plane), plane_of(coarse, run.plane)
    yield run.plane, refine_within(refiner, image, one, scope.of_plane(run.plane), **options)


class _Sheet:
    """The arrays of a result in the making."""

    def __init__(self, run: RefineJob, coarse: Sliceable) -> None:
        shape = tuple(coarse.shape)
        self.place = tuple(slice(0, length) for length in shape)
        if not run.whole:
            wanted = [slice(0, length) for length in shape[:-2]]
            if run.plane is not None:
                wanted = [slice(index, index + 1) for index in run.plane]
            self.place = (*wanted, *run.scope.region((shape[-2], shape[-1])))
        self._coarse, self._before = coarse, run.before if run.whole else None
        self._dtype = label_dtype(coarse.dtype, run.class_table)
        self._arrays: tuple[NDArray[Any], NDArray[np.float32]] | None = None

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Labels and confidence; those of planes that are not done are as before."""
        if self._arrays is None:
            labels, confidence = self._before or (self._coarse, None)
            below = np.array(labels[self.place], dtype=self._dtype)
            doubt = np.full(below.shape, np.nan, dtype=np.float32)
            if confidence is not None:
                doubt[...] = confidence[self.place]
            self._arrays = below, doubt
        return self._arrays

    def take(self, index: Plane, result: ScopedResult) -> None:
        """Take over the result of one plane."""
        if not index and result.window == self.place:  # All there is: no need of a copy.
            self._arrays = result.labels, result.confidence
            return
        leading = [slice(number, number + 1) for number in index]
        there = from_corner((*leading, *result.window), self.place)
        labels, confidence = self.arrays
        if self._before is not None:  # Out of scope, this plane is as in the coarse map.
            plane = (*leading, *self.place[-2:])
            labels[plane], confidence[plane] = self._coarse[plane], np.nan
        labels[there], confidence[there] = result.labels, result.confidence
