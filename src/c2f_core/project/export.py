"""Export a fine map with a sidecar that records how it was made, and repeat it from the sidecar.

An exported map consists of the coarse map, the accepted regions of the refiner's result, and
pixels edited by hand. The sidecar contains the coarse map, the numbers of the accepted regions and
the edited pixels; it refers to image and model by their hashes. Therefore the map can be
reproduced from the sidecar byte by byte.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.atomic import atomic_path, atomic_paths, delete_unfinished
from c2f_core.io.images import check_frame, read_image
from c2f_core.io.maps import MapStyle, check_map_suffix, write_map
from c2f_core.models.bundled import is_model_file
from c2f_core.models.metadata import library_versions
from c2f_core.project.layout import check_export_target
from c2f_core.project.project import Project
from c2f_core.project.records import ImageRecord, Parameters
from c2f_core.project.refining import file_of_model, open_model, refine_job, run_job
from c2f_core.project.sidecar import (
    SUFFIX,
    Sidecar,
    check_hash,
    check_replaceable,
    check_text,
    encode_run_lengths,
    hash_of,
    map_hash,
    paint_run_lengths,
    relative_to,
    restore_sidecars,
    restored_text,
)
from c2f_core.project.work import IndexMap, Work, undecided_regions, undecided_text
from c2f_core.refine.interface import Progress, ShouldStop
from c2f_core.review.regions import Review, review_changes


@dataclass(frozen=True)
class Export:
    """Files of an exported map.

    Attributes
    ----------
    file, sidecar : Path
        Files of the map and of its sidecar.
    restored : tuple of Path
        Other maps in the folder whose sidecar is there again after an interrupted export.
    undecided : int
        Number of regions of the map that are still undecided.
    uses_other_table : bool
        Whether the refiner does not know the current classes, so that the sidecar does not name
        a refiner.
    """

    file: Path
    sidecar: Path
    restored: tuple[Path, ...]
    undecided: int
    uses_other_table: bool

    def message(self) -> str:
        """Return a message for the user."""
        message = f"Exported to {self.file}; {self.sidecar.name} records how it was made."
        if self.uses_other_table:
            message += (
                " All changes count as made by hand: the model does not know classes that were "
                "renamed or added since."
            )
        if self.undecided:
            message += f" {undecided_text(self.undecided)}"
        return " ".join([message, *map(restored_text, self.restored)])


def export_map(
    project: Project,
    name: str,
    path: str | Path,
    *,
    style: MapStyle = "palette",
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Export:
    """Write the fine map of an image, and a sidecar that records how it was made.

    The refinement is repeated, to separate the accepted regions from pixels edited by hand. If
    classes that the refiner does not know were renamed or added since, the sidecar does not name
    the refiner and counts all changes as made by hand. Map and sidecar are replaced together or not
    at all.

    Parameters
    ----------
    project : Project
        Project that contains the image.
    name : str
        Name of an image that was refined.
    path : str or Path
        File with the suffix .png, .tif, .tiff or .npy; an existing file is replaced.
    style : {"palette", "colour", "index"}
        Style of the map, see `write_map`.
    progress, should_stop : callable, optional
        See `RefinerInterface.refine`.

    Returns
    -------
    Export
        Written files.

    Raises
    ------
    C2FError
        If the image does not have a fine map, the model is missing, the file is one of a project
        or cannot be written, or the refinement was stopped; no file is changed then.
    """
    path = Path(path)
    sidecar = path.with_name(f"{path.name}{SUFFIX}")
    check_map_suffix(path)
    check_text(path.name)
    check_export_target(path)
    check_replaceable(sidecar)
    work = project.read(name)
    if work.fine is None:
        raise DataError(f"'{name}' does not have a fine map yet; refine it first.")
    explained, accepted = _explain(project, work, work.fine, progress, should_stop)
    restored = _restored(path.parent)
    delete_unfinished(path.parent, path, sidecar)
    with atomic_paths(path, sidecar) as (temporary, temporary_sidecar):
        write_map(temporary, work.fine, work.class_table, style)
        content = Sidecar(
            file=path.name,
            file_sha256=hash_of(temporary),
            style=style,
            made=datetime.now(tz=UTC).isoformat(timespec="seconds"),
            parameters=explained.record.parameters,
            **_file_fields(project, explained.record, path.parent),
            **_work_fields(explained, work.fine, accepted),
        )
        temporary_sidecar.write_text(content.model_dump_json() + "\n", encoding="utf-8")
    project.journal.write("exported", image=name, file=str(path))
    others = tuple(each for each in restored if each != path)
    return Export(path, sidecar, others, undecided_regions(work), explained is not work)


def _restored(folder: Path) -> list[Path]:
    """Put back the sidecars that a killed export left unfinished in a folder."""
    try:
        return restore_sidecars(folder)
    except OSError:  # Writing the map says what is wrong with the folder.
        return []


def _explain(
    project: Project,
    work: Work,
    fine: IndexMap,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> tuple[Work, Review]:
    """Refine again; return the work and the review in which the regions of its map are accepted.

    If the refiner does not know the classes, the returned work does not name a refiner.
    """
    try:
        return work, _accepted(project, work, fine, progress, should_stop)
    except ClassTableError:  # Raised again below if a map is damaged.
        changes = {"model": "", "parameters": Parameters()}
        work = replace(work, record=work.record.model_copy(update=changes))
        return work, _accepted(project, work, fine)


def _accepted(
    project: Project,
    work: Work,
    fine: IndexMap,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Review:
    record, parameters = work.record, work.record.parameters
    refiner = open_model(project.model_file(record.model), work.class_table, parameters)
    job = refine_job(project.read_image(record.name), work, parameters)
    result = run_job(job, refiner, progress, should_stop)
    review = review_changes(work.coarse, result.labels, result.confidence, work.class_table)
    return _accept_matching(review, fine)


def _accept_matching(review: Review, fine: NDArray[Any]) -> Review:
    """Accept the regions in which most pixels of the fine map are as in the refined map."""
    taken = review.numbers[fine == review.refined]
    counts = np.bincount(taken, minlength=len(review.regions) + 1)
    return review.accept(
        region for region in review.regions if 2 * counts[region.number] > region.size
    )


def _file_fields(project: Project, record: ImageRecord, folder: Path) -> dict[str, Any]:
    """Return the fields of a sidecar in this folder that concern image and model."""
    image, model = project.image_path(record.name), project.model_file(record.model)
    file = file_of_model(model)
    return {
        "image": relative_to(image, folder),
        "image_sha256": hash_of(image),
        "model": relative_to(Path(model), folder) if is_model_file(model) else model,
        "model_sha256": hash_of(file) if file else "",
        "library_versions": library_versions(),
    }


def _work_fields(work: Work, fine: IndexMap, accepted: Review) -> dict[str, Any]:
    """Return the fields of a sidecar that concern the user's work."""
    edited = fine != accepted.final_map()
    return {
        "class_table": work.class_table,
        "size": work.record.size,
        "coarse": encode_run_lengths(work.coarse),
        "coarse_sha256": map_hash(work.coarse),
        "regions": len(accepted.regions),
        "accepted_regions": sorted(accepted.accepted),
        "hand_edited": encode_run_lengths(fine, edited),
        "hand_edited_pixels": int(edited.sum()),
        "painted_pixels": 0 if work.painted is None else int((edited & work.painted).sum()),
        "before": work.record.before,
        "after": work.record.after,
    }


