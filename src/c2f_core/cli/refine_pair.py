"""One image file with its coarse map, as `c2f-refine` checks, reads, refines and writes it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tqdm import tqdm

from c2f_core.classes.codec import MAX_CLASS_IDS
from c2f_core.classes.report import MapReport, one_class_report_of, uses_other_table
from c2f_core.classes.table import ClassTable
from c2f_core.documents import existing_parent
from c2f_core.errors import DataError, ImageError
from c2f_core.geometry.arrays import Sliceable, blocks, extent, row_bands
from c2f_core.geometry.lazy import Writable
from c2f_core.io.atomic import atomic_paths
from c2f_core.io.images import check_frame
from c2f_core.io.intensity import as_rgb8, intensity_limits
from c2f_core.io.label_ids import cityscapes_table, is_label_id_map, write_label_ids
from c2f_core.io.large import open_image
from c2f_core.io.maps import MapStyle, open_map, write_map
from c2f_core.io.scratch import Scratch, new_array
from c2f_core.refine.interface import Monitor, RefinerInterface, check_sizes
from c2f_core.refine.plane import PlaneInputs, refine_plane
from c2f_core.refine.scope import Scope

CONFIDENCE_TILE = 256
"""Side in pixels of the tiles in which a confidence is compressed, one at a time."""


@dataclass(frozen=True)
class RefineFiles:
    """Input and output files of one refinement; `confidence` is None if it is not written."""

    image: Path
    coarse: Path
    output: Path
    confidence: Path | None

    @property
    def outputs(self) -> list[Path]:
        """Files to write."""
        return [self.output] if self.confidence is None else [self.output, self.confidence]


def check_pair(job: RefineFiles, class_table: ClassTable, tolerance: float) -> None:
    """Check that a pair can be refined, and warn of a map that was not read exactly.

    Parameters
    ----------
    job : RefineFiles
        Files of the pair.
    class_table : ClassTable
        Class table of the refiner.
    tolerance : float
        Largest distance of a colour from a class colour; see `open_map`.

    Raises
    ------
    DataError
        If a file cannot be read, sizes differ, or the map was drawn with other classes.
    """
    folder = existing_parent(job.output)
    image, coarse, report = _open(job, class_table, tolerance, folder)
    one_class = one_class_report_of(_class_counts(coarse, class_table), class_table.names)
    warning = report.message() or (one_class.message() if one_class else "")
    if uses_other_table(report):
        raise DataError(f"{job.coarse}: {warning}")
    try:
        check_sizes(image.shape, coarse.shape)
        as_rgb8(np.asarray(image[:1]), intensity_limits(image))
    except ImageError as error:
        raise DataError(f"{job.image} with {job.coarse}: {error}") from error
    if warning:
        tqdm.write(f"warning: {job.coarse}: {warning}", file=sys.stderr)


def _class_counts(coarse: Sliceable, class_table: ClassTable) -> NDArray[np.int64]:
    """Return the number of pixels of each class id."""
    counts = np.zeros(MAX_CLASS_IDS, np.int64)
    for rows in row_bands(coarse.shape):
        class_ids = class_table.to_class_ids(np.asarray(coarse[rows]))
        counts += np.bincount(class_ids.ravel(), minlength=MAX_CLASS_IDS)
    return counts


def _open(
    job: RefineFiles, class_table: ClassTable, tolerance: float, folder: Path
) -> tuple[Sliceable, Sliceable, MapReport]:
    """Open the image, the coarse map, and the report on the map; large ones are in the folder."""
    coarse, report = open_map(job.coarse, class_table, folder, tolerance, job.image)
    image = open_image(job.image, folder)
    check_frame(job.image, image.shape[:2], coarse.shape)
    return image, coarse, report


@dataclass(frozen=True)
class PreparedPair:
    """A pair to refine, and the arrays for the result; large arrays are on disk."""

    plane: PlaneInputs
    labels: Writable
    confidence: Writable

    @property
    def is_in_memory(self) -> bool:
        """Whether the arrays are small enough to be in memory."""
        return not isinstance(self.labels, Scratch)

    def refine(self, refiner: RefinerInterface, monitor: Monitor) -> None:
        """Write the result into the arrays."""
        refine_plane(refiner, self.plane, self.labels, self.confidence, monitor)


def prepare_pair(
    job: RefineFiles, class_table: ClassTable, scope: Scope, tolerance: float
) -> PreparedPair:
    """Read a pair, and create the folders and arrays for its result.

    Parameters
    ----------
    job, class_table, tolerance
        See `check_pair`.
    scope : Scope
        What refining may change.

    Raises
    ------
    DataError
        If a file cannot be read, or a folder cannot be created.
    """
    for path in job.outputs:
        _make_folder(path.parent)
    folder = job.output.parent
    image, coarse, _ = _open(job, class_table, tolerance, folder)
    limits = intensity_limits(image)
    plane = PlaneInputs(image, coarse, class_table, scope, limits, folder)
    labels = new_array(plane.size, coarse.dtype, folder)
    return PreparedPair(plane, labels, new_array(plane.size, np.float32, folder))


def write_pair(
    job: RefineFiles, pair: PreparedPair, class_table: ClassTable, style: MapStyle
) -> None:
    """Write the fine map of a refined pair, and its confidence if that is wanted.

    Parameters
    ----------
    job, class_table
        See `check_pair`.
    pair : PreparedPair
        The pair, refined.
    style : {"palette", "index", "colour"}
        How the map is written; see `write_map`.

    Raises
    ------
    WritingError
        If a file cannot be written; then neither of them is.
    """
    labels = pair.labels
    with atomic_paths(*job.outputs) as (fine, *others):
        if is_label_id_map(job.output):
            _write_label_ids(fine, job.coarse, np.asarray(labels[...]), class_table)
        else:
            write_map(fine, labels, class_table, style)
        for temporary in others:
            _write_confidence(temporary, pair.confidence)


def _write_label_ids(
    path: Path, coarse: Path, labels: NDArray[Any], class_table: ClassTable
) -> None:
    table = cityscapes_table()
    class_ids = class_table.translate_ids(class_table.to_class_ids(labels), table)
    write_label_ids(path, class_ids, coarse if is_label_id_map(coarse) else None)


def _write_confidence(path: Path, confidence: Writable) -> None:
    height, width = confidence.shape
    tifffile.imwrite(
        path,
        _tiles_of(confidence),
        shape=(height, width),
        dtype=np.float32,
        compression="zlib",
        tile=(CONFIDENCE_TILE, CONFIDENCE_TILE),
    )


def _tiles_of(confidence: Writable) -> Iterator[NDArray[np.float32]]:
    """Yield the tiles of a TIFF file, which are all of the same size."""
    height, width = confidence.shape
    for window in blocks((height, width), CONFIDENCE_TILE):
        tile = np.zeros((CONFIDENCE_TILE, CONFIDENCE_TILE), np.float32)
        rows, columns = extent(window)
        tile[:rows, :columns] = confidence[window]
        yield tile


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be created ({error.strerror}); choose another output."
        ) from error
