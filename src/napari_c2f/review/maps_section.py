"""Section of the Review widget that chooses the maps to review."""

from napari.components import LayerList, ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_c2f.layers.session import Refined, Session
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.parts import add_row

TIPS = {
    "fine": "Fine map to review; follows the layer that you select",
    "coarse": "The map that was refined; it and the fine map stay unchanged",
    "confidence": "Confidence of the fine map; without it larger regions come first",
}


class MapsSection(QWidget):
    """Chooses a fine map, the coarse map it was refined from, and its confidence.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose layers are listed.
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__()
        self._layers, self._lineage = viewer.layers, session.lineage
        self.fine = LayerChoice(viewer, Labels, self._preferred_fine)
        self.coarse = LayerChoice(viewer, Labels)
        self.confidence = LayerChoice(viewer, Image)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "&Fine map", self.fine.native, TIPS["fine"])
        add_row(form, "&Coarse map", self.coarse.native, TIPS["coarse"])
        add_row(form, "Confid&ence", self.confidence.native, TIPS["confidence"])
        self.fine.changed.connect(self._follow_fine)
        session.refined.connect(self._follow_confidence)
        self._follow_fine(self.fine.value)

    def value(self) -> tuple[Labels | None, Labels | None, Image | None]:
        """Return the fine map, the coarse map and the confidence."""
        return self.fine.value, self.coarse.value, self.confidence.value

    def _preferred_fine(
        self, layers: LayerList, _kind: type[Layer], current: Layer | None
    ) -> Layer | None:
        """Return the fine map that is selected, else the current one, else the topmost one."""
        fine = [layer for layer in layers if self._is_fine(layer)]
        if layers.selection.active in fine:
            return layers.selection.active
        return fine[-1] if current is None and fine else current

    def _follow_fine(self, fine: Labels | None) -> None:
        """Choose the layers that a fine map is known to belong to."""
        lineage, layers = self._lineage, self._layers
        if fine is not None and lineage.is_refined(fine):
            self.coarse.choose(lineage.coarse_of(layers, fine))
            self.confidence.choose(lineage.confidence_of(layers, fine))

    @while_alive
    def _follow_confidence(self, refined: Refined) -> None:
        """Choose the confidence of a new fine map, which refining adds after the fine map."""
        if self.fine.value is refined.fine:
            self.confidence.choose(refined.confidence)

    def _is_fine(self, layer: Layer) -> bool:
        """Return whether a layer is a fine map, and not the final map of a review."""
        return self._lineage.is_refined(layer) and not self._lineage.is_final(layer)
