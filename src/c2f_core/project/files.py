"""The files of a project: its lock, and what is copied into it."""

import shutil
import unicodedata
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from filelock import FileLock
from numpy.typing import NDArray

from c2f_core.errors import DataError
from c2f_core.geometry.windows import Size
from c2f_core.io.atomic import atomic_path
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.lock import lock_folder
from c2f_core.io.maps import IMAGE_SUFFIXES, read_image
from c2f_core.project.maps import KINDS, REMOVED, MapFiles
from c2f_core.project.records import ImageRecord


def acquired(root: Path) -> FileLock:
    """Return the lock of a project, acquired; it ends with the process.

    Raises
    ------
    DataError
        The project is open elsewhere, or its folder cannot be written.
    """
    return lock_folder(
        root,
        DataError,
        in_use=f"The project {root} is open in another window or program; close it there first.",
        unusable=f"The project {root} cannot be locked; check the permissions of its folder",
    )


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


def move_image(root: Path, record: ImageRecord) -> Path:
    """Move the file of an image into a new folder; return that.

    Raises
    ------
    DataError
        It cannot be moved; nothing has changed.
    """
    folder, number = root / REMOVED / record.name, 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{record.name}-{number}")
    try:
        folder.mkdir(parents=True)
        (root / "images" / record.image).rename(folder / record.image)
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        raise DataError(
            f"'{record.name}' cannot be moved to {folder} ({error}); mend the permissions of the "
            "project's folder."
        ) from error
    return folder


def move_maps(maps: MapFiles, record: ImageRecord, folder: Path) -> None:
    """Move all maps of an image into the folder of its image; doing it twice does no harm.

    Raises
    ------
    DataError
        One cannot be moved.
    """
    for kind in KINDS:
        path = maps.path(kind, record.name)
        try:
            if path.exists():
                path.rename(_place_of(kind, folder))
        except OSError as error:
            raise DataError(
                f"{path} cannot be moved to {folder} ({error}); close it in other programs, and "
                "open the project again: then it follows its image."
            ) from error


def interrupted(maps: MapFiles, root: Path, record: ImageRecord) -> Path | None:
    """Return the folder that the image of a record was moved to before a crash, if it was.

    Another image of this name that was taken out earlier has its maps beside it already.
    """
    if (root / "images" / record.image).exists():
        return None
    left = [kind for kind in KINDS if maps.path(kind, record.name).exists()]
    folders = [
        path.parent
        for path in (root / REMOVED).glob(f"*/{escape(record.image)}")
        if not any(_place_of(kind, path.parent).exists() for kind in left)
    ]
    return max(folders, key=lambda folder: folder.stat().st_mtime_ns, default=None)


def _place_of(kind: str, folder: Path) -> Path:
    return folder / f"{kind}.png"
