"""Pixels of a Labels layer that the user painted by hand, told from napari's own history.

A stroke counts for as long as it is not undone, also when napari no longer
remembers it. Its pixels are those that it changed, but what a lock took back.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.geometry.patches import (
    Covered,
    Patch,
    Slices,
    around,
    common,
    from_corner,
    is_empty,
    to_corner,
)
from c2f_core.geometry.windows import bounding_box
from napari_c2f.layers.locks import has_mask

_programmatic: "WeakSet[Labels]" = WeakSet()


def is_programmatic(layer: Labels) -> bool:
    """Tell whether what a layer tells of now was decided or read, and not drawn by hand."""
    return layer in _programmatic


@contextmanager
def programmatic_edit(layer: Labels) -> Iterator[None]:
    """What changes now in a layer is no stroke, whatever tool is chosen in it."""
    _programmatic.add(layer)
    try:
        yield
    finally:
        _programmatic.discard(layer)


_followers: "WeakKeyDictionary[Labels, Follower]" = WeakKeyDictionary()
_stamps = count(1)


@dataclass(frozen=True, eq=False)
class Stroke:
    """Pixels that one stroke changed.

    Attributes
    ----------
    place : tuple of slices
        Of the layer's data.
    mask : boolean array of the size of the place
    stamp : int
        Grows with time, over all layers.
    rough : bool
        Drawn to be refined: it need not stay.
    """

    place: Slices
    mask: NDArray[np.bool_]
    stamp: int
    rough: bool = False

    def relative_to(self, place: Slices) -> "Stroke | None":
        """Return its part in a place, counted from the place's corner; None if there is none."""
        shared = common(self.place, place)
        if is_empty(shared):
            return None
        mask = self.mask[from_corner(shared, self.place)]
        return replace(self, place=from_corner(shared, place), mask=mask)

    def within(self, place: Slices) -> "Stroke":
        """Return it as in the array of which its own is the part in a place."""
        return replace(self, place=to_corner(self.place, place))


def stroke_of(mask: NDArray[np.bool_]) -> Stroke:
    """Return pixels (Y, X) that were painted in an earlier session, as one stroke."""
    place = bounding_box(mask)
    return Stroke(place, mask[place], next(_stamps))


@dataclass
class _Entry:
    """A stroke that napari remembers; those made before have no mask."""

    item: list[Any]
    rough: bool = False
    stroke: Stroke | None = None
    is_measured: bool = False


class Follower:
    """Follows what is painted in one layer.

    Parameters
    ----------
    layer : Labels
    """

    touched = Signal(tuple)
    """Sent with the place of each stroke that is made, undone or made again."""

    def __init__(self, layer: Labels) -> None:
        self.rough = False
        """The strokes to come are drawn to be refined."""
        self._layer = ref(layer)
        self._for_good: list[Stroke] = []
        self._recent = [_Entry(item, is_measured=True) for item in layer._undo_history]
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_set_data)

    def inherit(self, strokes: Iterable[Stroke]) -> None:
        """Add strokes that were made in another layer before; they cannot be undone here."""
        self._for_good += strokes

    def strokes(self) -> list[Stroke]:
        """Return all strokes, the earliest first."""
        self._follow_history()
        self._measure(self._recent)
        return self._for_good + _strokes(self._recent)

    def _on_paint(self, event: Any) -> None:
        """Note a stroke; a lock may still take back some of the latest."""
        self._follow_history()
        self._measure(self._recent[:-1])
        self.touched.emit(_bounds(event.value))

    def _on_set_data(self) -> None:
        """Notice undo and redo, of which no event of their own tells."""
        for item in self._follow_history():
            self.touched.emit(_bounds(item))

    def _follow_history(self) -> list[list[Any]]:
        """Compare with napari's history; return the items that came or went."""
        layer = self._layer()
        history = [] if layer is None else list(layer._undo_history)
        known = {id(item) for item in history}
        there = [id(entry.item) in known for entry in self._recent]
        oldest = there.index(True) if any(there) else 0
        self._for_good += _strokes(self._recent[:oldest])  # napari forgot them.
        followed = {id(entry.item) for entry in self._recent}
        new = [item for item in history if id(item) not in followed]
        gone = [
            entry.item
            for entry, is_there in zip(self._recent[oldest:], there[oldest:], strict=True)
            if not is_there
        ]
        kept = [entry for entry in self._recent if id(entry.item) in known]
        self._recent = kept + [_Entry(item, self.rough) for item in new]
        return gone + new

    def _measure(self, entries: Iterable[_Entry]) -> None:
        layer = self._layer()
        for entry in entries:
            if not entry.is_measured and layer is not None:
                entry.stroke = _stroke(layer, entry.item, entry.rough)
                entry.is_measured = True


