"""The work on one image in one file, so that saving it is all or nothing."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.classes import ClassTable
from c2f_core.errors import DataError
from c2f_core.io import atomic_path
from c2f_core.project.records import ImageRecord

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
        Class indices; None before the first refining.
    """

    record: ImageRecord
    class_table: ClassTable
    coarse: IndexMap
    fine: IndexMap | None = None

    def __post_init__(self) -> None:
        if self.fine is not None and self.fine.shape != self.coarse.shape:
            raise DataError(
                f"{self.record.name}: the coarse map has {self.coarse.shape} and the fine map "
                f"{self.fine.shape} pixels (rows, columns); save maps of one image."
            )


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
    maps = {"coarse": work.coarse} | ({} if work.fine is None else {"fine": work.fine})
    arrays: dict[str, Any] = {
        kind: work.class_table.to_indices(work.class_table.to_positions(index_map))
        for kind, index_map in maps.items()
    }
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
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            return Work(
                ImageRecord.model_validate(about["record"]),
                ClassTable.model_validate(about["class_table"]),
                arrays["coarse"],
                arrays.get("fine"),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, ValidationError) as error:
        raise DataError(
            f"The snapshot {path} is damaged ({error}); move it elsewhere, then open the project "
            "as it was saved last."
        ) from error
