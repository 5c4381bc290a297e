"""Rebuild a damaged or missing `project.json` from the journal; images are then found by file."""

import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import TABLE_FILE
from c2f_core.errors import CheckpointError
from c2f_core.models.bundled import model_files_in
from c2f_core.models.metadata import read_metadata
from c2f_core.project.layout import CONTENT_FILE, JOURNAL_FILE, LOCK_FILE, REMOVED
from c2f_core.project.maps import MapFiles, readable_table
from c2f_core.project.records import (
    DamagedProjectError,
    ImageRecord,
    ProjectFile,
    sorted_records,
)


def check_recognisable(root: Path) -> None:
    """Check that a folder contains a project, whose `project.json` may be damaged or missing.

    Parameters
    ----------
    root : Path
        Folder to check. Nothing in it is changed.

    Raises
    ------
    DataError
        If the folder is not that of a project, or a newer program wrote it.
    """
    try:
        ProjectFile.read(root / CONTENT_FILE)
    except DamagedProjectError:
        folders = all((root / name).is_dir() for name in ("images", "coarse"))
        files = (root / TABLE_FILE, root / JOURNAL_FILE)
        has_all = folders and all(os.path.lexists(file) for file in files)
        if not has_all:
            raise


def rebuilt(content: Any, events: Iterable[dict[str, Any]]) -> ProjectFile:
    """Return records and model of a project whose file is damaged.

    Parameters
    ----------
    content : object
        What can be read of the file; None if nothing can.
    events : iterable of dict
        Records of the journal.

    Returns
    -------
    ProjectFile
        Content with the records of the file if it has a list of them, or else as last saved
        according to the journal. Images without a record are missing.
    """
    model, entries = _last_saved(events)
    if isinstance(content, dict):
        model = content.get("model", model)
        listed = content.get("images")
        entries = listed if isinstance(listed, list) else entries
    records, damaged = sorted_records({"images": entries})
    found = ProjectFile(model=model if isinstance(model, str) else "", images=tuple(records))
    return found.with_damaged(damaged)


def _last_saved(events: Iterable[dict[str, Any]]) -> tuple[Any, list[Any]]:
    """Return the model that was chosen last, and the record of each image that was saved last."""
    model: Any = ""
    records: dict[str, Any] = {}
    for event in events:
        kind, name = event.get("event"), event.get("image")
        if kind == "model":
            model = event.get("model")
        elif not isinstance(name, str):
            continue
        elif kind == "saved":
            records[name] = event.get("record")
        elif kind == "added":
            records.setdefault(name, None)  # Keeps the order.
        elif kind == "removed":
            records.pop(name, None)
    return model, [record for record in records.values() if record is not None]


def known_tables(maps: MapFiles, records: Iterable[ImageRecord]) -> list[ClassTable]:
    """Return the class tables in the maps of the images, in any other maps, or else in the models.

    Parameters
    ----------
    maps : MapFiles
        Files of the maps.
    records : iterable of ImageRecord
        Records of the images.
    """
    sources = (
        (maps.table_of(record) for record in records),
        (readable_table(path) for path in maps.all_files()),
        (_table_of_model(path) for path in model_files_in(maps.root / "models")),
    )
    for tables in sources:
        found = [table for table in tables if table is not None]
        if found:
            return found
    return []


def _table_of_model(path: Path) -> ClassTable | None:
    try:
        return read_metadata(path).class_table
    except CheckpointError:  # It is damaged, or a model for any classes.
        return None


def set_lock_aside(root: Path) -> list[str]:
    """Move what stands in place of the lock file to the removed files.

    Returns
    -------
    list of str
        Sentence for the user; empty if the lock is a file or missing.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    lock = root / LOCK_FILE
    if not os.path.lexists(lock) or lock.is_file():
        return []
    return [f"{lock} was not a file; it is kept as {set_aside(lock, root)}."]


def set_aside(path: Path, root: Path) -> Path:
    """Move a file that cannot be used to the removed files of a project, and return its new path.

    Parameters
    ----------
    path : Path
        File of the project; it may be a folder, pipe or device.
    root : Path
        Folder of the project.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    folder = root / REMOVED / (path.stem.lstrip(".") or "file")
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"damaged-{number}{path.suffix}" for number in count(1))
    free = next(each for each in names if not os.path.lexists(each))
    path.rename(free)
    return free
