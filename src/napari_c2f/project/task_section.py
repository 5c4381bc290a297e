"""Buttons that start and stop a background task, with its progress and message."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.parts import button_row


class TaskSection(QWidget):
    """Start and stop buttons, a progress bar and a message.

    The owner connects the start button.

    Parameters
    ----------
    controller : Controller
        Controller of the task.
    start, stop : (str, str)
        Text and tool tip of each button.
    tip : str
        Tool tip of the progress bar.
    """

    def __init__(
        self,
        controller: Controller[Activity],
        start: tuple[str, str],
        stop: tuple[str, str],
        tip: str,
    ) -> None:
        super().__init__()
        self.model = controller.model
        self.start_button, self.stop_button = QPushButton(start[0]), QPushButton(stop[0])
        self.progress = QProgressBar()
        self.progress.setToolTip(tip)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(button_row({self.start_button: start[1], self.stop_button: stop[1]}))
        layout.addWidget(self.progress)
        layout.addWidget(self.text)
        self.stop_button.clicked.connect(controller.stop)
        events = self.model.events
        for event in (events.busy, events.progress, events.message):
            event.connect(self._show)
        self._show()

    @while_alive
    def _show(self, *_: Any) -> None:
        busy, share = self.model.busy, self.model.progress
        self.start_button.setEnabled(not busy)
        self.stop_button.setEnabled(busy)
        # Until the first share is known, the bar only shows that the task is running.
        self.progress.setRange(0, 0 if busy and not share else 100)
        self.progress.setValue(round(100 * share))
        self.text.setText(self.model.message)
        self.text.setVisible(bool(self.model.message))
