"""Refine the images of a project, without a screen."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.patches import Covered, Patch
from c2f_core.geometry.windows import bounding_box
from c2f_core.models.bundled import BUNDLED_FOLDER, bundled_models, is_model_file
from c2f_core.project.project import Project
from c2f_core.project.records import Parameters
from c2f_core.project.work import Work, stored_confidence
from c2f_core.refine.interface import Progress, RefineResult, RefinerInterface, ShouldStop
from c2f_core.refine.opening import open_refiner
from c2f_core.refine.run import RefineJob, run_refinement


def refine_image(
    project: Project,
    name: str,
    parameters: Parameters | None = None,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Work:
    """Refine the coarse map of an image with the model of the project, and save the fine map.

    A fine map that is there is replaced, but where it was painted by hand.

    Returns
    -------
    Work
        As it was saved.

    Raises
    ------
    C2FError
        The project has no model, or it does not fit, or the work was stopped.
    """
    work = refined_work(
        project, project.read(name), parameters, progress=progress, should_stop=should_stop
    )
    project.save(work)
    return work


def refined_work(
    project: Project,
    work: Work,
    parameters: Parameters | None = None,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Work:
    """Return the work as it is after refining, see `refine_image`; no map is saved.

    Raises
    ------
    C2FError
        As `refine_image`.
    """
    name, model, asked = work.record.name, project.model, parameters or Parameters()
    refiner = refiner_of(model, work.class_table, asked)
    if refiner is None:
        raise DataError("The project has no model yet; choose one first.")
    image, painted = project.read_image(name), painted_patches(work)
    result = proposal(refiner, image, work, asked, progress, should_stop, painted)
    where = Covered(work.coarse.shape, painted)[...]
    record = work.record.refined(project.keep_model(model), mean_confidence(result), asked)
    confidence = stored_confidence(result.confidence)
    return replace(
        work,
        record=record,
        fine=result.labels,
        refined=None,
        confidence=confidence,
        painted=where if painted else None,
        painted_refined=None,
    )


def painted_patches(work: Work) -> list[Patch]:
    """Return what a person painted in the refined and in the fine map, the latter uppermost.

    What was erased there is given free.
    """
    unlabelled = work.class_table.unlabelled.index
    erased = np.zeros(work.coarse.shape, np.bool_)
    if work.fine is not None and work.painted is not None:
        erased = work.painted & (work.fine == unlabelled)
    maps = (work.refined, work.painted_refined), (work.fine, work.painted)
    patches = []
    for index_map, painted in maps:
        if index_map is not None and painted is not None:
            mask = painted & (index_map != unlabelled) & ~erased
            place = bounding_box(mask)
            patches.append(Patch(place, mask[place], index_map[mask]))
    return [patch for patch in patches if patch.mask.any()]


def mean_confidence(result: RefineResult) -> float:
    """Return the mean where there is a confidence; 1 where nothing was refined."""
    known = result.confidence[np.isfinite(result.confidence)]
    return float(known.mean(dtype=np.float64)) if known.size else 1.0


def proposal(
    refiner: RefinerInterface | None,
    image: NDArray[Any],
    work: Work,
    parameters: Parameters,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    painted: Sequence[Patch] = (),
) -> RefineResult:
    """Refine the coarse map of a work, in its own classes; without a refiner it stays.

    What was painted the refiner sees, and leaves as it is.

    Raises
    ------
    C2FError
        Image, map and classes do not fit, or it was stopped.
    """
    coarse = work.coarse
    if refiner is None:
        return RefineResult(coarse, np.ones(coarse.shape, dtype=np.float32))
    run = RefineJob(image, coarse, work.class_table, parameters.where, painted=painted)
    result = run_refinement(run, refiner, progress=progress, should_stop=should_stop)
    return RefineResult(result.labels, result.confidence)


def refiner_of(
    model: str, class_table: ClassTable, parameters: Parameters
) -> RefinerInterface | None:
    """Open the refiner of a name or file; None for an empty name.

    Raises
    ------
    C2FError
        As `open_refiner`.
    """
    if not model:
        return None
    flips = parameters.average_flips
    return open_refiner(model, lambda: class_table, parameters.device, average_flips=flips)


def file_of_model(model: str) -> Path | None:
    """Return the file of a model, bundled ones too; None for classical refiners and for none."""
    if is_model_file(model):
        return Path(model)
    return BUNDLED_FOLDER / f"{model}.safetensors" if model in bundled_models() else None
