"""Section of the Review widget that chooses the maps to review."""

from typing import Any

from magicgui.widgets import ComboBox
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_c2f.layers.lineage import Lineage
from napari_c2f.widgets.choices import layer_box, update_layer_box
from napari_c2f.widgets.parts import add_row

TIPS = {
    "fine": "Refined map; follows the layer that you select",
    "coarse": "The map that was refined; it and the fine map stay unchanged",
    "confidence": "Confidence of the fine map; without it larger regions come first",
}


class MapsSection(QWidget):
    """Chooses a fine map, the coarse map it was refined from, and its confidence.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose layers are listed.
    lineage : Lineage
        Lineage of the maps in the viewer.
    """

    def __init__(self, viewer: ViewerModel, lineage: Lineage) -> None:
        super().__init__()
        self._viewer, self._lineage = viewer, lineage
        self.fine = layer_box(viewer, Labels)
        self.coarse = layer_box(viewer, Labels)
        self.confidence = layer_box(viewer, Image)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "&Fine map", self.fine.native, TIPS["fine"])
        add_row(form, "&Coarse map", self.coarse.native, TIPS["coarse"])
        add_row(form, "Confid&ence", self.confidence.native, TIPS["confidence"])
        self.fine.changed.connect(self._follow_fine)

    @property
    def _boxes(self) -> tuple[ComboBox, ...]:
        return self.fine, self.coarse, self.confidence

    def value(self) -> tuple[Labels | None, Labels | None, Image | None]:
        """Return the fine map, the coarse map and the confidence."""
        return self.fine.value, self.coarse.value, self.confidence.value

    def follow_layers(self) -> None:
        """List the current layers of the viewer."""
        for box in self._boxes:
            update_layer_box(box, self._viewer)
        self.follow_selection()
        if self.confidence.value is None:  # Refining adds it after the fine map.
            self._follow_fine(self.fine.value)

    def follow_selection(self, *_: Any) -> None:
        """Choose the fine map that is selected, or else the topmost one."""
        layers = self._viewer.layers
        active = layers.selection.active
        fine = [layer for layer in layers if self._is_fine(layer)]
        if active in self.fine.choices and active in fine:
            self.fine.value = active
        elif self.fine.value is None and fine and fine[-1] in self.fine.choices:
            self.fine.value = fine[-1]

    def _follow_fine(self, fine: Labels | None) -> None:
        """Choose the layers that a fine map is known to belong to."""
        lineage, layers = self._lineage, self._viewer.layers
        if fine is not None and lineage.is_refined(fine):
            self.coarse.value = lineage.coarse_of(layers, fine)
            self.confidence.value = lineage.confidence_of(layers, fine)

    def _is_fine(self, layer: Layer) -> bool:
        """Return whether a layer is a fine map, and not the final map of a review."""
        return self._lineage.is_refined(layer) and not self._lineage.is_final(layer)
