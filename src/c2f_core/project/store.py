"""Files of a project on disk, and the steps that change them.

A step writes several files. If a crash interrupts it, repeating the step completes it.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import TABLE_FILE, write_table
from c2f_core.errors import DataError
from c2f_core.project.files import move_maps
from c2f_core.project.maps import KINDS, MapFiles
from c2f_core.project.records import ImageRecord, ProjectFile
from c2f_core.project.work import Work


class Journal:
    """Log of a project's events, a file of JSON lines.

    Parameters
    ----------
    path : Path
        File to append to; created with the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **details: Any) -> None:
        """Append a record with the time (UTC, ISO 8601) and flush it to disk.

        Parameters
        ----------
        event : str
            Name of the event, such as "saved".
        **details
            Values that JSON can represent.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        record = {"time": datetime.now(tz=UTC).isoformat(timespec="seconds"), "event": event}
        line = json.dumps(record | details).encode() + b"\n"
        try:
            with self.path.open("ab+") as file:
                if self._is_torn(file):
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror or error}); free some space or "
                "check its permissions."
            ) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records in order; a line cut short by a crash is skipped."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            yield record

    @staticmethod
    def _is_torn(file: IO[bytes]) -> bool:
        """Return whether a crash cut the last line short."""
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


FOLDERS = ("images", *KINDS, "models", "exports", "autosave")
CONTENT_FILE = "project.json"


class Store:
    """Files of a project; see `Project` for the layout of the folder.

    Parameters
    ----------
    root : Path
        Folder of the project.

    Attributes
    ----------
    root : Path
        Folder of the project.
    class_table : ClassTable
        Classes of all maps.
    journal : Journal
        Log of the project's events.
    maps : MapFiles
        Files of the maps.

    Raises
    ------
    C2FError
        If the folder does not contain a project, or a file is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.class_table = ClassTable.from_file(root / TABLE_FILE)
        self.journal = Journal(root / "journal.jsonl")
        self.maps = MapFiles(root)
        self._content = ProjectFile.read(root / CONTENT_FILE)

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """Records of the images, in the order in which they were added."""
        return self._content.images

    @property
    def model(self) -> str:
        """Refiner of the project, as in `ProjectFile`."""
        return self._content.model

    def record(self, name: str) -> ImageRecord:
        """Return the record of an image.

        Raises
        ------
        DataError
            If the project does not contain the image.
        """
        for record in self.records:
            if record.name == name:
                return record
        raise DataError(f"The project does not contain an image '{name}'; add it first.")

    def snapshot(self, name: str) -> Path:
        """Return the file of the autosaved work on an image."""
        return self.root / "autosave" / f"{name}.npz"

    def add(self, record: ImageRecord) -> None:
        """Add an image whose file is already in the folder `images`."""
        self.maps.create_coarse(record, self.class_table)
        self._write(self._content.with_record(record))
        self.journal.write("added", image=record.name, file=record.image)

    def commit(self, work: Work) -> None:
        """Write the work on an image to its files, and delete its snapshot.

        Raises
        ------
        DataError
            If a file cannot be written or replaced.
        """
        if work.class_table != self.class_table:
            write_table(self.root, work.class_table)
            self.class_table = work.class_table
        name = work.record.name
        try:
            self.maps.write(work, self.record(name))
            self._write(self._content.with_record(work.record))
            self.snapshot(name).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"The maps of '{name}' cannot be replaced ({error}); close them in other programs, "
                "then save again."
            ) from error

    def remove(self, record: ImageRecord, folder: Path) -> None:
        """Move the maps of a removed image to its folder, and delete its record."""
        move_maps(self.maps, record, folder)
        self.snapshot(record.name).unlink(missing_ok=True)
        self._write(self._content.without(record))
        self.journal.write("removed", image=record.name, folder=folder.name)

    def choose_model(self, model: str) -> None:
        """Store the refiner of the project."""
        self._write(self._content.model_copy(update={"model": model}))
        self.journal.write("model", model=model)

    def _write(self, content: ProjectFile) -> None:
        self._content = content
        content.write(self.root / CONTENT_FILE)
