"""The data to train on, and the result of a check."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.components import LayerList, ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from qtpy.QtCore import QSize
from qtpy.QtGui import QBrush, QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from c2f_core.training.inspection import Inspection, PairReport
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.widgets.choices import FolderEdit, TableChoice
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.parts import StatusText, add_row, button_row, collapsible

COLUMNS = ("Pair", "Role", "Fine map", "Coarse right", "Size")
ICON = QSize(132, 44)
SUMMARY_LINES = 12
WRONG = QBrush(QColor("#e06c5f"))
TIPS = {
    "data": "Folder with images/, coarse/ and fine/, or in the layout of FASSEG or Cityscapes; "
    "fine maps may be missing",
    "classes": "Class table of the maps; FASSEG and Cityscapes data have their own, and "
    "classes.json or classes.toml in the folder is chosen automatically",
    "image": "Image, or stack of images: each plane becomes a pair",
    "coarse": "Coarse maps drawn on that image",
    "fine": "Fine maps; planes with nothing drawn become pairs without a fine map",
    "target": "Folder that the pairs are written to; nothing in it is overwritten",
    "write": "Write the layers to files and train on these, so that the run can be resumed",
    "check": "Read all pairs and show which have fine maps, which validate, and all problems",
}


class DataView(QWidget):
    """Folder and classes of the data, layers to use as data, and the result of a check.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer with the layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.data = FolderEdit("folder with images, coarse, fine")
        self.class_table = TableChoice(makes_new=False)
        self.layers = {
            "image": LayerChoice(viewer, Image, current_or_preferred),
            "coarse": LayerChoice(viewer, Labels, current_or_preferred),
            "fine": LayerChoice(viewer, Labels),
        }
        self.target = FolderEdit("new folder for the pairs")
        self.write_button = QPushButton("&Write pairs")
        self.check_button = QPushButton("Chec&k data")
        self.summary = StatusText()  # However many problems there are, it scrolls.
        self.pairs = QTreeWidget()
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "D&ata", self.data, TIPS["data"])
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        self._lay_out_layers()
        self.summary.setMaximumHeight(SUMMARY_LINES * self.fontMetrics().lineSpacing())
        self.summary.setToolTip("Result of the check, and problems to fix")
        self.summary.hide()
        self.pairs.setHeaderLabels(COLUMNS)
        self.pairs.setRootIsDecorated(False)
        self.pairs.setIconSize(ICON)
        self.pairs.setMinimumHeight(4 * ICON.height())
        self.pairs.setToolTip("Image, coarse and fine map of each pair, and its role")
        self.pairs.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.layer_section)
        layout.addLayout(button_row({self.check_button: TIPS["check"]}))
        layout.addWidget(self.summary)
        layout.addWidget(self.pairs)

    def _lay_out_layers(self) -> None:
        form = QFormLayout()
        texts = {"image": "Image", "coarse": "Coarse maps", "fine": "Fine maps"}
        for name, text in texts.items():
            add_row(form, text, self.layers[name].native, TIPS[name])
        add_row(form, "Write to", self.target, TIPS["target"])
        form.addRow("", button_row({self.write_button: TIPS["write"]}))
        self.layer_section = collapsible("Use layers of the viewer", form)

    def value(self) -> dict[str, Any]:
        """Return the fields of a `DataConfig` that are chosen here; a missing root is None."""
        return {"root": self.data.chosen, "class_table": self.class_table.value()}

    def setValue(self, data: dict[str, Any]) -> None:  # noqa: N802
        """Show the fields of a `DataConfig`."""
        self.data.setValue(data["root"])
        self.class_table.setValue(data["class_table"])

    def show_folder(self, folder: Path | None) -> None:
        """Show the folder of the data, unless the user has just typed it."""
        if folder != self.data.chosen:
            self.data.setValue(folder or "")
            self.layer_section.collapse()

    def show_class_table(self, table_file: Path | None) -> None:
        """Show a class table that was found, if any."""
        if table_file is not None:
            self.class_table.setValue(str(table_file))

    def show_inspection(self, found: Inspection | None) -> None:
        """Show the result of a check, or nothing."""
        self.summary.setVisible(found is not None)
        self.pairs.setVisible(found is not None)
        self.pairs.clear()
        if found is None:
            return
        self.summary.setText("\n".join(found.lines()))
        for pair in sorted(found.pairs, key=_rank):
            self.pairs.addTopLevelItem(_row(pair))
        for column in range(len(COLUMNS)):
            self.pairs.resizeColumnToContents(column)


def current_or_preferred(
    layers: LayerList, kind: type[Layer], current: Layer | None
) -> Layer | None:
    """Return the current layer while it is there, else the one that is most likely meant."""
    return preferred_layer(layers, kind, None) if current is None else current


def _rank(pair: PairReport) -> tuple[bool, bool]:
    """Sort pairs with problems first, and those that are not used last."""
    return not pair.problems, pair.role == "unused"


def _row(pair: PairReport) -> QTreeWidgetItem:
    accuracy = "" if pair.accuracy is None else f"{100 * pair.accuracy:.1f} %"
    size = "" if pair.shape is None else f"{pair.shape[1]} × {pair.shape[0]}"
    has_fine = "yes" if pair.has_fine else "no"
    row = QTreeWidgetItem([pair.name, pair.role, has_fine, accuracy, size])
    if pair.thumbnail is not None:
        row.setIcon(0, icon(pair.thumbnail))
    messages = "\n".join([*pair.problems, *pair.warnings])
    for column in range(len(COLUMNS)):
        row.setToolTip(column, messages)
        if pair.problems:
            row.setForeground(column, WRONG)
    return row


def icon(pixels: NDArray[np.uint8]) -> QIcon:
    """Return an icon with pixels (Y, X, 3) uint8."""
    height, width = pixels.shape[:2]
    picture = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(picture))
