"""Curves and log of a run while it trains."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_c2f.train.curves import CurvesView
from napari_c2f.widgets.parts import StatusText, button_row

TIPS = {
    "preview": "Bring the preview layer into view",
    "board": "Start TensorBoard on the run folder and open it in the browser",
    "log": "Log of the run",
}


class LogView(StatusText):
    """A log that grows line by line."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def show_lines(self, lines: Sequence[str]) -> None:
        """Show the lines of a log; if it has only grown, new lines are appended."""
        if len(lines) < self._count:
            self.setText("")
            self._count = 0
        for line in lines[self._count :]:
            self.appendPlainText(line)
        self._count = len(lines)


class MonitorView(QWidget):
    """Curves, log, and buttons for preview and TensorBoard."""

    def __init__(self) -> None:
        super().__init__()
        self.curves = CurvesView()
        self.log = LogView()
        self.preview_button = QPushButton("Show previe&w")
        self.board_button = QPushButton("Tensor&Board")
        self.log.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.log.setToolTip(TIPS["log"])
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.curves)
        split.addWidget(self.log)
        split.setSizes([600, 120])
        buttons = {self.preview_button: TIPS["preview"], self.board_button: TIPS["board"]}
        layout = QVBoxLayout(self)
        layout.addLayout(button_row(buttons))
        layout.addWidget(split, 1)
