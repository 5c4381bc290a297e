"""A review under way."""

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.utils.key_bindings import KeyCode, KeyMod

from c2f_core.review.decisions import Decision
from napari_c2f.base.words import counted
from napari_c2f.review.changes import ChangesView
from napari_c2f.review.decisions import Decisions
from napari_c2f.review.display import Display
from napari_c2f.review.layers import ReviewLayers
from napari_c2f.review.model import ReviewModel
from napari_c2f.review.navigator import Navigator
from napari_c2f.review.request import ReviewData

UNDO_KEY = KeyMod.CtrlCmd | KeyCode.KeyZ
REDO_KEY = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ
"""napari's own keys."""


class OpenReview:
    """A review under way: takes decisions, and moves on to the next region.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer of the layers.
    model : ReviewModel
        State that the widget shows.
    data : ReviewData
        The changes to review.
    layers : ReviewLayers
        Layers of the review; they need not be in the viewer before `start`.
    decisions : Decisions
        Decisions in the final layer.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        model: ReviewModel,
        data: ReviewData,
        layers: ReviewLayers,
        decisions: Decisions,
    ) -> None:
        self.data, self.layers = data, layers
        self._model, self._decisions = model, decisions
        model.current, model.regions = 0, data.review.regions
        model.decisions = decisions.read()
        self.display = Display(viewer, model, layers)
        self.navigator = Navigator(viewer, model, data, layers.changes)
        self._changes = ChangesView(layers.changes, data.plane, data.outlines, model)
        self._changes.clicked.connect(self.navigator.choose_at)
        self._bind_keys()

    def start(self) -> None:
        """Show the fine map and the first region; all layers are in the viewer."""
        self._model.reviewing = True
        self.display.show_final(False)
        self._report(f"{counted(len(self._model.regions), 'region')} changed.")
        self.navigator.next()

    def close(self) -> None:
        """Leave the layers to the user, and empty the model."""
        self._decisions.release()
        self.display.compare(False)
        self._changes.release()
        for layer in (self.layers.final, self.layers.changes):
            layer.bind_key(UNDO_KEY, None)
            layer.bind_key(REDO_KEY, None)
        self._model.reviewing, self._model.current = False, 0
        self._model.regions, self._model.decisions = (), np.zeros(0, dtype=np.uint8)

    def accept(self) -> None:
        """Accept the region in view: copy it into the final map."""
        self._decide(Decision.ACCEPTED, self._current(), "Choose a region first.")

    def reject(self) -> None:
        """Reject the region in view: keep the coarse map there."""
        self._decide(Decision.REJECTED, self._current(), "Choose a region first.")

    def accept_above(self) -> None:
        """Accept the undecided regions with at least the minimum confidence, in whole percents."""
        model = self._model
        numbers = [
            number
            for number in model.numbers(Decision.UNDECIDED)
            if round(model.region(number).confidence, 2) >= model.threshold
        ]
        none = f"No undecided region has a confidence of at least {100 * model.threshold:.0f} %."
        self._decide(Decision.ACCEPTED, numbers, none)

    def accept_rest(self) -> None:
        """Accept all undecided regions."""
        self._decide(Decision.ACCEPTED, self._model.numbers(Decision.UNDECIDED))

    def reject_rest(self) -> None:
        """Reject all undecided regions."""
        self._decide(Decision.REJECTED, self._model.numbers(Decision.UNDECIDED))

    def accept_small(self) -> None:
        """Accept the undecided regions of a few pixels."""
        self._decide_small(Decision.ACCEPTED)

    def reject_small(self) -> None:
        """Reject the undecided regions of a few pixels."""
        self._decide_small(Decision.REJECTED)

    def _decide_small(self, decision: Decision) -> None:
        model = self._model
        undecided = model.numbers(Decision.UNDECIDED)
        numbers = [number for number in undecided if model.region(number).size <= model.small]
        self._decide(decision, numbers, f"No undecided region has at most {model.small} px.")

    def undo(self) -> None:
        """Undo the last change of the final layer, and move to a region whose decision changed."""
        self._return_to(self._decisions.undo(), "Undone")

    def redo(self) -> None:
        """Redo the last undone change, and move to a region whose decision changed."""
        self._return_to(self._decisions.redo(), "Redone")

    def _bind_keys(self) -> None:
        """Replace napari's undo and redo in the layers: hidden layers follow, too."""
        for layer in (self.layers.final, self.layers.changes):
            layer.bind_key(UNDO_KEY, lambda _layer: self.undo(), overwrite=True)
            layer.bind_key(REDO_KEY, lambda _layer: self.redo(), overwrite=True)

    def _current(self) -> list[int]:
        return [self._model.current] if self._model.current else []

    def _decide(self, decision: Decision, numbers: Sequence[int], if_none: str = "") -> None:
        """Write a decision into the final layer, and move on to the next region.

        Parameters
        ----------
        decision : Decision
            `ACCEPTED` or `REJECTED`.
        numbers : sequence of int
            Regions to decide on.
        if_none : str
            Message if there are no such regions although some are undecided.
        """
        if not numbers:
            self._report(if_none if self._model.count(Decision.UNDECIDED) else "")
            return
        self._decisions.write(decision, numbers)
        self._report(f"{decision.name.capitalize()}: {self._description(numbers)}.")
        if self._model.count(Decision.UNDECIDED):
            self.navigator.next()
        else:
            self._model.current = 0
            self.display.show_final(True)

    def _return_to(self, numbers: Sequence[int], what: str) -> None:
        if numbers:
            self.navigator.choose(numbers[0])
            self._report(f"{what}: {self._description(numbers)}.")

    def _description(self, numbers: Sequence[int]) -> str:
        if len(numbers) > 1:
            return counted(len(numbers), "region")
        region = self._model.region(numbers[0])
        return f"{region.before} → {region.after}, {region.size} px"

    def _report(self, sentence: str) -> None:
        """Show a sentence, and what is left to do."""
        undecided = self._model.count(Decision.UNDECIDED)
        if undecided:
            rest = f"{counted(undecided, 'region')} left to review."
        elif self.data.plane:
            rest = (
                "Nothing left to review in this plane; show another plane and begin again, or "
                "click Finish."
            )
        else:
            rest = "Nothing left to review; click Finish."
        self._model.message = f"{sentence} {rest}".strip()
