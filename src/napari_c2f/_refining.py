"""One run of a refiner, for a thread: arrays in, arrays out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes import ClassTable
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.record import Record, run_record
from c2f_core.refine.report import ScopeReport
from c2f_core.refine.scope import Scope, Sliceable
from c2f_core.refine.translated import Translated
from c2f_core.refine.within import refine_within
from napari_c2f._worker import Report, ShouldStop, Work

MakeRefiner = Callable[[ClassTable], RefinerInterface]
"""Makes the refiner for the class table of the coarse map; may take its time."""


@dataclass(frozen=True, eq=False)
class RefineRequest:
    """What was asked for, as it was when the user clicked."""

    image: Sliceable
    coarse: Sliceable
    scope: Scope
    class_table: ClassTable


@dataclass(frozen=True, eq=False)
class Refined:
    """What became of it.

    Attributes
    ----------
    labels : (Y, X) integer array
        Class indices of the request's class table.
    confidence : (Y, X) float32 array
        NaN where nothing might have changed.
    report : ScopeReport
    record : dict
        How it was made, as JSON.
    """

    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    report: ScopeReport
    record: Record


def refining(request: RefineRequest, make_refiner: MakeRefiner) -> Work:
    """Return the work of one request, for a thread."""

    def work(report: Report, should_stop: ShouldStop) -> Refined:
        refiner = Translated(make_refiner(request.class_table), request.class_table)
        result = refine_within(
            refiner,
            request.image,
            request.coarse,
            request.scope,
            progress=report,
            should_stop=should_stop,
        )
        confidence = np.full(request.coarse.shape, np.nan, np.float32)
        confidence[result.window] = result.confidence
        record = run_record(refiner, request.scope, result.report)
        return Refined(result.applied_to(request.coarse), confidence, result.report, record)

    return work
