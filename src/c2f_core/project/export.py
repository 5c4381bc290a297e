"""Export a map with a sidecar that tells how it came about, and make it again from that.

An exported map is the coarse map, with the regions that the refiner changed and a
person accepted, and with what a person painted. The sidecar holds the coarse map,
the numbers of these regions and the painted pixels; image and model it names, with
their hashes. So the map follows from the sidecar, to the last byte.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.maps import MapStyle, check_map_suffix, read_image, write_map
from c2f_core.models.bundled import is_model_file
from c2f_core.models.metadata import library_versions
from c2f_core.project.project import Project
from c2f_core.project.records import ImageRecord, Parameters
from c2f_core.project.refining import file_of_model, proposal, refiner_of
from c2f_core.project.sidecar import (
    SUFFIX,
    Sidecar,
    encode_run_lengths,
    hash_of,
    map_hash,
    paint_run_lengths,
    relative_to,
    require_hash,
)
from c2f_core.project.work import Work, undecided_regions, undecided_text
from c2f_core.refine.interface import Progress, RefineResult, ShouldStop
from c2f_core.review.regions import Review, review_changes


@dataclass(frozen=True)
class Export:
    """The files of an exported map.

    Attributes
    ----------
    file, sidecar : Path
    undecided : int
        How many of its regions are still undecided.
    uses_other_table : bool
        The refiner does not know the classes any more, so that the sidecar names none.
    """

    file: Path
    sidecar: Path
    undecided: int
    uses_other_table: bool

    def message(self) -> str:
        """What was written, for the user."""
        told = f"Exported to {self.file}; {self.sidecar.name} tells how it was made."
        if self.uses_other_table:
            told += (
                " It counts all changes as made by hand: classes were renamed or added since that "
                "the model does not know."
            )
        return f"{told} {undecided_text(self.undecided)}" if self.undecided else told


def export_map(
    project: Project,
    name: str,
    path: str | Path,
    *,
    style: MapStyle = "palette",
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Export:
    """Write the fine map of an image, and beside it how it came about.

    The refiner of the image refines once more, to tell what was accepted of its
    result from what was painted. Where classes were renamed or added since that it does
    not know, the sidecar names none, and counts all changes as made by hand. A sidecar
    is written last and taken away first, so that there is none that tells of another map.

    Parameters
    ----------
    project : Project
    name : str
        Of an image that was refined.
    path : str or Path
        Ends in .png, .tif, .tiff or .npy; a file of this name is replaced.
    style : {"palette", "colour", "index"}
    progress, should_stop : callable, optional
        See `RefinerInterface.refine`.

    Raises
    ------
    C2FError
        The image has no fine map, the model is missing, a file cannot be written,
        or it was stopped; then nothing is written.
    """
    path, work = Path(path), project.read(name)
    check_map_suffix(path)
    fine = work.fine
    if fine is None:
        raise DataError(f"'{name}' has no fine map yet; refine it first.")
    uses_other_table = False
    try:
        accepted = _accepted(project, work, progress, should_stop)
    except ClassTableError:  # Of a damaged map it comes again.
        uses_other_table, work = True, _without_refiner(work)
        accepted = _accepted(project, work)
    sidecar = Path(f"{path}{SUFFIX}")
    with atomic_path(path) as temporary:
        write_map(temporary, fine, work.class_table, style)
        told = Sidecar(
            file=path.name,
            file_sha256=hash_of(temporary),
            style=style,
            made=datetime.now(tz=UTC).isoformat(timespec="seconds"),
            parameters=work.record.parameters,
            **_told_of_files(project, work.record, path.parent),
            **_told_of_work(work, accepted),
        )
        sidecar.unlink(missing_ok=True)  # It would tell of another map.
    with atomic_path(sidecar) as temporary:
        temporary.write_text(told.model_dump_json() + "\n", encoding="utf-8")
    project.journal.write("exported", image=name, file=str(path))
    return Export(path, sidecar, undecided_regions(work), uses_other_table)


def _accepted(
    project: Project,
    work: Work,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Review:
    """Let the refiner refine once more; return the review in which its regions are accepted."""
    record, asked = work.record, work.record.parameters
    refiner = refiner_of(project.model_file(record.model), work.class_table, asked)
    image = project.read_image(record.name)
    proposed = proposal(refiner, image, work, asked, progress, should_stop)
    assert work.fine is not None
    return _mostly_taken(_review(work, proposed), work.fine)


def _without_refiner(work: Work) -> Work:
    changes = {"model": "", "parameters": Parameters()}
    return replace(work, record=work.record.model_copy(update=changes))


def _told_of_files(project: Project, record: ImageRecord, folder: Path) -> dict[str, Any]:
    """Return what a sidecar in this folder says of image and model."""
    image, model = project.image_path(record.name), project.model_file(record.model)
    file = file_of_model(model)
    return {
        "image": relative_to(image, folder),
        "image_sha256": hash_of(image),
        "model": relative_to(Path(model), folder) if is_model_file(model) else model,
        "model_sha256": hash_of(file) if file else "",
        "library_versions": library_versions(),
    }


def _told_of_work(work: Work, accepted: Review) -> dict[str, Any]:
    """Return what a sidecar says of a person's work."""
    assert work.fine is not None
    edited = work.fine != accepted.final_map()
    return {
        "class_table": work.class_table,
        "size": work.record.size,
        "coarse": encode_run_lengths(work.coarse),
        "coarse_sha256": map_hash(work.coarse),
        "regions": len(accepted.regions),
        "accepted_regions": sorted(accepted.accepted),
        "hand_edited": encode_run_lengths(work.fine, edited),
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
    """Make an exported map again from its sidecar.

    Parameters
    ----------
    sidecar : str or Path
    output : str or Path
        With the ending of the exported file.
    image, model : str or Path, optional
        Where these files are now, if they are not where the sidecar says.

    Returns
    -------
    Path
        The written file, equal to the exported one byte by byte.

    Raises
    ------
    DataError
        Image, model or coarse map are not those of the sidecar, or the result is
        another: other libraries, or another machine, may round otherwise.
    """
    told, folder, output = Sidecar.read(sidecar), Path(sidecar).parent, Path(output)
    _refuse_damage(told)
    if output.suffix.lower() != Path(told.file).suffix.lower():
        raise DataError(f"The map was written as {told.file}; give an output of the same ending.")
    image_file = Path(image or folder / told.image)
    name = str(model or (folder / told.model if is_model_file(told.model) else told.model))
    require_hash(image_file, told.image_sha256, "image")
    if told.model_sha256:
        require_hash(file_of_model(name) or Path(name), told.model_sha256, "model")
    refiner = refiner_of(name, told.class_table, told.parameters)
    work = Work(_record_of(told), told.class_table, _coarse_of(told))
    review = _review(work, proposal(refiner, read_image(image_file), work, told.parameters))
    if len(review.regions) != told.regions:
        raise _is_other(told)
    chosen = (review.regions[number - 1] for number in told.accepted_regions)
    final = np.ascontiguousarray(review.accept(chosen).final_map())
    paint_run_lengths(final, told.hand_edited)
    with atomic_path(output) as temporary:
        write_map(temporary, final, told.class_table, told.style)
        if hash_of(temporary) != told.file_sha256:
            raise _is_other(told)
    return output


def _review(work: Work, proposed: RefineResult) -> Review:
    return review_changes(work.coarse, proposed.labels, proposed.confidence, work.class_table)


def _mostly_taken(review: Review, fine: NDArray[Any]) -> Review:
    """Accept the regions most of whose pixels are in the fine map as the refiner made them."""
    taken = review.numbers[fine == review.refined]
    counts = np.bincount(taken, minlength=len(review.regions) + 1)
    return review.accept(
        region for region in review.regions if 2 * counts[region.number] > region.size
    )


def _refuse_damage(told: Sidecar) -> None:
    """Refuse numbers that no export writes."""
    labels = {entry.index for entry in told.class_table.entries}
    runs_are_sound = all(
        start >= 0 and length > 0 and label in labels
        for start, length, label in (*told.coarse, *told.hand_edited)
    )
    regions_are_sound = all(1 <= number <= told.regions for number in told.accepted_regions)
    rows, columns = told.size
    size_is_sound = min(told.size) > 0 and rows * columns == sum(run[1] for run in told.coarse)
    if not (runs_are_sound and regions_are_sound and size_is_sound):
        raise DataError(f"The sidecar of {told.file} is damaged; export the map again.")


def _record_of(told: Sidecar) -> ImageRecord:
    return ImageRecord(name=Path(told.file).stem, image=Path(told.image).name, size=told.size)


def _coarse_of(told: Sidecar) -> NDArray[Any]:
    coarse = told.class_table.to_labels(np.zeros(told.size, dtype=np.uint8))
    paint_run_lengths(coarse, told.coarse)
    if map_hash(coarse) != told.coarse_sha256:
        raise DataError(f"The sidecar of {told.file} is damaged: its coarse map is another.")
    return coarse


def _is_other(told: Sidecar) -> DataError:
    made_with = ", ".join(f"{name} {number}" for name, number in told.library_versions.items())
    return DataError(
        f"The map that follows from the sidecar of {told.file} is another one here; make it with "
        f"{made_with} on a machine like the first."
    )
