"""A project: what lies where in its folder, and what a person does with it."""

import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import begin_dataset
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.maps import read_image
from c2f_core.models.bundled import is_model_file
from c2f_core.project.files import acquired, as_one_file, kept_model, move_image, store_image
from c2f_core.project.records import (
    ImageRecord,
    ProjectFile,
    Status,
    by_doubt,
    is_file_name,
    is_held_out,
)
from c2f_core.project.recovery import Repaired, repair
from c2f_core.project.store import CONTENT_FILE, FOLDERS, Journal, Store
from c2f_core.project.work import Work, write_snapshot


class Project:
    """A folder of images in work; make one with `create` or `open`, and close it.

    It is laid out as a training set, which c2f-train reads:

    - `images`: copies, so that the folder can be moved, and is whole in ten years;
    - `coarse`: a coarse map of each image, all unlabelled before it is drawn;
    - `fine`: fine maps that a person reviewed, and no others, as these teach;
    - `drafts`: fine maps that nobody vouches for yet;
    - `refined`, `confidence`: what the refiner made of images under review;
    - `painted`, `painted_refined`: where a person painted the fine map, and the refined one;
    - `models`, `exports`, `classes.json`, `project.json` and `journal.jsonl`;
    - `autosave`: work that a crash would lose; opening the project takes it over;
    - `removed`: what was taken out of the project, a folder for each image; reviewed maps
      that others replaced, too.

    Maps are index images, so that classes can be renamed and recoloured. All
    methods may be called from several threads.

    Attributes
    ----------
    root : Path
    restored : tuple of str
        Names of the images whose work opening found in `autosave` and saved.
    left_out : tuple of str
        Files in `images` that opening could not take in, as they are no single images or
        their maps do not fit; the journal says why.
    unclear : tuple of str
        Names of images that opening took in although their maps hold colours of no class; the
        journal says where, and `removed` has the maps as they were found.
    """

    def __init__(self, store: Store, repaired: Repaired, lock: FileLock) -> None:
        self.root = store.root
        self.restored, self.left_out, self.unclear = repaired
        self._store = store
        self._lock = lock
        self._mutex = threading.RLock()

    @classmethod
    def create(cls, root: str | Path, class_table: ClassTable) -> Self:
        """Make a project; pairs that are in its folders already become images to do or reviewed.

        Parameters
        ----------
        root : str or Path
            Made where it lacks.
        class_table : ClassTable

        Raises
        ------
        DataError
            There is a project, or data of other classes, or the folder cannot be made.
        """
        root = Path(root)
        if (root / CONTENT_FILE).exists():
            raise DataError(f"{root} holds a project already; open it, or choose another folder.")
        begin_dataset(root, FOLDERS, class_table)
        ProjectFile().write(root / CONTENT_FILE)  # Last: now it is a project.
        project = cls.open(root)
        project.journal.write("created")
        return project

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Open a project, and keep other processes out of it until it is closed.

        Work that was interrupted by a crash is saved, see `restored`.

        Raises
        ------
        DataError
            The folder holds no project, it is open elsewhere, or a file is damaged.
        """
        root = Path(root)
        ProjectFile.read(root / CONTENT_FILE)  # A folder without a project is left as it is.
        lock = acquired(root)
        try:
            store = Store(root)
            return cls(store, repair(store), lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Let others open the project; it cannot be used any more."""
        self._lock.release()

    def __enter__(self) -> Self:
        """Return the project itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the project."""
        self.close()

    # What there is

    @property
    def class_table(self) -> ClassTable:
        """The classes of all maps."""
        return self._store.class_table

    @property
    def journal(self) -> Journal:
        """What happened."""
        return self._store.journal

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The images, in the order in which they were added."""
        return self._store.records

    @property
    def model(self) -> str:
        """The refiner of the project: its name, or its file; empty where none was chosen."""
        return self.model_file(self._store.model)

    def model_file(self, model: str) -> str:
        """Return the file of a model of the project; the name of any other refiner."""
        return str(self.root / "models" / model) if is_model_file(model) else model

    @property
    def models(self) -> list[Path]:
        """Model files of the project, the newest last."""
        files = (self.root / "models").glob("*.safetensors")
        return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def by_doubt(self) -> list[ImageRecord]:
        """Return the images in the order in which they are worth a look."""
        return by_doubt(self.records)

    def record(self, name: str) -> ImageRecord:
        """Return what is known of an image.

        Raises
        ------
        DataError
            There is no such image.
        """
        return self._store.record(name)

    def image_path(self, name: str) -> Path:
        """Return the file of an image."""
        return self.root / "images" / self.record(name).image

    def read_image(self, name: str) -> NDArray[Any]:
        """Read an image as it is stored, (Y, X) or (Y, X, 3 or 4)."""
        return read_image(self.image_path(name))

    def read(self, name: str) -> Work:
        """Read all work on an image, as it was saved last.

        Raises
        ------
        DataError, ClassTableError
            There is no such image, or a map cannot be read.
        """
        record = self.record(name)
        with self._mutex:
            return self._store.maps.read(record, self.class_table)

    # What a person does

    def add_image(self, source: str | Path | NDArray[Any], name: str = "") -> ImageRecord:
        """Copy an image into the project, with an unlabelled coarse map.

        Parameters
        ----------
        source : str, Path or (Y, X) or (Y, X, 3 or 4) array
            A file is copied as it is, an array is stored as TIFF.
        name : str
            Without it that of the file, or "image". A name that is taken gets a number.

        Raises
        ------
        C2FError
            The name is that of a path or a hidden file, the file is no image that can
            be refined, or it cannot be written.
        """
        wanted = name or ("image" if isinstance(source, np.ndarray) else Path(source).stem)
        if not is_file_name(wanted):
            raise DataError(
                f"{wanted!r} cannot name an image; give a name of readable letters without slashes "
                "that does not begin with a dot."
            )
        with self._mutex:
            name = self._free_name(wanted)
            path, size = store_image(source, self.root / "images", name)
            record = ImageRecord(name=name, image=path.name, size=size)
            self._store.begin(record)
        return record

    def remove_image(self, name: str) -> Path:
        """Take an image with all its maps out of the project; return the folder it is in now.

        Raises
        ------
        DataError
            There is no such image, or it cannot be moved.
        """
        with self._mutex:
            record = self.record(name)
            folder = move_image(self.root, record)
            self._store.drop(record, folder)
        return folder

    def autosave(self, work: Work) -> None:
        """Keep the work where a crash cannot reach it; the saved files stay as they are.

        Raises
        ------
        C2FError
            As `save`.
        """
        with self._mutex:
            self._check(work)
            write_snapshot(self._store.snapshot(work.record.name), work)

    def save(self, work: Work) -> None:
        """Save the work on an image, all or nothing: a crash leaves the old or the new state.

        Parameters
        ----------
        work : Work
            Without a fine map the one that is there stays, and what belongs to it.

        Raises
        ------
        DataError
            The maps are not of the image's size, or a file cannot be written.
        ClassTableError
            A map holds an index that is not in the work's class table, or that table
            lacks classes of the project.
        """
        with self._mutex:
            self.autosave(work)  # From here on, opening would finish what follows.
            self._store.take_over(work)
            self.journal.write(
                "saved", image=work.record.name, record=work.record.model_dump(mode="json")
            )

    def review(self, name: str, reviewed: bool = True) -> ImageRecord:
        """Say that a person vouches for the fine map of an image, or does not any more.

        The second of the reviewed images, and every fourth after it, is kept back
        for good: lessons are judged by it.

        Raises
        ------
        DataError
            The image has no fine map.
        """
        with self._mutex:
            work = self.with_review(self.read(name), reviewed)
            self.save(work)
            return work.record

    def with_review(self, work: Work, reviewed: bool) -> Work:
        """Return the work as it is after a review, see `review`; nothing is saved.

        Raises
        ------
        DataError
            The image has no fine map.
        """
        if work.fine is None:
            raise DataError(f"'{work.record.name}' has no fine map yet; refine it first.")
        held_out = work.record.held_out
        if held_out is None:
            held_out = is_held_out(self.records)
        status = Status.REVIEWED if reviewed else Status.REFINED
        changes = {"status": status, "held_out": held_out}
        return replace(work, record=work.record.model_copy(update=changes))

    def choose_model(self, model: str | Path) -> None:
        """Refine with this model from now on.

        Parameters
        ----------
        model : str or Path
            Name of a bundled or classical refiner, or a .safetensors file, which is
            copied into the project unless it is there.

        Raises
        ------
        DataError
            The file cannot be copied.
        """
        with self._mutex:
            self._store.choose_model(self.keep_model(model))

    def keep_model(self, model: str | Path) -> str:
        """Copy a model file into the project; return its name, or that of any other refiner.

        Raises
        ------
        DataError
            The file cannot be copied.
        """
        if is_model_file(str(model)):
            return kept_model(Path(model), self.root / "models").name
        return str(model)

    # How it is done

    def _check(self, work: Work) -> None:
        record = self.record(work.record.name)
        if work.coarse.shape != record.size:
            raise DataError(
                f"The maps of '{record.name}' have {work.coarse.shape} pixels and the image "
                f"{record.size} (rows, columns); save maps that were drawn on it."
            )
        ours, theirs = self.class_table, work.class_table
        kept = {entry.index for entry in ours.classes} <= {entry.index for entry in theirs.classes}
        if not kept or ours.unlabelled.index != theirs.unlabelled.index:
            raise ClassTableError(
                f"The maps have other classes ({', '.join(theirs.names)}) than the project "
                f"({', '.join(ours.names)}); draw with the classes of the project, and add to them."
            )

    def _free_name(self, wanted: str) -> str:
        files = (self.root / "images").iterdir()  # Also those that were left out.
        names = [record.name for record in self.records] + [path.stem for path in files]
        taken = {as_one_file(name) for name in names}
        name, number = wanted, 1
        while as_one_file(name) in taken:
            number += 1
            name = f"{wanted}-{number}"
        return name
