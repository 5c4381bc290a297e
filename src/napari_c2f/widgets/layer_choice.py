"""A list of layers to choose from, which follows the viewer by itself."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox
from napari.components import LayerList, ViewerModel
from napari.layers import Layer
from qtpy.compat import isalive

from napari_c2f.widgets.choices import fix_combo_size, ignore_wheel

Prefer = Callable[[LayerList, type[Layer], Layer | None], Layer | None]
"""Return the layer of a kind that the user most likely means, given the chosen one."""


class LayerChoice(ComboBox):
    """A list of the viewer's layers of a kind; the choice stays while its layer is there.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose layers are listed.
    kind : type of Layer
        Type of the listed layers.
    prefer : callable, optional
        Rule that chooses a layer whenever the selection changes, or while none is chosen; without
        it only the user chooses.
    """

    def __init__(
        self, viewer: ViewerModel, kind: type[Layer], prefer: Prefer | None = None
    ) -> None:
        self._layers, self._kind, self._prefer = viewer.layers, kind, prefer
        super().__init__(choices=self._list_layers, nullable=True)
        fix_combo_size(self.native)
        ignore_wheel(self.native)
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self._update)
        self._layers.selection.events.changed.connect(self._follow)
        self._follow()

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer, even one that was added just now."""
        self.reset_choices()
        self.value = layer

    def _list_layers(self, _box: object) -> list[Layer]:
        return [layer for layer in self._layers if isinstance(layer, self._kind)]

    def _update(self, *_: Any) -> None:
        """List the layers that there are now, and announce the choice only if it has changed."""
        if not isalive(self.native):
            return
        before = self.value
        with self.changed.blocked():
            self.reset_choices()
            self.value = before if before in self.choices else None
            if self.value is None:
                self._follow()
        if self.value != before:
            self.changed.emit(self.value)

    def _follow(self, *_: Any) -> None:
        if self._prefer is None or not isalive(self.native):
            return
        layer = self._prefer(self._layers, self._kind, self.value)
        if layer is None or layer in self.choices:
            self.value = layer
