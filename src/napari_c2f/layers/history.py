"""Undo history of a Labels layer. The only module that touches napari's private undo lists.

napari 0.9 keeps three lists per layer: steps that can be undone, steps that can be redone,
and the changes of the stroke being drawn. A step is a list of changes, and a change is
either a masked box (brush, bucket, polygon) or a tuple of indices, labels before and labels
after (`Labels.data_setitem`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Slices, around, from_corner

LARGEST_LISTED = 1 << 16
"""Largest number of pixels restored one by one within the stroke being drawn."""
Indices = tuple[NDArray[np.intp], ...]


class Edit(ABC):
    """One change of some pixels, as napari remembers it.

    Parameters
    ----------
    atom : tuple
        The change in napari's own format.
    """

    def __init__(self, atom: Any) -> None:
        self._atom = atom

    @property
    @abstractmethod
    def bounds(self) -> Slices:
        """Smallest box of the layer's data that contains the pixels."""

    @property
    @abstractmethod
    def before(self) -> NDArray[Any]:
        """Labels of the pixels before the change, (N,)."""

    @property
    @abstractmethod
    def after(self) -> NDArray[Any]:
        """Labels of the pixels after the change: (N,), or () if all pixels got the same."""

    @abstractmethod
    def indices(self, chosen: NDArray[np.bool_]) -> Indices:
        """Return where the chosen pixels (mask of shape (N,)) lie in the layer's data."""

    @abstractmethod
    def write(self, part: NDArray[Any], slices: Slices, labels: NDArray[Any]) -> None:
        """Write labels of the pixels into a part of the data.

        Parameters
        ----------
        part : integer array
            Copy of the data in `slices`.
        slices : tuple of slices
            Box of the layer's data that contains `bounds`.
        labels : (N,) or () integer array
        """

    @property
    def is_restoration(self) -> bool:
        """Whether labels were written pixel by pixel, as when a lock restores what it protects."""
        return self.after.ndim > 0

    @property
    def number_changed(self) -> int:
        """Number of pixels whose label changed."""
        return int(np.count_nonzero(self.before != self.after))


