"""Controller of the Review widget; it and its parts are the only writers of the model."""

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels

from c2f_core.errors import C2FError
from c2f_core.review.decisions import Decision
from napari_c2f.base.controller import Controller, GuiSteps
from napari_c2f.base.proxies import bare
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Session
from napari_c2f.review.decisions import Decisions
from napari_c2f.review.layers import ReviewLayers, changes_layer, final_layer
from napari_c2f.review.model import ReviewModel
from napari_c2f.review.open_review import OpenReview
from napari_c2f.review.request import ReviewData, find_changes, request_of_layers


class ReviewController(Controller[ReviewModel]):
    """Begins and ends reviews; in between, `review` carries out what the user wants.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose layers are reviewed.
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(ReviewModel())
        self._viewer, self._session = viewer, session
        self.review: OpenReview | None = None
        """The review under way."""
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self, *_: Any) -> None:
        """End work and review for good, because the window closes."""
        super().close()
        self.end()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def begin(self, fine: Labels | None, coarse: Labels | None, confidence: Image | None) -> None:
        """Find what a fine map changed in a coarse one, and begin to review it.

        An earlier review of the same fine map is resumed.

        Parameters
        ----------
        fine, coarse : Labels
            Maps to compare, with their current data; of stacks, the plane in view.
        confidence : Image or None
            Confidence of the fine map. Without it larger regions come first, and none is
            doubtful.
        """
        with self._showing_errors():
            if fine is None or coarse is None or fine is coarse:
                raise C2FError(
                    "Choose a fine map and the coarse map that it was refined from; if there is "
                    "none yet, refine a coarse map first."
                )
            request = request_of_layers(fine, coarse, confidence, self._viewer, self._session)
            self.end()
            self._remove_changes()
            self.model.message = "Looking for changes…"
            maps = bare(fine), bare(coarse)
            self._start(
                find_changes(request),
                lambda _: None,
                lambda data: self._show(data, *maps, confidence),
            )

    def _remove_changes(self) -> None:
        """Remove the changes layer of an earlier review."""
        for layer in changes_layers(self._viewer.layers):
            self._viewer.layers.remove(layer)

    def _show(
        self, data: ReviewData, fine: Labels, coarse: Labels, confidence: Image | None
    ) -> GuiSteps:
        """Add the layers of a review one by one, and start it."""
        made = final_layer(self._viewer, self._session, data, fine, coarse)
        final, layers = bare(made), self._viewer.layers
        yield
        if fine in layers and coarse in layers and final not in layers:
            self._viewer.add_layer(final)
            self._session.review_begun.emit(final)
        yield
        if not all(layer in layers for layer in (fine, coarse, final)):
            self.fail("A layer of the review was removed; begin again.")
            return
        review = self._new_review(data, fine, coarse, final)
        self.review = review
        yield
        if self.review is review:  # Otherwise a layer was removed in the meantime.
            self._viewer.add_layer(review.layers.changes)
        yield
        if self.review is review:
            for layer in (coarse, confidence):
                if layer is not None:
                    layer.visible = False  # It would hide the fine map.
            review.start()
            self._succeed(self.model.message)

    def _new_review(
        self, data: ReviewData, fine: Labels, coarse: Labels, final: Labels
    ) -> OpenReview:
        """Return a review that has not started; its changes layer is not in the viewer yet."""
        # What is accepted or painted there outlives the next refinement.
        self._session.strokes.follow(final)
        decisions = Decisions(self._session, self.model, data, final)
        decisions.resized.connect(self._on_resized)
        changes = changes_layer(self._viewer, data, decisions.read(), fine, coarse)
        layers = ReviewLayers(coarse, fine, final, changes)
        return OpenReview(self._viewer, self.model, data, layers, decisions)

    def end(self) -> None:
        """End the review; its final layer stays, and a later review resumes it."""
        review, self.review = self.review, None
        if review is not None:
            self._task, self.model.busy = None, False
            review.close()

    def _on_removed(self, event: Any) -> None:
        if self.review is not None and event.value in self.review.layers.all:
            self.end()
            self.model.message = f"'{event.value.name}' was removed, so the review has ended."

    def _on_resized(self) -> None:
        if self.review is not None:
            final = self.review.layers.final
            self.end()
            self.model.message = f"'{final.name}' has a different size now; begin the review again."

    def choose(self, number: int) -> None:
        """Move to the region of a number."""
        if self.review is not None:
            self.review.navigator.choose(number)

    def set_small(self, pixels: int) -> None:
        """Set the largest size, in pixels, of regions that are decided on as small ones."""
        self.model.small = pixels

    def finish(self) -> None:
        """End the review, and remove the layers that are not needed any more."""
        review = self.review
        if review is None:
            self.tell("No review is under way.")
            return
        layers, undecided = review.layers, self.model.count(Decision.UNDECIDED)
        review.display.show_final(True)
        self.end()
        self._remove_changes()
        if not self._is_needed(layers, undecided):
            self._remove_reviewed(layers.fine)
        regions = "1 region stays" if undecided == 1 else f"{undecided} regions stay"
        left = f" {regions} undecided, as in the coarse map." if undecided else ""
        is_saved = self._session.lineage.is_of_project(layers.coarse)
        self.model.message = (
            f"The review is finished.{left} You need three layers from here: the image, "
            f"'{layers.coarse.name}' and '{layers.final.name}', which "
            f"{'the project saves' if is_saved else 'you save'}."
        )

    def _is_needed(self, layers: ReviewLayers, undecided: int) -> bool:
        """Return whether a finished review needs its fine map.

        It does if strokes are only there, or if a project has to know what is undecided.
        """
        lineage, strokes = self._session.lineage, self._session.strokes
        known = {stroke.stamp for stroke in strokes.strokes_of(layers.final)}
        is_only_there = {stroke.stamp for stroke in strokes.strokes_of(layers.fine)} - known
        return bool(is_only_there) or (undecided > 0 and lineage.is_of_project(layers.coarse))

    def _remove_reviewed(self, fine: Labels) -> None:
        """Remove the fine map of a review, and its confidence."""
        layers = self._viewer.layers
        for layer in (self._session.lineage.confidence_of(layers, fine), fine):
            if layer is not None and layer in layers:
                layers.remove(layer)

    def set_threshold(self, confidence: float) -> None:
        """Set the minimum mean confidence, in [0, 1], of regions that are accepted together."""
        self.model.threshold = confidence
