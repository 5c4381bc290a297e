"""Recovery of a project when it is opened.

Steps that a crash interrupted are completed, images found in its folder are added, and what is
wrong is listed: no damaged or missing file prevents a project from being opened.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, DataError, WritingError
from c2f_core.io.annotations import is_annotation_file
from c2f_core.io.atomic import atomic_path, delete_unfinished
from c2f_core.io.embedded import embedded_table
from c2f_core.io.images import ARRAY_SUFFIX, IMAGE_SUFFIXES, read_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.project.class_deletion import complete_deletion
from c2f_core.project.files import describing_errors, interrupted_removal
from c2f_core.project.layout import FOLDERS, REMOVED
from c2f_core.project.records import ImageRecord, Status, is_file_name, is_next_held_out
from c2f_core.project.sidecar import restore_sidecars, restored_text
from c2f_core.project.store import Store
from c2f_core.project.work import Work, read_snapshot

NAMES_SHOWN = 5
"""Maximum number of images that a sentence lists by name."""
OBSTRUCTED = (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""Errors of writing that remain however often it is repeated."""


class Recovery(NamedTuple):
    """Result of a recovery, see the attributes of `Project`."""

    restored: tuple[str, ...]
    skipped: dict[str, str]
    ambiguous: tuple[str, ...]
    problems: tuple[str, ...]


