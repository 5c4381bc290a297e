"""Sidecar of an exported map: a file that records how the map was made."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from pydantic_core import from_json

from c2f_core.classes.table import ClassTable
from c2f_core.documents import check_regular_file, is_unicode
from c2f_core.errors import DataError
from c2f_core.io.atomic import unfinished_files
from c2f_core.io.maps import MapStyle
from c2f_core.io.paths import relative_path
from c2f_core.project.records import Effort, Parameters
from c2f_core.project.versioned import Versioned, read_versioned
from c2f_core.refine.run import file_hash

RunLength = tuple[int, int, int]
"""Run of equal labels: first pixel in row-major order, number of pixels, label."""


def encode_run_lengths(
    index_map: NDArray[Any], where: NDArray[np.bool_] | None = None
) -> list[RunLength]:
    """Encode a map as runs of equal labels.

    Parameters
    ----------
    index_map : (Y, X) integer array
        Labels of the map.
    where : (Y, X) boolean array, optional
        Pixels to encode; by default all.

    Returns
    -------
    list of (first pixel, number of pixels, label)
        Runs in row-major order; a run may continue in the next row.
    """
    pixels = np.arange(index_map.size) if where is None else np.flatnonzero(where)
    if not pixels.size:
        return []
    labels = index_map.ravel()[pixels]
    breaks = np.flatnonzero((np.diff(pixels) != 1) | (labels[1:] != labels[:-1])) + 1
    firsts = np.concatenate([[0], breaks])
    lengths = np.diff([*firsts, pixels.size])
    columns = (pixels[firsts].tolist(), lengths.tolist(), labels[firsts].tolist())
    return list(zip(*columns, strict=True))


def paint_run_lengths(index_map: NDArray[Any], runs: Sequence[RunLength]) -> None:
    """Write runs into a contiguous map (Y, X), in place."""
    flat = index_map.reshape(-1)
    for start, length, label in runs:
        flat[start : start + length] = label


def map_hash(index_map: NDArray[Any]) -> str:
    """Return the SHA-256 of a map's size and labels, independent of its dtype."""
    digest = hashlib.sha256(repr(index_map.shape).encode())
    digest.update(np.ascontiguousarray(index_map, dtype="<u2").tobytes())
    return digest.hexdigest()


SUFFIX = ".json"
"""Suffix that is appended to the name of the map's file."""


class Sidecar(Versioned):
    """How an exported map was made."""

    format_version: int = 2
    """Raised whenever older programs can no longer read the file."""
    file: str
    """Name of the exported file, in the folder of the sidecar."""
    file_sha256: str
    """SHA-256 of the exported file."""
    style: MapStyle
    """Style in which the map was written."""
    made: str
    """Time of the export, UTC."""
    class_table: ClassTable
    """Classes of all maps."""
    image: str
    """Image file, relative to the folder of the sidecar."""
    image_sha256: str
    """SHA-256 of the image file."""
    size: tuple[int, int]
    """Height and width of the maps in pixels."""
    coarse: list[RunLength]
    """Coarse map, see `encode_run_lengths`."""
    coarse_sha256: str
    """Hash of the coarse map, see `map_hash`."""
    model: str
    """Name of a bundled or classical refiner, or model file; empty if unknown."""
    model_sha256: str
    """SHA-256 of the model file; empty for classical refiners."""
    parameters: Parameters
    """Parameters of the refinement."""
    regions: int
    """Number of regions that the refiner changed."""
    accepted_regions: list[int]
    """Numbers of the accepted regions, see `review_changes`."""
    hand_edited: list[RunLength]
    """Pixels that neither the coarse map nor the accepted regions explain, as runs."""
    hand_edited_pixels: int = Field(ge=0)
    """Number of these pixels."""
    painted_pixels: int = Field(default=0, ge=0)
    """Number of these that were painted by hand; the others were refined again around them."""
    before: Effort
    """Work before the first refinement."""
    after: Effort
    """Work after the first refinement."""
    library_versions: dict[str, str]
    """Versions of the libraries that affect a result."""

    @classmethod
    def read(cls, path: str | Path) -> "Sidecar":
        """Read a sidecar.

        Raises
        ------
        DataError
            If the file is missing or damaged, or a newer program wrote it.
        """
        try:
            return read_versioned(cls, Path(path))
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(
                f"{path} is not the sidecar of a map ({reason}); choose the .json file that was "
                "exported with the map, or export the map again."
            ) from error


