"""The sidecar of an exported map: how the map came about."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.io.maps import MapStyle
from c2f_core.project.records import Effort, Parameters, Versioned, read_versioned
from c2f_core.refine.record import file_hash

RunLength = tuple[int, int, int]
"""First pixel in row-major order, number of pixels, class index."""


def encode_run_lengths(
    index_map: NDArray[Any], where: NDArray[np.bool_] | None = None
) -> list[RunLength]:
    """Return the runs of equal labels of a map.

    Parameters
    ----------
    index_map : (Y, X) integer array
    where : (Y, X) boolean array, optional
        Pixels to keep; without it, all.

    Returns
    -------
    list of (first pixel, pixels, class index)
        In row-major order; a run may go on in the next row.
    """
    places = np.arange(index_map.size) if where is None else np.flatnonzero(where)
    if not places.size:
        return []
    labels = index_map.ravel()[places]
    breaks = np.flatnonzero((np.diff(places) != 1) | (labels[1:] != labels[:-1])) + 1
    firsts = np.concatenate([[0], breaks])
    lengths = np.diff([*firsts, places.size])
    columns = (places[firsts].tolist(), lengths.tolist(), labels[firsts].tolist())
    return list(zip(*columns, strict=True))


def paint_run_lengths(index_map: NDArray[Any], runs: Sequence[RunLength]) -> None:
    """Paint runs into a contiguous map (Y, X) in place."""
    flat = index_map.reshape(-1)
    for start, length, label in runs:
        flat[start : start + length] = label


def map_hash(index_map: NDArray[Any]) -> str:
    """Hash size and labels of a map, whatever its dtype; hexadecimal SHA-256."""
    digest = hashlib.sha256(repr(index_map.shape).encode())
    digest.update(np.ascontiguousarray(index_map, dtype="<u2").tobytes())
    return digest.hexdigest()


SUFFIX = ".json"
"""Added to the name of the map's file."""


class Sidecar(Versioned):
    """How an exported map came about."""

    format_version: int = 1
    """Changes where older programs could not read the file."""
    file: str
    """Name of the map's file, beside this one."""
    file_sha256: str
    """Hash of its bytes."""
    style: MapStyle
    """How it was written."""
    made: str
    """When, UTC."""
    class_table: ClassTable
    """Of all maps."""
    image: str
    """File of the image, from the folder of this file on."""
    image_sha256: str
    """Hash of its bytes."""
    size: tuple[int, int]
    """Rows and columns."""
    coarse: list[RunLength]
    """The coarse map: first pixel in row-major order, number of pixels, class index."""
    coarse_sha256: str
    """See `map_hash`."""
    model: str
    """Name of a bundled or classical refiner, or the file of a model; empty: none."""
    model_sha256: str
    """Hash of its bytes; empty for classical refiners."""
    parameters: Parameters
    """How it was asked."""
    regions: int
    """How many regions it changed."""
    accepted_regions: list[int]
    """Numbers of those that were accepted, see `review_changes`."""
    hand_edited: list[RunLength]
    """Pixels that are neither as in the coarse map nor as the refiner made them, as `coarse`."""
    hand_edited_pixels: int = Field(ge=0)
    """How many these are."""
    painted_pixels: int = Field(default=0, ge=0)
    """How many of these were painted by hand; the rest was refined anew around them."""
    before: Effort
    """Work before the first refining."""
    after: Effort
    """Work after it."""
    library_versions: dict[str, str]
    """Of the libraries that shape a result."""

    @classmethod
    def read(cls, path: str | Path) -> "Sidecar":
        """Read a sidecar.

        Raises
        ------
        DataError
            It lacks, is damaged, or a newer program wrote it.
        """
        try:
            return read_versioned(cls, Path(path))
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(
                f"{path} is no sidecar of a map ({reason}); choose the .json file beside it, "
                "or export the map again."
            ) from error


def relative_to(path: Path, folder: Path) -> str:
    """Return the way from a folder to a file; the whole path where there is none."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # On another drive of Windows.
        return str(path.resolve())


def hash_of(path: Path) -> str:
    """Hash the bytes of a file; hexadecimal SHA-256.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); say where the file is.") from error


def require_hash(path: Path, wanted: str, kind: str) -> None:
    """Check that a file is the one that a sidecar tells of.

    Raises
    ------
    DataError
        It is another, or cannot be read.
    """
    if hash_of(path) != wanted:
        raise DataError(
            f"{path} is not the {kind} that the map was made with; give the one whose SHA-256 is "
            f"{wanted}."
        )
