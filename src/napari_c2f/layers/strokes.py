"""Pixels of Labels layers that the user painted by hand, read from napari's undo history.

A stroke counts until it is undone, even if napari no longer remembers it. Its pixels are
those that it changed, except those that a lock restored.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.geometry.arrays import (
    Covered,
    Patch,
    Slices,
    bounding_box,
    common,
    from_corner,
    is_empty,
    to_corner,
)
from napari_c2f.base.proxies import bare
from napari_c2f.layers.history import LayerHistory, Step, painted_step


@dataclass(frozen=True, eq=False)
class Stroke:
    """Pixels that one stroke changed.

    Attributes
    ----------
    slices : tuple of slices
        Box of the layer's data that contains the pixels.
    mask : boolean array
        The pixels, of the shape of the box.
    stamp : int
        Serial number over all layers of a viewer; later strokes have larger ones.
    refinable : bool
        Whether the stroke was drawn in order to be refined, so that it is not protected.
    """

    slices: Slices
    mask: NDArray[np.bool_]
    stamp: int
    refinable: bool = False

    def relative_to(self, slices: Slices) -> "Stroke | None":
        """Return the part inside a box, relative to its corner; None if there is none."""
        shared = common(self.slices, slices)
        if is_empty(shared):
            return None
        mask = self.mask[from_corner(shared, self.slices)]
        return replace(self, slices=from_corner(shared, slices), mask=mask)

    def within(self, slices: Slices) -> "Stroke":
        """Return the stroke in the coordinates of the array of which its own is this part."""
        return replace(self, slices=to_corner(self.slices, slices))


@dataclass(frozen=True, eq=False)
class ProtectedStroke:
    """A stroke that the next refinement leaves unchanged.

    Attributes
    ----------
    stroke : Stroke
        The stroke without erased pixels.
    patch : Patch
        The same pixels with their current labels.
    """

    stroke: Stroke
    patch: Patch

    def within(self, slices: Slices) -> "ProtectedStroke":
        """Return it in the coordinates of the layer of which its own covers this part."""
        stroke = self.stroke.within(slices)
        return ProtectedStroke(stroke, replace(self.patch, slices=stroke.slices))


def strokes_in(protected: Iterable[ProtectedStroke], slices: Slices) -> list[Stroke]:
    """Return the strokes inside a part of a layer, relative to its corner."""
    strokes = (each.stroke.relative_to(slices) for each in protected)
    return [stroke for stroke in strokes if stroke is not None]


@dataclass
class _Entry:
    """A step that napari remembers; steps made before tracking have no stroke."""

    step: Step
    refinable: bool = False
    stroke: Stroke | None = None
    is_measured: bool = False


class Follower:
    """Tracks the strokes in one layer.

    Parameters
    ----------
    layer : Labels
        Layer whose strokes are tracked.
    stamps : iterator of int
        Serial numbers of new strokes, shared by all layers of a viewer.
    """

    touched = Signal(tuple)
    """Emitted with the bounds of each stroke that is made, undone or redone."""

    def __init__(self, layer: Labels, stamps: Iterator[int]) -> None:
        self._stamps = stamps
        self.refinable = False
        """Whether the next strokes are drawn in order to be refined."""
        self._layer = ref(layer)
        self._permanent: list[Stroke] = []
        self._recent = [_Entry(step, is_measured=True) for step in LayerHistory(layer).steps]
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_set_data)

    def inherit(self, strokes: Iterable[Stroke]) -> None:
        """Add strokes that were made in another layer; they cannot be undone in this one."""
        self._permanent += strokes

    def strokes(self) -> list[Stroke]:
        """Return all strokes, the earliest first."""
        self._update()
        self._measure(self._recent)
        return self._permanent + _strokes(self._recent)

    def _on_paint(self, event: Any) -> None:
        """Note a stroke; a lock may still restore some pixels of the latest one."""
        self._update()
        self._measure(self._recent[:-1])
        self.touched.emit(painted_step(event).bounds)

    def _on_set_data(self) -> None:
        """Notice undo and redo, which have no event of their own."""
        for step in self._update():
            self.touched.emit(step.bounds)

    def _update(self) -> list[Step]:
        """Compare with the layer's history; return the steps that were removed or added."""
        layer = self._layer()
        history = [] if layer is None else LayerHistory(layer).steps
        known = set(history)
        first = next((n for n, entry in enumerate(self._recent) if entry.step in known), 0)
        forgotten, rest = self._recent[:first], self._recent[first:]
        self._permanent += _strokes(forgotten)  # napari's history is limited.
        seen = {entry.step for entry in rest}
        new = [step for step in history if step not in seen]
        undone = [entry.step for entry in rest if entry.step not in known]
        kept = [entry for entry in rest if entry.step in known]
        self._recent = kept + [_Entry(step, self.refinable) for step in new]
        return undone + new

    def _measure(self, entries: Iterable[_Entry]) -> None:
        layer = self._layer()
        for entry in entries:
            if not entry.is_measured and layer is not None:
                entry.stroke = _stroke(layer, entry.step, next(self._stamps), entry.refinable)
                entry.is_measured = True


