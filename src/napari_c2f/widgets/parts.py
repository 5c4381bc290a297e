"""Small views and layout helpers that the widgets share."""

from collections.abc import Mapping
from html import escape
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QLabel,
    QLayout,
    QPlainTextEdit,
    QScrollArea,
    QWidget,
)
from superqt import QCollapsible

from c2f_core.classes.table import ClassTable, Colour

FRAME = QColor(128, 128, 128)
ROW_WIDTH = 300
"""Largest width of buttons side by side, in pixels of the screen."""
STATUS_LINES = 5
SETTLING_TIME = 1000
"""Milliseconds within which the layouts around an opened section make room for it."""
LARGEST_HEIGHT = (1 << 24) - 1
"""Largest height of a widget in Qt."""


class StatusText(QPlainTextEdit):
    """Text for the user, which can be selected, wraps anywhere and never resizes the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTabChangesFocus(True)
        self.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.setToolTip("What happened, and what to do")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a height of a few lines."""
        height = STATUS_LINES * self.fontMetrics().lineSpacing()
        return QSize(super().sizeHint().width(), height)

    def text(self) -> str:
        """Return the text."""
        return self.toPlainText()

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text, scrolled to its beginning."""
        self.setPlainText(text)


class Legend(QLabel):
    """A legend of a class table: colour, label and name of each class."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setToolTip("Classes: colour, label and name")

    def show_table(self, class_table: ClassTable | None) -> None:
        """Show the classes of a table; hide the legend if the table is None."""
        entries = () if class_table is None else class_table.entries
        self.setVisible(bool(entries))
        self.setText(
            " ".join(
                f'<span style="color:#{bytes(entry.colour).hex()}">■</span>'
                f"&nbsp;{entry.index}&nbsp;{_unbroken(entry.name)}&ensp;"
                for entry in entries
            )
        )


def _unbroken(name: str) -> str:
    return escape(name).replace(" ", "&nbsp;")


def add_row(form: QFormLayout, text: str, editor: QWidget, tip: str) -> None:
    """Add an editor and its label to a form, with a shortcut and tool tips.

    Parameters
    ----------
    form : QFormLayout
        Form to add a row to.
    text : str
        Text of the label, with "&" before the letter that focuses the editor.
    editor : QWidget
        Editor in the row.
    tip : str
        Tool tip of the label and the editor.
    """
    label = QLabel(text)
    label.setBuddy(editor)
    for widget in (label, editor, editor.focusProxy()):
        if widget is not None:
            widget.setToolTip(tip)
    form.addRow(label, editor)


def collapsible(title: str, content: QLayout | QWidget) -> QCollapsible:
    """Return a collapsed section that contains a layout or widget."""
    section = QCollapsible(title)
    section.setDuration(0)
    if isinstance(content, QLayout):
        layout, content = content, QWidget()
        content.setLayout(layout)
        layout.setContentsMargins(0, 0, 0, 4)
    section.setContent(content)

    def show(is_open: bool) -> None:
        content.setVisible(is_open)  # Collapsed editors are skipped by Tab.
        if is_open:  # The content may grow later.
            content.setMaximumHeight(LARGEST_HEIGHT)
            _keep_in_view(content)

    section.toggled.connect(show)
    section.collapse(animate=False)
    return section


def _keep_in_view(content: QWidget) -> None:
    """Scroll the column that contains an opened section to it until its layout has settled."""
    area = content.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    bar = area.verticalScrollBar() if area is not None else None
    if area is None or bar is None:
        return

    def scroll() -> None:
        if isalive(content) and isalive(area) and content.isVisible():
            area.ensureWidgetVisible(content)

    QTimer.singleShot(0, scroll)
    bar.rangeChanged.connect(scroll)
    QTimer.singleShot(SETTLING_TIME, lambda: isalive(bar) and bar.rangeChanged.disconnect(scroll))


def button_row(tips: Mapping[Any, str]) -> QGridLayout:
    """Lay out buttons side by side, in as few rows as docks are wide, with their tool tips."""
    grid = QGridLayout()
    widest = max(button.sizeHint().width() for button in tips)
    rows = -(-len(tips) // max(1, ROW_WIDTH // widest))
    columns = -(-len(tips) // rows)
    for number, (button, tip) in enumerate(tips.items()):
        button.setToolTip(tip)
        grid.addWidget(button, *divmod(number, columns))
    return grid


def colour_icon(colour: Colour | None, size: QSize) -> QIcon:
    """Return a framed patch of a colour as an icon; without a colour it is struck out."""
    pixmap = QPixmap(size)
    pixmap.fill(Qt.GlobalColor.transparent if colour is None else QColor(*colour))
    painter = QPainter(pixmap)
    painter.setPen(FRAME)
    painter.drawRect(0, 0, size.width() - 1, size.height() - 1)
    if colour is None:
        painter.drawLine(0, size.height() - 1, size.width() - 1, 0)
    painter.end()
    icon = QIcon()  # Qt would tint the patch in selected rows.
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(pixmap, mode)
    return icon


def types_text(event: QKeyEvent) -> bool:
    """Return whether a key types text: letters and digits belong to napari's tools."""
    return bool(event.text()) and event.text().isprintable()
