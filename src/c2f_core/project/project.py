"""A project: the layout of its folder, and what a user does with it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import begin_dataset
from c2f_core.errors import DataError
from c2f_core.io.images import check_frame, read_image
from c2f_core.models.bundled import is_model_file, model_files_in
from c2f_core.project.class_deletion import delete_class, pixels_of_class
from c2f_core.project.files import (
    check_new_name,
    copy_model,
    describing_errors,
    free_name,
    lock_project,
    move_image,
    store_image,
)
from c2f_core.project.layout import CONTENT_FILE, FOLDERS, check_layout
from c2f_core.project.rebuilding import check_recognisable, set_lock_aside
from c2f_core.project.records import (
    ImageRecord,
    ProjectFile,
    Status,
    by_doubt,
    is_file_name,
    is_next_held_out,
)
from c2f_core.project.recovery import Recovery, recover
from c2f_core.project.store import Journal, Store
from c2f_core.project.work import Work, write_snapshot
from c2f_core.refine.interface import Progress


class Project:
    """A folder with the work on many images; use `create` or `open` to get one, and close it.

    The folder has the layout of a training set, which c2f-train reads:

    - `images`: copies of the images, so that the folder can be moved and archived;
    - `coarse`: the coarse map of each image, all unlabelled before it is drawn;
    - `fine`: reviewed fine maps only, as these are the training data;
    - `drafts`: fine maps that are not reviewed yet;
    - `refined`, `confidence`: the refiner's results for images under review;
    - `painted`, `painted_refined`: pixels painted by hand in the fine and in the refined map;
    - `models`, `exports`, `classes.json`, `project.json` and `journal.jsonl`;
    - `fine-tuning`: a fine-tuning run that is under way or was stopped;
    - `autosave`: work that a crash would lose; opening the project saves it;
    - `thumbnails`: small pictures of the images, see `read_thumbnail`;
    - `removed`: removed images, a folder for each, and reviewed maps that were replaced.

    Maps are index images, so that classes can be renamed and recoloured. All methods are
    thread-safe.

    Attributes
    ----------
    root : Path
        Folder of the project.
    restored : tuple of str
        Names of the images whose autosaved work was restored and saved on opening.
    skipped : dict of str to str
        Why files in `images` could not be added on opening, by their names: they are not single
        images, or their maps do not match.
    ambiguous : tuple of str
        Names of images that were added on opening although their maps contain colours of no
        class; the journal contains the pixels, and `removed` the original maps.
    problems : tuple of str
        What was wrong with the files of the project on opening, in sentences for the user.
    """

    def __init__(self, store: Store, recovery: Recovery, lock: FileLock) -> None:
        self.root = store.root
        self.restored, self.skipped, self.ambiguous, self.problems = recovery
        self._store = store
        self._lock = lock
        self._mutex = threading.RLock()

    @classmethod
    def create(cls, root: str | Path, class_table: ClassTable) -> Self:
        """Create a project; pairs that are already in its folders become its images.

        Parameters
        ----------
        root : str or Path
            Folder of the project; created if it is missing.
        class_table : ClassTable
            Classes of all maps.

        Returns
        -------
        Project
            The project, opened. Pairs with a fine map count as reviewed.

        Raises
        ------
        DataError
            If the folder already contains a project or data with other classes, or cannot be
            created.
        """
        root = Path(root)
        with describing_errors(root):
            if (root / CONTENT_FILE).exists():
                raise DataError(
                    f"{root} already contains a project; open it, or choose another folder."
                )
            if root.is_dir():
                check_layout(root)
            begin_dataset(root, FOLDERS, class_table)
            # Last: its presence makes the folder a project.
            ProjectFile().write(root / CONTENT_FILE)
        project = cls.open(root)
        project.journal.write("created")
        return project

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Open a project, and lock it until it is closed.

        Work that a crash interrupted is restored, see `restored`. Damaged and missing files do not
        prevent opening, see `problems`; damaged ones are kept in `removed`.

        Raises
        ------
        C2FError
            If the folder does not contain a project, a newer program wrote it, it is open
            elsewhere, no file of it contains its classes, or it would be written outside its
            folder, see `check_layout`.
        """
        root = Path(root)
        with describing_errors(root):
            check_recognisable(root)  # Leave other folders untouched.
            check_layout(root)
            moved = set_lock_aside(root)
        lock = lock_project(root)
        try:
            with describing_errors(root):
                store = Store(root, moved)
                return cls(store, recover(store), lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Unlock the project; it must not be used afterwards."""
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

    # Content

    @property
    def class_table(self) -> ClassTable:
        """Classes of all maps."""
        return self._store.class_table

    @property
    def journal(self) -> Journal:
        """Log of the project's events."""
        return self._store.journal

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """Records of the images, in the order in which they were added."""
        return self._store.records

    @property
    def model(self) -> str:
        """Refiner of the project: a name or a file; empty if none was chosen."""
        return self.model_file(self._store.model)

    def model_file(self, model: str) -> str:
        """Return the file of a model in the project; other refiners keep their name.

        A name that leads out of the folder of models returns an empty string, as if the model were
        not known.
        """
        if not is_model_file(model):
            return model
        return str(self.root / "models" / model) if is_file_name(model) else ""

    @property
    def models(self) -> list[Path]:
        """Model files in the project, the newest last."""
        with describing_errors(self.root):
            return sorted(
                model_files_in(self.root / "models"),
                key=lambda path: (path.stat().st_mtime_ns, path.name),
            )

    def by_doubt(self) -> list[ImageRecord]:
        """Return the records sorted by how much the images need a look."""
        return by_doubt(self.records)

    def record(self, name: str) -> ImageRecord:
        """Return the record of an image.

        Raises
        ------
        DataError
            If the project does not contain the image.
        """
        return self._store.record(name)

    def image_path(self, name: str) -> Path:
        """Return the file of an image."""
        return self.root / "images" / self.record(name).image

    def read_image(self, name: str) -> NDArray[Any]:
        """Read an image upright in its stored dtype, (Y, X) or (Y, X, 3 or 4).

        Raises
        ------
        DataError
            If the file cannot be read, or its maps were drawn before it was turned upright.
        """
        path = self.image_path(name)
        image = read_image(path)
        check_frame(path, image.shape[:2], self.record(name).size)
        return image

    def read(self, name: str) -> Work:
        """Read the work on an image as last saved.

        Raises
        ------
        DataError, ClassTableError
            If the project does not contain the image, or a map cannot be read.
        """
        record = self.record(name)
        with self._working():
            return self._store.maps.read(record, self.class_table)

    # Changes

    def add_image(self, source: str | Path | NDArray[Any], name: str = "") -> ImageRecord:
        """Copy an image into the project, with an unlabelled coarse map.

        Parameters
        ----------
        source : str, Path or (Y, X) or (Y, X, 3 or 4) array
            Image file, which is copied unchanged, or pixels, which are stored as TIFF.
        name : str
            Name of the image; by default the name of the file, or "image". A number is appended
            if another image already has it.

        Returns
        -------
        ImageRecord
            Record of the new image.

        Raises
        ------
        C2FError
            If the name is not a plain visible file name, the source is not an image that can be
            refined, or the copy cannot be written.
        """
        wanted = name or ("image" if isinstance(source, np.ndarray) else Path(source).stem)
        check_new_name(wanted)
        with self._working(), ExitStack() as undo:
            name = free_name(wanted, self.root / "images", [each.name for each in self.records])
            path, size = store_image(source, self.root / "images", name)
            undo.callback(path.unlink, missing_ok=True)
            record = ImageRecord(name=name, image=path.name, size=size)
            self._store.add(record)
            undo.pop_all()
        return record

    def remove_image(self, name: str) -> Path:
        """Move an image with all its maps out of the project.

        Returns
        -------
        Path
            Folder in `removed` that contains the files now.

        Raises
        ------
        DataError
            If the project does not contain the image, or a file cannot be moved.
        """
        with self._working():
            record = self.record(name)
            folder = move_image(self.root, record)
            self._store.remove(record, folder)
        return folder

    def autosave(self, work: Work) -> None:
        """Write a snapshot of the work, which survives a crash; the saved files are unchanged.

        Raises
        ------
        C2FError
            See `save`.
        """
        with self._working():
            self._store.check(work)
            write_snapshot(self._store.snapshot(work.record.name), work)

    def save(self, work: Work) -> None:
        """Save the work on an image, all or nothing: a crash leaves the old or the new state.

        Parameters
        ----------
        work : Work
            Record and maps to save. Without a fine map, the saved one and its companions remain.

        Raises
        ------
        DataError
            If the maps do not have the size of the image, or a file cannot be written.
        ClassTableError
            If a map contains a label that is not in its class table, or a class of the project is
            missing from that table.
        """
        with self._working():
            self.autosave(work)  # If a crash interrupts the next step, opening completes it.
            self._store.commit(work)
            record = self.record(work.record.name)
            self.journal.write("saved", image=record.name, record=record.model_dump(mode="json"))

    def review(self, name: str, reviewed: bool = True) -> ImageRecord:
        """Mark an image as reviewed or not reviewed.

        The second reviewed image, and every fourth after it, is permanently held out: it evaluates
        models and never trains one.

        Parameters
        ----------
        name : str
            Name of the image.
        reviewed : bool
            Whether a person vouches for its fine map.

        Returns
        -------
        ImageRecord
            New record of the image.

        Raises
        ------
        DataError
            If the image does not have a fine map.
        """
        with self._working():
            work = self.with_review(self.read(name), reviewed)
            self.save(work)
            return work.record

    def with_review(self, work: Work, reviewed: bool) -> Work:
        """Return the work marked as reviewed or not, see `review`; nothing is saved.

        Raises
        ------
        DataError
            If the image does not have a fine map.
        """
        if work.fine is None:
            raise DataError(f"'{work.record.name}' does not have a fine map yet; refine it first.")
        held_out = work.record.held_out
        if held_out is None:
            held_out = is_next_held_out(self.records)
        status = Status.REVIEWED if reviewed else Status.REFINED
        changes = {"status": status, "held_out": held_out}
        return replace(work, record=work.record.model_copy(update=changes))

    def choose_model(self, model: str | Path) -> None:
        """Choose the refiner of the project.

        Parameters
        ----------
        model : str or Path
            Name of a bundled or classical refiner, or a model file, which is copied into the
            project.

        Raises
        ------
        DataError
            If the file cannot be copied.
        """
        with self._working():
            self._store.choose_model(self.keep_model(model))

    def keep_model(self, model: str | Path) -> str:
        """Copy a model file into the project, unless it is there.

        Returns
        -------
        str
            Name of the file in `models`; other refiners keep their name.

        Raises
        ------
        DataError
            If the file cannot be copied.
        """
        if is_model_file(str(model)):
            return copy_model(Path(model), self.root / "models").name
        return str(model)

    def pixels_of_class(self, label: int) -> dict[str, int]:
        """Return how many pixels of a class the maps of each image have that has any.

        Returns
        -------
        dict of str to int
            Number of pixels by name of the image: of the coarse or of the fine map, whichever has
            more.

        Raises
        ------
        C2FError
            If a map cannot be read.
        """
        with self._working():
            return pixels_of_class(self._store, label)

    def delete_class(
        self, label: int, replacement: int | None = None, progress: Progress | None = None
    ) -> None:
        """Delete a class from the class table and from all maps of all images.

        Maps that have pixels of the class are kept as they were in the folder `removed`. If the
        program is killed meanwhile, opening the project completes the deletion.

        Parameters
        ----------
        label : int
            Label of the class.
        replacement : int, optional
            Label of the class that its pixels get; by default they become unlabelled.
        progress : callable, optional
            Function that is called with the finished share, 0 to 1.

        Raises
        ------
        ClassTableError
            If it is the only class, or the project does not have one of the classes.
        DataError
            If a map cannot be read or written, or autosaved work is not saved yet. The class then
            remains; if the message says so, maps of some images have lost its pixels.
        """
        with self._working():
            delete_class(self._store, label, replacement, progress)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Let one thread at a time work on the files, and describe the errors of the system."""
        with self._mutex, describing_errors(self.root):
            yield
