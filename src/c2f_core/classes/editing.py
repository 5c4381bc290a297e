"""Add, rename, recolour, move and remove classes, and count their pixels.

Class tables are immutable. Each function returns a new one, in which all remaining
classes keep their labels, so that maps drawn with the old table stay valid.
"""

import colorsys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.classes.codec import MAX_LABEL, UNLABELLED_ID
from c2f_core.classes.table import PRESETS, ClassEntry, ClassTable, Colour, table_from_colours
from c2f_core.documents import first_problem
from c2f_core.errors import Cancelled, ClassTableError

CHUNK = 1 << 20
"""Number of pixels that are counted at once."""


def new_table(name: str = "classes") -> ClassTable:
    """Return a table to start from, with one class and the label 0 for unlabelled."""
    unlabelled = ClassEntry(name="unlabelled", index=0, colour=(0, 0, 0))
    first = ClassEntry(name="class 1", index=1, colour=(230, 38, 38))
    return ClassTable(name=name, classes=(first,), unlabelled=unlabelled)


def table_of_names(names: Iterable[str], name: str = "classes") -> ClassTable:
    """Return a table of new classes, with the label 0 for unlabelled.

    Parameters
    ----------
    names : iterable of str
        Names of the classes in order; empty and repeated ones are skipped.
    name : str
        Name of the class table.

    Raises
    ------
    ClassTableError
        If there is no name, there are too many, or one is that of unlabelled pixels.
    """
    distinct = list(dict.fromkeys(each.strip() for each in names if each.strip()))
    if not distinct:
        raise ClassTableError("Type the name of at least one class.")
    table = renamed(new_table(name), 1, distinct[0])
    for each in distinct[1:]:
        table = with_class(table, each)
    return table


def table_of_labels(labels: Iterable[int], name: str = "labels") -> ClassTable:
    """Return a table of one class per label, and the label 255 for unlabelled.

    Parameters
    ----------
    labels : iterable of int
        Labels of the classes, at least 0; 255 is skipped.
    name : str
        Name of the class table.

    Raises
    ------
    ClassTableError
        If there is no label, or there are too many.
    """
    entries: dict[int, tuple[str, Colour]] = {}
    for label in sorted(set(labels) - {UNLABELLED_ID}):
        colour = distant_colour(colour for _, colour in entries.values())
        entries[label] = (f"class {label}", colour)
    return table_from_colours(name, entries, UNLABELLED_ID)


def table_of_colours(colours: Iterable[Colour], name: str = "colours") -> ClassTable:
    """Return a table of one class per colour, and the label 255 for unlabelled.

    Parameters
    ----------
    colours : iterable of (int, int, int)
        RGB colours of the classes, 0 to 255.
    name : str
        Name of the class table.

    Raises
    ------
    ClassTableError
        If there is no colour, or there are too many.
    """
    distinct = enumerate(dict.fromkeys(colours))
    entries = {label: (f"class {label}", colour) for label, colour in distinct}
    return table_from_colours(name, entries, UNLABELLED_ID)


def without_class(table: ClassTable, index: int) -> ClassTable:
    """Return a table without one of its classes.

    Parameters
    ----------
    table : ClassTable
        Class table with the class; it is not changed.
    index : int
        Label of the class. Maps must not contain it any more.

    Raises
    ------
    ClassTableError
        If it is the only class, or there is no such class.
    """
    _check_class(table, index)
    return _edited(table, tuple(entry for entry in table.classes if entry.index != index))


def moved(table: ClassTable, index: int, rows: int) -> ClassTable:
    """Return a table in which a class is further up or down; labels do not change.

    Parameters
    ----------
    table : ClassTable
        Class table with the class; it is not changed.
    index : int
        Label of the class.
    rows : int
        Number of rows to move down by; negative numbers move up. The class stops at the ends.

    Raises
    ------
    ClassTableError
        If there is no such class.
    """
    _check_class(table, index)
    classes = list(table.classes)
    row = [entry.index for entry in classes].index(index)
    entry = classes.pop(row)
    classes.insert(min(max(row + rows, 0), len(classes)), entry)
    return _edited(table, tuple(classes))


def with_class(table: ClassTable, name: str = "", colour: Colour | None = None) -> ClassTable:
    """Return a table with an additional class, which gets the smallest free label.

    Parameters
    ----------
    table : ClassTable
        Class table to extend; it is not changed.
    name : str
        Name of the new class; by default "class" and its label.
    colour : (int, int, int), optional
        RGB colour, 0 to 255; by default one that differs clearly from all others.

    Raises
    ------
    ClassTableError
        If the name or colour is taken, or the table is full.
    """
    taken = {entry.index for entry in table.entries}
    index = next(index for index in range(MAX_LABEL + 1) if index not in taken)
    added = ClassEntry(
        name=name.strip() or _free_name(table, index),
        index=index,
        colour=colour or distant_colour(entry.colour for entry in table.entries),
    )
    return _edited(table, (*table.classes, added))


