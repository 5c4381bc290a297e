"""What a project has on the disk, and the steps in which that changes.

A step writes several files. Where a crash interrupts it, taking it once more finishes it.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import TABLE_FILE, write_table
from c2f_core.errors import DataError
from c2f_core.project.files import move_maps
from c2f_core.project.maps import KINDS, MapFiles
from c2f_core.project.records import ImageRecord, ProjectFile
from c2f_core.project.work import Work


class Journal:
    """A file of JSON lines.

    Parameters
    ----------
    path : Path
        Made at the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **details: Any) -> None:
        """Append a record with the time (UTC, ISO 8601); it is on the disk on return.

        Parameters
        ----------
        event : str
            What happened, such as "saved".
        **details
            What JSON can hold.

        Raises
        ------
        DataError
            The file cannot be written.
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
                f"{self.path} cannot be written ({error.strerror or error}); free space or mend "
                "its permissions."
            ) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records in order; a line torn by a crash is passed over."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            yield record

    @staticmethod
    def _is_torn(file: Any) -> bool:
        """Tell whether a crash cut the last line short."""
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) != b"\n")


FOLDERS = ("images", *KINDS, "models", "exports", "autosave")
CONTENT_FILE = "project.json"


class Store:
    """The files of a project, see `Project` for what lies where.

    Parameters
    ----------
    root : Path

    Attributes
    ----------
    root : Path
    class_table : ClassTable
    journal : Journal
    maps : MapFiles

    Raises
    ------
    C2FError
        The folder holds no project, or a file is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.class_table = ClassTable.from_file(root / TABLE_FILE)
        self.journal = Journal(root / "journal.jsonl")
        self.maps = MapFiles(root)
        self._content = ProjectFile.read(root / CONTENT_FILE)

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The images, in the order in which they were added."""
        return self._content.images

    @property
    def model(self) -> str:
        """Name of the project's refiner, see `ProjectFile`."""
        return self._content.model

    def record(self, name: str) -> ImageRecord:
        """Return what is known of an image.

        Raises
        ------
        DataError
            There is no such image.
        """
        for record in self.records:
            if record.name == name:
                return record
        raise DataError(f"The project has no image '{name}'; add it first.")

    def snapshot(self, name: str) -> Path:
        """Return the file of the work on an image that is not saved yet."""
        return self.root / "autosave" / f"{name}.npz"

    def begin(self, record: ImageRecord) -> None:
        """Take in an image whose file is in its place."""
        self.maps.begin(record, self.class_table)
        self._write(self._content.with_record(record))
        self.journal.write("added", image=record.name, file=record.image)

    def take_over(self, work: Work) -> None:
        """Write the work on an image to its files, and drop its snapshot.

        Raises
        ------
        DataError
            A file cannot be written, or another that it replaces cannot be taken away.
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
                "and save again."
            ) from error

    def drop(self, record: ImageRecord, folder: Path) -> None:
        """Let all else that belongs to an image follow it into its folder."""
        move_maps(self.maps, record, folder)
        self.snapshot(record.name).unlink(missing_ok=True)
        self._write(self._content.without(record))
        self.journal.write("removed", image=record.name, folder=folder.name)

    def choose_model(self, model: str) -> None:
        """Write which refiner is the project's."""
        self._write(self._content.model_copy(update={"model": model}))
        self.journal.write("model", model=model)

    def _write(self, content: ProjectFile) -> None:
        self._content = content
        content.write(self.root / CONTENT_FILE)
