"""The layers of the project's image that is in the viewer, and what a person does to them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.patches import Slices
from c2f_core.project import ImageRecord, Work
from c2f_core.project.work import read_confidence, stored_confidence
from c2f_core.review.decisions import RegionKey
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.worker import timer
from napari_c2f.layers.convert import (
    CLOSED_KEY,
    COARSE_KEY,
    CONFIDENCE_KEY,
    FINE_KEY,
    IMAGE_KEY,
    REJECTED_KEY,
    RESULT_KEY,
    class_table_of_layer,
    confidence_layer_data,
    confidence_of,
    new_map,
    unique_name,
)
from napari_c2f.layers.lineage import (
    changes_layers,
    final_of,
    place_of,
    protected_strokes_in,
    rejected_regions,
    results_of,
    sources_of,
)
from napari_c2f.layers.locks import has_mask
from napari_c2f.layers.strokes import Stroke, follow, is_programmatic, stroke_of, strokes_of

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
    work : Work
    pixels : (Y, X) or (Y, X, 1, 3 or 4) array
        The image.
    """

    changed = Signal()
    """Sent when a map may have changed."""
    decided = Signal()
    """Sent when a map changed otherwise than by hand: a region was accepted, say."""
    refined = Signal(Labels)
    """Sent with the fine layer that refining made."""
    review_begun = Signal()
    """Sent when a final layer was added, in which nothing is decided yet."""
    removed = Signal()
    """Sent when the image or its coarse map was removed from the viewer."""

    def __init__(self, viewer: ViewerModel, work: Work, pixels: NDArray[Any]) -> None:
        self._viewer = viewer
        self._followed: list[Labels] = []
        # Removed in this turn of the event loop, as the layers of a selection are.
        self._leaving: list[Layer] = []
        self._turn = timer(0, self._leaving.clear, once=True)
        self.name = work.record.name
        self.painted = 0
        """Pixels that were changed by hand, counted anew at each stroke."""
        self.image = self._new_image(pixels)
        about = {IMAGE_KEY: self.image.unique_id}
        self.coarse = self._new_map(work.coarse, work.class_table, "coarse", **about)
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
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_removed)

    def _new_image(self, pixels: NDArray[Any]) -> Image:
        plane = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        name = unique_name(self._viewer.layers, self.name)
        return Image(plane, name=name, rgb=plane.ndim == 3)

    def _new_map(self, index_map: IndexMap, table: ClassTable, kind: str, **about: Any) -> Labels:
        name = f"{self.name} {kind}"
        layer = new_map(self._viewer, index_map.copy(), table, name, {}, **about)
        self._follow(layer)
        return layer

    def _new_results(self, work: Work) -> Iterator[Layer]:
        """Make the fine map and its confidence and, under review, the final map, one by one."""
        assert work.fine is not None
        shown = work.fine if work.refined is None else work.refined
        about = {
            RESULT_KEY: True,
            COARSE_KEY: self.coarse.unique_id,
            REJECTED_KEY: work.record.rejected,
        }
        fine = self._new_map(shown, work.class_table, "coarse refined", **about)
        fine.visible = work.refined is None
        _follow_strokes(fine, work.painted if work.refined is None else work.painted_refined)
        yield fine
        if work.confidence is not None:
            name = unique_name(self._viewer.layers, f"{self.name} coarse confidence")
            data, keywords, _ = confidence_layer_data(read_confidence(work.confidence), name)
            confidence = Image(data, **keywords, visible=False)
            about[CONFIDENCE_KEY] = fine.metadata[CONFIDENCE_KEY] = confidence.unique_id
            yield confidence
        if work.refined is not None:
            about[FINE_KEY] = fine.unique_id
            final = self._new_map(work.fine, work.class_table, "coarse final", **about)
            _follow_strokes(final, work.painted)
            yield final

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
        there = {layer.unique_id for layer in layers}
        results = results_of(layers, self.coarse)
        return next((each for each in results if each.metadata.get(FINE_KEY) not in there), None)

    @property
    def final(self) -> Labels | None:
        """The map of a review of the fine one."""
        fine = self.fine
        return None if fine is None else final_of(self._layers, fine)

    def work(self, record: ImageRecord) -> Work:
        """Copy the maps as they are now.

        Raises
        ------
        C2FError
            The maps are not of one size.
        """
        fine, final = self.fine, self.final
        whole = None if fine is None else self._whole(fine)
        if fine is not None:  # Without it, that of the record stays as well.
            record = record.model_copy(update={"rejected": self._rejected(place_of(fine))})
        return Work(
            record,
            self._class_table(),
            np.array(self.coarse.data),
            whole if final is None else self._whole(final),
            None if final is None else whole,
            self._confidence(fine),
            self._painted_pixels(fine if final is None else final),
            None if final is None else self._painted_pixels(fine, strokes_of(final)),
        )

    def _class_table(self) -> ClassTable:
        """Return that of the coarse map, but where refining in other classes made a larger one."""
        layers = [layer for layer in (self.coarse, self.fine, self.final) if layer is not None]
        tables = [class_table_of_layer(layer) for layer in layers]
        return max(tables, key=lambda table: table.number_of_classes)  # The first of equals.

    def _rejected(self, place: Slices) -> tuple[RegionKey, ...]:
        """Return the regions that were rejected in a place, by their keys in the whole map."""
        keys = rejected_regions(self._layers, self.coarse, place)
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
        stamps = {stroke.stamp for stroke in told}
        painted = np.zeros(self.coarse.data.shape, np.bool_)
        for kept in [] if layer is None else protected_strokes_in(layer):
            if kept.stroke.stamp not in stamps:
                painted[kept.within(place_of(layer)).patch.place] |= kept.patch.mask
        return painted if painted.any() else None

    def _whole(self, fine: Labels) -> IndexMap:
        """Return a map, within the one that it is a part of where it is one."""
        index_map = np.array(fine.data)
        for source in sources_of(self._layers, fine):
            around = np.array(source.data, dtype=index_map.dtype)
            around[place_of(fine)] = index_map
            index_map, fine = around, source
        return index_map

    def _confidence(self, fine: Labels | None) -> NDArray[np.uint8] | None:
        layer = None if fine is None else confidence_of(self._layers, fine)
        if fine is None or layer is None:
            return None
        confidence = np.full(self.coarse.data.shape, np.nan, dtype=np.float32)
        confidence[place_of(fine)] = layer.data
        return stored_confidence(confidence)

    # What happens

    def _follow(self, layer: Labels) -> None:
        self._followed.append(layer)
        for name in CHANGE_EVENTS:
            layer.events[name].connect(self._on_change)

    def _on_change(self, event: Any) -> None:
        if event.type == "paint":
            if event.source.mode in DRAWING and not is_programmatic(event.source):
                self.painted += sum(_changed_pixels(atom) for atom in event.value)
            else:
                self.changed.emit()
                self.decided.emit()
                return
        self.changed.emit()

    def _on_inserted(self, event: Any) -> None:
        """Follow new maps; a fine one counts once its confidence is there too."""
        layer, fine = event.value, self.fine
        if layer is fine or layer is self.final:
            self._follow(layer)
            follow(layer)  # Its strokes stay, also where no other widget is open.
        if layer is self.final:
            self.review_begun.emit()
        if fine is None:
            return
        wanted = fine.metadata.get(CONFIDENCE_KEY)
        if layer.unique_id == wanted or (layer is fine and wanted is None):
            self.refined.emit(fine)

    def _on_removed(self, event: Any) -> None:
        self._leaving.append(event.value)
        self._turn.start()
        if event.value in (self.image, self.coarse):
            self.removed.emit()

    def close(self) -> None:
        """Take all layers out of the viewer that belong to it."""
        layers = self._viewer.layers
        results = list(results_of(layers, self.coarse))
        sureness = [confidence_of(layers, layer) for layer in results]
        changes = changes_layers(layers)
        self.release()
        self.coarse.metadata[CLOSED_KEY] = True
        # At once: when layers go, napari has Python look through all that there is for garbage.
        with layers.batched_update():
            for layer in (*changes, *results, *sureness, self.coarse, self.image):
                if layer is not None and layer in layers:
                    layers.remove(layer)

    def release(self) -> None:
        """Follow it no longer; its layers stay."""
        self._turn.stop()
        self.coarse.metadata.pop(IMAGE_KEY, None)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._followed:
            for name in CHANGE_EVENTS:
                layer.events[name].disconnect(self._on_change)
        self._followed.clear()


def _follow_strokes(layer: Labels, painted: NDArray[np.bool_] | None) -> None:
    """Let what is painted in a map from now on stay, and what was in an earlier session."""
    follower = follow(layer)
    if painted is not None:
        follower.inherit([stroke_of(painted)])


def _changed_pixels(atom: Any) -> int:
    """Count the pixels that one step of a stroke changed, less those that a lock put back."""
    before, after = (atom.old_values, atom.new_value) if has_mask(atom) else atom[1:]
    changed = int(np.count_nonzero(np.ravel(before) != np.ravel(after)))
    return changed if np.ndim(after) == 0 else -changed
