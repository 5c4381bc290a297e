"""The Train widget: a small form over the settings of `c2f-train`."""

from typing import Any

from qtpy.compat import isalive
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QFormLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from c2f_core.classes import PRESETS
from napari_c2f._controller import TrainController
from napari_c2f.widgets.parts import (
    DEVICES,
    Choice,
    FileChoice,
    FolderEdit,
    StatusText,
    add_row,
    button_row,
)
from napari_c2f.widgets.refine import TABLE_FILES

METHODS = {
    "model1": "Model 1 (image and coarse map)",
    "model2": "Model 2 (few fine maps, two stages)",
    "plain": "Plain U-Net (image only)",
}


class TrainWidget(QWidget):
    """Trains Model 1 or the plain U-Net on a folder of pairs, in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._controller = TrainController()
        self.data = FolderEdit("folder with images, coarse, fine")
        self.class_table = FileChoice({name: name for name in PRESETS}, TABLE_FILES)
        self.method = Choice(METHODS)
        self.steps = number(1, 1_000_000, 800)
        self.batch_size = number(1, 256, 8)
        self.crop = number(16, 2048, 256)
        self.device = Choice({name: name for name in DEVICES})
        self.run_folder = FolderEdit("new folder for this run")
        self.train_button = QPushButton("&Train")
        self.stop_button = QPushButton("St&op")
        self.progress = QProgressBar()
        self.status = StatusText()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(
            form, "D&ata", self.data, "Folder with images/ coarse/ fine/, or FASSEG's own layout"
        )
        add_row(form, "Cla&sses", self.class_table, "Class table that the maps were drawn with")
        add_row(form, "&Method", self.method, "What the network is given, and what it learns from")
        add_row(form, "St&eps", self.steps, "Steps of the whole run")
        add_row(form, "&Batch size", self.batch_size, "Crops in a step; fewer take less memory")
        add_row(form, "&Crop (px)", self.crop, "Side of the training crops in pixels")
        add_row(form, "&Device", self.device, "Where to train; auto takes the GPU if there is one")
        add_row(
            form, "&Run folder", self.run_folder, "New folder for settings, log and checkpoints"
        )
        buttons = {
            self.train_button: "Train in the background; napari stays usable",
            self.stop_button: "Stop after the step at hand and save a checkpoint",
        }
        self.stop_button.setEnabled(False)
        self.progress.setRange(0, 1000)
        self.progress.setToolTip("Finished share of the steps")
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(button_row(buttons))
        layout.addWidget(self.progress)
        layout.addWidget(self.status, 1)

    def _connect(self) -> None:
        self.train_button.clicked.connect(self._train)
        self.stop_button.clicked.connect(self._controller.stop)
        events = self._controller.activity.events
        events.busy.connect(self._show_busy)
        events.progress.connect(self._show_progress)
        events.message.connect(self._show_message)
        self.destroyed.connect(self._controller.close)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the run, with a checkpoint, before the widget goes."""
        self._controller.close()
        super().closeEvent(event)

    def settings(self) -> dict[str, Any]:
        """Return the fields of a `TrainConfig` as the form shows them."""
        steps = self.steps.value()
        return {
            "data": {"root": self.data.value(), "class_table": self.class_table.value()},
            "run_folder": self.run_folder.value(),
            "method": self.method.value(),
            "steps": steps,
            "stage2": {"steps": steps},
            "validate_every": max(1, min(50, steps // 4)),
            "batch_size": self.batch_size.value(),
            "crop": self.crop.value(),
            "device": self.device.value(),
        }

    def _train(self) -> None:
        if not self.data.line.text() or not self.run_folder.line.text():
            self._controller.fail("Choose the data folder and a new folder for the run.")
            return
        self._controller.train(self.settings())

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
            self.train_button.setEnabled(not busy)
            self.stop_button.setEnabled(busy)

    def _show_progress(self, share: float) -> None:
        if self._alive():
            self.progress.setValue(round(1000 * share))


def number(smallest: int, largest: int, value: int) -> QSpinBox:
    """Return an editor of a whole number."""
    editor = QSpinBox()
    editor.setRange(smallest, largest)
    editor.setValue(value)
    return editor
