"""The Draw widget: a palette of classes, new maps, and maps from shapes."""

from typing import Any

import napari.viewer
from napari.components import LayerList
from napari.layers import Image, Labels, Layer, Shapes
from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QFormLayout, QMessageBox, QPushButton

from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.controller import KEYS, PaletteController
from napari_c2f.draw.table import PaletteTable
from napari_c2f.layers.convert import RESULT_KEY, preferred_layer
from napari_c2f.layers.display import KEYS as MAP_KEYS
from napari_c2f.layers.display_switches import DisplaySwitches
from napari_c2f.layers.session import Session
from napari_c2f.widgets.choices import TableChoice
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.parts import StatusText, add_row, button_row

FROM_PALETTE = "From the palette"
TIPS = {
    "image": "Image to draw on; follows the layer that you select",
    "map": "Labels layer to draw in; follows the layer that you select",
    "shapes": "Shapes layer with polygons, rectangles, ellipses, lines and paths",
    "classes": "Classes of a new map: those of the palette, or a class table",
    "new": "Add an empty map to draw in, with the size and position of the image; an image of a "
    "project already has one",
    "from shapes": "Draw the shapes, each in its class, later ones on top: in the project's map of "
    "the image, in the map above if it is empty, or else in a new map",
    "add": "Add a class with the next free label",
    "rename": "Rename the chosen class (F2)",
    "colour": "Change the colour of the chosen class",
    "delete": "Delete the chosen class; if it has pixels, you are asked first",
    "up": "Move the chosen class up; its label does not change, but its key does",
    "down": "Move the chosen class down; its label does not change, but its key does",
}


class DrawWidget(DockedWidget):
    """Draws coarse maps: chooses and edits classes, and makes maps.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer to draw in.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        session = Session.of(viewer)
        self._controller = PaletteController(viewer, session)
        self.use_keys(KEYS, self._controller)
        self.use_keys(MAP_KEYS, session.display)
        self.switches = DisplaySwitches(session.display)
        self.when_ended(self.switches.leave)
        self.when_ended(self._controller.close)
        self.image = LayerChoice(viewer, Image, active_or_preferred)
        self.map = LayerChoice(viewer, Labels, active_or_preferred)
        self.shapes = LayerChoice(viewer, Shapes, active_or_preferred)
        self.class_table = TableChoice(FROM_PALETTE)
        self.new_button = QPushButton("N&ew map")
        self.shapes_button = QPushButton("&From shapes")
        self.table = PaletteTable()
        self.add_button = QPushButton("&Add class")
        self.rename_button = QPushButton("Rena&me")
        self.colour_button = QPushButton("C&olour…")
        self.delete_button = QPushButton("&Delete")
        self.up_button = QPushButton("&Up")
        self.down_button = QPushButton("Do&wn")
        self.status = StatusText()
        self._lay_out()
        self._connect()
        self._controller.follow(self.map.value)
        self._show_swatches()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "&Image", self.image.native, TIPS["image"])
        add_row(form, "Ma&p", self.map.native, TIPS["map"])
        add_row(form, "&Shapes", self.shapes.native, TIPS["shapes"])
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        maps = {self.new_button: TIPS["new"], self.shapes_button: TIPS["from shapes"]}
        form.addRow("", button_row(maps))
        edits = {
            self.add_button: TIPS["add"],
            self.rename_button: TIPS["rename"],
            self.colour_button: TIPS["colour"],
            self.delete_button: TIPS["delete"],
            self.up_button: TIPS["up"],
            self.down_button: TIPS["down"],
        }
        layout = self.scrolled_column(self.status)
        layout.addLayout(form)
        layout.addWidget(self.table, 3)
        layout.addLayout(button_row(edits))
        layout.addWidget(self.switches)

    def _connect(self) -> None:
        controller, table = self._controller, self.table
        self.new_button.clicked.connect(
            lambda: controller.new_map(self.image.value, self.selected_table())
        )
        self.shapes_button.clicked.connect(
            lambda: controller.map_of_shapes(
                self.image.value, self.shapes.value, self.selected_table()
            )
        )
        self.add_button.clicked.connect(self._add)
        self.rename_button.clicked.connect(table.edit_name)
        self.delete_button.clicked.connect(self._delete)
        self.up_button.clicked.connect(lambda: self._move(-1))
        self.down_button.clicked.connect(lambda: self._move(1))
        self.colour_button.clicked.connect(lambda: self._ask_colour(table.value()))
        table.chosen.connect(controller.choose)
        table.renamed.connect(self._rename)
        table.colour_wanted.connect(self._ask_colour)
        table.locked.connect(controller.lock)
        self.map.changed.connect(controller.follow)
        self.class_table.currentIndexChanged.connect(
            lambda: controller.begin_with(self.selected_table())
        )
        events = controller.model.events
        events.swatches.connect(self._show_swatches)
        events.has_map.connect(self._show_swatches)
        events.chosen.connect(self._show_chosen)
        events.message.connect(self._show_message)

    def selected_table(self) -> TableSelection:
        """Return the selected class table; that of the palette may be None."""
        if self.class_table.value() == FROM_PALETTE:
            return TableSelection(self._controller.table)
        return self.class_table.selection()

    def _add(self) -> None:
        self._controller.add()
        self._keep_draft()
        self.table.edit_name()

    def _keep_draft(self) -> None:
        """Give the edited classes to the first map."""
        if self.map.value is None:
            with QSignalBlocker(self.class_table):
                self.class_table.setValue(FROM_PALETTE)

    def _rename(self, index: int, name: str) -> None:
        self._controller.rename(index, name, self.shapes.value)
        self._keep_draft()
        self._show_swatches()  # Restore the old name if the new one was rejected.

    def _move(self, rows: int) -> None:
        index = self.table.value()
        if index is not None:
            self._controller.move(index, rows)
            self._keep_draft()

    def _delete(self) -> None:
        index = self.table.value()
        if index is not None:
            self._controller.delete(index, self._confirm)
            self._keep_draft()

    def _confirm(self, question: str) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return bool(QMessageBox.question(self, "Delete class", question, yes | no, no) == yes)

    def _ask_colour(self, index: int | None) -> None:
        for swatch in self._controller.model.swatches:
            if swatch.entry.index == index and not swatch.is_eraser:
                title = f"Colour of {swatch.entry.name}"
                chosen = QColorDialog.getColor(QColor(*swatch.entry.colour), self, title)
                if chosen.isValid():
                    colour = chosen.red(), chosen.green(), chosen.blue()
                    self._controller.recolour(index, colour, self.shapes.value)
                    self._keep_draft()

    @while_alive
    def _show_swatches(self, *_: Any) -> None:
        model = self._controller.model
        self.table.show_swatches(model.swatches, model.has_map)
        self._show_chosen()

    @while_alive
    def _show_chosen(self, *_: Any) -> None:
        self.table.setValue(self._controller.model.chosen)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)


def active_or_preferred(
    layers: LayerList, kind: type[Layer], current: Layer | None
) -> Layer | None:
    """Return the active layer if it is of this kind, else the one that is most likely meant."""
    active = layers.selection.active
    is_confidence = isinstance(active, Image) and RESULT_KEY in active.metadata
    if isinstance(active, kind) and active.editable and not is_confidence:
        return active  # The changes of a review are not editable.
    return preferred_layer(layers, kind, current)
