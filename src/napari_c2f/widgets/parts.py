"""Small editors and views that the widgets share."""

from collections.abc import Mapping
from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPlainTextEdit,
    QWidget,
)
from superqt import QCollapsible

from c2f_core.classes.table import ClassTable

LARGEST_HEIGHT = (1 << 24) - 1
"""Qt's limit."""


class StatusText(QPlainTextEdit):
    """Sentences for the user: they can be selected, wrap anywhere and never resize the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTabChangesFocus(True)
        self.setMinimumHeight(5 * self.fontMetrics().lineSpacing())
        self.setToolTip("What happened, and what to do")

    def text(self) -> str:
        """Return what is shown."""
        return self.toPlainText()

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text from its beginning."""
        self.setPlainText(text)


class Legend(QLabel):
    """The classes of a table: colour, index and name."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setToolTip("Classes: colour, index (napari's label number) and name")

    def show_table(self, class_table: ClassTable | None) -> None:
        """Show the classes of a table; nothing where it is None."""
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
    """Add an editor with a label that has its shortcut and tool tip.

    Parameters
    ----------
    form : QFormLayout
    text : str
        With "&" before the letter that focuses the editor.
    editor : QWidget
    tip : str
    """
    label = QLabel(text)
    label.setBuddy(editor)
    for widget in (label, editor, editor.focusProxy()):
        if widget is not None:
            widget.setToolTip(tip)
    form.addRow(label, editor)


def collapsible(title: str, content: QLayout | QWidget) -> QCollapsible:
    """Return a collapsed section with this layout or widget."""
    section = QCollapsible(title)
    section.setDuration(0)
    if isinstance(content, QLayout):
        layout, content = content, QWidget()
        content.setLayout(layout)
        layout.setContentsMargins(0, 0, 0, 4)
    section.setContent(content)

    def show(is_open: bool) -> None:
        content.setVisible(is_open)  # What is collapsed takes no part in tabbing.
        if is_open:  # It may grow later.
            content.setMaximumHeight(LARGEST_HEIGHT)

    section.toggled.connect(show)
    section.collapse(animate=False)
    return section


def button_row(tips: Mapping[Any, str]) -> QHBoxLayout:
    """Lay out buttons side by side, with their tool tips."""
    row = QHBoxLayout()
    for button, tip in tips.items():
        button.setToolTip(tip)
        row.addWidget(button)
    return row


def untinted(pixmap: QPixmap) -> QIcon:
    """Return an icon that keeps its colours where it is chosen; Qt would tint it."""
    icon = QIcon()
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(pixmap, mode)
    return icon


def types_text(event: QKeyEvent | None) -> bool:
    """Tell letters and digits, which napari's tools want, from keys that move about."""
    return event is not None and bool(event.text()) and event.text().isprintable()
