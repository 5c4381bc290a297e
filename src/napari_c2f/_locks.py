"""Locked classes of a Labels layer: what is drawn over them is taken back at once.

napari tells of each step of a stroke by its event `labels_update`. What was
painted over is known from its history, to which taking it back is added: undo
and redo pass over stroke and correction together.
"""

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

LOCK_KEY = "c2f_locked"
"""Metadata key of the indices of the locked classes, a list."""

_guarded: "WeakSet[Labels]" = WeakSet()
Indices = tuple[NDArray[np.intp], ...]


def locked_classes(layer: Labels) -> frozenset[int]:
    """Return the indices of a layer's locked classes."""
    return frozenset(layer.metadata.get(LOCK_KEY, ()))


def locked_pixels(layer: Labels) -> NDArray[np.bool_]:
    """Return where a layer's pixels belong to a locked class.

    Returns
    -------
    bool array of the layer's shape
    """
    return np.isin(np.asarray(layer.data), list(locked_classes(layer)))


def lock(layer: Labels, index: int, locked: bool) -> None:
    """Lock or unlock a class; the layer's metadata remember it."""
    others = locked_classes(layer) - {index}
    layer.metadata[LOCK_KEY] = sorted(others | {index} if locked else others)
    guard(layer)


def guard(layer: Labels) -> None:
    """Keep a layer's locked classes from being painted over, as long as the layer is there."""
    if layer not in _guarded:
        _guarded.add(layer)
        layer.events.labels_update.connect(_Guard())


class _Guard:
    """Follows what is painted in one layer."""

    def __init__(self) -> None:
        self._item: list[Any] = []
        self._seen = 0
        self._at_work = False

    def __call__(self, event: Any) -> None:
        """Take back what the latest step painted over locked classes."""
        if self._at_work:  # Taking back is a step too.
            return
        self._at_work = True
        try:
            self._check(event.source)
        finally:
            self._at_work = False

    def _check(self, layer: Labels) -> None:
        staged = layer._staged_history
        item = staged or (layer._undo_history[-1] if layer._undo_history else [])
        if item is not self._item:
            self._item, self._seen = item, 0
        for indices, before in _overpainted(item[self._seen :], locked_classes(layer)):
            _take_back(layer, item, indices, before)
        self._seen = len(item)


def _overpainted(
    atoms: Iterable[Any], locked: frozenset[int]
) -> list[tuple[Indices, NDArray[Any]]]:
    """Find the pixels of locked classes that steps of a stroke changed, and their labels before."""
    found = []
    for atom in atoms:
        is_masked = hasattr(atom, "slice_key")  # What brush, bucket and polygon store.
        before = np.ravel(atom.old_values if is_masked else atom[1])
        hit = np.isin(before, list(locked))
        if hit.any():
            indices = _indices(atom) if is_masked else tuple(np.ravel(axis) for axis in atom[0])
            found.append((tuple(axis[hit] for axis in indices), before[hit]))
    return found


def _indices(atom: Any) -> Indices:
    """Return which pixels a step changed that a box and a mask describe."""
    if atom.mask is None:
        inside = tuple(np.indices(atom.old_values.shape).reshape(atom.old_values.ndim, -1))
    else:
        inside = np.nonzero(atom.mask)
    starts = (axis.start for axis in atom.slice_key)
    return tuple(axis + start for axis, start in zip(inside, starts, strict=True))


def _take_back(layer: Labels, item: list[Any], indices: Indices, before: NDArray[Any]) -> None:
    if layer._staged_history is item:  # The stroke goes on: this becomes part of it.
        layer.data_setitem(indices, before)
        return
    item.append((indices, np.array(layer.data[indices]), before))
    layer.data[indices] = before
    layer.refresh(extent=False)
