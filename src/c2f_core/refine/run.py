"""Refine a map or stack: open a refiner, run a job in which hand-painted pixels stay, record it."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, CheckpointError, ImageError, enough_memory
from c2f_core.geometry.arrays import (
    Covered,
    Overlaid,
    Patch,
    Sliceable,
    Slices,
    Window,
    from_corner,
    lengths,
    plane_of,
)
from c2f_core.models.bundled import (
    MODEL_FILES,
    bundled_models,
    is_for_any_classes,
    is_model_file,
)
from c2f_core.refine.interface import NO_MEMORY, Monitor, Progress, RefinerInterface, ShouldStop
from c2f_core.refine.plane import Limits, PlaneInputs, refine_plane
from c2f_core.refine.report import ScopeReport, total_report
from c2f_core.refine.scope import Record, Scope, compressed, packed
from c2f_core.refine.stack import check_stack, named_plane
from c2f_core.refine.within import label_dtype

Plane = tuple[int, ...]
"""Index of a plane on the leading axes of a stack."""
VALUES = np.dtype("<u2")
"""Dtype in which labels are recorded; it can store all labels of a class table."""


def open_refiner(
    model: str,
    find_table: Callable[[], ClassTable],
    device: str = "auto",
    *,
    average_flips: bool = False,
) -> RefinerInterface:
    """Open a refiner by its name or file.

    Parameters
    ----------
    model : str
        Name of an instant or classical refiner or of a bundled model, or path of a
        model file, see `Refiner.load`.
    find_table : callable
        Function that returns the class table of an instant or classical refiner, or of
        a model for any classes; other trained models have their own.
    device : {"auto", "cpu", "cuda", "mps"}
        Device on which trained models compute.
    average_flips : bool
        Whether a trained model averages its output over the image and its mirror
        image; see `Refiner`.

    Returns
    -------
    RefinerInterface

    Raises
    ------
    CheckpointError
        If there is no such refiner, or its file is missing, damaged or not a
        checkpoint.
    ConfigError
        If the device does not exist.
    """
    # Imported here because it takes seconds: widgets and projects open without it.
    from c2f_core.refine.untrained import untrained_refiners

    untrained = untrained_refiners()
    if model in untrained:
        return untrained[model](find_table())
    if not is_model_file(model) and model not in bundled_models():
        names = ", ".join((*bundled_models(), *untrained))
        raise CheckpointError(
            f"'{model}' is not a model; choose one of {names}, or give a {MODEL_FILES} file."
        )
    table = find_table() if is_for_any_classes(model) else None
    return open_trained(model, device, average_flips=average_flips, class_table=table)


def open_trained(
    model: str,
    device: str = "auto",
    *,
    average_flips: bool = False,
    class_table: ClassTable | None = None,
) -> RefinerInterface:
    """Open a trained model by its name or file.

    Parameters
    ----------
    model : str
        Name of a bundled model, or path of a model file, see `Refiner.load`.
    device : {"auto", "cpu", "cuda", "mps"}
        Device on which the model computes.
    average_flips : bool
        Whether to average the output over the image and its mirror image; see
        `Refiner`.
    class_table : ClassTable, optional
        Class table of the coarse map, for a model for any classes; see `Refiner.load`.

    Returns
    -------
    Refiner or ClassAgnosticRefiner

    Raises
    ------
    CheckpointError
        If there is no such model, or its file is missing, damaged or not a
        model of this program.
    ConfigError
        If the device does not exist.
    """
    from c2f_core.refine.learned import Refiner

    load = Refiner.load if is_model_file(model) else Refiner.bundled
    return load(model, device, average_flips=average_flips, class_table=class_table)


@dataclass(frozen=True, eq=False)
class RefineJob:
    """What to refine.

    Attributes
    ----------
    image : (..., Y, X) or (..., Y, X, 1, 3 or 4) array
        Image or stack, in memory or loaded lazily.
    coarse : (..., Y, X) integer array
        Coarse map or stack, in memory or loaded lazily.
    class_table : ClassTable
        Class table of the coarse map; that of the refiner may have other labels.
    scope : Scope
        Region in which the map may change. A mask applies to all planes: (Y, X).
    limits : (float, float), optional
        Values of the image that are black and white; see `refine_within`.
    plane : tuple of int, optional
        Index of the only plane of a stack to refine; () for a single map, None
        for all planes.
    painted : sequence of Patch
        Hand-painted pixels, the latest last. They stay, and the refiner sees
        them in the coarse map: as unlabelled if it does not know their class.
    whole : bool
        Whether the result is as large as the coarse map. Otherwise it has only
        the region of the scope, and needs memory for no more than that.
    before : (labels, confidence), optional
        Arrays of an earlier result, as large as the coarse map: the values of a
        whole result in planes that are not refined now. By default these are the
        coarse map and NaN.
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
    """Result of a refinement.

    Attributes
    ----------
    slices : tuple of slices
        Part of the coarse map or stack that the arrays cover.
    labels : (..., Y, X) integer array
        Labels of the job's class table.
    confidence : (..., Y, X) float32 array
        Confidence in [0, 1]; NaN where nothing could change.
    report : ScopeReport
        What changed, in numbers.
    record : dict
        How the result was made, as JSON; see `run_record`.
    cancelled : str
        Empty, or a sentence for the user who stopped a stack half-way.
    """

    slices: Slices
    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    report: ScopeReport
    record: Record
    cancelled: str = ""


