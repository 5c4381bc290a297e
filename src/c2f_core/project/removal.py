"""Taking an image out of a project: its files move into a folder, none is deleted.

The image goes first. A crash after that leaves a record without its image, by which
the next opening knows that the rest has to follow.
"""

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
    """Move all maps of an image into the folder of its image; doing it twice does no harm."""
    for kind in KINDS:
        path = maps.path(kind, record.name)
        if path.exists():
            path.rename(folder / f"{kind}.png")


def interrupted(root: Path, record: ImageRecord) -> Path | None:
    """Return the folder that the image of a record was moved to before a crash, if it was."""
    if (root / "images" / record.image).exists():
        return None
    moved = (root / REMOVED).glob(f"*/{record.image}")
    folders = sorted((path.parent for path in moved), key=lambda path: path.stat().st_mtime_ns)
    return folders[-1] if folders else None
