"""Section of the Review widget with the buttons of its actions."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_c2f.review.keys import KEYS
from napari_c2f.review.model import ReviewModel

LARGEST_SMALL = 9999
SMALL_TIP = "Largest size of regions that are decided on together as small ones"
THRESHOLD_TIP = "Minimum mean confidence of regions that are accepted together"
ROW_SPACING = 3
"""Pixels between buttons: three of them fit the narrowest dock."""


class ReviewButtons(QWidget):
    """Buttons of the review's actions, and the limits of some of them."""

    triggered = Signal(str)
    """Emitted with the name of an action."""
    compared = Signal(bool)
    """Emitted when the button of the coarse map is pressed or released."""
    threshold_changed = Signal(float)
    """Emitted with a confidence in [0, 1]."""

    small_changed = Signal(int)
    """Emitted with the largest size of small regions, in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.accept = QPushButton("&Accept")
        self.reject = QPushButton("Re&ject")
        self.previous = QPushButton("&Previous")
        self.next = QPushButton("&Next")
        self.accept_above = QPushButton("Accept a&ll from")
        self.threshold = QSpinBox()
        self.accept_small = QPushButton("Accept small")
        self.reject_small = QPushButton("Reject small")
        self.small = QSpinBox()
        self.accept_rest = QPushButton("Accept rest")
        self.reject_rest = QPushButton("Reject rest")
        self.next_doubtful = QPushButton("Next &doubtful")
        self.compare = QPushButton("&Hold to show coarse map")
        self.final = QCheckBox("Final &map")
        self.actions_by_button: dict[QAbstractButton, str] = {
            self.accept: "accept",
            self.reject: "reject",
            self.previous: "previous",
            self.next: "next",
            self.accept_above: "accept_above",
            self.accept_small: "accept_small",
            self.reject_small: "reject_small",
            self.accept_rest: "accept_rest",
            self.reject_rest: "reject_rest",
            self.next_doubtful: "next_doubtful",
            self.compare: "compare",
            self.final: "switch_final",
        }
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.threshold.setRange(0, 100)
        self.threshold.setSuffix(" %")
        self.threshold.setToolTip(THRESHOLD_TIP)
        self.small.setRange(1, LARGEST_SMALL)
        self.small.setSuffix(" px")
        self.small.setToolTip(SMALL_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widgets in (
            (self.previous, self.next, self.next_doubtful),
            (self.accept, self.reject),
            (self.accept_above, self.threshold),
            (self.accept_small, self.reject_small, self.small),
            (self.accept_rest, self.reject_rest),
            (self.compare,),
            (self.final,),
        ):
            row = QHBoxLayout()
            row.setSpacing(ROW_SPACING)
            for widget in widgets:
                row.addWidget(widget)
            layout.addLayout(row)

    def _connect(self) -> None:
        for button, name in self.actions_by_button.items():
            if button is not self.compare:
                button.clicked.connect(lambda *_, name=name: self.triggered.emit(name))
        self.compare.pressed.connect(lambda: self.compared.emit(True))
        self.compare.released.connect(lambda: self.compared.emit(False))
        self.threshold.valueChanged.connect(
            lambda percent: self.threshold_changed.emit(percent / 100)
        )

        self.small.valueChanged.connect(self.small_changed)

    def show_model(self, model: ReviewModel) -> None:
        """Show the minimum confidence, and which map is shown."""
        self.threshold.setValue(round(100 * model.threshold))
        self.small.setValue(model.small)
        self.final.setChecked(model.shows_final)

    def show_tips(self) -> None:
        """Show what the buttons do, and their current keys."""
        for button, name in self.actions_by_button.items():
            button.setToolTip(KEYS.tip(name))
