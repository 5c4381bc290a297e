"""Files of a project: its lock, copies of images and models, and removed images."""

import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from filelock import FileLock
from numpy.typing import NDArray

from c2f_core.documents import check_regular_file
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import IMAGE_SUFFIXES, read_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.lock import lock_folder
from c2f_core.models.package import DESCRIPTIONS
from c2f_core.project.layout import KINDS, REMOVED
from c2f_core.project.maps import MapFiles
from c2f_core.project.records import ImageRecord, is_file_name

MAX_NEW_NAME_BYTES = 240
"""Maximum length of the name of a new image, to which a number and a suffix are appended."""


def lock_project(root: Path) -> FileLock:
    """Lock the folder of a project; the lock ends with the process.

    Raises
    ------
    DataError
        If the project is open elsewhere or its folder is not writable.
    """
    return lock_folder(
        root,
        DataError,
        in_use=f"The project {root} is open in another window or program; close it there first.",
        unusable=f"The project {root} cannot be locked; check the permissions of its folder",
    )


@contextmanager
def describing_errors(root: Path) -> Iterator[None]:
    """Raise errors of the file system inside the block as `DataError`.

    Parameters
    ----------
    root : Path
        Folder of the project.

    Raises
    ------
    DataError
        If a file or folder of the project cannot be used.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be used ({error.strerror or error}); check that the "
            "folder of the project exists and its permissions, then try again."
        ) from error


def comparable_name(name: str) -> str:
    """Normalise a file name so that names that collide on Windows or macOS compare equal."""
    return unicodedata.normalize("NFC", name).casefold()


def check_new_name(name: str) -> None:
    """Check that a new image can have a name.

    Raises
    ------
    DataError
        If the name is not a plain visible file name, or too long.
    """
    if len(os.fsencode(name)) > MAX_NEW_NAME_BYTES:
        raise DataError(
            f"The name '{name}' is too long; choose one of at most {MAX_NEW_NAME_BYTES} letters, "
            "or half as many that are not plain Latin letters."
        )
    if not is_file_name(name):
        raise DataError(
            f"{name!r} cannot name an image; choose a name of readable letters without slashes "
            "that does not start with a dot."
        )


def free_name(wanted: str, folder: Path, names: Iterable[str]) -> str:
    """Return a name that no image has yet: the wanted one, or with a number.

    Parameters
    ----------
    wanted : str
        Name without suffix.
    folder : Path
        Folder of the images, including those that are not part of the project.
    names : iterable of str
        Names of the images of the project.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    taken = {comparable_name(name) for name in (*names, *(path.stem for path in folder.iterdir()))}
    name, number = wanted, 1
    while comparable_name(name) in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def store_image(source: str | Path | NDArray[Any], folder: Path, name: str) -> tuple[Path, Size]:
    """Copy an image file unchanged, or write an array as TIFF.

    Parameters
    ----------
    source : str, Path or (Y, X) or (Y, X, 3 or 4) array
        Image file or pixels.
    folder : Path
        Folder to write to.
    name : str
        Name of the new file, without suffix.

    Returns
    -------
    path : Path
        Written file.
    size : (int, int)
        Height and width in pixels.

    Raises
    ------
    C2FError
        If the source is not an image that can be refined, or cannot be written.
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
        raise DataError(f"{source} is not an image; choose a {', '.join(IMAGE_SUFFIXES)} file.")
    height, width, _ = as_rgb8(read_image(source)).shape
    path = folder / f"{name}{source.suffix.lower()}"
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    return path, (height, width)


def copy_model(path: Path, folder: Path) -> Path:
    """Copy a model file into a folder, unless the folder already contains it.

    If another model has the same name, a number is appended to the name of the copy.

    Returns
    -------
    Path
        File in the folder.

    Raises
    ------
    DataError
        If the file cannot be read or copied.
    """
    if path.parent.resolve() == folder.resolve():
        return path
    check_regular_file(path, DataError)
    if path.name in DESCRIPTIONS:
        raise DataError(
            f"{path} only describes the files of a model; choose the package as a .zip file, or "
            "the .onnx file in this folder."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The model {path} cannot be read ({error}); choose another.") from error
    if not is_file_name(path.name):
        raise DataError(
            f"{path.name!r} cannot name a model of a project; rename the file in readable letters."
        )
    copy, number = folder / path.name, 1
    while copy.exists() and copy.read_bytes() != content:
        number += 1
        copy = folder / f"{path.stem}-{number}{path.suffix}"
    if not copy.exists():
        with atomic_path(copy) as temporary:
            temporary.write_bytes(content)
    return copy


def move_image(root: Path, record: ImageRecord) -> Path:
    """Move the file of an image into a new folder among the removed images.

    Returns
    -------
    Path
        New folder.

    Raises
    ------
    DataError
        If the file cannot be moved; nothing has changed then.
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
            f"'{record.name}' cannot be moved to {folder} ({error}); check the permissions of the "
            "project's folder."
        ) from error
    return folder


def move_maps(maps: MapFiles, record: ImageRecord, folder: Path) -> None:
    """Move all maps of an image to its removed image file; maps that have moved are skipped.

    Raises
    ------
    DataError
        If a map cannot be moved.
    """
    for kind in KINDS:
        path = maps.path(kind, record.name)
        try:
            if path.exists():
                path.rename(_moved_path(kind, folder))
        except OSError as error:
            raise DataError(
                f"{path} cannot be moved to {folder} ({error}); close it in other programs, then "
                "open the project again to complete the removal."
            ) from error


def interrupted_removal(maps: MapFiles, root: Path, record: ImageRecord) -> Path | None:
    """Return the folder that an image was moved to before a crash; None if it was not moved.

    Folders that already contain maps belong to images of the same name removed earlier.
    """
    if (root / "images" / record.image).exists():
        return None
    left = [kind for kind in KINDS if maps.path(kind, record.name).exists()]
    folders = [
        path.parent
        for path in (root / REMOVED).glob(f"*/{escape(record.image)}")
        if not any(_moved_path(kind, path.parent).exists() for kind in left)
    ]
    return max(folders, key=lambda folder: folder.stat().st_mtime_ns, default=None)


def _moved_path(kind: str, folder: Path) -> Path:
    return folder / f"{kind}.png"
