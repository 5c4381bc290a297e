"""The Train widget: set up, watch, and come back to runs."""

from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from c2f_core.errors import C2FError
from c2f_core.training.inspection import Inspection
from c2f_core.training.run_folder import RunFolder
from napari_c2f.base.gl_context import guard_removals
from napari_c2f.base.worker import load_ahead
from napari_c2f.layers.pairs import pairs_of_layers
from napari_c2f.train.controller import TrainController
from napari_c2f.train.curves import CurvesView
from napari_c2f.train.data_view import DataView
from napari_c2f.train.model import Phase
from napari_c2f.train.preview import PreviewLayer
from napari_c2f.train.runs_view import RunsView
from napari_c2f.train.setup_view import SetupView
from napari_c2f.train.tensorboard import TensorBoard
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.parts import StatusText, button_row

BUSY = (Phase.CHECKING, Phase.WRITING, Phase.PREPARING, Phase.TRAINING, Phase.STOPPING)
PREVIEW_DELAY = 50
"""Milliseconds to the preview, so that curves are drawn before; both at once take too long."""
TIPS = {
    "train": "Train in the background; napari stays usable",
    "stop": "Stop; a run that trains finishes its step and saves a checkpoint first",
    "resume": "Go on with the run in {} from its last checkpoint",
    "reset": "Make ready for another run; files stay as they are",
    "preview": "Bring the preview layer into view",
    "board": "Start TensorBoard on the run folder and open it in the browser",
}


