"""What the tools share about the layers of one viewer."""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from psygnal import Signal

from c2f_core.refine.scope import Record
from napari_c2f.base.proxies import bare
from napari_c2f.layers.display import MapDisplay
from napari_c2f.layers.lineage import Lineage
from napari_c2f.layers.locks import Locks
from napari_c2f.layers.screen import guard_data
from napari_c2f.layers.strokes import StrokeTracker
from napari_c2f.layers.upright import turn_upright


@dataclass(frozen=True, eq=False)
class Refined:
    """A refinement whose layers were added to the viewer.

    Attributes
    ----------
    fine : Labels
        The fine map.
    confidence : Image or None
        Confidence layer of the fine map.
    record : mapping
        How the fine map was made; see `c2f_core.refine.run.run_record`.
    """

    fine: Labels
    confidence: Image | None
    record: Record


class Session:
    """What is known of the layers of one viewer, and events between the tools.

    Widgets get the session of their viewer from `Session.of`, and pass it on.

    Attributes
    ----------
    lineage : Lineage
    strokes : StrokeTracker
    locks : Locks
    display : MapDisplay
    """

    refined = Signal(Refined)
    """Emitted when a fine map and its confidence were added to the viewer."""
    review_begun = Signal(Labels)
    """Emitted with a new final map, in which no region is decided yet."""

    class_deletion_wanted = Signal(int)
    """Emitted with the label of a class to delete from all maps of the open project."""

    def __init__(self) -> None:
        self.strokes, self.locks = StrokeTracker(), Locks()
        self.lineage = Lineage(self.strokes, self.locks)
        self.display = MapDisplay()

    @classmethod
    def of(cls, viewer: ViewerModel) -> "Session":
        """Return the session of a viewer; it lasts as long as the viewer.

        napari gives each widget only the viewer, so that what the widgets share is found through
        one registry of sessions. It holds the sessions
        weakly by viewer; everything else is owned by a session.
        """
        viewer = bare(viewer)
        session = _sessions.get(viewer)
        if session is None:
            session = _sessions[viewer] = cls()
            viewer.layers.events.inserted.connect(session._on_inserted)
            is_drawn_on = any(isinstance(layer, (Labels, Shapes)) for layer in viewer.layers)
            for layer in viewer.layers:
                session._guard(layer)
                if not is_drawn_on:
                    turn_upright(layer)
        return session

    def _guard(self, layer: Layer) -> None:
        if isinstance(layer, Labels):
            guard_data(layer)
            self.display.add(layer)

    def _on_inserted(self, event: Any) -> None:
        """Guard a new layer, turn a photograph upright, and treat a duplicate like its original."""
        layer = event.value
        self._guard(layer)
        turn_upright(layer)
        original = None if layer.source.parent is None else layer.source.parent()
        if isinstance(layer, Labels) and isinstance(original, Labels):
            self.lineage.add_copy(layer, original)


_sessions: WeakKeyDictionary[ViewerModel, Session] = WeakKeyDictionary()
"""The one registry of the plugin that is shared by all viewers, see `Session.of`."""
