"""The section of the Project widget that refines all images that are to do."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_c2f.project.batch import BatchController
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.parts import button_row

TIPS = {
    "refine": "Refine every image that is to do and has a coarse map, but the open one, with the "
    "model of the project; then the list can be sorted by doubt",
    "stop": "Stop refining after the step at hand; what was refined is saved",
}


class ToDoSection(QWidget):
    """Buttons that start and stop refining, and how far it is.

    Parameters
    ----------
    controller : BatchController
    """

    def __init__(self, controller: BatchController) -> None:
        super().__init__()
        self._controller, self.model = controller, controller.model
        self.refine_button = QPushButton("R&efine all to do")
        self.stop_button = QPushButton("Stop refinin&g")
        self.progress = QProgressBar()
        self.progress.setToolTip("Finished share of the images to do")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addLayout(
            button_row({self.refine_button: TIPS["refine"], self.stop_button: TIPS["stop"]})
        )
        row.addWidget(self.progress, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.text)
        self.refine_button.clicked.connect(controller.refine)
        self.stop_button.clicked.connect(controller.stop)
        events = self.model.events
        for event in (events.busy, events.progress, events.message):
            event.connect(self._show)
        self._show()

    @while_alive
    def _show(self, *_: Any) -> None:
        busy, share = self.model.busy, self.model.progress
        self.refine_button.setEnabled(not busy)
        self.stop_button.setEnabled(busy)
        # Until the first share is known, the bar only shows that there is work.
        self.progress.setRange(0, 0 if busy and not share else 100)
        self.progress.setValue(round(100 * share))
        self.text.setText(self.model.message)
        self.text.setVisible(bool(self.model.message))
