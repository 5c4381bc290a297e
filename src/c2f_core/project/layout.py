"""Layout of a project's folder, and checks that nothing is written outside it or over its files."""

import os
from collections.abc import Iterator
from pathlib import Path

from c2f_core.data.writing import TABLE_FILE
from c2f_core.errors import DataError

KINDS = ("coarse", "fine", "drafts", "refined", "confidence", "painted", "painted_refined")
"""Kinds of maps, each of which has a folder of its name."""
REMOVED = "removed"
"""Name of the folder of a project for removed images, with a subfolder for each."""
FINE_TUNING = "fine-tuning"
"""Name of the folder for fine-tuning runs that are under way or were stopped."""
FORMAT_1_FINE_TUNING = "lessons"
"""That folder in projects of format 1; runs stay in it, as their configs contain its path."""
THUMBNAILS = "thumbnails"
"""Name of the folder for small pictures of the images, which are made again if they are missing."""
FOLDERS = ("images", *KINDS, "models", "exports", "autosave", THUMBNAILS)
"""Folders that every project has."""
CONTENT_FILE = "project.json"
JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"
DELETION_FILE = "class-deletion.json"
"""File that describes the deletion of a class while it is under way."""
FILES = (CONTENT_FILE, JOURNAL_FILE, TABLE_FILE, LOCK_FILE, DELETION_FILE)
OWN = {*FOLDERS, REMOVED, FINE_TUNING, FORMAT_1_FINE_TUNING, *FILES} - {"exports"}
"""Names in the folder of a project that exports must not touch."""
REPLACED = {"images", *KINDS, REMOVED, "exports", "autosave", THUMBNAILS}
"""Folders whose files are read, moved or replaced, but never written into."""


def thumbnail_file(root: Path, name: str) -> Path:
    """Return the file for the small picture of an image."""
    return root / THUMBNAILS / f"{name}.png"


def check_layout(root: Path) -> None:
    """Check that a project can be worked on without writing outside its folder.

    Links to single files may lead out of the folders of images and maps, because these files
    are never written into: saving replaces the link.

    Parameters
    ----------
    root : Path
        Folder of the project.

    Raises
    ------
    DataError
        If a folder, or a file that is written into, is a link that leads out of the project, or
        a file of the project itself is a link.
    OSError
        If the folder cannot be read.
    """
    for name in FILES:
        path = root / name
        if path.is_symlink():
            raise DataError(
                f"{path} is a link, so that the project is not safe to open; replace it by the "
                "file itself, or delete it."
            )
    real = root.resolve()
    for link in _links(real):
        if not link.resolve().is_relative_to(real):
            raise DataError(
                f"The project {root} contains a link that leads out of its folder "
                f"({link.relative_to(real)} to {link.resolve()}); replace it by a copy, or "
                "delete it, then open the project."
            )


def _links(root: Path) -> Iterator[Path]:
    """Yield links to folders, and links to files that are written into."""
    for entry in _entries(root):
        if entry.name in OWN | {"exports"}:
            yield from _links_below(entry, is_replaced=entry.name in REPLACED)


def _entries(folder: str | Path) -> "list[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        return list(entries)


def _links_below(entry: "os.DirEntry[str]", *, is_replaced: bool) -> Iterator[Path]:
    if entry.is_symlink() or _is_junction(entry):
        yield Path(entry.path)
    elif entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
        for child in _entries(entry.path):
            if not is_replaced or child.is_dir() or _is_junction(child):
                yield from _links_below(child, is_replaced=is_replaced)


def _is_junction(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry is a folder of Windows that stands for another one."""
    if os.name != "nt":
        return False
    path = Path(entry.path)
    return path.resolve() != path.parent.resolve() / path.name


def check_export_target(path: Path) -> None:
    """Check that a file to write is not one of a project, whatever path leads to it.

    Parameters
    ----------
    path : Path
        File to write.

    Raises
    ------
    DataError
        If the file is in a folder that a project keeps its images, maps or models in, or is one of
        its own files.
    """
    real = path.resolve()
    for root in real.parents:
        name = real.relative_to(root).parts[0].casefold()
        if name in OWN and all((root / file).is_file() for file in (CONTENT_FILE, TABLE_FILE)):
            raise DataError(
                f"{path} is among the project's own files; choose another folder, such as "
                f"{root / 'exports'}."
            )