class _MaskedEdit(Edit):
    """A change by brush, bucket or polygon."""

    @property
    def bounds(self) -> Slices:
        bounds: Slices = self._atom.slice_key
        return bounds

    @property
    def before(self) -> NDArray[Any]:
        return np.ravel(self._atom.old_values)

    @property
    def after(self) -> NDArray[Any]:
        return np.asarray(self._atom.new_value)

    def indices(self, chosen: NDArray[np.bool_]) -> Indices:
        inside = np.nonzero(self.mask(chosen))
        return tuple(axis + where.start for axis, where in zip(inside, self.bounds, strict=True))

    def write(self, part: NDArray[Any], slices: Slices, labels: NDArray[Any]) -> None:
        box = part[from_corner(self.bounds, slices)]
        box[self.mask(np.ones(self.before.shape, np.bool_))] = labels

    def mask(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the chosen pixels as a mask of the box."""
        if self._atom.mask is None:  # Every pixel of the box changed.
            return chosen.reshape(self._atom.old_values.shape)
        mask = np.zeros(self._atom.mask.shape, np.bool_)
        mask[self._atom.mask] = chosen
        return mask

    def restored(self, chosen: NDArray[np.bool_], now: NDArray[Any]) -> Any:
        """Return the change, in napari's format, that restores chosen pixels of the box `now`."""
        mask = self.mask(chosen)
        return self._atom._replace(mask=mask, old_values=now[mask], new_value=self.before[chosen])


class _IndexedEdit(Edit):
    """A change by `Labels.data_setitem`."""

    @property
    def bounds(self) -> Slices:
        return tuple(slice(int(np.min(axis)), int(np.max(axis)) + 1) for axis in self._atom[0])

    @property
    def before(self) -> NDArray[Any]:
        return np.ravel(self._atom[1])

    @property
    def after(self) -> NDArray[Any]:
        after = np.asarray(self._atom[2])
        return after.ravel() if after.ndim else after

    def indices(self, chosen: NDArray[np.bool_]) -> Indices:
        return tuple(np.ravel(axis)[chosen] for axis in self._atom[0])

    def write(self, part: NDArray[Any], slices: Slices, labels: NDArray[Any]) -> None:
        axes = zip(self._atom[0], slices, strict=True)
        part[tuple(np.ravel(axis) - where.start for axis, where in axes)] = labels


class _Marker(tuple[Any, Any, Any]):
    """A change, in napari's format, that changes no pixel and carries a value."""

    value: object


def _edit(atom: Any) -> Edit:
    if hasattr(atom, "slice_key"):
        return _MaskedEdit(atom)
    if isinstance(atom, tuple) and len(atom) == 3:
        return _IndexedEdit(atom)
    raise TypeError(
        f"napari's undo history contains a {type(atom).__name__}, which this version of napari-c2f "
        "cannot read; adapt napari_c2f.layers.history."
    )


class Step:
    """Changes that are undone and redone together: a stroke, or a decision.

    Two steps are equal if napari holds the same item for both. Undo and redo replace items,
    so that a step that was redone differs from the one that was undone.

    Parameters
    ----------
    item : list
        Changes in napari's own format, the earliest first.
    """

    def __init__(self, item: list[Any]) -> None:
        self._item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self._item is other._item

    def __hash__(self) -> int:
        return id(self._item)

    def __len__(self) -> int:
        return len(self._item)

    def edits(self, start: int = 0) -> list[Edit]:
        """Return the changes from the one of number `start` on, the earliest first."""
        return [_edit(atom) for atom in self._item[start:]]

    @property
    def bounds(self) -> Slices:
        """Smallest box of the layer's data that contains all changed pixels."""
        return around(edit.bounds for edit in self.edits())

    def changed(self, data: Any) -> NDArray[np.bool_]:
        """Return the pixels that the step changed, as a mask of its bounds.

        The step's own changes are replayed: later steps may have painted over them.

        Parameters
        ----------
        data : integer array
            The layer's data.
        """
        bounds, edits = self.bounds, self.edits()
        after = np.array(data[bounds])
        for edit in edits:
            edit.write(after, bounds, edit.after)
        before = after.copy()
        for edit in reversed(edits):
            edit.write(before, bounds, edit.before)
        return np.asarray(before != after)

    def number_painted(self) -> int:
        """Return how many pixels were painted, less those that a lock restored."""
        return sum(
            -edit.number_changed if edit.is_restoration else edit.number_changed
            for edit in self.edits()
        )


def painted_step(event: Any) -> Step:
    """Return the step of a layer's event `paint`."""
    return Step(event.value)


@dataclass(frozen=True)
class LayerHistory:
    """The undo history of a layer.

    Attributes
    ----------
    layer : Labels
    """

    layer: Labels

    @property
    def steps(self) -> list[Step]:
        """Steps that can be undone, the earliest first."""
        return [Step(item) for item in self.layer._undo_history]

    @property
    def open_step(self) -> Step | None:
        """The stroke being drawn; None between strokes."""
        staged = self.layer._staged_history
        return Step(staged) if staged else None

    @property
    def latest(self) -> Step | None:
        """The stroke being drawn, else the latest step; None if there is neither."""
        history = self.layer._undo_history
        return self.open_step or (Step(history[-1]) if history else None)

    def restore(self, step: Step, edit: Edit, chosen: NDArray[np.bool_]) -> None:
        """Give pixels the labels back that they had before an edit, as part of the same step.

        Parameters
        ----------
        step : Step
            The latest one; the restoration becomes its last edit.
        edit : Edit
            One of the step's edits.
        chosen : (N,) boolean array
            Pixels of the edit to restore.
        """
        is_open = step == self.open_step
        if isinstance(edit, _MaskedEdit) and not (is_open and chosen.sum() <= LARGEST_LISTED):
            self._restore_box(step, edit, chosen)
            return
        indices, before = edit.indices(chosen), edit.before[chosen]
        if is_open:  # napari adds it to the stroke, and redraws its bounds only.
            self.layer.data_setitem(indices, before)
            return
        step._item.append((indices, np.array(self.layer.data[indices]), before))
        self.layer.data[indices] = before
        self.layer.refresh(extent=False)

    def _restore_box(self, step: Step, edit: _MaskedEdit, chosen: NDArray[np.bool_]) -> None:
        """Restore many pixels without listing their indices."""
        box = np.asarray(self.layer.data[edit.bounds])
        step._item.append(edit.restored(chosen, box))
        box[edit.mask(chosen)] = edit.before[chosen]
        self.layer.data[edit.bounds] = box
        self.layer.refresh(extent=False)

    def mark(self, indices: Indices, value: object) -> None:
        """Record a change that changes no pixel and carries a value.

        Parameters
        ----------
        indices : tuple of integer arrays
            Pixels of the layer's data that the mark is about; at least one.
        value : object
            See `marks`.
        """
        first = tuple(axis[:1] for axis in indices)
        label = np.array(self.layer.data[first])
        marker = _Marker((first, label, label))
        marker.value = value
        self.layer._save_history(marker)

    def marks(self) -> tuple[list[object], list[object]]:
        """Return the values of the marks that can be undone, and of those that can be redone.

        Both in the order in which napari keeps them: the last one is undone, or redone, first.
        """
        return _marks(self.layer._undo_history), _marks(self.layer._redo_history)


def _marks(history: Sequence[list[Any]]) -> list[object]:
    return [atom.value for item in history for atom in item if isinstance(atom, _Marker)]
