"""Decisions as steps of the final layer's history, so that napari's undo takes them back.

Accepting changes pixels, which napari records. Rejecting may change none: it is recorded
as a step that leaves one pixel unchanged and knows what was rejected before and after.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from c2f_core.review.decisions import RegionKey
from napari_c2f.layers.history import LayerHistory
from napari_c2f.layers.screen import renew_picture
from napari_c2f.layers.session import Session

RegionKeys = frozenset[RegionKey]


@dataclass(frozen=True)
class _Rejection:
    """Regions that were rejected before and after a step of the history."""

    before: RegionKeys
    after: RegionKeys


class DecisionHistory:
    """Writes decisions into the final layer of a review, and follows undo and redo.

    Parameters
    ----------
    layer : Labels
        The final layer.
    session : Session
        Session of the viewer.
    """

    def __init__(self, layer: Labels, session: Session) -> None:
        self._layer, self._session = layer, session
        self._history = LayerHistory(layer)

    @property
    def rejected(self) -> RegionKeys:
        """Keys of the rejected regions, even if their pixels have changed since."""
        return frozenset(self._session.lineage.rejected_in(self._layer))

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
        renew_picture(self._layer)
        before = self.rejected
        after = before.union(rejecting)
        indices = np.unravel_index(flat_indices, self._layer.data.shape)
        with self._session.strokes.programmatic_edit(self._layer), self._layer.block_history():
            self._layer.data_setitem(indices, labels)
            if after != before:
                self._history.mark(indices, _Rejection(before, after))
                self._store(after)

    def follow(self) -> None:
        """Store what is rejected after an undo or redo."""
        done, undone = (_rejections(marks) for marks in self._history.marks())
        if done:
            self._store(done[-1].after)
        elif undone:
            self._store(undone[-1].before)

    def _store(self, keys: RegionKeys) -> None:
        self._session.lineage.set_rejected(self._layer, sorted(keys))


def _rejections(marks: Iterable[object]) -> list[_Rejection]:
    return [mark for mark in marks if isinstance(mark, _Rejection)]
