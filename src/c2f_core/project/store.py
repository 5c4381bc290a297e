"""What a project has on the disk, and the steps in which that changes.

A step writes several files. Where a crash interrupts it, taking it once more finishes it.
"""

from pathlib import Path

from c2f_core.classes import ClassTable
from c2f_core.data.writing import TABLE_FILE, write_table
from c2f_core.errors import DataError
from c2f_core.project.journal import Journal
from c2f_core.project.maps import KINDS, MapFiles
from c2f_core.project.records import ImageRecord, ProjectFile
from c2f_core.project.removal import move_maps
from c2f_core.project.snapshots import Work

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