@enough_memory(ImageError, NO_MEMORY)
def run_refinement(
    job: RefineJob,
    refiner: RefinerInterface,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> JobResult:
    """Refine a map or stack.

    A stack that is stopped half-way keeps the planes that are done.

    Parameters
    ----------
    job : RefineJob
        What to refine.
    refiner : RefinerInterface
        The refiner.
    progress : callable, optional
        Function that is called with the finished share in [0, 1].
    should_stop : callable, optional
        Function that is called between steps; the work ends when it returns True.

    Returns
    -------
    JobResult

    Raises
    ------
    C2FError
        As `refine_within`.
    Cancelled
        If `should_stop` returned True before the first plane was done.
    """
    check_stack(job.image, job.coarse)
    job.scope.check_shapes(tuple(job.coarse.shape))
    planes = _planes_of(job)
    seen = _with_painted(job)
    result, reports, cancelled = _Result(seen), list[ScopeReport](), ""
    monitors = Monitor(progress, should_stop).split([1] * len(planes))
    try:
        for index, monitor in zip(planes, monitors, strict=True):
            reports.append(_refine_plane(seen, index, refiner, result, monitor))
    except Cancelled as error:
        if not reports:
            raise
        cancelled = str(error)
        for index in planes[len(reports) :]:
            result.keep(index)
    report = total_report(reports)
    record = run_record(job, refiner, report)
    return JobResult(result.slices, result.labels, result.confidence, report, record, cancelled)


def _planes_of(job: RefineJob) -> list[Plane]:
    planes = list(np.ndindex(*job.coarse.shape[:-2])) if job.plane is None else [job.plane]
    if not planes:
        raise ImageError("The stack has no planes; choose another coarse map.")
    return planes


def _with_painted(job: RefineJob) -> RefineJob:
    """Return a job whose coarse map contains the painted pixels, and whose scope protects them."""
    if not job.painted:
        return job
    protected = Covered(tuple(job.coarse.shape), job.painted)
    return replace(
        job,
        coarse=Overlaid(job.coarse, job.painted),
        scope=replace(job.scope, protected=protected),
    )


def _refine_plane(
    job: RefineJob, index: Plane, refiner: RefinerInterface, result: "_Result", monitor: Monitor
) -> ScopeReport:
    inputs = PlaneInputs(
        plane_of(job.image, index),
        plane_of(job.coarse, index),
        job.class_table,
        job.scope.of_plane(index),
        job.limits,
    )
    with named_plane(index if job.plane is None else ()):
        arrays = result.arrays_of(index, inputs.region)
        return refine_plane(refiner, inputs, *arrays, monitor)[1]


class _Result:
    """Arrays of a result, which are filled plane by plane."""

    def __init__(self, job: RefineJob) -> None:
        self.slices = _slices_of(job)
        self._coarse, self._before = job.coarse, job.before if job.whole else None
        shape = lengths(self.slices)
        self.labels = np.empty(shape, label_dtype(job.coarse.dtype, job.class_table))
        self.confidence = np.empty(shape, dtype=np.float32)
        if job.plane and job.whole:  # The other planes of the stack stay.
            self._keep(self.slices)

    def arrays_of(self, index: Plane, region: Window) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the arrays of a region of a plane; outside of it, the coarse map is taken over."""
        if region != self.slices[-2:]:
            self._fill(_in_plane(index, self.slices[-2:]), self._coarse)
        there = from_corner(_in_plane(index, region), self.slices)
        first = (0,) * len(index)
        return self.labels[there][first], self.confidence[there][first]

    def keep(self, index: Plane) -> None:
        """Fill a plane that is not refined with what was there before."""
        self._keep(_in_plane(index, self.slices[-2:]))

    def _keep(self, slices: Slices) -> None:
        self._fill(slices, *(self._before or (self._coarse,)))

    def _fill(self, slices: Slices, labels: Sliceable, confidence: Sliceable | None = None) -> None:
        there = from_corner(slices, self.slices)
        self.labels[there] = labels[slices]
        self.confidence[there] = np.nan if confidence is None else confidence[slices]


def _slices_of(job: RefineJob) -> Slices:
    """Return the part of the coarse map that the result covers."""
    *leading, height, width = job.coarse.shape
    if job.whole:
        return tuple(slice(0, length) for length in job.coarse.shape)
    region = job.scope.region((height, width))
    if job.plane is not None:
        return _in_plane(job.plane, region)
    return (*(slice(0, length) for length in leading), *region)


def _in_plane(index: Plane, window: Slices) -> Slices:
    return (*(slice(number, number + 1) for number in index), *window)


def run_record(job: RefineJob, refiner: RefinerInterface, report: ScopeReport) -> Record:
    """Describe a refinement: all that is needed to get the same map again, and what changed.

    Parameters
    ----------
    job : RefineJob
        What was refined.
    refiner : RefinerInterface
        The refiner. A learned one is identified by the `sha256` of its file, which
        is None for classical ones.
    report : ScopeReport
        What changed.

    Returns
    -------
    dict
        Record of strings, numbers, lists and None, which stands for unknown values.
    """
    return {
        "refiner": refiner.name,
        "sha256": None if refiner.source is None else file_hash(refiner.source),
        "plane": None if job.plane is None else list(job.plane),
        "scope": job.scope.to_record(),
        "painted": [_patch_record(patch) for patch in job.painted],
        "pixels": report.pixels,
        "changed": report.changed,
        "by_class": [[before, after, count] for (before, after), count in report.by_class.items()],
        "mean_confidence": _number(report.mean_confidence),
        "seconds": report.seconds,
    }


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _patch_record(patch: Patch) -> Record:
    return {
        "slices": [[axis.start, axis.stop] for axis in patch.slices],
        "mask": packed(patch.mask),
        "values": compressed(patch.values.astype(VALUES).tobytes()),
    }