def rerun(
    sidecar: str | Path,
    output: str | Path,
    *,
    image: str | Path | None = None,
    model: str | Path | None = None,
) -> Path:
    """Reproduce an exported map from its sidecar.

    Parameters
    ----------
    sidecar : str or Path
        Sidecar of the exported map.
    output : str or Path
        File to write, with the suffix of the exported file.
    image, model : str or Path, optional
        Current paths of these files, if they were moved since the export.

    Returns
    -------
    Path
        Written file, identical to the exported one byte by byte.

    Raises
    ------
    DataError
        If image, model or coarse map are not those of the sidecar, or the result differs: other
        libraries or another machine may round differently.
    """
    source, output = Sidecar.read(sidecar), Path(output)
    _check_sidecar(source)
    if output.suffix.lower() != Path(source.file).suffix.lower():
        raise DataError(f"The map was exported as {source.file}; choose an output of this suffix.")
    check_export_target(output)
    folder = Path(sidecar).parent
    image_file = Path(image or folder / source.image)
    check_hash(image_file, source.image_sha256, "image")
    final = _final_map(source, image_file, _model_name(source, folder, model))
    delete_unfinished(output.parent, output)
    with atomic_path(output) as temporary:
        write_map(temporary, final, source.class_table, source.style)
        if hash_of(temporary) != source.file_sha256:
            raise _differs(source)
    return output


