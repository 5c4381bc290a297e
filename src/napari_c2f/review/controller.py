"""Decides what happens in the Review widget; the only writer of its model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.review.decisions import Decision
from c2f_core.review.regions import ReviewRegion
from napari_c2f.base.controller import Controller, GuiSteps
from napari_c2f.base.proxies import bare
from napari_c2f.base.worker import Task
from napari_c2f.layers.convert import RESULT_KEY, new_map, spatial_keywords
from napari_c2f.layers.lineage import CHANGES, changes_layers
from napari_c2f.layers.strokes import follow
from napari_c2f.review.camera import look_at
from napari_c2f.review.history import DecisionHistory
from napari_c2f.review.layers import ReviewLayers, codes_of
from napari_c2f.review.model import ReviewState
from napari_c2f.review.request import ReviewData, final_layer, request_of_layers, reviewing

CHANGE_EVENTS = ("paint", "labels_update", "set_data", "data")
"""Events of a layer that tell of other pixels; undo shows in `set_data` only."""


@dataclass(eq=False)
class _Review:
    """A review under way."""

    reviewed: ReviewData
    layers: ReviewLayers
    history: DecisionHistory
    places_seen: int = 0


class ReviewController(Controller[ReviewState]):
    """Lets the user decide on what refining changed, region by region.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.state = ReviewState()
        super().__init__(self.state)
        self._viewer = viewer
        self._review: _Review | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self, *_: Any) -> None:
        """End the work and the review for good: the window closes."""
        super().close()
        self.end()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def begin(self, fine: Labels | None, coarse: Labels | None, confidence: Image | None) -> None:
        """Find what a fine map changed in a coarse one, and begin to review it.

        An earlier review of the same fine map goes on where it was.

        Parameters
        ----------
        fine, coarse : Labels
            Their data are taken now, of stacks those of the plane that is shown.
        confidence : Image or None
            Of the fine map; without it larger regions come first, and no place is doubtful.
        """
        with self._errors_told():
            request = request_of_layers(fine, coarse, confidence, self._viewer)
            self.end()
            self._remove_changes()
            self.state.message = "Looking for what changed…"
            self._start(
                Task(reviewing(request)),
                lambda _: None,
                lambda reviewed: self._show(reviewed, bare(fine), bare(coarse), confidence),
            )

    def _remove_changes(self) -> None:
        """Remove the changes layer of an earlier review."""
        for layer in changes_layers(self._viewer.layers):
            self._viewer.layers.remove(layer)

    def _show(
        self, reviewed: ReviewData, fine: Labels, coarse: Labels, confidence: Image | None
    ) -> GuiSteps:
        """Add the layers of the review, and begin."""
        final, layers = bare(final_layer(self._viewer, reviewed, fine, coarse)), self._viewer.layers
        yield
        if fine in layers and coarse in layers and final not in layers:
            self._viewer.add_layer(final)
        yield
        if not all(layer in layers for layer in (fine, coarse, final)):
            self.fail("A layer of the review was removed; begin again.")
            return
        review = self._review = self._new_review(reviewed, fine, coarse, final)
        yield
        if self._review is review:  # Else a layer was removed meanwhile.
            self._viewer.add_layer(review.layers.changes)
        yield
        if self._review is review:
            for layer in (coarse, *([] if confidence is None else [confidence])):
                layer.visible = False  # They would hide what is to be judged.
            self._show_review(review)

    def _new_review(
        self, reviewed: ReviewData, fine: Labels, coarse: Labels, final: Labels
    ) -> _Review:
        """Make the changes layer, and follow it and the final one."""
        follow(final)  # What is accepted or painted there outlives the next refinement.
        history = DecisionHistory(final)
        codes = codes_of(_decisions(reviewed, history, final), 0)
        # As large as the final map: of memory that stays zero, nothing is taken.
        shown = np.zeros(reviewed.unreviewed.shape, np.uint8)
        shown[reviewed.plane] = reviewed.outlines.painted(codes)
        changes = new_map(
            self._viewer,
            shown,
            CHANGES,
            f"{coarse.name} changes",
            spatial_keywords(fine),
            **{RESULT_KEY: True},
        )
        changes.opacity, changes.editable = 1.0, False
        layers = ReviewLayers(
            self._viewer,
            coarse,
            fine,
            final,
            changes,
            reviewed.plane,
            reviewed.outlines,
            codes,
        )
        layers.bind(self.undo, self.redo, self._choose_at)
        for name in CHANGE_EVENTS:
            final.events[name].connect(self._on_change)
        return _Review(reviewed, layers, history)

    def _show_review(self, review: _Review) -> None:
        state = self.state
        review.layers.outline(state.outlined)
        state.current = 0
        state.regions = review.reviewed.review.regions
        state.decisions = _decisions(review.reviewed, review.history, review.layers.final)
        state.reviewing = True
        self.show_final(False)
        self._succeed("")
        self._tell(f"{len(state.regions)} regions changed.")
        self.next()

    def end(self) -> None:
        """End the review; the final layer stays, and a later review goes on with it."""
        review, self._review, state = self._review, None, self.state
        if review is None:
            return
        self._task, state.busy = None, False
        for name in CHANGE_EVENTS:
            review.layers.final.events[name].disconnect(self._on_change)
        review.layers.release()
        state.reviewing, state.current = False, 0
        state.regions, state.decisions = (), np.zeros(0, dtype=np.uint8)

    def _on_removed(self, event: Any) -> None:
        if self._review is not None and event.value in self._review.layers.all:
            self.end()
            self.state.message = f"'{event.value.name}' was removed, so the review has ended."

    # Looking at regions

    def choose(self, number: int) -> None:
        """Look at the region of this number."""
        if self._review is None:
            return
        self.state.current = number
        self._colour()
        self._look_at(self.state.regions[number - 1])

    def _choose_at(self, place: int) -> None:
        """Look at the region at a place of the flattened map, if there is one."""
        number = int(self._review.reviewed.review.numbers.flat[place])
        if number:
            self.choose(number)

    def next(self) -> None:
        """Look at the next undecided region; where there is none, at the next one."""
        self._step(1)

    def previous(self) -> None:
        """Look at the previous undecided region; where there is none, at the previous one."""
        self._step(-1)

    def _step(self, direction: int) -> None:
        state = self.state
        candidates = state.numbers(Decision.UNDECIDED) or range(1, len(state.regions) + 1)
        ordered = sorted(candidates, reverse=direction < 0)
        if ordered:
            beyond = (each for each in ordered if (each - state.current) * direction > 0)
            self.choose(next(beyond, ordered[0]))

    def next_doubtful(self) -> None:
        """Look at the most doubtful place that was not looked at yet, changed or not."""
        review = self._review
        if review is None:
            return
        places = review.reviewed.places
        if not places:
            self.state.message = "No place is doubtful."
            return
        place = places[review.places_seen % len(places)]
        review.places_seen += 1
        self._look_at(place)
        self.state.message = (
            f"Doubtful place {place.number} of {len(places)}: {place.size} px, mean confidence "
            f"{100 * place.confidence:.0f} %."
            + (" That was the last one." if place.number == len(places) else "")
        )

    def _look_at(self, place: ReviewRegion) -> None:
        layers = self._review.layers
        look_at(self._viewer, layers.changes, layers.plane, place.window)

    # Deciding

    def accept(self) -> None:
        """Take the region that is looked at over into the final map."""
        self._decide(Decision.ACCEPTED, self._current())

    def reject(self) -> None:
        """Keep the coarse map in the region that is looked at."""
        self._decide(Decision.REJECTED, self._current())

    def set_enough(self, confidence: float) -> None:
        """Set the mean confidence from which regions are accepted together, in [0, 1]."""
        self.state.enough = confidence

    def accept_above(self) -> None:
        """Accept the undecided regions of enough confidence, in whole percents."""
        regions, enough = self.state.regions, self.state.enough
        undecided = self.state.numbers(Decision.UNDECIDED)
        self._decide(
            Decision.ACCEPTED,
            [number for number in undecided if round(regions[number - 1].confidence, 2) >= enough],
        )

    def accept_rest(self) -> None:
        """Accept all undecided regions."""
        self._decide(Decision.ACCEPTED, self.state.numbers(Decision.UNDECIDED))

    def reject_rest(self) -> None:
        """Reject all undecided regions."""
        self._decide(Decision.REJECTED, self.state.numbers(Decision.UNDECIDED))

    def _current(self) -> list[int]:
        return [self.state.current] if self.state.current else []

    def _decide(self, decision: Decision, numbers: Sequence[int]) -> None:
        """Write a decision into the final layer, and look at the next region."""
        review, state = self._review, self.state
        if review is None:
            return
        if not numbers:
            self._tell("There is no such region.")
            return
        pixels = review.reviewed.pixels
        chosen = pixels.of(numbers)
        accepted = decision is Decision.ACCEPTED
        labels = (pixels.refined if accepted else pixels.coarse)[chosen]
        rejecting = [] if accepted else [pixels.keys[number - 1] for number in numbers]
        review.history.write(pixels.flat_indices[chosen], labels, rejecting)
        self._tell(f"{decision.name.capitalize()}: {self._named(numbers)}.")
        if state.count(Decision.UNDECIDED):
            self.next()
        else:
            state.current = 0
            self._colour()
            self.show_final(True)

    def undo(self) -> None:
        """Undo the last change of the final layer, and look at what is decided otherwise."""
        self._back_or_forth(lambda layer: layer.undo(), "Undone")

    def redo(self) -> None:
        """Redo what was undone last, and look at what is decided otherwise."""
        self._back_or_forth(lambda layer: layer.redo(), "Redone")

    def _back_or_forth(self, step: Callable[[Labels], None], name: str) -> None:
        before = self.state.decisions
        self._review.history.make_writable()
        step(self._review.layers.final)
        if not self._review.layers.final.visible:  # Then it does not tell.
            self._look_again()
        differing = (np.flatnonzero(before != self.state.decisions) + 1).tolist()
        if differing:
            self.choose(differing[0])
            self._tell(f"{name}: {self._named(differing)}.")

    def _on_change(self, event: Any) -> None:
        """Follow the final layer; a stroke shows when it is finished, by its event `paint`."""
        if event.type != "labels_update" or not event.source._staged_history:
            self._look_again()

    def _look_again(self) -> None:
        """Read the decisions off the final layer."""
        review = self._review
        final = review.layers.final
        if final.data.shape != review.reviewed.unreviewed.shape:
            self.end()
            self.state.message = f"'{final.name}' has another size now; review again."
            return
        review.history.follow()
        decisions = _decisions(review.reviewed, review.history, final)
        if not np.array_equal(decisions, self.state.decisions):
            self.state.decisions = decisions
            self._colour()

    # What is shown

    def show_final(self, final: bool) -> None:
        """Show the final map, to correct it by hand, or the refined one, to judge it."""
        if self._review is not None:
            self._review.layers.show_final(final)
            self.state.shows_final = final

    def switch_final(self) -> None:
        """Show the other of the final and the refined map."""
        self.show_final(not self.state.shows_final)

    def switch_outlines(self) -> None:
        """Show maps as outlines of their classes, or filled again."""
        self.outline(not self.state.outlined)

    def outline(self, outlined: bool) -> None:
        """Show maps as outlines of their classes, or filled."""
        self.state.outlined = outlined
        if self._review is not None:
            self._review.layers.outline(outlined)

    def compare(self, held: bool) -> None:
        """Show the coarse map in place of the others as long as this is held."""
        if self._review is not None:
            self._review.layers.compare(held)

    def _colour(self) -> None:
        self._review.layers.show_codes(codes_of(self.state.decisions, self.state.current))

    def _named(self, numbers: Sequence[int]) -> str:
        if len(numbers) > 1:
            return f"{len(numbers)} regions"
        region = self.state.regions[numbers[0] - 1]
        return f"{region.before} → {region.after}, {region.size} px"

    def _tell(self, sentence: str) -> None:
        left = self.state.count(Decision.UNDECIDED)
        done = "All is decided; save the final layer."
        if self._review.reviewed.plane:
            done = "All is decided in this plane; begin with another, or save the final layer."
        self.state.message = f"{sentence} {f'{left} left to decide.' if left else done}"


def _decisions(reviewed: ReviewData, history: DecisionHistory, final: Labels) -> NDArray[np.uint8]:
    """Read the decisions off the final layer."""
    pixels = reviewed.pixels
    return pixels.decisions(final.data, pixels.numbers_of(history.rejected))
