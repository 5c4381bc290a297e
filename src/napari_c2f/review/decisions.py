"""Decisions on the regions of a review, taken and undone in the final layer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.review.decisions import Decision
from napari_c2f.layers.history import LayerHistory
from napari_c2f.layers.session import Session
from napari_c2f.review.history import DecisionHistory
from napari_c2f.review.model import ReviewModel
from napari_c2f.review.request import ReviewData

PIXEL_EVENTS = ("paint", "labels_update", "set_data", "data")
"""Events of a layer whose pixels changed; undo emits `set_data` only."""


class Decisions:
    """Writes decisions into the final layer, and keeps the model up to date with the layer.

    Parameters
    ----------
    session : Session
        Session of the viewer.
    model : ReviewModel
        State that the widget shows.
    data : ReviewData
        The changed pixels.
    final : Labels
        The final layer.
    """

    resized = Signal()
    """Emitted when the final layer got data of another shape."""

    def __init__(
        self, session: Session, model: ReviewModel, data: ReviewData, final: Labels
    ) -> None:
        self._model, self._data, self._final = model, data, final
        self._history = DecisionHistory(final, session)
        for name in PIXEL_EVENTS:
            final.events[name].connect(self._on_change)

    def release(self) -> None:
        """Leave the layer to the user."""
        for name in PIXEL_EVENTS:
            self._final.events[name].disconnect(self._on_change)

    def read(self) -> NDArray[np.uint8]:
        """Read the decision on each region, (R,), from the final layer."""
        pixels = self._data.pixels
        return pixels.decisions(self._final.data, pixels.numbers_of(self._history.rejected))

    def write(self, decision: Decision, numbers: Sequence[int]) -> None:
        """Accept or reject the regions listed in `numbers`, as one step of the undo history."""
        pixels = self._data.pixels
        chosen = pixels.of(numbers)
        accepted = decision is Decision.ACCEPTED
        labels = (pixels.refined if accepted else pixels.coarse)[chosen]
        rejecting = [] if accepted else [pixels.keys[number - 1] for number in numbers]
        self._history.write(pixels.flat_indices[chosen], labels, rejecting)

    def undo(self) -> list[int]:
        """Undo the last change; return the numbers of the regions whose decision changed."""
        return self._retrace(self._final.undo)

    def redo(self) -> list[int]:
        """Redo the last undone change; return the numbers of the regions whose decision changed."""
        return self._retrace(self._final.redo)

    def _retrace(self, step: Callable[[], None]) -> list[int]:
        before = self._model.decisions
        step()
        if not self._final.visible:  # napari emits no event then.
            self._update()
        return [int(index) + 1 for index in np.flatnonzero(before != self._model.decisions)]

    def _on_change(self, event: Any) -> None:
        """Follow the final layer; a stroke counts once it is finished, by its event `paint`."""
        if event.type != "labels_update" or LayerHistory(event.source).open_step is None:
            self._update()

    def _update(self) -> None:
        if self._final.data.shape != self._data.unreviewed.shape:
            self.resized.emit()
            return
        self._history.follow()
        decisions = self.read()
        if not np.array_equal(decisions, self._model.decisions):
            self._model.decisions = decisions
