"""Recovery of a project when it is opened.

Steps that a crash interrupted are completed, and images found in its folder are added.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from c2f_core.classes.table import ClassTable
from c2f_core.data.layouts import images_by_stem
from c2f_core.errors import C2FError, DataError
from c2f_core.io.annotations import is_annotation_file
from c2f_core.io.atomic import atomic_path
from c2f_core.io.embedded import embedded_table
from c2f_core.io.images import ARRAY_SUFFIX, IMAGE_SUFFIXES, read_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.project.files import interrupted_removal
from c2f_core.project.records import ImageRecord, Status, is_file_name, is_next_held_out
from c2f_core.project.store import FOLDERS, Store
from c2f_core.project.work import read_snapshot

TEMPORARY = ".*-????????.*"
"""Pattern of unfinished files that a killed process left behind, see `atomic_path`."""


class Recovery(NamedTuple):
    """Result of a recovery, see the attributes of `Project`."""

    restored: tuple[str, ...]
    skipped: tuple[str, ...]
    ambiguous: tuple[str, ...]


def recover(store: Store) -> Recovery:
    """Complete the steps that a crash interrupted, and add the images found in the folder.

    Raises
    ------
    C2FError
        If a file is damaged or cannot be written.
    """
    _delete_unfinished(store.root)
    for record in store.records:
        moved = interrupted_removal(store.maps, store.root, record)
        if moved is not None:
            store.remove(record, moved)
    skipped, ambiguous = _add_found(store)
    return Recovery(_restore(store), skipped, ambiguous)


def _delete_unfinished(root: Path) -> None:
    for folder in (root, *(root / name for name in FOLDERS)):
        folder.mkdir(exist_ok=True)
        for left in folder.glob(TEMPORARY):
            left.unlink()


def _add_found(store: Store) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Add the images that have no record.

    Returns
    -------
    skipped : tuple of str
        Files that cannot be added.
    ambiguous : tuple of str
        Names of images whose maps contain colours of no class.
    """
    known = {record.name for record in store.records}
    skipped, ambiguous = [], []
    for stem, path in images_by_stem(store.root / "images").items():
        if stem in known:
            continue
        try:
            record = _record_found(store, stem, path)
            if _keep_ambiguous(store, stem):
                ambiguous.append(stem)
        except C2FError as error:
            skipped.append(path.name)
            store.journal.write("skipped", file=path.name, reason=str(error))
        else:
            store.add(record)
    return tuple(skipped), tuple(ambiguous)


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
        raise DataError(f"{name!r} cannot name an image; rename the file in readable letters.")
    for kind in ("coarse", "fine"):
        _check_format(store.root / kind, name)
        _check_classes(store.maps.path(kind, name), store.class_table)
    height, width, _ = as_rgb8(read_image(path)).shape
    record = ImageRecord(name=name, image=path.name, size=(height, width))
    if store.maps.path("fine", name).exists():
        changes = {"status": Status.REVIEWED, "held_out": is_next_held_out(store.records)}
        record = record.model_copy(update=changes)
    found = store.maps.read(record, store.class_table).coarse.shape
    if found != record.size:
        raise DataError(
            f"The maps of {path.name} have {found} pixels and the image {record.size} (rows, "
            "columns); provide maps of the same size."
        )
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


def _restore(store: Store) -> tuple[str, ...]:
    """Save the autosaved work; return the names of its images."""
    snapshots = sorted((store.root / "autosave").glob("*.npz"))
    for snapshot in snapshots:
        work = read_snapshot(snapshot)
        ours, theirs = store.class_table, work.class_table
        if {entry.index for entry in theirs.entries} < {entry.index for entry in ours.entries}:
            work = replace(work, class_table=ours)  # Classes were added meanwhile.
        store.commit(work)
        store.journal.write("restored", image=work.record.name)
    return tuple(snapshot.stem for snapshot in snapshots)
