"""Layers of the open image of a project, and how the user changes them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.arrays import Slices
from c2f_core.project import ImageRecord, Work
from c2f_core.project.work import read_confidence, stored_confidence
from c2f_core.review.decisions import RegionKey
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.worker import debouncer
from napari_c2f.layers.convert import (
    class_table_of_layer,
    confidence_layer_data,
    name_of_result,
    new_map,
    unique_name,
)
from napari_c2f.layers.history import painted_step
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Refined, Session
from napari_c2f.layers.strokes import Stroke

PAINTING_MODES = ("paint", "erase", "fill", "polygon")
"""Modes of a Labels layer in which the user paints by hand."""
MAP_EVENTS = ("paint", "data", "set_data", "features")
"""Events of a Labels layer whose pixels or classes changed; undo only emits `set_data`."""
IndexMap = NDArray[Any]


class OpenImage:
    """Shows the work on one image, and follows the changes of its layers.

    `show` has to be called first. Refining adds fine layers, and reviews add final layers; the
    topmost of each belongs to the image.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that shows the layers.
    session : Session
        Session of the viewer.
    work : Work
        Work on the image.
    pixels : (Y, X) or (Y, X, 1, 3 or 4) array
        Pixels of the image.
    """

    changed = Signal()
    """Emitted when a map may have changed."""
    decided = Signal()
    """Emitted when a map was not changed by hand, but by a decision on a region, for example."""
    refined = Signal(Refined)
    """Emitted when a fine map was refined from the coarse map, and added to the viewer."""
    review_begun = Signal()
    """Emitted when a review of the fine map has begun; no region is decided yet."""
    removed = Signal()
    """Emitted when the image or its coarse map was removed from the viewer."""

    def __init__(
        self, viewer: ViewerModel, session: Session, work: Work, pixels: NDArray[Any]
    ) -> None:
        self._viewer, self._session, self._lineage = viewer, session, session.lineage
        self._followed: list[Labels] = []
        # Layers that are removed together, such as a selection, are removed one by one.
        self._leaving: list[Layer] = []
        self._forget_leaving = debouncer(0, self._leaving.clear)
        self.name = work.record.name
        self.painted = 0
        """Number of pixels changed by hand; a pixel counts once per stroke."""
        self.image = self._new_image(pixels)
        self.coarse = self._new_map(work.coarse, work.class_table, f"{self.name} coarse")
        self._lineage.set_image(self.coarse, self.image)
        # Two visible maps on top of each other would be illegible.
        self.coarse.visible = work.fine is None

    # Showing

    def show(self, work: Work) -> GuiSteps:
        """Add the layers of the work, one per step, and select the topmost map."""
        layers = self._viewer.layers
        for layer in (self.image, self.coarse):
            self._viewer.add_layer(layer)
            yield
        for layer in self._new_results(work):
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
        self, index_map: IndexMap, table: ClassTable, name: str, *, is_result: bool = False
    ) -> Labels:
        layer = new_map(self._viewer, index_map.copy(), table, name, {}, is_result=is_result)
        self._follow(layer)
        return layer

    def _new_results(self, work: Work) -> Iterator[Layer]:
        """Yield new layers: the fine map, its confidence and, under review, the final map."""
        if work.fine is None:
            return
        lineage, table, rejected = self._lineage, work.class_table, work.record.rejected
        shown = work.fine if work.refined is None else work.refined
        fine = self._new_map(shown, table, self._name("fine"), is_result=True)
        fine.visible = work.refined is None
        confidence = None if work.confidence is None else self._new_confidence(work.confidence)
        lineage.add_fine(fine, self.coarse, confidence, rejected=rejected)
        painted = work.painted if work.refined is None else work.painted_refined
        self._session.strokes.follow(fine).inherit(self._strokes_of(painted))
        yield fine
        if confidence is not None:
            yield confidence
        if work.refined is not None:
            final = self._new_map(work.fine, table, self._name("final"), is_result=True)
            lineage.add_final(final, fine, rejected, self._strokes_of(work.painted))
            yield final

    def _name(self, kind: str) -> str:
        return name_of_result(self.coarse.name, kind)

    def _strokes_of(self, painted: NDArray[np.bool_] | None) -> list[Stroke]:
        """Return the pixels painted in earlier sessions as strokes."""
        return [] if painted is None else [self._session.strokes.stroke_of(painted)]

    def _new_confidence(self, stored: NDArray[np.uint8]) -> Image:
        name = unique_name(self._viewer.layers, self._name("confidence"))
        data, keywords, _ = confidence_layer_data(read_confidence(stored), name)
        return Image(data, **keywords, visible=False)

    # Content

    @property
    def is_there(self) -> bool:
        """Whether the viewer contains the image and its coarse map."""
        return self.image in self._viewer.layers and self.coarse in self._viewer.layers

    @property
    def _layers(self) -> list[Layer]:
        """All layers, including those of the image that are being removed at the moment."""
        layers = list(self._viewer.layers)
        if not self._leaving:
            return layers
        maps = [layer for layer in self._followed if layer in layers or layer in self._leaving]
        others = [layer for layer in (*layers, *self._leaving) if layer not in maps]
        return [*others, *maps]

    @property
    def fine(self) -> Labels | None:
        """The topmost map that was refined from the coarse map.

        A final map takes its place if the user deletes the map under review.
        """
        layers = self._layers
        results = self._lineage.results_of(layers, self.coarse)
        return next((each for each in results if self._lineage.fine_of(layers, each) is None), None)

    @property
    def final(self) -> Labels | None:
        """The final map of the review of the fine map."""
        fine = self.fine
        return None if fine is None else self._lineage.final_of(self._layers, fine)

    def work(self, record: ImageRecord) -> Work:
        """Copy the current maps.

        Parameters
        ----------
        record : ImageRecord
            Record of the image; its rejected regions are updated.

        Raises
        ------
        C2FError
            If the maps differ in size.
        """
        fine, final, strokes = self.fine, self.final, self._session.strokes
        whole = None if fine is None else self._whole(fine)
        if fine is not None:  # Otherwise, the saved fine map remains as well.
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
        """Return the class table of the coarse map, or a larger one of its results."""
        layers = [layer for layer in (self.coarse, self.fine, self.final) if layer is not None]
        tables = [class_table_of_layer(layer) for layer in layers]
        # Of equally large tables, max returns the first: that of the coarse map.
        return max(tables, key=lambda table: table.number_of_classes)

    def _rejected(self, slices: Slices) -> tuple[RegionKey, ...]:
        """Return the keys, in the whole map, of the regions rejected in this part of it."""
        keys = self._lineage.rejected_regions(self._layers, self.coarse, slices)
        part, corner = np.array([(axis.stop - axis.start, axis.start) for axis in slices]).T

        def in_whole(first: int) -> int:
            pixel = np.array(np.unravel_index(first, part)) + corner
            return int(np.ravel_multi_index(pixel, self.coarse.data.shape))

        return tuple((in_whole(first), size, refined) for first, size, refined in keys)

    def _painted_pixels(
        self, layer: Labels | None, omitted: Iterable[Stroke] = ()
    ) -> NDArray[np.bool_] | None:
        """Return a mask of the pixels of a map painted by hand; None if there are none.

        Strokes whose current pixels are in another map are omitted.
        """
        if layer is None:
            return None
        stamps, slices = {stroke.stamp for stroke in omitted}, self._lineage.slices_of(layer)
        painted = np.zeros(self.coarse.data.shape, np.bool_)
        for protected in self._session.strokes.protected_in(layer):
            if protected.stroke.stamp not in stamps:
                painted[protected.within(slices).patch.slices] |= protected.patch.mask
        return painted if painted.any() else None

    def _whole(self, fine: Labels) -> IndexMap:
        """Return a fine map in the size of the image: a map of a part is pasted into its source."""
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

    # Events

    def _follow(self, layer: Labels) -> None:
        self._followed.append(layer)
        for name in MAP_EVENTS:
            layer.events[name].connect(self._on_change)

    def _on_change(self, event: Any) -> None:
        if event.type == "paint":
            if event.source.mode in PAINTING_MODES and not self._is_programmatic(event.source):
                self.painted += painted_step(event).number_painted()
            else:
                self.changed.emit()
                self.decided.emit()
                return
        self.changed.emit()

    def _is_programmatic(self, layer: Labels) -> bool:
        return self._session.strokes.is_programmatic(layer)

    def _on_inserted(self, event: Any) -> None:
        """Follow a layer that is now the topmost fine or final map of the image."""
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
        self._forget_leaving.throttle()
        if event.value in (self.image, self.coarse):
            self.removed.emit()
        elif event.value in self._followed:  # Without its fine map, a review is finished.
            self.changed.emit()

    def close(self) -> None:
        """Remove all layers of the image from the viewer."""
        layers = self._viewer.layers
        results = self._lineage.layers_of_results(layers, self.coarse)
        changes = changes_layers(layers)
        self.release()
        self._lineage.close(self.coarse)
        # In one batch, as napari collects garbage after each removal.
        with layers.batched_update():
            for layer in (*changes, *results, self.coarse, self.image):
                if layer in layers:
                    layers.remove(layer)

    def release(self) -> None:
        """Stop following the layers; they stay in the viewer."""
        self._forget_leaving.cancel()
        self._lineage.set_image(self.coarse, None)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._session.refined.disconnect(self._on_refined, missing_ok=True)
        self._session.review_begun.disconnect(self._on_review_begun, missing_ok=True)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._followed:
            for name in MAP_EVENTS:
                layer.events[name].disconnect(self._on_change)
        self._followed.clear()
