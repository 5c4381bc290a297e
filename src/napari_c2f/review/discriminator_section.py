"""A section of the Review widget: the verdict of a discriminator."""

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton, QWidget

from c2f_core.training.run_folder import has_discriminator
from napari_c2f.base.settings import recent_models
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.widgets.choices import FileChoice, layer_box, update_layer_box
from napari_c2f.widgets.model_choice import MODEL_FILES, model_text
from napari_c2f.widgets.parts import add_row, button_row

NO_MODEL = "None that has a discriminator"
TIPS = {
    "image": "Photograph of the fine map",
    "model": "A checkpoint in the folder of a model2 run: there its discriminator is",
    "judge": "Add a layer that is blue where the discriminator takes the fine map for made up",
}


class DiscriminatorSection(QWidget):
    """Chooses an image and a model with a discriminator; it only tells what the user wants.

    Parameters
    ----------
    viewer : ViewerModel
    """

    wanted = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.image = layer_box(viewer, Image)
        self.model = FileChoice({NO_MODEL: NO_MODEL}, MODEL_FILES, model_text)
        self.button = QPushButton("Show &verdict")
        self._lay_out()
        for path in reversed(recent_models()):
            self.add_model(path)
        latest = self.model.count() - 2  # Before "From file…".
        self.model.setValue(self.model.itemData(latest))
        self.model.currentIndexChanged.connect(self._show_whether)
        self.button.clicked.connect(self.wanted)
        self._show_whether()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "&Image", self.image.native, TIPS["image"])
        add_row(form, "Model", self.model, TIPS["model"])
        form.addRow("", button_row({self.button: TIPS["judge"]}))

    def add_model(self, path: str) -> None:
        """List a model that another widget trained or used, if it has a discriminator."""
        if has_discriminator(path):
            self.model.add(path)

    def follow_layers(self) -> None:
        """List the images that there are now, and choose the one that is most likely meant."""
        update_layer_box(self.image, self._viewer)
        layers = self._viewer.layers
        layer = preferred_layer(layers, layers.selection, Image, self.image.value)
        if layer is None or layer in self.image.choices:
            self.image.value = layer

    def _show_whether(self) -> None:
        """Offer the verdict only where there is a discriminator to ask."""
        self.button.setEnabled(has_discriminator(self.model.value()))
