"""The files of a project: its lock, and what is copied into it."""

import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from c2f_core.errors import DataError
from c2f_core.intensities import as_rgb8
from c2f_core.io import IMAGE_SUFFIXES, atomic_path, read_image
from c2f_core.windows import Size


def acquired(root: Path) -> FileLock:
    """Return the lock of a project, acquired; it ends with the process.

    Raises
    ------
    DataError
        The project is open elsewhere, or its folder cannot be written.
    """
    lock = FileLock(root / ".lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"The project {root} is open in another window or program; close it there first."
        ) from error
    except OSError as error:
        raise DataError(
            f"The project {root} cannot be locked ({error}); mend the permissions of its folder."
        ) from error
    return lock


def as_one_file(name: str) -> str:
    """Return what is equal for names that Windows or macOS take for one file."""
    return unicodedata.normalize("NFC", name).casefold()


def store_image(source: str | Path | NDArray[Any], folder: Path, name: str) -> tuple[Path, Size]:
    """Copy an image file as it is, or write an array as TIFF.

    Returns
    -------
    path : Path
    size : (int, int)
        Rows and columns.

    Raises
    ------
    C2FError
        It is no image that can be refined, or cannot be written.
    """
    if isinstance(source, np.ndarray):
        height, width, _ = as_rgb8(source).shape
        path = folder / f"{name}.tif"
        with atomic_path(path) as temporary:
            photometric = "minisblack" if source.ndim == 2 else "rgb"
            tifffile.imwrite(temporary, source, compression="zlib", photometric=photometric)
        return path, (height, width)
    source = Path(source)
    if source.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"{source} is no image; choose a {', '.join(IMAGE_SUFFIXES)} file.")
    height, width, _ = as_rgb8(read_image(source)).shape
    path = folder / f"{name}{source.suffix.lower()}"
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    return path, (height, width)


def kept_model(path: Path, folder: Path) -> Path:
    """Copy a model file into a folder unless it is there; return it there.

    Another model of the same name stays, and the copy gets a number.

    Raises
    ------
    DataError
        The file cannot be read or copied.
    """
    if path.parent.resolve() == folder.resolve():
        return path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The model {path} cannot be read ({error}); choose another.") from error
    kept, number = folder / path.name, 1
    while kept.exists() and kept.read_bytes() != content:
        number += 1
        kept = folder / f"{path.stem}-{number}{path.suffix}"
    if not kept.exists():
        with atomic_path(kept) as temporary:
            temporary.write_bytes(content)
    return kept
