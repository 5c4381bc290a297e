"""Work on one image, and a snapshot of it in one file, so that saving is all or nothing."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.documents import first_problem
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size
from c2f_core.io.atomic import atomic_path
from c2f_core.project.records import ImageRecord
from c2f_core.review.decisions import Decision, changed_pixels
from c2f_core.review.regions import review_changes

UNKNOWN_CONFIDENCE = 255
"""Stored value of pixels without a confidence."""
OPTIONAL_MAPS = ("fine", "refined", "confidence", "painted", "painted_refined")
LABEL_DTYPES = (np.uint8, np.uint16)
"""Types of labels, see `ClassTable.to_labels`."""
DTYPES = {"confidence": (np.uint8,), "painted": (np.bool_,), "painted_refined": (np.bool_,)}
"""Types of the values of maps that do not contain labels."""
MAX_ABOUT_BYTES = 2**28
"""Largest size of the record in a snapshot: a mask of the scope takes most of it."""
HEADER = 1024
"""Bytes that an array file has besides the pixels."""
IndexMap = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Work:
    """Record and maps of one image.

    Attributes
    ----------
    record : ImageRecord
        Record of the image.
    class_table : ClassTable
        Classes of all maps.
    coarse : (Y, X) unsigned integer array
        Labels of the coarse map.
    fine : (Y, X) unsigned integer array or None
        Labels of the fine map, including corrections and decisions; None before the first
        refinement.
    refined : (Y, X) unsigned integer array or None
        Labels as the refiner returned them, if `fine` is under review region by region.
    confidence : (Y, X) uint8 array or None
        Confidence of the refiner, see `stored_confidence`.
    painted : (Y, X) boolean array or None
        Pixels of the fine map that were painted by hand; refining again does not change them.
    painted_refined : (Y, X) boolean array or None
        Pixels of `refined` that were painted by hand.
    """

    record: ImageRecord
    class_table: ClassTable
    coarse: IndexMap
    fine: IndexMap | None = None
    refined: IndexMap | None = None
    confidence: NDArray[np.uint8] | None = None
    painted: NDArray[np.bool_] | None = None
    painted_refined: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for kind in OPTIONAL_MAPS:
            other = getattr(self, kind)
            if other is not None and other.shape != self.coarse.shape:
                raise DataError(
                    f"{self.record.name}: the coarse map has {self.coarse.shape} and the {kind} "
                    f"map {other.shape} pixels (rows, columns); save maps of one image."
                )

    @property
    def is_drawn(self) -> bool:
        """Whether the coarse map has a labelled pixel."""
        return bool((self.coarse != self.class_table.unlabelled.index).any())

    def equals(self, other: "Work") -> bool:
        """Return whether maps, classes and rejected regions are equal."""
        if (self.class_table, self.record.rejected) != (other.class_table, other.record.rejected):
            return False
        return all(
            np.array_equal(getattr(self, kind), getattr(other, kind))
            if getattr(self, kind) is not None and getattr(other, kind) is not None
            else getattr(self, kind) is getattr(other, kind)
            for kind in ("coarse", *OPTIONAL_MAPS)
        )


def stored_confidence(confidence: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Encode a confidence map for storage.

    Parameters
    ----------
    confidence : (Y, X) float array
        Confidence in [0, 1]; NaN if unknown.

    Returns
    -------
    (Y, X) uint8 array
        Confidence scaled to 0 to 254; 255 if unknown.
    """
    scaled = confidence.astype(np.float32)
    scaled *= UNKNOWN_CONFIDENCE - 1
    scaled += 0.5  # Truncated below: faster than rounding, and this runs while the user draws.
    with np.errstate(invalid="ignore"):
        levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    levels[np.isnan(scaled)] = UNKNOWN_CONFIDENCE
    return levels


