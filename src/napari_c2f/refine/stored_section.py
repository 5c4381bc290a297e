"""Buttons of the Refine widget for labels that come from an OME-Zarr store."""

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_c2f.refine.stored_labels import image_folder, stored_part
from napari_c2f.widgets.parts import button_row

TIPS = {
    "edit": "Add a copy of these labels of an OME-Zarr store that can be edited: of all of them, "
    "or of the view if they have more than 33 megapixels",
    "write": "Write the edited copy into the OME-Zarr store that it came from, with all resolution "
    "levels; its confidence stays",
}


class StoredSection(QWidget):
    """Buttons that edit a copy of stored labels and write it back; hidden for other layers."""

    edit_wanted = Signal()
    """Emitted when the user wants to edit a copy."""
    write_wanted = Signal()
    """Emitted when the user wants to write a copy back."""

    def __init__(self) -> None:
        super().__init__()
        self.edit_button = QPushButton("Edit a cop&y")
        self.write_button = QPushButton("&Write back")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            button_row({self.edit_button: TIPS["edit"], self.write_button: TIPS["write"]})
        )
        self.edit_button.clicked.connect(self.edit_wanted)
        self.write_button.clicked.connect(self.write_wanted)
        self.show_layer(None)

    def show_layer(self, layer: Labels | None) -> None:
        """Offer what can be done with a layer."""
        is_copy = stored_part(layer) is not None
        self.setVisible(is_copy or image_folder(layer) is not None)
        self.edit_button.setEnabled(not is_copy)
        self.write_button.setEnabled(is_copy)
