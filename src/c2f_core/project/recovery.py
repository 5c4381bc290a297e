"""What happens to a project when it is opened: what a crash interrupted is finished.

Images that somebody put into its folder are taken in.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from c2f_core.classes.table import ClassTable
from c2f_core.data.layouts import images_by_stem
from c2f_core.errors import C2FError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.formats import is_annotation_file
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.maps import ARRAY_SUFFIX, IMAGE_SUFFIXES, embedded_table, read_image
from c2f_core.project.files import interrupted
from c2f_core.project.records import ImageRecord, Status, is_file_name, is_held_out
from c2f_core.project.store import FOLDERS, Store
from c2f_core.project.work import read_snapshot

TEMPORARY = ".*-????????.*"
"""Files that a killed process did not finish, see `atomic_path`."""


class Repaired(NamedTuple):
    """What was found, see the attributes of `Project`."""

    restored: tuple[str, ...]
    left_out: tuple[str, ...]
    unclear: tuple[str, ...]


def repair(store: Store) -> Repaired:
    """Finish what a crash interrupted, and take in the images that lie in the folder.

    Raises
    ------
    C2FError
        A file is damaged, or cannot be written.
    """
    _tidy(store.root)
    for record in store.records:
        moved = interrupted(store.maps, store.root, record)
        if moved is not None:
            store.drop(record, moved)
    left_out, unclear = _take_in(store)
    return Repaired(_restore(store), left_out, unclear)


def _tidy(root: Path) -> None:
    for folder in (root, *(root / name for name in FOLDERS)):
        folder.mkdir(exist_ok=True)
        for left in folder.glob(TEMPORARY):
            left.unlink()


def _take_in(store: Store) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take in images that have no record.

    Returns
    -------
    left_out : tuple of str
        Files of those that cannot be.
    unclear : tuple of str
        Names of those whose maps hold colours of no class.
    """
    known = {record.name for record in store.records}
    left_out, unclear = [], []
    for stem, path in images_by_stem(store.root / "images").items():
        if stem in known:
            continue
        try:
            record = _found(store, stem, path)
            if _keep_unclear(store, stem):
                unclear.append(stem)
        except C2FError as error:
            left_out.append(path.name)
            store.journal.write("left out", file=path.name, reason=str(error))
        else:
            store.begin(record)
    return tuple(left_out), tuple(unclear)


def _keep_unclear(store: Store, name: str) -> bool:
    """Keep maps with colours of no class as they are: saving writes what was made of them.

    Returns
    -------
    bool
        Whether there are any.

    Raises
    ------
    DataError
        A copy cannot be written.
    """
    messages = store.maps.unclear(name, store.class_table)
    for kind, message in messages.items():
        kept = store.maps.free_path(name, f"{kind}-as-found")
        with atomic_path(kept) as temporary:
            shutil.copyfile(store.maps.path(kind, name), temporary)
        where = kept.relative_to(store.root).as_posix()
        store.journal.write("unclear", image=name, kind=kind, reason=message, kept=where)
    return bool(messages)


def _found(store: Store, name: str, path: Path) -> ImageRecord:
    """Return the record of an image that lies in the folder without one.

    Raises
    ------
    C2FError
        Its name is no text, it cannot be read, or its maps do not fit, hold other classes
        or are no PNG files.
    """
    if not is_file_name(name):
        raise DataError(f"{name!r} cannot name an image; rename the file in readable letters.")
    for kind in ("coarse", "fine"):
        for other in (store.root / kind).iterdir():
            if other.stem == name and other.suffix != ".png" and _is_map(other):
                raise DataError(f"{other} is no PNG file; save the map as one.")
        _refuse_other_classes(store.maps.path(kind, name), store.class_table)
    height, width, _ = as_rgb8(read_image(path)).shape
    record = ImageRecord(name=name, image=path.name, size=(height, width))
    if store.maps.path("fine", name).exists():
        changes = {"status": Status.REVIEWED, "held_out": is_held_out(store.records)}
        record = record.model_copy(update=changes)
    found = store.maps.read(record, store.class_table).coarse.shape
    if found != record.size:
        raise DataError(
            f"The maps of {path.name} have {found} pixels and it has {record.size} (rows, "
            "columns); give maps that were drawn on it."
        )
    return record


def _refuse_other_classes(path: Path, ours: ClassTable) -> None:
    """Refuse a map whose own table says that its indices are those of other classes."""
    theirs = embedded_table(path) if path.exists() else None
    if theirs is None:
        return
    known = {(entry.index, entry.name) for entry in ours.classes}
    other = [each.name for each in theirs.classes if (each.index, each.name) not in known]
    if other or theirs.unlabelled.index != ours.unlabelled.index:
        raise DataError(
            f"{path} was drawn with other classes ({', '.join(theirs.names)}) than those of the "
            f"project ({', '.join(ours.names)}), or with other indices; save it with the project's."
        )


def _is_map(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGE_SUFFIXES, ARRAY_SUFFIX) or is_annotation_file(path)


def _restore(store: Store) -> tuple[str, ...]:
    """Save the work that is in `autosave`; return the names of its images."""
    snapshots = sorted((store.root / "autosave").glob("*.npz"))
    for snapshot in snapshots:
        work = read_snapshot(snapshot)
        ours, theirs = store.class_table, work.class_table
        if {entry.index for entry in theirs.entries} < {entry.index for entry in ours.entries}:
            work = replace(work, class_table=ours)  # Classes were added since, in another image.
        store.take_over(work)
        store.journal.write("restored", image=work.record.name)
    return tuple(snapshot.stem for snapshot in snapshots)
