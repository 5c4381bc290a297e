"""Where the pairs come from, and what a look at them found."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
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

from c2f_core.data.writing import TABLE_FILE
from c2f_core.io.recognise import TABLE_NAMES
from c2f_core.training.inspection import Inspection, PairReport
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.widgets.choices import FolderEdit, TableChoice, layer_box
from napari_c2f.widgets.parts import StatusText, add_row, button_row, collapsible

COLUMNS = ("Pair", "Role", "Fine map", "Coarse right", "Size")
ICON = QSize(132, 44)
SUMMARY_LINES = 12
WRONG = QBrush(QColor("#e06c5f"))
TIPS = {
    "data": "Folder with images/ coarse/ fine/, or as FASSEG or Cityscapes; fine maps may lack",
    "classes": "Class table of the maps; FASSEG, Cityscapes and classes.json bring their own",
    "image": "Image, or stack of images: each plane becomes a pair",
    "coarse": "Coarse maps, drawn on that image",
    "fine": "Fine maps; planes without any drawing count as pairs without a fine map",
    "target": "Folder that the pairs are written to; nothing in it is overwritten",
    "write": "Write the layers as files and train on these, so that the run can be resumed",
    "check": "Read all pairs: which have fine maps, which validate, and what does not fit",
}


class DataView(QWidget):
    """Folder and classes of the data, layers as data, and the result of a check.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.data = FolderEdit("folder with images, coarse, fine")
        self.class_table = TableChoice()
        kinds = {"image": Image, "coarse": Labels, "fine": Labels}
        self.layers = {name: layer_box(viewer, kind) for name, kind in kinds.items()}
        self.target = FolderEdit("new folder for the pairs")
        self.write_button = QPushButton("&Write pairs")
        self.check_button = QPushButton("Chec&k data")
        self.summary = StatusText()  # However many problems there are, it scrolls.
        self.pairs = QTreeWidget()
        self._lay_out()
        self.data.changed.connect(self._find_classes)
        self.reset_choices()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "D&ata", self.data, TIPS["data"])
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        self._lay_out_layers()
        self.summary.setMaximumHeight(SUMMARY_LINES * self.fontMetrics().lineSpacing())
        self.summary.setToolTip("What was found in the data, and what has to be mended")
        self.summary.hide()
        self.pairs.setHeaderLabels(COLUMNS)
        self.pairs.setRootIsDecorated(False)
        self.pairs.setIconSize(ICON)
        self.pairs.setMinimumHeight(4 * ICON.height())
        self.pairs.setToolTip("Image, coarse and fine map of each pair, and what the pair is for")
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

    def reset_choices(self) -> None:
        """Follow the viewer's layers."""
        for name, box in self.layers.items():
            before = box.value
            box.reset_choices()
            layers = self._viewer.layers
            if before in layers:
                box.value = before
            elif name != "fine":
                kind = Image if name == "image" else Labels
                box.value = preferred_layer(layers, layers.selection, kind, None)

    def value(self) -> dict[str, Any]:
        """Return the fields of a `DataConfig` that are chosen here."""
        return {"root": self.data.value(), "class_table": self.class_table.value()}

    def setValue(self, data: dict[str, Any]) -> None:  # noqa: N802
        """Show the fields of a `DataConfig`."""
        self.data.setValue(data["root"])
        self.class_table.setValue(data["class_table"])

    def show_written(self, table_file: Path) -> None:
        """Go on with the pairs that were written."""
        self.data.setValue(table_file.parent)
        self.class_table.setValue(str(table_file))
        self.layer_section.collapse()

    def _find_classes(self) -> None:
        """Choose the class table that lies in the folder."""
        folder = self.data.value()
        for name in (TABLE_FILE, *TABLE_NAMES):
            if not self.data.is_empty() and (folder / name).is_file():
                self.class_table.setValue(str(folder / name))
                return

    def show_inspection(self, found: Inspection | None) -> None:
        """Show what a look at the data found."""
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


def _rank(pair: PairReport) -> tuple[bool, bool]:
    """Put what has to be mended first, and what is left out last."""
    return not pair.problems, pair.role == "unused"


def _row(pair: PairReport) -> QTreeWidgetItem:
    accuracy = "" if pair.accuracy is None else f"{100 * pair.accuracy:.1f} %"
    size = "" if pair.shape is None else f"{pair.shape[1]} × {pair.shape[0]}"
    has_fine = "yes" if pair.has_fine else "no"
    row = QTreeWidgetItem([pair.name, pair.role, has_fine, accuracy, size])
    if pair.thumbnail is not None:
        row.setIcon(0, icon(pair.thumbnail))
    told = "\n".join([*pair.problems, *pair.warnings])
    for column in range(len(COLUMNS)):
        row.setToolTip(column, told)
        if pair.problems:
            row.setForeground(column, WRONG)
    return row


def icon(pixels: NDArray[np.uint8]) -> QIcon:
    """Make an icon of pixels (Y, X, 3) uint8."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    picture = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(picture))