def _strokes(entries: Iterable[_Entry]) -> list[Stroke]:
    return [entry.stroke for entry in entries if entry.stroke is not None]


def _stroke(layer: Labels, step: Step, stamp: int, refinable: bool = False) -> Stroke:
    return Stroke(step.bounds, step.changed(layer.data), stamp, refinable)


class StrokeTracker:
    """Tracks the strokes in the layers of one viewer."""

    def __init__(self) -> None:
        self._stamps = count(1)
        self._followers: WeakKeyDictionary[Labels, Follower] = WeakKeyDictionary()
        self._programmatic: WeakSet[Labels] = WeakSet()

    def follow(self, layer: Labels) -> Follower:
        """Track a layer from now on, unless it is already tracked."""
        layer = bare(layer)
        if layer not in self._followers:
            self._followers[layer] = Follower(layer, self._stamps)
        return self._followers[layer]

    def is_followed(self, layer: Labels) -> bool:
        """Return whether the strokes in a layer are tracked."""
        return layer in self._followers

    def strokes_of(self, layer: Labels | None) -> list[Stroke]:
        """Return the strokes in a layer since it is tracked, the earliest first."""
        follower = None if layer is None else self._followers.get(layer)
        return [] if follower is None else follower.strokes()

    def stroke_of(self, mask: NDArray[np.bool_]) -> Stroke:
        """Return pixels (Y, X) that were painted in an earlier session as one stroke."""
        window = bounding_box(mask)
        return Stroke(window, mask[window], next(self._stamps))

    def stroke_under_way(self, layer: Labels) -> list[Stroke]:
        """Return the stroke being drawn in a layer, as far as it goes; empty between strokes."""
        step = LayerHistory(layer).open_step
        return [] if step is None else [_stroke(layer, step, next(self._stamps))]

    def protected_in(self, layer: Labels) -> list[ProtectedStroke]:
        """Return the strokes of one layer that are protected, in its own coordinates."""
        protected = []
        for stroke in self.strokes_of(layer):
            if not stroke.refinable:
                patch = patch_of(layer, stroke)
                protected.append(ProtectedStroke(replace(stroke, mask=patch.mask), patch))
        return protected

    def is_drawn_refinable(self, layer: Labels) -> bool:
        """Return whether strokes in a layer are drawn in order to be refined, as in live mode."""
        return layer in self._followers and self._followers[layer].refinable

    @contextmanager
    def drawing_refinable(self, layer: Labels) -> Iterator[None]:
        """Mark strokes made inside this block, if the layer is tracked, as not protected."""
        follower = self._followers.get(layer)
        if follower is None:
            yield
            return
        before, follower.refinable = follower.refinable, True
        try:
            yield
        finally:
            follower.refinable = before

    def is_programmatic(self, layer: Labels) -> bool:
        """Return whether the edit that a layer reports now was not drawn by hand."""
        return layer in self._programmatic

    @contextmanager
    def programmatic_edit(self, layer: Labels) -> Iterator[None]:
        """Mark edits made inside this block as programmatic, not as brush strokes."""
        self._programmatic.add(layer)
        try:
            yield
        finally:
            self._programmatic.discard(layer)


def covered(shape: tuple[int, ...], strokes: Iterable[Stroke]) -> Covered:
    """Return where strokes lie in data of this shape."""
    nothing = np.empty(0, np.uint8)
    return Covered(shape, [Patch(stroke.slices, stroke.mask, nothing) for stroke in strokes])


def patch_of(layer: Labels, stroke: Stroke) -> Patch:
    """Return the pixels of a stroke with their current labels, without those that were erased."""
    labels = np.asarray(layer.data[stroke.slices])
    mask = stroke.mask & (labels != layer.colormap.background_value)
    return Patch(stroke.slices, mask, labels[mask])