def with_background(table: ClassTable) -> ClassTable:
    """Return a table in which the unlabelled label is a class, "background".

    Another label, 255 if it is free, stands for unlabelled.

    Parameters
    ----------
    table : ClassTable
        Class table of a map in which everything that is not drawn is background; it is
        not changed.

    Raises
    ------
    ClassTableError
        If the table has a class "background" already, or is full.
    """
    old = table.unlabelled
    taken = {entry.index for entry in table.entries}
    index = next(i for i in (UNLABELLED_ID, *range(MAX_LABEL + 1)) if i not in taken)
    colour = distant_colour(entry.colour for entry in table.entries)
    background = ClassEntry(name="background", index=old.index, colour=old.colour)
    unlabelled = ClassEntry(name=old.name, index=index, colour=colour)
    return _edited(table, (background, *table.classes), unlabelled)


def renamed(table: ClassTable, index: int, name: str) -> ClassTable:
    """Return a table with a renamed class.

    Parameters
    ----------
    table : ClassTable
        Class table with the class; it is not changed.
    index : int
        Label of the class.
    name : str
        New name of the class.

    Raises
    ------
    ClassTableError
        If the name is empty or taken, or there is no such class.
    """
    if not name.strip():
        raise ClassTableError("A class needs a name; type at least one letter.")
    return _with_entry(table, index, name=name.strip())


def recoloured(table: ClassTable, index: int, colour: Colour) -> ClassTable:
    """Return a table with a recoloured class.

    Parameters
    ----------
    table : ClassTable
        Class table with the class; it is not changed.
    index : int
        Label of the class.
    colour : (int, int, int)
        New RGB colour of the class, 0 to 255.

    Raises
    ------
    ClassTableError
        If the colour is taken, or there is no such class.
    """
    return _with_entry(table, index, colour=colour)


def distant_colour(taken: Iterable[Colour]) -> Colour:
    """Return a vivid colour (RGB, 0 to 255) that differs most from all taken colours."""
    hues = [
        colorsys.hsv_to_rgb(hue / 24, 0.85, value) for value in (0.95, 0.6) for hue in range(24)
    ]
    candidates = np.rint(255 * np.array(hues))
    others = np.array([*taken, (0, 0, 0)], dtype=float)
    distances = np.linalg.norm(candidates[:, None] - others[None], axis=2).min(axis=1)
    red, green, blue = (int(channel) for channel in candidates[int(distances.argmax())])
    return red, green, blue


def pixel_shares(
    labels: Any, table: ClassTable, should_stop: Callable[[], bool] = lambda: False
) -> dict[int, float]:
    """Return the share of pixels of each class of a map.

    The map is read in parts, as it may be larger than the memory.

    Parameters
    ----------
    labels : integer array of any shape, or an object that is sliced like one
        Labels. Pixels with a label that is not in the table belong to no class, but
        count towards the total.
    table : ClassTable
        Class table of the map.
    should_stop : callable
        Function that is called between parts and returns whether to stop.

    Returns
    -------
    dict of int to float
        Share in [0, 1] by label, including that of unlabelled pixels.

    Raises
    ------
    Cancelled
        If `should_stop` returned True.
    """
    counts = np.zeros(MAX_LABEL + 1, dtype=np.int64)
    pixels = 0
    for part in _parts(labels):
        if should_stop():
            raise Cancelled("Counting pixels was cancelled.")
        pixels += part.size
        found = np.bincount(part[(part >= 0) & (part <= MAX_LABEL)].astype(np.intp))
        counts[: len(found)] += found
    return {entry.index: counts[entry.index] / max(pixels, 1) for entry in table.entries}


def _parts(labels: Any) -> Iterator[NDArray[Any]]:
    plane = int(np.prod(labels.shape[1:]))
    rows = max(1, CHUNK // max(plane, 1))
    for first in range(0, labels.shape[0], rows):
        part = np.asarray(labels[first : first + rows]).ravel()
        for start in range(0, part.size, CHUNK):
            yield part[start : start + CHUNK]


def _free_name(table: ClassTable, index: int) -> str:
    taken = {entry.name for entry in table.entries}
    name = f"class {index}"
    while name in taken:
        name += "′"
    return name


def _with_entry(table: ClassTable, index: int, **change: Any) -> ClassTable:
    _check_class(table, index)
    classes = (
        entry.model_copy(update=change) if entry.index == index else entry
        for entry in table.classes
    )
    return _edited(table, tuple(classes))


def _check_class(table: ClassTable, index: int) -> None:
    if index not in [entry.index for entry in table.classes]:
        raise ClassTableError(f"'{table.name}' has no class {index}; choose one of its classes.")


def _edited(
    table: ClassTable, classes: tuple[ClassEntry, ...], unlabelled: ClassEntry | None = None
) -> ClassTable:
    name = f"{table.name}, edited" if table.name in PRESETS else table.name
    try:
        return ClassTable(name=name, classes=classes, unlabelled=unlabelled or table.unlabelled)
    except ValidationError as error:
        reason = first_problem(error)[1]
        raise ClassTableError(f"The classes cannot be changed like this: {reason}.") from error