def _strokes(entries: Iterable[_Entry]) -> list[Stroke]:
    return [entry.stroke for entry in entries if entry.stroke is not None]


def _stroke(layer: Labels, item: Sequence[Any], rough: bool) -> Stroke:
    """Measure a stroke by its own steps: others may have painted over it since."""
    place = _bounds(item)
    after = np.array(layer.data[place])
    for atom in item:
        _set(after, atom, place, atom.new_value if has_mask(atom) else atom[2])
    before = after.copy()
    for atom in reversed(item):
        _set(before, atom, place, atom.old_values if has_mask(atom) else atom[1])
    return Stroke(place, before != after, next(_stamps), rough)


def _set(part: NDArray[Any], atom: Any, place: Slices, values: Any) -> None:
    """Set the pixels of one step in the part of the data that lies at a place."""
    if has_mask(atom):
        box = part[from_corner(atom.slice_key, place)]
        mask = np.ones(box.shape, np.bool_) if atom.mask is None else atom.mask
        box[mask] = np.ravel(values) if np.ndim(values) else values
        return
    indices = zip(atom[0], place, strict=True)
    part[tuple(np.asarray(index) - axis.start for index, axis in indices)] = values


def _bounds(item: Sequence[Any]) -> Slices:
    """Return the smallest place that holds all steps of a stroke."""
    return around(
        atom.slice_key
        if has_mask(atom)
        else tuple(slice(int(np.min(axis)), int(np.max(axis)) + 1) for axis in atom[0])
        for atom in item
    )


def follow(layer: Labels) -> Follower:
    """Follow a layer from now on, unless it is followed already."""
    if layer not in _followers:
        _followers[layer] = Follower(layer)
    return _followers[layer]


def is_followed(layer: Labels) -> bool:
    """Tell whether strokes in a layer are followed."""
    return layer in _followers


def is_drawn_refinable(layer: Labels) -> bool:
    """Tell whether strokes in a layer are there to be refined, as in live mode."""
    return layer in _followers and _followers[layer].rough


@contextmanager
def drawing_refinable(layer: Labels) -> Iterator[None]:
    """Let strokes in a layer be refined, if it is followed: they need not stay."""
    follower = _followers.get(layer, None)
    if follower is None:
        yield
        return
    before, follower.rough = follower.rough, True
    try:
        yield
    finally:
        follower.rough = before


def strokes_of(layer: Labels | None) -> list[Stroke]:
    """Return the strokes of a layer since it is followed, the earliest first."""
    follower = None if layer is None else _followers.get(layer)
    return [] if follower is None else follower.strokes()


def stroke_under_way(layer: Labels) -> list[Stroke]:
    """Return the stroke that is being drawn in a layer, as far as it is; none if there is none."""
    atoms = [atom for atom in layer._staged_history if len(atom)]
    return [_stroke(layer, atoms, rough=False)] if atoms else []


def covered(shape: tuple[int, ...], strokes: Iterable[Stroke]) -> Covered:
    """Return where strokes lie in data of this shape."""
    nothing = np.empty(0, np.uint8)
    return Covered(shape, [Patch(stroke.place, stroke.mask, nothing) for stroke in strokes])


def patch_of(layer: Labels, stroke: Stroke) -> Patch:
    """Return the pixels of a stroke with what they are now; erased ones are given free."""
    labels = np.asarray(layer.data[stroke.place])
    mask = stroke.mask & (labels != layer.colormap.background_value)
    return Patch(stroke.place, mask, labels[mask])
