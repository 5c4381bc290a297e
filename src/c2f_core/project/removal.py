"""Taking an image out of a project: its files move into a folder, none is deleted.

The image goes first. A crash after that leaves a record without its image, by which
the next opening knows that the rest has to follow.
"""

from glob import escape
from pathlib import Path

from c2f_core.errors import DataError
from c2f_core.project.maps import KINDS, REMOVED, MapFiles
from c2f_core.project.records import ImageRecord


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
