"""Delete a class from all maps of a project.

All maps with pixels of the class are copied first. Then the deletion is written down in the folder
of the project: if the program is killed before the last map is changed, opening the project
completes it.
"""

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from pydantic import ValidationError

from c2f_core.classes.editing import without_class
from c2f_core.classes.table import ClassTable
from c2f_core.data.writing import write_table
from c2f_core.documents import first_problem
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.project.layout import DELETION_FILE, REMOVED
from c2f_core.project.rebuilding import set_aside
from c2f_core.project.store import Store
from c2f_core.project.versioned import Versioned, read_versioned
from c2f_core.project.work import IndexMap, Work
from c2f_core.refine.interface import Progress

MAP_KINDS = ("coarse", "fine", "refined")
"""Maps of the work on an image that contain labels."""


class ClassDeletion(Versioned):
    """Deletion of a class that is under way."""

    format_version: int = 1
    label: int
    """Label of the class."""
    replacement: int
    """Label that its pixels get."""
    images: tuple[str, ...] = ()
    """Names of the images with pixels of the class."""


def pixels_of_class(store: Store, label: int) -> dict[str, int]:
    """Return how many pixels of a class the maps of each image have that has any.

    Parameters
    ----------
    store : Store
        Files of the project.
    label : int
        Label of the class.

    Returns
    -------
    dict of str to int
        Number of pixels by name of the image: of the coarse or of the fine map, whichever has more.

    Raises
    ------
    C2FError
        If a map cannot be read.
    """
    numbers = {}
    for record in store.records:
        work = store.maps.read(record, store.class_table)
        maps = (index_map for index_map in _maps(work).values() if index_map is not None)
        number = max(int(np.count_nonzero(index_map == label)) for index_map in maps)
        if number:
            numbers[record.name] = number
    return numbers


def delete_class(
    store: Store, label: int, replacement: int | None = None, progress: Progress | None = None
) -> None:
    """Delete a class, see `Project.delete_class`."""
    table = store.class_table
    wanted = table.unlabelled.index if replacement is None else replacement
    _check(table, ClassDeletion(label=label, replacement=wanted))
    unsaved = ", ".join(path.stem for path in sorted((store.root / "autosave").glob("*.npz")))
    if unsaved:
        raise DataError(f"The work on {unsaved} is not saved yet; save it, then delete the class.")
    images = tuple(pixels_of_class(store, label))  # Raises if a map is damaged.
    deletion = ClassDeletion(label=label, replacement=wanted, images=images)
    file = store.root / DELETION_FILE
    with ExitStack() as undo:
        _keep_maps(store, deletion, undo)
        with atomic_path(file) as temporary:
            temporary.write_text(deletion.model_dump_json() + "\n", encoding="utf-8")
        undo.pop_all()
    try:
        _carry_out(store, deletion, progress)
    except (DataError, OSError) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"The class '{_name_of(table, label)}' is not deleted completely, so that it stays, "
            f"but some maps may have lost its pixels: {reason}. The earlier maps are in the folder "
            f"{REMOVED} of the project."
        ) from error
    finally:
        file.unlink(missing_ok=True)


def complete_deletion(store: Store) -> str:
    """Complete the deletion of a class that was interrupted.

    Returns
    -------
    str
        Sentence for the user; empty if there was none.

    Raises
    ------
    C2FError, OSError
        If a file cannot be read or written; the next opening tries again.
    """
    file = store.root / DELETION_FILE
    if not os.path.lexists(file):
        return ""
    try:
        deletion = read_versioned(ClassDeletion, file)
        if deletion.label not in {entry.index for entry in store.class_table.classes}:
            file.unlink()  # All but this was done.
            return ""
        _check(store.class_table, deletion)
    except (ValueError, ClassTableError) as error:
        reason = first_problem(error)[1] if isinstance(error, ValidationError) else str(error)
        kept = set_aside(file, store.root)
        return (
            f"The deletion of a class was interrupted and cannot be completed ({reason}); it is "
            f"kept as {kept}. Delete the class again."
        )
    name = _name_of(store.class_table, deletion.label)
    _carry_out(store, deletion)
    file.unlink()
    return f"The class '{name}' is deleted, which had been interrupted."


def _check(table: ClassTable, deletion: ClassDeletion) -> None:
    """Check that a class can be deleted, and that its pixels get another one."""
    without_class(table, deletion.label)
    left = {entry.index for entry in table.entries} - {deletion.label}
    if deletion.replacement not in left:
        raise ClassTableError(
            f"The pixels of class {deletion.label} cannot get the label {deletion.replacement}; "
            "choose another class of the project."
        )


def _carry_out(store: Store, deletion: ClassDeletion, progress: Progress | None = None) -> None:
    """Change all maps, then the records, then the class table; repeating this completes it."""
    before, after = store.class_table, without_class(store.class_table, deletion.label)
    name, records = _name_of(before, deletion.label), store.records
    new_records = []
    for number, record in enumerate(records, 1):
        work = _without(store.maps.read(record, before), deletion, after)
        store.maps.write(work, record)
        new_records.append(work.record.model_copy(update={"drawn": work.is_drawn}))
        if progress is not None:
            progress(number / len(records))
    store.replace_records(new_records)
    write_table(store.root, after)
    store.class_table = after
    store.journal.write(
        "class deleted",
        name=name,
        label=deletion.label,
        replacement=deletion.replacement,
        images=deletion.images,
    )


def _without(work: Work, deletion: ClassDeletion, table: ClassTable) -> Work:
    """Return work in which the pixels of a class have their replacement."""
    rejected = tuple(
        (first, size, deletion.replacement if label == deletion.label else label)
        for first, size, label in work.record.rejected
    )
    record = work.record.model_copy(update={"rejected": rejected})
    return replace(
        work,
        record=record,
        class_table=table,
        coarse=_replaced(work.coarse, deletion),
        fine=None if work.fine is None else _replaced(work.fine, deletion),
        refined=None if work.refined is None else _replaced(work.refined, deletion),
    )


def _maps(work: Work) -> dict[str, IndexMap | None]:
    return {kind: getattr(work, kind) for kind in MAP_KINDS}


def _has(index_map: IndexMap | None, label: int) -> bool:
    return index_map is not None and bool((index_map == label).any())


def _replaced(index_map: IndexMap, deletion: ClassDeletion) -> IndexMap:
    new = index_map.copy()
    new[index_map == deletion.label] = deletion.replacement
    return new


def _keep_maps(store: Store, deletion: ClassDeletion, undo: ExitStack) -> None:
    """Copy the coarse and fine maps with pixels of the class to the removed files.

    `undo` deletes the copies.
    """
    for name in deletion.images:
        work = store.maps.read(store.record(name), store.class_table)
        coarse, fine = store.maps.path("coarse", name), store.maps.fine_path(work.record)
        for kind, file in {"coarse": coarse, "fine": fine}.items():
            if _has(getattr(work, kind), deletion.label):
                copy = store.maps.free_path(name, f"{kind}-before-deletion")
                with atomic_path(copy) as temporary:
                    shutil.copyfile(file, temporary)
                undo.callback(copy.unlink, missing_ok=True)


def _name_of(table: ClassTable, label: int) -> str:
    return next(entry.name for entry in table.classes if entry.index == label)
