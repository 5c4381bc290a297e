"""What the tools share about the layers of one viewer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from c2f_core.refine.record import Record
from napari_c2f.base.proxies import bare
from napari_c2f.layers.lineage import Lineage
from napari_c2f.layers.locks import Locks
from napari_c2f.layers.strokes import ProtectedStroke, StrokeTracker


@dataclass(frozen=True, eq=False)
class Refined:
    """A refinement whose layers were added to the viewer.

    Attributes
    ----------
    fine : Labels
        The fine map.
    confidence : Image or None
        Its confidence layer.
    record : mapping
        How the fine map was made; see `c2f_core.refine.record.run_record`.
    """

    fine: Labels
    confidence: Image | None
    record: Record


class Session:
    """Lineage, strokes and locks of the layers of one viewer, and events between the tools.

    Widgets get the session of their viewer from `Session.of`, and pass it on.

    Attributes
    ----------
    lineage : Lineage
    strokes : StrokeTracker
    locks : Locks
    """

    refined = Signal(Refined)
    """Emitted when a fine map and its confidence were added to the viewer."""
    review_begun = Signal(Labels)
    """Emitted with a new final map, in which no region is decided yet."""

    def __init__(self) -> None:
        self.lineage, self.strokes, self.locks = Lineage(), StrokeTracker(), Locks()

    @classmethod
    def of(cls, viewer: ViewerModel) -> "Session":
        """Return the session of a viewer; it lasts as long as the viewer."""
        viewer = bare(viewer)
        session = _sessions.get(viewer)
        if session is None:
            session = _sessions[viewer] = cls()
            viewer.layers.events.inserted.connect(session._on_inserted)
        return session

    def _on_inserted(self, event: Any) -> None:
        """Treat a duplicate of a fine or final map like the original."""
        layer = event.value
        original = None if layer.source.parent is None else layer.source.parent()
        if not isinstance(layer, Labels) or not isinstance(original, Labels):
            return
        if self.lineage.add_copy(layer, original):
            self.strokes.follow(layer)

    def share_lock(self, layers: Iterable[Layer], layer: Labels, label: int, locked: bool) -> None:
        """Lock or unlock a class of a map, and of the whole family that it belongs to."""
        for each in self.lineage.family_of(layers, layer):
            self.locks.lock(each, label, locked)

    def protected_strokes(
        self, layers: Iterable[Layer], coarse: Labels, keep_fine: bool, keep_coarse: bool
    ) -> list[ProtectedStroke]:
        """Return the strokes that the next refinement leaves unchanged, the earliest first.

        Those are the strokes in the latest fine map, which inherited those of earlier ones, and
        what was accepted or painted in reviews. If maps share a stroke, the topmost one has its
        current pixels. Strokes in a fine map that is refined in turn count as those of a fine map.

        Parameters
        ----------
        layers : iterable of layers
            Layers of the viewer, from the bottom to the top.
        coarse : Labels
            Map to refine.
        keep_fine, keep_coarse : bool
            Whether strokes in fine maps and in the coarse map are protected.

        Returns
        -------
        list of ProtectedStroke
            In the coordinates of the coarse map.
        """
        lineage, layers, sources = self.lineage, list(layers), []
        if keep_fine if lineage.is_refined(coarse) else keep_coarse:
            sources.append(coarse)
        if keep_fine:
            latest = lineage.latest_result(layers, coarse)
            results = lineage.results_of(layers, coarse)
            sources += [each for each in results if each is latest or lineage.is_final(each)]
        protected: dict[int, ProtectedStroke] = {}
        for layer in sources:
            slices = lineage.slices_in(layers, layer, coarse)
            for each in self.strokes.protected_in(layer):
                protected.setdefault(each.stroke.stamp, each.within(slices))
        return [protected[stamp] for stamp in sorted(protected)]


_sessions: WeakKeyDictionary[ViewerModel, Session] = WeakKeyDictionary()