class TrainWidget(DockedWidget):
    """Trains the plain U-Net, Model 1 or Model 2 on pairs, in a thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._controller = TrainController()
        guard_removals(viewer)
        self._preview = PreviewLayer(viewer)
        self._board = TensorBoard()
        self._proposed = ""
        self._shown: Path | None = None  # Folder of the run whose settings the form shows.
        self._interrupted: Path | None = None  # Resume takes it until the user names another run.
        self._listed: Path | None = None  # Run that the folder of runs was chosen for.
        self._logged = 0
        self.data = DataView(viewer)
        self.setup = SetupView()
        self.curves = CurvesView()
        self.runs = RunsView()
        self.log = StatusText()
        self.preview_button = QPushButton("Show previe&w")
        self.board_button = QPushButton("Tensor&Board")
        self.train_button = QPushButton("&Train")
        self.resume_button = QPushButton("Resu&me")
        self.reset_button = QPushButton("Reset")
        self.phase = QLabel()
        self.progress = QProgressBar()
        self.status = StatusText()
        self.tabs = QTabWidget()
        self._lay_out()
        self._connect()
        self._show_phase(Phase.IDLE)
        load_ahead("c2f_core.training.trainer", "lightning_fabric", "torch.utils.tensorboard")

    # Layout

    def _lay_out(self) -> None:
        self.tabs.addTab(self._setup_tab(), "Set up")
        self.tabs.addTab(self._progress_tab(), "Progress")
        self.tabs.addTab(self.runs, "Runs")
        self.progress.setRange(0, 1000)
        self.progress.setToolTip("Finished share of the steps")
        self.phase.setWordWrap(True)
        self.status.setMaximumHeight(7 * self.fontMetrics().lineSpacing())
        buttons = {
            self.train_button: TIPS["train"],
            self.resume_button: TIPS["resume"].format("the run folder"),
            self.reset_button: TIPS["reset"],
        }
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(button_row(buttons))
        layout.addWidget(self.progress)
        layout.addWidget(self.phase)
        layout.addWidget(self.status)

    def _setup_tab(self) -> QScrollArea:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addWidget(self.data)
        layout.addWidget(self.setup)
        layout.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        return area

    def _progress_tab(self) -> QWidget:
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.curves)
        split.addWidget(self.log)
        split.setSizes([600, 120])
        self.log.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.log.setToolTip("What the run said so far")
        tab = QWidget()
        layout = QVBoxLayout(tab)
        buttons = {self.preview_button: TIPS["preview"], self.board_button: TIPS["board"]}
        layout.addLayout(button_row(buttons))
        layout.addWidget(split, 1)
        return tab

    def _connect(self) -> None:
        self.train_button.clicked.connect(self._train_or_stop)
        self.resume_button.clicked.connect(self._resume)
        self.reset_button.clicked.connect(self._reset)
        self.data.check_button.clicked.connect(self._check)
        self.data.write_button.clicked.connect(self._write_pairs)
        self.data.data.changed.connect(self._propose_run_folder)
        self.setup.run_folder.changed.connect(self._take_folder_of_form)
        self.preview_button.clicked.connect(self._preview.look)
        self.board_button.clicked.connect(self._open_board)
        self._board.ready.connect(self._show_board)
        self._board.failed.connect(self.status.setText)
        self.runs.opened.connect(self._open_run)
        self.runs.started_from.connect(self._start_from)
        self.tabs.currentChanged.connect(self._enter_tab)
        events = self._controller.model.events
        events.phase.connect(self._show_phase)
        events.message.connect(self._show_message)
        events.progress.connect(self._show_progress)
        events.resources.connect(self._show_resources)
        events.log.connect(self._show_log)
        events.updates.connect(self._show_curves)
        events.preview.connect(self._show_preview)
        events.inspection.connect(self._show_inspection)
        self.destroyed.connect(self._controller.close)

    def end(self) -> None:
        """End the run, with a checkpoint, before the widget goes."""
        self._controller.close()
        self._board.close()
        self.runs.close()

    def reset_choices(self, *_: Any) -> None:
        """Follow the viewer's layers; napari calls this when they change."""
        if isalive(self):
            self.data.reset_choices()

    # What the user asks for

    def settings(self) -> dict[str, Any]:
        """Return the fields of a `TrainConfig` as the form shows them."""
        settings = self.setup.value()
        return settings | {"data": settings["data"] | self.data.value()}

    def _train_or_stop(self) -> None:
        if self._controller.model.phase in BUSY:
            self._controller.stop()
        elif self._is_ready():
            folder = self.setup.run_folder.value()
            if not RunFolder(folder).has_checkpoint:  # Else it is refused.
                self._shown = folder
            self._controller.train(self.settings())

    def _is_ready(self) -> bool:
        if self.data.data.is_empty() or self.setup.run_folder.is_empty():
            self._controller.fail("Choose the data folder and a new folder for the run.")
            return False
        return self._has_start()

    def _has_start(self) -> bool:
        if self.setup.method.value() == "stage2" and self.setup.start.value() is None:
            self._controller.fail(
                "Stage 2 goes on from stage 1: choose its run folder under 'Start from', or the "
                "method that trains both stages."
            )
            return False
        return True

    def _check(self) -> None:
        if self.data.data.is_empty():
            self._controller.fail("Choose the data folder first.")
        elif self._has_start():
            folder = self.setup.run_folder
            run_folder = self.data.data.value() if folder.is_empty() else folder.value()
            self._controller.check(self.settings() | {"run_folder": run_folder})

    def _resume(self) -> None:
        if self._interrupted is None and self.setup.run_folder.is_empty():
            self._controller.fail("Choose the folder of the run to go on with.")
            return
        folder = self._interrupted or self.setup.run_folder.value()
        names = ["device"]
        if self._shown == folder:
            names += ["batch_size", "crop"]  # The form shows this run: what is changed is meant.
        settings = self.setup.value()
        self._controller.resume(folder, {name: settings[name] for name in names})

    def _take_folder_of_form(self) -> None:
        """Let Resume go on with the run in the form; while a run trains, with that one."""
        if self._controller.model.phase not in BUSY:
            self._interrupt(None)

    def _interrupt(self, folder: Path | None) -> None:
        self._interrupted = folder
        self.resume_button.setToolTip(TIPS["resume"].format(folder or "the run folder"))

    def _reset(self) -> None:
        self._controller.reset()
        self._proposed = str(self.setup.run_folder.value())
        self._propose_run_folder()
        self.tabs.setCurrentIndex(0)

    def _write_pairs(self) -> None:
        if self.data.target.is_empty():
            self._controller.fail("Choose the folder that the pairs are written to.")
            return
        layers = {name: box.value for name, box in self.data.layers.items()}
        self._controller.write_pairs(
            lambda: pairs_of_layers(**layers), self.data.target.value(), self.data.show_written
        )

    def _propose_run_folder(self) -> None:
        """Name a folder that is free, unless the user has named one or a run is not done yet."""
        line = self.setup.run_folder.line
        is_free = line.text() in ("", self._proposed) and self._interrupted is None
        if self.data.data.is_empty() or not is_free:
            return
        self._proposed = str(free_run_folder(self.data.data.value()))
        self.setup.run_folder.setValue(self._proposed)

    def _open_run(self, folder: Path) -> None:
        try:
            config = RunFolder(folder).read_config()
        except C2FError as error:
            self._controller.tell(str(error))
            return
        self.data.setValue(config.data.model_dump())
        self.setup.setValue(config.model_copy(update={"run_folder": folder}))
        self._shown = folder
        self._take_folder_of_form()
        self.tabs.setCurrentIndex(0)

    def _start_from(self, folder: Path) -> None:
        self.setup.start.setValue(folder)
        self.tabs.setCurrentIndex(0)

    def _open_board(self) -> None:
        folder = self._controller.model.run_folder
        if folder is None:
            self.status.setText("Train or resume a run first: TensorBoard shows its folder.")
            return
        self.status.setText("TensorBoard is starting…")
        self._board.open(folder)

    def _show_board(self, address: str) -> None:
        self.status.setText(f"TensorBoard answers at {address}")
        QDesktopServices.openUrl(QUrl(address))

    def _enter_tab(self, index: int) -> None:
        if self.tabs.widget(index) is self.runs:
            self._choose_runs()
            self.runs.refresh()

    def _choose_runs(self) -> None:
        """Look where a new run lies, or, where nothing is chosen, where the next one will."""
        run, folder = self._controller.model.run_folder, self.runs.folder
        is_new, self._listed = run != self._listed, run
        if run is None and folder.is_empty() and not self.setup.run_folder.is_empty():
            run, is_new = self.setup.run_folder.value(), True
        if run is None or not is_new:  # What the user has chosen since stays.
            return
        if folder.is_empty() or not run.is_relative_to(folder.value()):
            folder.setValue(run.parent)

    # What the model says

    @while_alive
    def _show_phase(self, phase: Phase) -> None:
        busy = phase in BUSY
        self.train_button.setText("S&top" if busy else "&Train")
        self.train_button.setToolTip(TIPS["stop" if busy else "train"])
        self.train_button.setEnabled(phase not in (Phase.WRITING, Phase.STOPPING))
        for button in (self.resume_button, self.reset_button, self.data.check_button):
            button.setEnabled(not busy)
        self.data.write_button.setEnabled(not busy)
        self._follow_run(phase)
        if phase is Phase.PREPARING:
            self.tabs.setCurrentIndex(1)
            self._preview.prepare()
        elif phase in (Phase.STOPPED, Phase.FAILED, Phase.DONE):
            self._show_latest_preview()  # It may still wait for its turn.
            self._preview.tidy()
        self._show_resources()
        self._show_message()

    def _follow_run(self, phase: Phase) -> None:
        """Remember the run under way, until it is done or turns out to have nothing to resume."""
        folder = self._controller.model.run_folder
        is_begun = folder is not None and RunFolder(folder).has_checkpoint
        if phase is Phase.PREPARING:
            self._interrupt(folder)
        elif phase in (Phase.IDLE, Phase.DONE) or (phase is Phase.FAILED and not is_begun):
            self._interrupt(None)

    @while_alive
    def _show_resources(self, *_: Any) -> None:
        model = self._controller.model
        resources = f" – {model.resources}" if model.resources else ""
        self.phase.setText(f"<b>{model.phase.capitalize()}</b>{resources}")

    @while_alive
    def _show_message(self, *_: Any) -> None:
        model = self._controller.model
        self.status.setText("\n".join(part for part in (model.message, model.advice) if part))

    @while_alive
    def _show_progress(self, share: float) -> None:
        self.progress.setValue(round(1000 * share))

    @while_alive
    def _show_log(self, lines: tuple[str, ...]) -> None:
        if len(lines) < self._logged:
            self.log.setText("")
            self._logged = 0
        for line in lines[self._logged :]:
            self.log.appendPlainText(line)
        self._logged = len(lines)

    @while_alive
    def _show_curves(self, *_: Any) -> None:
        self.curves.show_stages(self._controller.model.stages)

    @while_alive
    def _show_preview(self, *_: Any) -> None:
        QTimer.singleShot(PREVIEW_DELAY, self._show_latest_preview)

    @while_alive
    def _show_latest_preview(self) -> None:
        preview = self._controller.model.preview
        if preview is not None:
            self._preview.show(preview)

    @while_alive
    def _show_inspection(self, found: Inspection | None) -> None:
        self.data.show_inspection(found)


def free_run_folder(data: Path) -> Path:
    """Return a folder for a run on these data that does not exist yet."""
    number = 1
    while (folder := data.parent / "runs" / f"{data.name}-{number}").exists():
        number += 1
    return folder