def read_confidence(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Decode a confidence map.

    Parameters
    ----------
    stored : (Y, X) uint8 array
        Map encoded by `stored_confidence`.

    Returns
    -------
    (Y, X) float32 array
        Confidence in [0, 1]; NaN if unknown.
    """
    confidence = stored.astype(np.float32)
    confidence /= UNKNOWN_CONFIDENCE - 1
    confidence[stored == UNKNOWN_CONFIDENCE] = np.nan
    return confidence


def write_snapshot(path: Path, work: Work) -> None:
    """Write the work atomically to one file.

    Raises
    ------
    DataError
        If the file cannot be written.
    ClassTableError
        If a map contains a label that is not in the class table.
    """
    about = {
        "record": work.record.model_dump(mode="json"),
        "class_table": work.class_table.model_dump(mode="json"),
    }
    maps = {"coarse": work.coarse, "fine": work.fine, "refined": work.refined}
    arrays: dict[str, Any] = {
        kind: work.class_table.to_labels(work.class_table.to_class_ids(index_map))
        for kind, index_map in maps.items()
        if index_map is not None
    }
    for kind in ("confidence", "painted", "painted_refined"):
        if getattr(work, kind) is not None:
            arrays[kind] = getattr(work, kind)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def read_snapshot(path: Path, size: Size | None = None) -> Work:
    """Read work written by `write_snapshot`; no more is decompressed than maps of this size need.

    Parameters
    ----------
    path : Path
        File to read.
    size : (int, int), optional
        Height and width of the image in pixels; by default as in the snapshot.

    Raises
    ------
    DataError
        If the file is missing or damaged, or its maps have another size.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            members = {each.filename: each.file_size for each in arrays.zip.infolist()}
            if members["about.npy"] > MAX_ABOUT_BYTES:
                raise ValueError("its record is too long")
            about = json.loads(_text_of(arrays["about"]))
            record = ImageRecord.model_validate(about["record"])
            if size is not None and record.size != size:
                raise ValueError(f"it has {record.size} pixels and the image {size}")
            if max(members.values()) > max(MAX_ABOUT_BYTES, 2 * math.prod(record.size) + HEADER):
                raise ValueError("its maps are larger than the image")
            maps = {kind: _map_of(arrays, kind) for kind in ("coarse", *OPTIONAL_MAPS)}
            table = ClassTable.model_validate(about["class_table"])
            return Work(record, table, maps.pop("coarse"), **maps)
    except Exception as error:  # Archives and records raise many kinds of errors.
        reason = first_problem(error)[1] if isinstance(error, ValidationError) else error
        raise DataError(
            f"The snapshot {path} is damaged ({reason}); the image is in its last saved state."
        ) from error


def _text_of(stored: NDArray[Any]) -> str:
    """Return a text that numpy stored; a damaged one may contain numbers that are no letters."""
    return stored.astype("<U").tobytes().decode("utf-32-le")


def _map_of(arrays: Mapping[str, Any], kind: str) -> Any:
    """Return a map of a snapshot; None if it is missing and optional."""
    values = arrays[kind] if kind == "coarse" or kind in arrays else None
    # A damaged archive yields the bytes of what is not an array.
    is_plane = isinstance(values, np.ndarray) and values.ndim == 2
    if values is not None and not (is_plane and values.dtype in DTYPES.get(kind, LABEL_DTYPES)):
        raise ValueError(f"its map '{kind}' has values of another type")
    return values


def undecided_regions(work: Work) -> int:
    """Count the regions of the current review that are neither accepted nor rejected.

    Parameters
    ----------
    work : Work
        Work on an image; without a review, no region is undecided.

    Returns
    -------
    int
        Number of undecided regions.

    Raises
    ------
    ClassTableError
        If a map contains a label that is not in the class table.
    """
    if work.refined is None or work.fine is None:
        return 0
    confidence = np.zeros(work.coarse.shape, dtype=np.float32)  # It only affects the order.
    pixels = changed_pixels(review_changes(work.coarse, work.refined, confidence, work.class_table))
    decisions = pixels.decisions(work.fine, pixels.numbers_of(work.record.rejected))
    return int(np.count_nonzero(decisions == Decision.UNDECIDED))


def undecided_text(number: int) -> str:
    """Return a sentence about the undecided regions, of which there is at least one."""
    regions = "One region is" if number == 1 else f"{number} regions are"
    return f"{regions} undecided and still as in the coarse map."
