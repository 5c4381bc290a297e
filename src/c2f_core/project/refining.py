"""Refine the images of a project, without a window."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError
from c2f_core.geometry.arrays import Covered, Patch, bounding_box
from c2f_core.models.bundled import BUNDLED_FOLDER, bundled_models, is_model_file
from c2f_core.project.project import Project
from c2f_core.project.records import Parameters
from c2f_core.project.work import Work, stored_confidence
from c2f_core.refine.fitting import fitting_refiner, misfit
from c2f_core.refine.interface import Progress, RefineResult, RefinerInterface, ShouldStop
from c2f_core.refine.run import RefineJob, open_refiner, run_refinement


def refine_image(
    project: Project,
    name: str,
    parameters: Parameters | None = None,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Work:
    """Refine the coarse map of an image with the model of the project, and save the fine map.

    An earlier fine map is replaced, except for pixels that were painted by hand.

    Parameters
    ----------
    project : Project
        Project that contains the image.
    name : str
        Name of the image.
    parameters : Parameters, optional
        Parameters of the refinement; by default the whole map is refined on the CPU.
    progress, should_stop : callable, optional
        See `RefinerInterface.refine`.

    Returns
    -------
    Work
        Saved work on the image.

    Raises
    ------
    C2FError
        If the project does not have a model, the model does not match the image, or the
        refinement was stopped.
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
    """Return the work after refining, see `refine_image`; no map is saved.

    Raises
    ------
    C2FError
        See `refine_image`.
    """
    model, parameters = project.model, parameters or Parameters()
    painted = painted_patches(work)
    problem = misfit(model, work.class_table, work.coarse, painted)
    if problem:
        raise ClassTableError(problem)
    refiner = open_model(model, work.class_table, parameters)
    if refiner is None:
        raise DataError("The project does not have a model yet; choose one first.")
    job = refine_job(project.read_image(work.record.name), work, parameters, painted)
    result = run_refinement(job, refiner, progress=progress, should_stop=should_stop)
    confidence = mean_confidence(result.confidence)
    return replace(
        work,
        record=work.record.refined(project.keep_model(model), confidence, parameters),
        fine=result.labels,
        refined=None,
        confidence=stored_confidence(result.confidence),
        painted=Covered(work.coarse.shape, painted)[...] if painted else None,
        painted_refined=None,
    )


def refine_job(
    image: NDArray[Any], work: Work, parameters: Parameters, painted: Sequence[Patch] = ()
) -> RefineJob:
    """Return the job that refines the coarse map of the work in its own classes.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 3 or 4) array
        Pixels of the image.
    work : Work
        Work on the image.
    parameters : Parameters
        Parameters of the refinement.
    painted : sequence of Patch
        Pixels painted by hand, which the refiner sees and does not change.
    """
    scope = parameters.read_scope()
    return RefineJob(image, work.coarse, work.class_table, scope, painted=painted)


def run_job(
    job: RefineJob,
    refiner: RefinerInterface | None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> RefineResult:
    """Run a refinement; without a refiner, return the coarse map unchanged.

    Raises
    ------
    C2FError
        If image, map and classes do not match, or the refinement was stopped.
    """
    if refiner is None:
        coarse = np.asarray(job.coarse[...])
        return RefineResult(coarse, np.ones(coarse.shape, dtype=np.float32))
    result = run_refinement(job, refiner, progress=progress, should_stop=should_stop)
    return RefineResult(result.labels, result.confidence)


def painted_patches(work: Work) -> list[Patch]:
    """Return the pixels painted by hand in the refined and in the fine map, the latter on top.

    Pixels that were erased in the fine map are omitted, so that they are refined again.
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


def mean_confidence(confidence: NDArray[np.floating[Any]]) -> float:
    """Return the mean of the known confidences; 1 if no pixel was refined.

    Parameters
    ----------
    confidence : (Y, X) float array
        Confidence in [0, 1]; NaN where the map was not refined.
    """
    known = confidence[np.isfinite(confidence)]
    return float(known.mean(dtype=np.float64)) if known.size else 1.0


def open_model(
    model: str, class_table: ClassTable, parameters: Parameters
) -> RefinerInterface | None:
    """Open the refiner of a name or file; return None for an empty name.

    Raises
    ------
    C2FError
        See `open_refiner`.
    """
    return open_refiner(model, lambda: class_table, parameters.device) if model else None


def find_model(project: Project) -> str:
    """Return the model of a project or, without one, the refiner that fits its classes.

    Models in the project come before bundled ones, the newest first; see `fitting_refiner`.
    """
    return project.model or fitting_refiner(project.class_table, reversed(project.models))


def file_of_model(model: str) -> Path | None:
    """Return the file of a model, including bundled ones; None for classical refiners."""
    if is_model_file(model):
        return Path(model)
    return BUNDLED_FOLDER / f"{model}.safetensors" if model in bundled_models() else None
