"""Section of the Review widget that asks a discriminator how realistic a map looks."""

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton, QWidget

from c2f_core.training.run_folder import has_discriminator
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.model_choice import ModelChoice
from napari_c2f.widgets.parts import add_row, button_row

NO_MODEL = "No model with a discriminator"
TIPS = {
    "image": "Image of the fine map",
    "model": "Checkpoint in the run folder of a model2 run, which contains the discriminator",
    "show": "Add a layer that is blue where the fine map looks unrealistic to the discriminator",
}


class DiscriminatorSection(QWidget):
    """Chooses an image and a model with a discriminator.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose images are listed.
    """

    wanted = Signal()
    """Emitted when the user wants to see the realism map."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.image = LayerChoice(viewer, Image, preferred_layer)
        self.model = ModelChoice({NO_MODEL: NO_MODEL}, has_discriminator)
        self.button = QPushButton("Show &realism")
        self._lay_out()
        latest = self.model.count() - 2  # Before "From file…".
        self.model.setValue(self.model.itemData(latest))
        self.model.currentIndexChanged.connect(self._update_button)
        self.button.clicked.connect(self.wanted)
        self._update_button()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "&Image", self.image.native, TIPS["image"])
        add_row(form, "Model", self.model, TIPS["model"])
        form.addRow("", button_row({self.button: TIPS["show"]}))

    def _update_button(self) -> None:
        """Enable the button if the model has a discriminator."""
        self.button.setEnabled(has_discriminator(self.model.value()))
