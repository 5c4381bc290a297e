"""Files of a project on disk, and the steps that change them.

A step writes several files. If a crash interrupts it, repeating the step completes it.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import TABLE_FILE, write_table
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.models.bundled import is_model_file
from c2f_core.project.files import move_maps
from c2f_core.project.layout import CONTENT_FILE, JOURNAL_FILE, thumbnail_file
from c2f_core.project.maps import MapFiles
from c2f_core.project.rebuilding import known_tables, rebuilt, set_aside
from c2f_core.project.records import (
    DamagedProjectError,
    DamagedRecord,
    ImageRecord,
    ProjectFile,
    Status,
    is_file_name,
    is_next_held_out,
)
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
            with os.fdopen(_open_no_link(self.path), "ab+") as file:
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
                record = from_json(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record

    def own_file(self) -> None:
        """Replace a file that has another name elsewhere, a hard link, by a copy.

        Raises
        ------
        OSError
            If the file cannot be read.
        DataError
            If the copy cannot be written.
        """
        if self.path.exists() and self.path.stat().st_nlink > 1:
            with atomic_path(self.path) as temporary:
                shutil.copyfile(self.path, temporary)

    @staticmethod
    def _is_torn(file: IO[bytes]) -> bool:
        """Return whether a crash cut the last line short."""
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _open_no_link(path: Path) -> int:
    """Open a file for appending, but not through a link."""
    only = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | only, 0o666)


class Store:
    """Files of a project; see `Project` for the layout of the folder.

    Parameters
    ----------
    root : Path
        Folder of the project.
    problems : sequence of str
        What was wrong before the files were read, in sentences for the user.

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
    problems : list of str
        What is wrong with the files of the project itself, in sentences for the user.

    Raises
    ------
    C2FError
        If the folder does not contain a project, or its classes are not known.
    """

    def __init__(self, root: Path, problems: Sequence[str] = ()) -> None:
        self.root = root
        self.problems = list(problems)
        self.journal = Journal(root / JOURNAL_FILE)
        self._own_journal()
        self.maps = MapFiles(root)
        self._content = self._read_content()
        self.problems += [each.message() for each in self.damaged]
        self.class_table = self._read_table()
        if is_model_file(self.model) and not is_file_name(self.model):
            self.problems.append(
                f"The model '{self.model}' of the project is not in its folder 'models', so that "
                "it is not used; choose the model again."
            )

    def _own_journal(self) -> None:
        """Make sure that the journal is a file of this project only."""
        path = self.journal.path
        if path.exists() and not path.is_file():
            kept = set_aside(path, self.root)
            self.problems.append(f"{path} was not a file; it is kept as {kept}.")
        self.journal.own_file()

    def _read_content(self) -> ProjectFile:
        """Read the records of the images; if their file is damaged or missing, rebuild them."""
        file = self.root / CONTENT_FILE
        try:
            return ProjectFile.read(file)
        except DamagedProjectError as error:
            content = rebuilt(error.content, self.journal.records())
            kept = self._keep_damaged(file)
            content.write(file)
            self.problems.append(
                f"{file} was {f'damaged and is kept as {kept}' if kept else 'missing'}; it was "
                "made again from the journal and the folders: check the status of each image, and "
                "which ones are held out."
            )
            return content

    def _keep_damaged(self, file: Path) -> Path | None:
        """Rename a damaged file to keep it; return None if the file does not exist."""
        if not os.path.lexists(file):
            return None
        if not file.is_file():
            return set_aside(file, self.root)
        kept = self.maps.free_path(file.stem, "damaged", file.suffix)
        with atomic_path(kept) as temporary:
            shutil.copyfile(file, temporary)
        return kept

    def _read_table(self) -> ClassTable:
        """Read the class table; if it is damaged or missing, use the largest one of the maps."""
        file = self.root / TABLE_FILE
        try:
            return ClassTable.from_file(file)
        except ClassTableError as error:
            tables = known_tables(self.maps, self.records)
            if not tables:
                raise
            kept = f" {file} is kept as {set_aside(file, self.root)}." if file.exists() else ""
            table = max(tables, key=lambda each: each.number_of_classes)
            write_table(self.root, table)
            self.problems.append(f"{error} The classes of the maps are used instead.{kept}")
            return table

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """Records of the images, in the order in which they were added."""
        return self._content.images

    @property
    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Entries of `project.json` that cannot be read."""
        return self._content.damaged

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
        """Add an image whose file is already in the folder `images`.

        Raises
        ------
        DataError
            If a file cannot be written; no new coarse map stays then.
        """
        with ExitStack() as undo:
            if self.maps.create_coarse(record, self.class_table):
                undo.callback(self.maps.path("coarse", record.name).unlink, missing_ok=True)
            self._write(self._content.with_record(record))
            undo.pop_all()
        self.journal.write("added", image=record.name, file=record.image)

    def note_status(self, record: ImageRecord, status: Status) -> None:
        """Change the status of an image to what its files say; written with the next change."""
        changes: dict[str, Any] = {"status": status}
        if status is Status.REVIEWED and record.held_out is None:
            changes["held_out"] = is_next_held_out(self.records)
        self._content = self._content.with_record(record.model_copy(update=changes))

    def check(self, work: Work) -> None:
        """Check that work has the size of its image, and all classes of the project.

        Raises
        ------
        DataError
            If the project does not contain the image, or the maps have another size.
        ClassTableError
            If a class of the project is missing in the class table of the work.
        """
        record = self.record(work.record.name)
        self.maps.check_frame(record, work.coarse)
        if work.coarse.shape != record.size:
            raise DataError(
                f"The maps of '{record.name}' have {work.coarse.shape} pixels and the image "
                f"{record.size} (rows, columns); save maps of the same size."
            )
        ours, theirs = self.class_table, work.class_table
        has_ours = {each.index for each in ours.classes} <= {each.index for each in theirs.classes}
        if not has_ours or ours.unlabelled.index != theirs.unlabelled.index:
            raise ClassTableError(
                f"The maps have other classes ({', '.join(theirs.names)}) than the project "
                f"({', '.join(ours.names)}); draw with the classes of the project, and add to them."
            )

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
            record = work.record.model_copy(update={"drawn": work.is_drawn})
            self._write(self._content.with_record(record))
            self.snapshot(name).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"The maps of '{name}' cannot be replaced ({error}); close them in other programs, "
                "then save again."
            ) from error

    def replace_records(self, records: Iterable[ImageRecord]) -> None:
        """Replace the records of images; those of all others stay."""
        content = self._content
        known = {each.name: each for each in content.images} | {each.name: each for each in records}
        self._write(content.model_copy(update={"images": tuple(known.values())}))

    def remove(self, record: ImageRecord, folder: Path) -> None:
        """Move the maps of a removed image to its folder, and delete its record."""
        move_maps(self.maps, record, folder)
        self.snapshot(record.name).unlink(missing_ok=True)
        thumbnail_file(self.root, record.name).unlink(missing_ok=True)
        self._write(self._content.without(record))
        self.journal.write("removed", image=record.name, folder=folder.name)

    def choose_model(self, model: str) -> None:
        """Store the refiner of the project."""
        self._write(self._content.model_copy(update={"model": model}))
        self.journal.write("model", model=model)

    def _write(self, content: ProjectFile) -> None:
        content.write(self.root / CONTENT_FILE)
        self._content = content
