"""Decisions as steps of the final layer's history, so that napari's undo takes them back.

Accepting changes pixels, which napari records. Rejecting may change none: it is recorded
as a step that leaves one pixel unchanged and knows what was rejected before and after.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from c2f_core.review.decisions import RegionKey
from napari_c2f.layers.convert import REJECTED_KEY
from napari_c2f.layers.strokes import programmatic_edit

RegionKeys = frozenset[RegionKey]


class _Rejection(tuple[Any, Any, Any]):
    """A step of napari's history, (indices, labels before, labels after), that changes nothing."""

    before: RegionKeys
    after: RegionKeys


class DecisionHistory:
    """Writes decisions into the final layer of a review, and follows undo and redo.

    Parameters
    ----------
    layer : Labels
        The final layer.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer

    @property
    def rejected(self) -> RegionKeys:
        """Keys of the rejected regions, even if their pixels have changed since."""
        return frozenset(self._layer.metadata.get(REJECTED_KEY, ()))

    def write(
        self,
        flat_indices: NDArray[np.intp],
        labels: NDArray[Any],
        rejecting: Iterable[RegionKey] = (),
    ) -> None:
        """Change pixels, and reject regions, in one step of the history.

        Parameters
        ----------
        flat_indices : (N,) integer array
            Indices of the pixels in the flattened map.
        labels : (N,) integer array
            Their new label values.
        rejecting : iterable of RegionKey
            Keys of the regions to reject.
        """
        self.make_writable()
        before = self.rejected
        after = before.union(rejecting)
        indices = np.unravel_index(flat_indices, self._layer.data.shape)
        with programmatic_edit(self._layer), self._layer.block_history():
            self._layer.data_setitem(indices, labels)
            if after != before:
                self._layer._save_history(self._rejection(indices, before, after))
                self._store(after)

    def make_writable(self) -> None:
        """Update which plane of a hidden stack napari considers shown.

        napari also writes changes of that plane into its copy for the screen, and does not
        update the copy while a layer is hidden.
        """
        if self._layer.ndim > 2 and not self._layer.visible:
            self._layer.set_view_slice()

    def follow(self) -> None:
        """Store what is rejected after an undo or redo."""
        done, undone = (
            [step for item in history for step in item if isinstance(step, _Rejection)]
            for history in (self._layer._undo_history, self._layer._redo_history)
        )
        if done:
            self._store(done[-1].after)
        elif undone:
            self._store(undone[-1].before)

    def _rejection(
        self, indices: tuple[NDArray[np.intp], ...], before: RegionKeys, after: RegionKeys
    ) -> _Rejection:
        first = tuple(axis[:1] for axis in indices)
        label = np.array(self._layer.data[first])
        step = _Rejection((first, label, label))
        step.before, step.after = before, after
        return step

    def _store(self, keys: RegionKeys) -> None:
        self._layer.metadata[REJECTED_KEY] = tuple(sorted(keys))
