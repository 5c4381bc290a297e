"""The Refine widget: choose image, coarse map and model; click; look; save."""

from pathlib import Path
from typing import Any

import napari.layers
import napari.viewer
from magicgui.widgets import create_widget
from qtpy.compat import isalive
from qtpy.QtCore import QSettings
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from c2f_core.classes import PRESETS, ClassTable
from c2f_core.errors import C2FError
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.learned import bundled_models
from napari_c2f._controller import MakeRefiner, RefineController

FROM_FILE = "From file…"
FROM_LAYER = "From the coarse map"
MODEL_FILES = "Models (*.safetensors)"
TABLE_FILES = "Class tables (*.json *.toml)"
RECENT_COUNT = 5


class FileChoice(QComboBox):
    """A list of names, to which files can be added.

    Parameters
    ----------
    names : list of str
        Entries that are no files.
    pattern : str
        Of the file dialog.
    """

    def __init__(self, names: list[str], pattern: str) -> None:
        super().__init__()
        self._pattern = pattern
        for name in names:
            self.addItem(name, name)
        self.addItem(FROM_FILE, FROM_FILE)
        self._before = 0
        self.activated.connect(self._choose)

    def value(self) -> str:
        """Return the chosen name, or the path of the chosen file."""
        return str(self.currentData())

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a name, or a file, which is added to the list."""
        if self.findData(value) < 0:
            self.insertItem(self.count() - 1, Path(value).name, value)
            self.setItemData(self.findData(value), value, 3)  # the whole path as tool tip
        self._before = self.findData(value)
        self.setCurrentIndex(self._before)

    def _choose(self, index: int) -> None:
        if self.itemData(index) != FROM_FILE:
            self._before = index
            return
        path, _ = QFileDialog.getOpenFileName(self, FROM_FILE, "", self._pattern)
        if path:
            self.setValue(path)
        else:
            self.setCurrentIndex(self._before)


class RefineWidget(QWidget):
    """Turns the coarse map of an image into a fine one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        from c2f_core.refine.classical import CLASSICAL_REFINERS

        self._controller = RefineController(viewer)
        self._settings = QSettings("napari-c2f", "napari-c2f")
        self.image = create_widget(annotation=napari.layers.Image, label="Image")
        self.coarse = create_widget(annotation=napari.layers.Labels, label="Coarse map")
        self.class_table = FileChoice([FROM_LAYER, *PRESETS], TABLE_FILES)
        self.model = FileChoice([*bundled_models(), *CLASSICAL_REFINERS], MODEL_FILES)
        for path in self._recent():
            self.model.setValue(path)
        self.model.setCurrentIndex(0)
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.refine_button = QPushButton("Refine")
        self.cancel_button = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.status = QLabel()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Image", self.image.native)
        form.addRow("Coarse map", self.coarse.native)
        form.addRow("Classes", self.class_table)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        buttons = QHBoxLayout()
        buttons.addWidget(self.refine_button)
        buttons.addWidget(self.cancel_button)
        self.cancel_button.setEnabled(False)
        self.progress.setRange(0, 100)
        self.status.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch()

    def _connect(self) -> None:
        self.refine_button.clicked.connect(self._refine)
        self.cancel_button.clicked.connect(self._controller.stop)
        events = self._controller.activity.events
        events.busy.connect(self._show_busy)
        events.progress.connect(self._show_progress)
        events.message.connect(self._show_message)
        self.destroyed.connect(self._controller.close)

    def reset_choices(self, *_: Any) -> None:
        """Follow the viewer's layers; napari calls this when they change."""
        self.image.reset_choices()
        self.coarse.reset_choices()

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Fill the lists of layers when the widget is docked."""
        self.reset_choices()
        super().showEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget goes."""
        self._controller.close()
        super().closeEvent(event)

    def _refine(self) -> None:
        try:
            class_table = self._chosen_table()
        except C2FError as error:
            self._controller.fail(str(error))
            return
        make_refiner = refiner_maker(self.model.value(), self.device.currentText())
        self._remember(self.model.value())
        self._controller.refine(self.image.value, self.coarse.value, class_table, make_refiner)

    def _chosen_table(self) -> ClassTable | None:
        name = self.class_table.value()
        if name == FROM_LAYER:
            return None
        return ClassTable.preset(name) if name in PRESETS else ClassTable.from_file(name)

    def _recent(self) -> list[str]:
        stored = self._settings.value("recent models", [], list)
        return [path for path in stored if Path(path).is_file()]

    def _remember(self, model: str) -> None:
        if model.endswith(".safetensors"):
            others = [path for path in self._recent() if path != model]
            self._settings.setValue("recent models", [model, *others][:RECENT_COUNT])

    def _alive(self) -> bool:
        """Tell whether Qt has not deleted the widget yet; end the work if it has."""
        if not isalive(self):
            self._controller.close()
            return False
        return True

    def _show_message(self, message: str) -> None:
        if self._alive():
            self.status.setText(message)

    def _show_busy(self, busy: bool) -> None:
        if self._alive():
            self.refine_button.setEnabled(not busy)
            self.cancel_button.setEnabled(busy)

    def _show_progress(self, share: float) -> None:
        if self._alive():
            self.progress.setValue(round(100 * share))


def refiner_maker(model: str, device: str) -> MakeRefiner:
    """Return what makes the refiner of a name or file, given the coarse map's table."""

    def make(class_table: ClassTable) -> RefinerInterface:
        # Torch takes seconds to import; opening the widget does not wait for it.
        from c2f_core.refine.classical import CLASSICAL_REFINERS
        from c2f_core.refine.learned import Refiner

        if model in CLASSICAL_REFINERS:
            return CLASSICAL_REFINERS[model](class_table)
        if model.endswith(".safetensors"):
            return Refiner.load(model, device)
        return Refiner.bundled(model, device)

    return make
