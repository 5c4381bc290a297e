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

MOST_LISTED = 1 << 16
"""Pixels of a step that are put back one by one."""

_guarded: "WeakSet[Labels]" = WeakSet()


def locked_classes(layer: Labels) -> frozenset[int]:
    """Return the indices of a layer's locked classes."""
    return frozenset(layer.metadata.get(LOCK_KEY, ()))


def _among(labels: NDArray[Any], classes: Iterable[int]) -> NDArray[np.bool_]:
    """Tell which labels are of these few classes, fifty times faster than `numpy.isin`."""
    among = np.zeros(labels.shape, dtype=np.bool_)
    for index in classes:
        among |= labels == index
    return among


def lock(layer: Labels, index: int, locked: bool) -> None:
    """Lock or unlock a class; the layer's metadata remember it."""
    others = locked_classes(layer) - {index}
    layer.metadata[LOCK_KEY] = sorted(others | {index} if locked else others)
    guard(layer)


def inherit_locks(layer: Labels, source: Labels) -> None:
    """Lock the classes in a new layer that are locked in the one that it is made of."""
    for index in locked_classes(source):
        lock(layer, index, True)


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
        for atom, hit in _overpainted(item[self._seen :], locked_classes(layer)):
            _take_back(layer, item, atom, hit)
        self._seen = len(item)


def _overpainted(
    atoms: Iterable[Any], locked: frozenset[int]
) -> list[tuple[Any, NDArray[np.bool_]]]:
    """Find the steps that changed locked classes, and which of their pixels did."""
    hits = ((atom, _among(_before(atom), locked)) for atom in atoms)
    return [(atom, hit) for atom, hit in hits if hit.any()]


def has_mask(atom: Any) -> bool:
    """Tell what brush, bucket and polygon store from what `data_setitem` does."""
    return hasattr(atom, "slice_key")


def _before(atom: Any) -> NDArray[Any]:
    """Return the labels before a step, flat."""
    return np.ravel(atom.old_values if has_mask(atom) else atom[1])


def _take_back(layer: Labels, item: list[Any], atom: Any, hit: NDArray[np.bool_]) -> None:
    goes_on = layer._staged_history is item
    if has_mask(atom) and not (goes_on and hit.sum() <= MOST_LISTED):
        _put_back(layer, item, atom, hit)
        return
    before = _before(atom)[hit]
    if has_mask(atom):
        starts = (axis.start for axis in atom.slice_key)
        inside = np.nonzero(_inside(atom, hit))
        indices = tuple(axis + start for axis, start in zip(inside, starts, strict=True))
    else:
        indices = tuple(np.ravel(axis)[hit] for axis in atom[0])
    if goes_on:  # This becomes part of the stroke, and only its place is shown anew.
        layer.data_setitem(indices, before)
        return
    item.append((indices, np.array(layer.data[indices]), before))
    layer.data[indices] = before
    layer.refresh(extent=False)


def _put_back(layer: Labels, item: list[Any], atom: Any, hit: NDArray[np.bool_]) -> None:
    """Take back many pixels, without a list of where each of them is."""
    inside, before = _inside(atom, hit), _before(atom)[hit]
    region = np.asarray(layer.data[atom.slice_key])
    item.append(atom._replace(mask=inside, old_values=region[inside], new_value=before))
    region[inside] = before
    layer.data[atom.slice_key] = region
    layer.refresh(extent=False)


def _inside(atom: Any, hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the hits as a mask of a step's box."""
    if atom.mask is None:
        return hit.reshape(atom.old_values.shape)
    inside = np.zeros(atom.mask.shape, dtype=np.bool_)
    inside[atom.mask] = hit
    return inside