def _model_name(source: Sidecar, folder: Path, model: str | Path | None) -> str:
    """Return the refiner of a sidecar in this folder, whose file is checked."""
    recorded = str(folder / source.model) if is_model_file(source.model) else source.model
    name = recorded if model is None else str(model)
    if source.model_sha256:
        check_hash(file_of_model(name) or Path(name), source.model_sha256, "model")
    return name


def _final_map(source: Sidecar, image: Path, model: str) -> NDArray[Any]:
    """Refine again, accept the regions of the sidecar and apply its edits."""
    pixels = read_image(image)
    check_frame(image, pixels.shape[:2], source.size)
    if pixels.shape[:2] != source.size:  # Before maps of this size are made.
        raise DataError(f"The sidecar of {source.file} is damaged; export the map again.")
    record = ImageRecord(name="map", image="image.png", size=source.size)
    work = Work(record, source.class_table, _read_coarse(source))
    refiner = open_model(model, source.class_table, source.parameters)
    result = run_job(refine_job(pixels, work, source.parameters), refiner)
    review = review_changes(work.coarse, result.labels, result.confidence, work.class_table)
    if len(review.regions) != source.regions:
        raise _differs(source)
    accepted = (review.regions[number - 1] for number in source.accepted_regions)
    final = np.ascontiguousarray(review.accept(accepted).final_map())
    paint_run_lengths(final, source.hand_edited)
    return final


def _check_sidecar(source: Sidecar) -> None:
    """Raise an error if the numbers in a sidecar cannot come from an export."""
    labels = {entry.index for entry in source.class_table.entries}
    runs_are_valid = all(
        start >= 0 and length > 0 and label in labels
        for start, length, label in (*source.coarse, *source.hand_edited)
    )
    regions_are_valid = all(1 <= number <= source.regions for number in source.accepted_regions)
    rows, columns = source.size
    size_is_valid = min(source.size) > 0 and rows * columns == sum(run[1] for run in source.coarse)
    if not (runs_are_valid and regions_are_valid and size_is_valid):
        raise DataError(f"The sidecar of {source.file} is damaged; export the map again.")


def _read_coarse(source: Sidecar) -> NDArray[Any]:
    coarse = source.class_table.to_labels(np.zeros(source.size, dtype=np.uint8))
    paint_run_lengths(coarse, source.coarse)
    if map_hash(coarse) != source.coarse_sha256:
        raise DataError(
            f"The coarse map in the sidecar of {source.file} is damaged; export the map again."
        )
    return coarse


def _differs(source: Sidecar) -> DataError:
    versions = ", ".join(f"{name} {number}" for name, number in source.library_versions.items())
    return DataError(
        f"The map reproduced from the sidecar of {source.file} differs from the exported one; "
        f"reproduce it with {versions} on a machine like the first."
    )
