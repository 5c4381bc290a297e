"""Conversion between the labels in maps and class ids."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import ClassTableError

UNLABELLED_ID = 255
MAX_CLASS_IDS = UNLABELLED_ID + 1
"""Number of possible class ids, `UNLABELLED_ID` included; the base of codes for pairs of them."""
MAX_CLASSES = UNLABELLED_ID - 1
MAX_LABEL = 65535
CHUNK = 1 << 20
"""Number of pixels that are converted at once, as an index takes eight bytes."""


class LabelCodec:
    """Lookup tables between labels (as in files) and class ids (0 to C - 1).

    Parameters
    ----------
    table_name : str
        Name of the class table, for error messages.
    class_ids : mapping of int to int
        Class id of each label.
    unlabelled : int
        Label of unlabelled pixels.
    """

    def __init__(self, table_name: str, class_ids: Mapping[int, int], unlabelled: int) -> None:
        self._table_name = table_name
        self._known = [*class_ids, unlabelled]
        labels, ids = list(class_ids), list(class_ids.values())
        self._ids = np.full(MAX_LABEL + 1, -1, dtype=np.int16)
        self._ids[labels] = ids
        self._ids[unlabelled] = UNLABELLED_ID
        self._labels = np.full(
            MAX_CLASS_IDS, unlabelled, dtype=np.min_scalar_type(max(self._known))
        )
        self._labels[ids] = labels

    def to_class_ids(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert labels to class ids; see `ClassTable.to_class_ids`."""
        labels = np.asarray(labels)
        _check_integers(labels)
        if labels.size and (labels.min() < 0 or labels.max() > MAX_LABEL):
            raise self._unknown_labels(labels)
        class_ids = np.empty(labels.shape, dtype=np.uint8)
        flat, converted = labels.reshape(-1), class_ids.reshape(-1)
        for start in range(0, labels.size, CHUNK):
            part = slice(start, start + CHUNK)
            ids = self._ids.take(flat[part].astype(np.uint16))
            if ids.min() < 0:
                raise self._unknown_labels(labels)
            converted[part] = ids
        return class_ids

    def to_labels(self, class_ids: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
        """Convert class ids to labels; see `ClassTable.to_labels`."""
        class_ids = np.asarray(class_ids)
        labels: NDArray[Any] = np.empty(class_ids.shape, dtype=self._labels.dtype)
        flat, converted = class_ids.reshape(-1), labels.reshape(-1)
        for start in range(0, class_ids.size, CHUNK):
            part = slice(start, start + CHUNK)
            converted[part] = self._labels.take(flat[part])
        return labels

    def check(self, bands: Iterable[NDArray[Any]]) -> None:
        """Check the labels of a map in bands of rows; see `ClassTable.check_labels`."""
        counts, first, top = Counter[int](), (0, 0), 0
        for band in bands:
            _check_integers(band)
            unknown = ~np.isin(band, self._known)
            if not counts and unknown.any():
                row, column = (int(axis[0]) for axis in np.nonzero(unknown))
                first = top + row, column
            values, numbers = np.unique(band[unknown], return_counts=True)
            counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
            top += len(band)
        if counts:
            raise self._error(sorted(counts.items()), first)

    def _unknown_labels(self, labels: NDArray[Any]) -> ClassTableError:
        unknown = ~np.isin(labels, self._known)
        values, counts = np.unique(labels[unknown], return_counts=True)
        first = tuple(int(axis[0]) for axis in np.nonzero(unknown))
        return self._error([*zip(values.tolist(), counts.tolist(), strict=True)], first)

    def _error(self, counts: Sequence[tuple[int, int]], first: tuple[int, ...]) -> ClassTableError:
        shown = ", ".join(f"{value} ({count} px)" for value, count in counts[:5])
        return ClassTableError(
            f"The map has values that are not in the class table '{self._table_name}': {shown}, "
            f"first at {first}; choose the class table that the map was drawn with, or relabel "
            "these pixels."
        )


def _check_integers(labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "bui":
        raise ClassTableError(
            f"The map has {labels.dtype} values; convert it to integer class indices."
        )


def id_lookup(names: Sequence[str], other_names: Sequence[str]) -> NDArray[np.uint8]:
    """Return, by class id, the id of the class of the same name in another class table.

    Parameters
    ----------
    names, other_names : sequence of str
        Class names of the two tables, in the order of their ids.

    Returns
    -------
    (256,) uint8 array
        `UNLABELLED_ID` where the other table has no class of that name.
    """
    ids = {name: class_id for class_id, name in enumerate(other_names)}
    lookup = np.full(MAX_CLASS_IDS, UNLABELLED_ID, dtype=np.uint8)
    lookup[: len(names)] = [ids.get(name, UNLABELLED_ID) for name in names]
    return lookup