def check_replaceable(path: Path) -> None:
    """Check that a file can be replaced by a sidecar: that it is one, or does not exist.

    Raises
    ------
    DataError
        If there is another file.
    """
    if not os.path.lexists(path):
        return
    try:
        is_sidecar = path.is_file() and "file_sha256" in from_json(path.read_bytes())
    except (OSError, ValueError, TypeError):  # It is unreadable, or not a JSON object.
        is_sidecar = False
    if not is_sidecar:
        raise DataError(
            f"{path} would be replaced, but it is not the record of an exported map; rename it, or "
            "choose another name for the map."
        )


def restore_sidecars(folder: Path) -> list[Path]:
    """Put back the sidecars of maps whose export was killed between map and sidecar.

    An export deletes the old sidecar before it replaces the map, and the new sidecar follows. What
    a killed export left unfinished, the new sidecar or the old one, is moved to its place if it
    describes the map that is there.

    Parameters
    ----------
    folder : Path
        Folder of exported maps.

    Returns
    -------
    list of Path
        Maps that have their sidecar again.

    Raises
    ------
    OSError
        If the folder cannot be read or written.
    """
    restored = []
    for unfinished in unfinished_files(folder):
        path = _map_of(unfinished)
        if path is not None:
            unfinished.rename(path.with_name(f"{path.name}{SUFFIX}"))
            restored.append(path)
    return restored


def restored_text(path: Path) -> str:
    """Return a sentence about a map that has its sidecar again."""
    return (
        f"An export to {path} was interrupted; the record of how the map was made, "
        f"{path.name}{SUFFIX}, is there again."
    )


def _map_of(unfinished: Path) -> Path | None:
    """Return the map whose missing sidecar an unfinished file is; None if it is anything else."""
    if unfinished.suffix != SUFFIX:
        return None
    try:
        sidecar = Sidecar.read(unfinished)
        path = unfinished.with_name(sidecar.file)
        target = path.with_name(f"{path.name}{SUFFIX}")
        is_missing = not os.path.lexists(target) and path.is_file()
        if is_missing and unfinished in unfinished_files(unfinished.parent, target):
            return path if hash_of(path) == sidecar.file_sha256 else None
    except (DataError, ValueError):  # It is incomplete, or no sidecar.
        return None
    return None


def check_text(name: str) -> None:
    """Check that a file name or path can be written into a sidecar.

    Raises
    ------
    DataError
        If it is not readable text.
    """
    if not is_unicode(name):
        raise DataError(f"{name!r} is not a readable name; rename the file or folder.")


def relative_to(path: Path, folder: Path) -> str:
    """Return a path relative to a folder; the absolute path if they are on different drives.

    Raises
    ------
    DataError
        If the path is not readable text.
    """
    found = relative_path(path, folder)
    check_text(found)
    return found


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits.

    Raises
    ------
    DataError
        If the file cannot be read, or is not a regular file.
    """
    check_regular_file(path, DataError)
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); give the path of the file.") from error


def check_hash(path: Path, wanted: str, kind: str) -> None:
    """Check that a file is the one recorded in a sidecar.

    Parameters
    ----------
    path : Path
        File to check.
    wanted : str
        SHA-256 recorded in the sidecar.
    kind : str
        Kind of file, for the message.

    Raises
    ------
    DataError
        If the file is another one or cannot be read.
    """
    if hash_of(path) != wanted:
        raise DataError(
            f"{path} is not the {kind} that the map was made with; give the one whose SHA-256 is "
            f"{wanted}."
        )
