"""How the maps of a viewer are shown, so that the image can be seen: outlines and background."""

from weakref import WeakKeyDictionary, WeakSet

from napari.layers import Labels
from napari.utils.key_bindings import KeyBinding, KeyCode
from psygnal import Signal

from napari_c2f.base.keys import Action, Keys
from napari_c2f.base.proxies import bare
from napari_c2f.layers.convert import show_background

OUTLINE = 2
"""Width of outlines, in pixels of the map."""


class MapDisplay:
    """How the maps of one viewer are shown, and how the user had them before."""

    changed = Signal()
    """Emitted when maps are shown in another way."""

    def __init__(self) -> None:
        self.outlined = False
        """Whether maps are shown as outlines of their classes."""
        self.background = False
        """Whether the class 'background' is shown in its colour, and not transparent."""
        self._maps: WeakSet[Labels] = WeakSet()
        self._before: WeakKeyDictionary[Labels, tuple[int, float]] = WeakKeyDictionary()

    def add(self, layer: Labels) -> None:
        """Show a new Labels layer like the others."""
        if layer.editable:  # Outlines of a review and of protected edits are no maps.
            self._maps.add(bare(layer))
            if self.background:
                show_background(layer, True)
            if self.outlined:
                self.outline(layer, OUTLINE)

    def set_outlined(self, outlined: bool) -> None:
        """Show all maps as outlines of their classes, or as the user had them before."""
        self.outlined = outlined
        for layer in list(self._maps):
            if outlined:
                self.outline(layer, OUTLINE)
            else:
                self.restore(layer)
        self.changed.emit()

    def switch_outlines(self) -> None:
        """Show all maps as outlines of their classes, or filled again."""
        self.set_outlined(not self.outlined)

    def set_background(self, shown: bool) -> None:
        """Show the class 'background' of all maps in its colour, or transparent."""
        self.background = shown
        for layer in list(self._maps):
            show_background(layer, shown)
        self.changed.emit()

    def outline(self, layer: Labels, width: int) -> None:
        """Show one map as opaque outlines of at least this width, in pixels of the map."""
        layer = bare(layer)
        own, _ = self._before.setdefault(layer, (layer.contour, layer.opacity))
        _set_contour(layer, max(width, own))
        layer.opacity = 1.0

    def restore(self, layer: Labels) -> None:
        """Show one map as the user had it before it was outlined."""
        layer = bare(layer)
        if layer in self._before:
            width, layer.opacity = self._before.pop(layer)
            _set_contour(layer, width)


def _set_contour(layer: Labels, width: int) -> None:
    if layer.contour != width:  # Setting it takes time even if it is the same.
        layer.contour = width


KEYS: Keys[MapDisplay] = Keys(
    "Maps",
    {
        "outlines": Action(
            KeyBinding.from_int(KeyCode.KeyW),
            "switch between outlined and filled maps",
            MapDisplay.switch_outlines,
        )
    },
)
"""Keys that all widgets with maps share."""
