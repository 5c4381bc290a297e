"""The Train widget: set up and watch runs, and return to earlier ones."""

from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from c2f_core.config.settings import TrainConfig
from napari_c2f.base.imports import import_in_background
from napari_c2f.layers.pairs import pairs_of_layers
from napari_c2f.train.controller import TrainController
from napari_c2f.train.data_view import DataView
from napari_c2f.train.model import Phase
from napari_c2f.train.monitor_view import MonitorView
from napari_c2f.train.preview import PreviewController
from napari_c2f.train.runs import RunsController
from napari_c2f.train.runs_view import RunsView
from napari_c2f.train.setup import SetupController
from napari_c2f.train.setup_view import SetupView
from napari_c2f.train.tensorboard import TensorBoard
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.parts import StatusText, button_row

FULL = 1000
"""Value of the progress bar when all is done."""
TIPS = {
    "train": "Train in the background; napari stays responsive",
    "stop": "Stop; a run first finishes its current step and saves a checkpoint",
    "resume": "Continue the run in {} from its last checkpoint",
    "reset": "Prepare another run; files are kept",
    "progress": "Share of the steps done",
}


class TrainWidget(DockedWidget):
    """Trains the plain U-Net, Model 1 or Model 2 on pairs, in the background.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer with layers to train on; it also shows the preview.

    Attributes
    ----------
    model : Training
        State of the work.
    preview : PreviewController
        Layer that shows how the network refines a validation pair.
    board : TensorBoard
        TensorBoard on the latest run.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        self._controller = TrainController()
        self.model = self._controller.model
        self._setup = SetupController(self._controller)
        self._runs = RunsController()
        self.preview = PreviewController(viewer, self.model)
        self.board = TensorBoard()
        self.when_ended(
            self._controller.close, self._runs.close, self.preview.close, self.board.close
        )
        self.data = DataView(viewer)
        self.setup = SetupView()
        self.monitor = MonitorView()
        self.runs = RunsView(self._runs)
        self.train_button = QPushButton("&Train")
        self.resume_button = QPushButton("Resu&me")
        self.reset_button = QPushButton("Reset")
        self.phase = QLabel()
        self.progress = QProgressBar()
        self.status = StatusText()
        self.tabs = QTabWidget()
        self._lay_out()
        self._connect_buttons()
        self._connect_model()
        self._show_phase(self.model.phase)
        self._show_interrupted(None)
        import_in_background(
            "torch", "c2f_core.training.trainer", "lightning_fabric", "torch.utils.tensorboard"
        )

    def _lay_out(self) -> None:
        self.tabs.addTab(self._setup_tab(), "Set up")
        self.tabs.addTab(self.monitor, "Progress")
        self.tabs.addTab(self.runs, "Runs")
        self.progress.setRange(0, FULL)
        self.progress.setToolTip(TIPS["progress"])
        self.phase.setWordWrap(True)
        buttons = {
            self.train_button: TIPS["train"],
            self.resume_button: TIPS["resume"],
            self.reset_button: TIPS["reset"],
        }
        below = button_row(buttons), self.progress, self.phase, self.status
        layout = self.scrolled_column(*below)
        layout.addWidget(self.tabs, 1)

    def _setup_tab(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addWidget(self.data)
        layout.addWidget(self.setup)
        layout.addStretch(1)
        return content

    def _connect_buttons(self) -> None:
        setup, data = self._setup, self.data
        self.train_button.clicked.connect(lambda: setup.train_or_stop(self.settings()))
        self.resume_button.clicked.connect(lambda: setup.resume(self.settings()))
        self.reset_button.clicked.connect(self._reset)
        data.check_button.clicked.connect(lambda: setup.check(self.settings()))
        data.write_button.clicked.connect(self._write_pairs)
        data.data.changed.connect(lambda: setup.choose_data(data.data.chosen))
        folder = self.setup.run_folder
        folder.changed.connect(lambda: setup.choose_run_folder(folder.chosen))
        self.monitor.preview_button.clicked.connect(self.preview.look)
        self.monitor.board_button.clicked.connect(lambda: self.board.open(self.model.run_folder))
        self.runs.opened.connect(setup.open_run)
        self.runs.started_from.connect(self._start_from)
        self.tabs.currentChanged.connect(self._enter_tab)

    def _connect_model(self) -> None:
        events = self.model.events
        events.phase.connect(self._show_phase)
        events.message.connect(self._show_status)
        events.progress.connect(self._show_progress)
        events.resources.connect(self._show_resources)
        events.log.connect(self._show_log)
        events.updates.connect(self._show_curves)
        events.inspection.connect(self.data.show_inspection)
        chosen = self._setup.model.events
        chosen.data.connect(self.data.show_folder)
        chosen.class_table.connect(self.data.show_class_table)
        chosen.run_folder.connect(self.setup.show_run_folder)
        chosen.interrupted.connect(self._show_interrupted)
        chosen.opened.connect(self._show_opened)
        self.board.message.connect(self._controller.tell)
        self.board.ready.connect(lambda address: QDesktopServices.openUrl(QUrl(address)))

    def settings(self) -> dict[str, Any]:
        """Return the fields of a `TrainConfig` as the form shows them.

        The data's root and the run folder are None if they are not chosen.
        """
        settings = self.setup.value()
        return settings | {"data": settings["data"] | self.data.value()}

    def _reset(self) -> None:
        self._setup.reset()
        self.tabs.setCurrentIndex(0)

    def _write_pairs(self) -> None:
        layers = {name: box.value for name, box in self.data.layers.items()}
        self._setup.write_pairs(lambda: pairs_of_layers(**layers), self.data.target.chosen)

    def _start_from(self, folder: Path) -> None:
        self.setup.start.setValue(folder)
        self.tabs.setCurrentIndex(0)

    def _enter_tab(self, index: int) -> None:
        if self.tabs.widget(index) is self.runs:
            self._runs.enter(self.model.run_folder, self._setup.model.run_folder)

    @while_alive
    def _show_phase(self, phase: Phase) -> None:
        is_busy = phase.is_busy
        self.train_button.setText("S&top" if is_busy else "&Train")
        self.train_button.setToolTip(TIPS["stop" if is_busy else "train"])
        self.train_button.setEnabled(phase.can_stop or not is_busy)
        for button in (self.resume_button, self.reset_button):
            button.setEnabled(not is_busy)
        for button in (self.data.check_button, self.data.write_button):
            button.setEnabled(not is_busy)
        if phase is Phase.PREPARING:
            self.tabs.setCurrentWidget(self.monitor)
        self._show_resources()
        self._show_status()

    @while_alive
    def _show_interrupted(self, folder: Path | None) -> None:
        self.resume_button.setToolTip(TIPS["resume"].format(folder or "the run folder"))

    @while_alive
    def _show_opened(self, config: TrainConfig) -> None:
        self.data.setValue(config.data.model_dump())
        self.setup.setValue(config)
        self.tabs.setCurrentIndex(0)

    @while_alive
    def _show_resources(self, *_: Any) -> None:
        resources = f" – {self.model.resources}" if self.model.resources else ""
        self.phase.setText(f"<b>{self.model.phase.capitalize()}</b>{resources}")

    @while_alive
    def _show_status(self, *_: Any) -> None:
        self.status.setText(self.model.status)

    @while_alive
    def _show_progress(self, share: float) -> None:
        self.progress.setValue(round(FULL * share))

    @while_alive
    def _show_log(self, lines: tuple[str, ...]) -> None:
        self.monitor.log.show_lines(lines)

    @while_alive
    def _show_curves(self, *_: Any) -> None:
        self.monitor.curves.show_stages(self.model.stages)
