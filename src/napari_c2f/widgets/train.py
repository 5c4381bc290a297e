"""The Train widget: a small form over the settings of `c2f-train`."""

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from c2f_core.classes import PRESETS
from napari_c2f._controller import TrainController

METHODS = {"Model 1 (image and coarse map)": "model1", "Plain U-Net (image only)": "plain"}


class FolderEdit(QWidget):
    """A folder, typed or chosen."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        button = QPushButton("…")
        button.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(button)

    def value(self) -> Path:
        """Return the folder."""
        return Path(self.line.text()).expanduser()

    def setValue(self, value: str | Path) -> None:  # noqa: N802
        """Show a folder."""
        self.line.setText(str(value))

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.line.placeholderText())
        if chosen:
            self.setValue(chosen)


class TrainWidget(QWidget):
    """Trains Model 1 or the plain U-Net on a folder of pairs, in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._controller = TrainController()
        self.data = FolderEdit("folder with images, coarse, fine")
        self.class_table = QComboBox()
        self.class_table.setEditable(True)
        self.class_table.addItems(list(PRESETS))
        self.method = QComboBox()
        self.method.addItems(list(METHODS))
        self.steps = QSpinBox()
        self.steps.setRange(1, 1_000_000)
        self.steps.setValue(800)
        self.batch_size = QSpinBox()
        self.batch_size.setRange(1, 256)
        self.batch_size.setValue(8)
        self.crop = QSpinBox()
        self.crop.setRange(16, 2048)
        self.crop.setValue(256)
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.run_folder = FolderEdit("new folder for this run")
        self.train_button = QPushButton("Train")
        self.stop_button = QPushButton("Stop")
        self.progress = QProgressBar()
        self.status = QLabel()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Data", self.data)
        form.addRow("Classes", self.class_table)
        form.addRow("Method", self.method)
        form.addRow("Steps", self.steps)
        form.addRow("Batch size", self.batch_size)
        form.addRow("Crop (px)", self.crop)
        form.addRow("Device", self.device)
        form.addRow("Run folder", self.run_folder)
        buttons = QHBoxLayout()
        buttons.addWidget(self.train_button)
        buttons.addWidget(self.stop_button)
        self.stop_button.setEnabled(False)
        self.progress.setRange(0, 1000)
        self.status.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch()

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
            "data": {"root": self.data.value(), "class_table": self.class_table.currentText()},
            "run_folder": self.run_folder.value(),
            "method": METHODS[self.method.currentText()],
            "steps": steps,
            "validate_every": max(1, min(50, steps // 4)),
            "batch_size": self.batch_size.value(),
            "crop": self.crop.value(),
            "device": self.device.currentText(),
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
