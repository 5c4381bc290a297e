"""The work on one image in one file, so that saving it is all or nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.project.records import ImageRecord
from c2f_core.review.decisions import Decision, changed_pixels
from c2f_core.review.regions import review_changes

UNKNOWN_CONFIDENCE = 255
"""Stored where the refiner was not asked."""
OPTIONAL_MAPS = ("fine", "refined", "confidence", "painted", "painted_refined")
IndexMap = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Work:
    """All that a person made of one image.

    Attributes
    ----------
    record : ImageRecord
    class_table : ClassTable
        Of both maps.
    coarse : (Y, X) unsigned integer array
        Class indices.
    fine : (Y, X) unsigned integer array or None
        Class indices: what the person makes of the refined map; None before the
        first refining.
    refined : (Y, X) unsigned integer array or None
        What the refiner made, where `fine` is reviewed region by region beside it.
    confidence : (Y, X) uint8 array or None
        Of the refiner, see `stored_confidence`.
    painted : (Y, X) boolean array or None
        Where a person painted the fine map: what is refined again leaves these pixels
        as they are.
    painted_refined : (Y, X) boolean array or None
        The same of `refined`.
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

    def is_that_of(self, other: "Work") -> bool:
        """Tell whether maps, classes and rejected regions are the same."""
        if (self.class_table, self.record.rejected) != (other.class_table, other.record.rejected):
            return False
        return all(
            np.array_equal(getattr(self, kind), getattr(other, kind))
            if getattr(self, kind) is not None and getattr(other, kind) is not None
            else getattr(self, kind) is getattr(other, kind)
            for kind in ("coarse", *OPTIONAL_MAPS)
        )


def stored_confidence(confidence: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Turn confidences in [0, 1] into 0 to 254, and NaN into 255."""
    scaled = confidence.astype(np.float32)
    scaled *= UNKNOWN_CONFIDENCE - 1
    scaled += 0.5  # What follows cuts off: quicker than rounding, and this runs while one draws.
    with np.errstate(invalid="ignore"):
        levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    levels[np.isnan(scaled)] = UNKNOWN_CONFIDENCE
    return levels


def read_confidence(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn what `stored_confidence` made back into confidences."""
    confidence = stored.astype(np.float32)
    confidence /= UNKNOWN_CONFIDENCE - 1
    confidence[stored == UNKNOWN_CONFIDENCE] = np.nan
    return confidence


def write_snapshot(path: Path, work: Work) -> None:
    """Write the work atomically.

    Raises
    ------
    DataError
        The file cannot be written.
    ClassTableError
        A map holds an index that is not in the class table.
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


def read_snapshot(path: Path) -> Work:
    """Read the work.

    Raises
    ------
    DataError
        The file lacks or is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            return Work(
                ImageRecord.model_validate(about["record"]),
                ClassTable.model_validate(about["class_table"]),
                arrays["coarse"],
                **{kind: arrays.get(kind) for kind in OPTIONAL_MAPS},
            )
    except Exception as error:  # Archive, compression and records raise errors of their own.
        raise DataError(
            f"The snapshot {path} is damaged ({error}); move it elsewhere, then open the project "
            "as it was saved last."
        ) from error


def undecided_regions(work: Work) -> int:
    """Count the regions of a review under way that are still as in the coarse map.

    Parameters
    ----------
    work : Work
        Without a review there are none.

    Returns
    -------
    int

    Raises
    ------
    ClassTableError
        A map holds an index that is not in the class table.
    """
    if work.refined is None or work.fine is None:
        return 0
    nowhere_sure = np.zeros(work.coarse.shape, dtype=np.float32)  # It only tells their order.
    pixels = changed_pixels(
        review_changes(work.coarse, work.refined, nowhere_sure, work.class_table)
    )
    decisions = pixels.decisions(work.fine, pixels.numbers_of(work.record.rejected))
    return int(np.count_nonzero(decisions == Decision.UNDECIDED))


def undecided_text(number: int) -> str:
    """Say that so many regions, at least one, are undecided, and what that means."""
    regions = "One region is" if number == 1 else f"{number} regions are"
    return f"{regions} undecided, and as in the coarse map."