class Problems:
    """What is wrong with a project, in sentences for the user.

    Parameters
    ----------
    store : Store
        Files of the project, whose journal gets the sentences, too.
    """

    def __init__(self, store: Store) -> None:
        self.sentences: list[str] = []
        self._root, self._journal = store.root, store.journal
        for sentence in store.problems:
            self.add(sentence)

    def add(self, sentence: str) -> None:
        """Note a sentence."""
        self.sentences.append(sentence)
        self.log("problem", reason=sentence)

    def log(self, event: str, **details: str) -> None:
        """Write to the journal; the project opens even if the disk is full."""
        try:
            self._journal.write(event, **details)
        except DataError as error:
            if str(error) not in self.sentences:
                self.sentences.append(str(error))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note an error that is raised inside the block instead of raising it."""
        try:
            with describing_errors(self._root):
                yield
        except C2FError as error:
            self.add(str(error))


def recover(store: Store) -> Recovery:
    """Complete the steps that a crash interrupted, and add the images found in the folder.

    Raises
    ------
    C2FError
        If autosaved work cannot be saved now, for example because the disk is full.
    """
    problems = Problems(store)
    _make_folders(store.root, problems)
    for record in store.records:
        with problems.noting():
            moved = interrupted_removal(store.maps, store.root, record)
            if moved is not None:
                store.remove(record, moved)
    skipped, ambiguous = _add_found(store, problems)
    restored = _restore(store, problems)
    with problems.noting():
        completed = complete_deletion(store)
        if completed:
            problems.add(completed)
    _note_missing(store, problems)
    return Recovery(restored, skipped, ambiguous, tuple(problems.sentences))


def _make_folders(root: Path, problems: Problems) -> None:
    """Create missing folders, and delete what a killed process left in them."""
    delete_unfinished(root)
    with problems.noting():
        for path in restore_sidecars(root / "exports"):
            problems.add(restored_text(path))
    for name in (*FOLDERS, REMOVED):
        with problems.noting():
            _make_folder(root / name, is_optional=name == REMOVED)
    with problems.noting():
        for folder in (root / REMOVED).glob("*/"):
            delete_unfinished(folder)


def _make_folder(folder: Path, *, is_optional: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file where a folder should be; move it elsewhere.")
    if is_optional and not folder.exists():
        return
    folder.mkdir(exist_ok=True)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise DataError(f"{folder} cannot be read and written; check its permissions.")
    delete_unfinished(folder)


def _add_found(store: Store, problems: Problems) -> tuple[dict[str, str], tuple[str, ...]]:
    """Add the images that have no record.

    Returns
    -------
    skipped : dict of str to str
        Why files cannot be added, by their names.
    ambiguous : tuple of str
        Names of images whose maps contain colours of no class.
    """
    skipped, ambiguous = dict[str, str](), []
    for path in _files_without_record(store, problems):
        try:
            record = _record_found(store, path.stem, path)
            if _keep_ambiguous(store, path.stem):
                ambiguous.append(path.stem)
            store.add(record)
        except (C2FError, OSError) as error:
            skipped[path.name] = str(error)
            problems.log("skipped", file=path.name, reason=str(error))
    return skipped, tuple(ambiguous)


def _files_without_record(store: Store, problems: Problems) -> list[Path]:
    """Return the visible image files that no record names, in natural order."""
    known = {record.image for record in store.records} | {each.file for each in store.damaged}
    found: list[Path] = []
    with problems.noting():
        found = [
            path
            for path in (store.root / "images").iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES
            and not path.name.startswith(".")
            and path.name not in known
        ]
    return sorted(found, key=lambda path: (len(path.stem), path.name))


def _keep_ambiguous(store: Store, name: str) -> bool:
    """Copy maps with colours of no class, which saving will overwrite.

    Returns
    -------
    bool
        Whether the image has such maps.

    Raises
    ------
    DataError
        If a copy cannot be written.
    """
    messages = store.maps.ambiguities(name, store.class_table)
    for kind, message in messages.items():
        copy = store.maps.free_path(name, f"{kind}-as-found")
        with atomic_path(copy) as temporary:
            shutil.copyfile(store.maps.path(kind, name), temporary)
        kept = copy.relative_to(store.root).as_posix()
        store.journal.write("ambiguous", image=name, kind=kind, reason=message, kept=kept)
    return bool(messages)


def _record_found(store: Store, name: str, path: Path) -> ImageRecord:
    """Return a new record of an image found in the folder.

    Raises
    ------
    C2FError
        If the name cannot be decoded, the image cannot be read, or its maps have another size,
        other classes or another file format than PNG.
    """
    if not is_file_name(name):
        raise DataError(
            f"{name!r} cannot name an image; rename the file in readable letters, and not too many."
        )
    if any(record.name == name for record in store.records):
        raise DataError(f"An image of the project has the name '{name}'; rename {path.name}.")
    if not path.is_file():
        raise DataError(f"{path} is not a regular file; replace it by an image.")
    for kind in ("coarse", "fine", "drafts"):
        _check_format(store.root / kind, name)
        _check_classes(store.maps.path(kind, name), store.class_table)
    height, width, _ = as_rgb8(read_image(path)).shape
    record = ImageRecord(name=name, image=path.name, size=(height, width))
    found = {kind for kind in ("coarse", "fine", "drafts") if store.maps.path(kind, name).exists()}
    if "fine" in found:
        changes = {"status": Status.REVIEWED, "held_out": is_next_held_out(store.records)}
        record = record.model_copy(update=changes)
    elif "drafts" in found:
        record = record.model_copy(update={"status": Status.REFINED})
    if found:
        work = store.maps.read(record, store.class_table)  # Raises if they do not fit.
        record = record.model_copy(update={"drawn": work.is_drawn})
    return record


def _check_format(folder: Path, name: str) -> None:
    """Raise an error if a map of the image is not a PNG file."""
    for file in folder.iterdir():
        if file.stem == name and file.suffix != ".png" and _is_map(file):
            raise DataError(f"{file} is not a PNG file; save the map as PNG.")


def _check_classes(path: Path, ours: ClassTable) -> None:
    """Raise an error if the table embedded in a map has other classes or labels."""
    theirs = embedded_table(path) if path.exists() else None
    if theirs is None:
        return
    known = {(entry.index, entry.name) for entry in ours.classes}
    other = [each.name for each in theirs.classes if (each.index, each.name) not in known]
    if other or theirs.unlabelled.index != ours.unlabelled.index:
        raise DataError(
            f"{path} was drawn with other classes ({', '.join(theirs.names)}) than those of the "
            f"project ({', '.join(ours.names)}), or with other labels; save it with the project's "
            "class table."
        )


def _is_map(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGE_SUFFIXES, ARRAY_SUFFIX) or is_annotation_file(path)


def _restore(store: Store, problems: Problems) -> tuple[str, ...]:
    """Save the autosaved work; return the names of its images.

    Snapshots that cannot be restored are moved to the removed files.
    """
    restored = []
    for snapshot in sorted((store.root / "autosave").glob("*.npz")):
        try:
            work = _fitting(store, snapshot)
            store.commit(work)
        except (C2FError, OSError) as error:
            if isinstance(error, WritingError) and not _is_obstructed(error):
                raise  # Later work on the image would replace the snapshot.
            with problems.noting():
                kept = store.maps.free_path(snapshot.stem, "autosave", snapshot.suffix)
                snapshot.rename(kept)
                problems.add(
                    f"Autosaved work on '{snapshot.stem}' was not restored "
                    f"({str(error).rstrip('.')}); it is kept in {kept}."
                )
        else:
            store.journal.write("restored", image=work.record.name)
            restored.append(work.record.name)
    return tuple(restored)


def _is_obstructed(error: WritingError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in OBSTRUCTED


def _fitting(store: Store, snapshot: Path) -> Work:
    """Read autosaved work, and check that it is work on this project.

    Raises
    ------
    C2FError
        If the file is damaged, or is of another image, size or class table.
    """
    if not snapshot.is_file():
        raise DataError(f"{snapshot} is not a regular file.")
    record = store.record(snapshot.stem)
    work = read_snapshot(snapshot, record.size)
    ours, theirs = store.class_table, work.class_table
    if (work.record.name, work.record.image) != (record.name, record.image):
        raise DataError(f"The snapshot is of the image '{work.record.name}'.")
    if {entry.index for entry in theirs.entries} < {entry.index for entry in ours.entries}:
        work = replace(work, class_table=ours)  # Classes were added meanwhile.
    elif not _is_edited(theirs, ours):
        raise DataError(f"The snapshot has other classes ({', '.join(theirs.names)}).")
    store.check(work)
    for index_map in (work.coarse, work.fine, work.refined):
        if index_map is not None:
            work.class_table.to_class_ids(index_map)  # Raises for labels of no class.
    return work


def _is_edited(new: ClassTable, old: ClassTable) -> bool:
    """Return whether a table can come from the old one: edits keep the name or the colour."""
    entries = {entry.index: entry for entry in new.entries}
    kept = [
        entry
        for entry in old.entries
        if (found := entries.get(entry.index)) is not None
        and (found.name == entry.name or found.colour == entry.colour)
    ]
    return 2 * len(kept) >= len(old.entries)


def _note_missing(store: Store, problems: Problems) -> None:
    """List missing files; images whose fine map is missing count as pending."""
    missing: dict[str, list[str]] = {"image file": [], "coarse map": [], "fine map": []}
    folders = {kind: _Folder(store.root / kind) for kind in ("images", "coarse", "fine", "drafts")}
    if not all(folder.is_readable for folder in folders.values()):
        return  # As is listed already.
    for record in store.records:
        file = f"{record.name}.png"
        if not folders["images"].has(record.image):
            missing["image file"].append(record.name)
        if not folders["coarse"].has(file):
            missing["coarse map"].append(record.name)
        status = _status_found(record, folders["fine"].has(file), folders["drafts"].has(file))
        if status is Status.PENDING is not record.status:
            missing["fine map"].append(record.name)
        if status is not record.status:
            store.note_status(record, status)
    for what, names in missing.items():
        if names:
            problems.add(_missing_text(what, names))


class _Folder:
    """Names in a folder, which is listed once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._names = {each.name for each in path.iterdir()}
            self.is_readable = os.access(path, os.X_OK)
        except OSError:
            self.is_readable = False

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name, or one that the system takes for it."""
        return name in self._names or (self._path / name).exists()


def _status_found(record: ImageRecord, has_fine: bool, has_draft: bool) -> Status:
    """Return the status of an image for the files that are there."""
    if record.status is Status.REVIEWED:
        return Status.REVIEWED if has_fine else Status.PENDING
    if record.status is Status.REFINED:
        return Status.REFINED if has_draft else Status.PENDING
    return Status.REVIEWED if has_fine and not has_draft else Status.PENDING


ADVICE = {
    "image file": "restore it from a backup, or remove the image from the project",
    "coarse map": "it counts as unlabelled; restore it from a backup, or draw it again",
    "fine map": "the image counts as pending; restore the map from a backup, or refine it again",
}


def _missing_text(what: str, names: list[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"The {what} of {listed}{more} is missing: {ADVICE[what]}."
