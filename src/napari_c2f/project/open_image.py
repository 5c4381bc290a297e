"""The layers of the project's image that is in the viewer, and what a person does to them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.windows import Slices
from c2f_core.project import ImageRecord, Work
from c2f_core.project.work import read_confidence, stored_confidence
from c2f_core.review.decisions import RegionKey
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.worker import debouncer
from napari_c2f.layers.convert import (
    class_table_of_layer,
    confidence_layer_data,
    new_map,
    unique_name,
)
from napari_c2f.layers.history import painted_step
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Refined, Session
from napari_c2f.layers.strokes import Stroke, stroke_of

DRAWING = ("paint", "erase", "fill", "polygon")
"""Modes of a Labels layer in which a person changes pixels by hand."""
CHANGE_EVENTS = ("paint", "data", "set_data", "features")
"""Events that tell of other pixels or classes; undo shows in `set_data` only."""
IndexMap = NDArray[Any]


class OpenImage:
    """Shows the work on one image, and follows what becomes of it.

    It is shown before anything else is asked of it. Refining adds a fine layer, and a
    review adds a final one beside it; the topmost of each is that of the image.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
        Session of the viewer.
    work : Work
    pixels : (Y, X) or (Y, X, 1, 3 or 4) array
        The image.
    """

    changed = Signal()
    """Sent when a map may have changed."""
    decided = Signal()
    """Sent when a map changed otherwise than by hand: a region was accepted, say."""
    refined = Signal(Refined)
    """Emitted when a fine map was refined from the coarse map, and added to the viewer."""
    review_begun = Signal()
    """Emitted when a review of the fine map has begun; no region is decided yet."""
    removed = Signal()
    """Sent when the image or its coarse map was removed from the viewer."""

    def __init__(
        self, viewer: ViewerModel, session: Session, work: Work, pixels: NDArray[Any]
    ) -> None:
        self._viewer, self._session, self._lineage = viewer, session, session.lineage
        self._followed: list[Labels] = []
        # Removed in this turn of the event loop, as the layers of a selection are.
        self._leaving: list[Layer] = []
        self._turn = debouncer(0, self._leaving.clear)
        self.name = work.record.name
        self.painted = 0
        """Pixels that were changed by hand, counted anew at each stroke."""
        self.image = self._new_image(pixels)
        self.coarse = self._new_map(work.coarse, work.class_table, "coarse")
        self._lineage.set_image(self.coarse, self.image)
        # Two maps on top of each other show neither.
        self.coarse.visible = work.fine is None

    # Showing

    def show(self, work: Work) -> GuiSteps:
        """Add the layers of this work, one in each turn; the uppermost map is active then."""
        layers = self._viewer.layers
        for layer in (self.image, self.coarse):
            self._viewer.add_layer(layer)
            yield
        for layer in () if work.fine is None else self._new_results(work):
            self._viewer.add_layer(layer)
            yield
        layers.selection.active = self.final or self.fine or self.coarse
        self._session.refined.connect(self._on_refined)
        self._session.review_begun.connect(self._on_review_begun)
        layers.events.inserted.connect(self._on_inserted, position="last")
        layers.events.removed.connect(self._on_removed)

    def _new_image(self, pixels: NDArray[Any]) -> Image:
        plane = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        name = unique_name(self._viewer.layers, self.name)
        return Image(plane, name=name, rgb=plane.ndim == 3)

    def _new_map(
        self, index_map: IndexMap, table: ClassTable, kind: str, *, is_result: bool = False
    ) -> Labels:
        name = f"{self.name} {kind}"
        layer = new_map(self._viewer, index_map.copy(), table, name, {}, is_result=is_result)
        self._follow(layer)
        return layer

    def _new_results(self, work: Work) -> Iterator[Layer]:
        """Make the fine map and its confidence and, under review, the final map, one by one."""
        assert work.fine is not None
        lineage, table, rejected = self._lineage, work.class_table, work.record.rejected
        shown = work.fine if work.refined is None else work.refined
        fine = self._new_map(shown, table, "coarse refined", is_result=True)
        fine.visible = work.refined is None
        confidence = None if work.confidence is None else self._new_confidence(work.confidence)
        lineage.add_fine(fine, self.coarse, confidence, rejected=rejected)
        painted = work.painted if work.refined is None else work.painted_refined
        self._session.strokes.follow(fine).inherit(_strokes_of(painted))
        yield fine
        if confidence is not None:
            yield confidence
        if work.refined is not None:
            final = self._new_map(work.fine, table, "coarse final", is_result=True)
            lineage.add_final(final, fine, rejected, _strokes_of(work.painted))
            yield final

    def _new_confidence(self, stored: NDArray[np.uint8]) -> Image:
        name = unique_name(self._viewer.layers, f"{self.name} coarse confidence")
        data, keywords, _ = confidence_layer_data(read_confidence(stored), name)
        return Image(data, **keywords, visible=False)

    # What there is

    @property
    def is_there(self) -> bool:
        """Tell whether the viewer has what cannot be done without: the image and its map."""
        return self.image in self._viewer.layers and self.coarse in self._viewer.layers

    @property
    def _layers(self) -> list[Layer]:
        """All layers, with those of the image that are just being removed, one by one."""
        layers = list(self._viewer.layers)
        if not self._leaving:
            return layers
        maps = [layer for layer in self._followed if layer in layers or layer in self._leaving]
        others = [layer for layer in (*layers, *self._leaving) if layer not in maps]
        return [*others, *maps]

    @property
    def fine(self) -> Labels | None:
        """The topmost map that was refined from the coarse one, and no review of another.

        Where a person deletes the map that is reviewed, the final one takes its place.
        """
        layers = self._layers
        results = self._lineage.results_of(layers, self.coarse)
        return next((each for each in results if self._lineage.fine_of(layers, each) is None), None)

    @property
    def final(self) -> Labels | None:
        """The map of a review of the fine one."""
        fine = self.fine
        return None if fine is None else self._lineage.final_of(self._layers, fine)

    def work(self, record: ImageRecord) -> Work:
        """Copy the maps as they are now.

        Raises
        ------
        C2FError
            The maps are not of one size.
        """
        fine, final, strokes = self.fine, self.final, self._session.strokes
        whole = None if fine is None else self._whole(fine)
        if fine is not None:  # Without it, that of the record stays as well.
            rejected = self._rejected(self._lineage.slices_of(fine))
            record = record.model_copy(update={"rejected": rejected})
        return Work(
            record,
            self._class_table(),
            np.array(self.coarse.data),
            whole if final is None else self._whole(final),
            None if final is None else whole,
            self._confidence(fine),
            self._painted_pixels(fine if final is None else final),
            None if final is None else self._painted_pixels(fine, strokes.strokes_of(final)),
        )

    def _class_table(self) -> ClassTable:
        """Return that of the coarse map, but where refining in other classes made a larger one."""
        layers = [layer for layer in (self.coarse, self.fine, self.final) if layer is not None]
        tables = [class_table_of_layer(layer) for layer in layers]
        return max(tables, key=lambda table: table.number_of_classes)  # The first of equals.

    def _rejected(self, place: Slices) -> tuple[RegionKey, ...]:
        """Return the regions that were rejected in a place, by their keys in the whole map."""
        keys = self._lineage.rejected_regions(self._layers, self.coarse, place)
        part, corner = np.array([(axis.stop - axis.start, axis.start) for axis in place]).T

        def in_whole(first: int) -> int:
            pixel = np.array(np.unravel_index(first, part)) + corner
            return int(np.ravel_multi_index(pixel, self.coarse.data.shape))

        return tuple((in_whole(first), size, refined) for first, size, refined in keys)

    def _painted_pixels(
        self, layer: Labels | None, told: Iterable[Stroke] = ()
    ) -> NDArray[np.bool_] | None:
        """Return where a fine or final map was painted by hand; None if it was not.

        Strokes of which another map tells what became of them are left out.
        """
        if layer is None:
            return None
        stamps, slices = {stroke.stamp for stroke in told}, self._lineage.slices_of(layer)
        painted = np.zeros(self.coarse.data.shape, np.bool_)
        for kept in self._session.strokes.protected_in(layer):
            if kept.stroke.stamp not in stamps:
                painted[kept.within(slices).patch.slices] |= kept.patch.mask
        return painted if painted.any() else None

    def _whole(self, fine: Labels) -> IndexMap:
        """Return a map, within the one that it is a part of where it is one."""
        index_map = np.array(fine.data)
        for source in self._lineage.sources_of(self._layers, fine):
            around = np.array(source.data, dtype=index_map.dtype)
            around[self._lineage.slices_of(fine)] = index_map
            index_map, fine = around, source
        return index_map

    def _confidence(self, fine: Labels | None) -> NDArray[np.uint8] | None:
        layer = None if fine is None else self._lineage.confidence_of(self._layers, fine)
        if fine is None or layer is None:
            return None
        confidence = np.full(self.coarse.data.shape, np.nan, dtype=np.float32)
        confidence[self._lineage.slices_of(fine)] = layer.data
        return stored_confidence(confidence)

    # What happens

    def _follow(self, layer: Labels) -> None:
        self._followed.append(layer)
        for name in CHANGE_EVENTS:
            layer.events[name].connect(self._on_change)

    def _on_change(self, event: Any) -> None:
        if event.type == "paint":
            if event.source.mode in DRAWING and not self._is_programmatic(event.source):
                self.painted += painted_step(event).number_painted()
            else:
                self.changed.emit()
                self.decided.emit()
                return
        self.changed.emit()

    def _is_programmatic(self, layer: Labels) -> bool:
        return self._session.strokes.is_programmatic(layer)

    def _on_inserted(self, event: Any) -> None:
        """Follow what becomes the topmost fine or final map of the image."""
        if event.value is self.fine or event.value is self.final:
            self._follow(event.value)

    def _on_refined(self, refined: Refined) -> None:
        if refined.fine is self.fine:
            self.refined.emit(refined)

    def _on_review_begun(self, final: Labels) -> None:
        if final is self.final:
            self.review_begun.emit()

    def _on_removed(self, event: Any) -> None:
        self._leaving.append(event.value)
        self._turn.throttle()
        if event.value in (self.image, self.coarse):
            self.removed.emit()

    def close(self) -> None:
        """Take all layers out of the viewer that belong to it."""
        layers = self._viewer.layers
        results = self._lineage.layers_of_results(layers, self.coarse)
        changes = changes_layers(layers)
        self.release()
        self._lineage.close(self.coarse)
        # At once: when layers go, napari has Python look through all that there is for garbage.
        with layers.batched_update():
            for layer in (*changes, *results, self.coarse, self.image):
                if layer in layers:
                    layers.remove(layer)

    def release(self) -> None:
        """Follow it no longer; its layers stay."""
        self._turn.cancel()
        self._lineage.set_image(self.coarse, None)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._session.refined.disconnect(self._on_refined, missing_ok=True)
        self._session.review_begun.disconnect(self._on_review_begun, missing_ok=True)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._followed:
            for name in CHANGE_EVENTS:
                layer.events[name].disconnect(self._on_change)
        self._followed.clear()


def _strokes_of(painted: NDArray[np.bool_] | None) -> list[Stroke]:
    """Return what was painted in a map in earlier sessions."""
    return [] if painted is None else [stroke_of(painted)]
