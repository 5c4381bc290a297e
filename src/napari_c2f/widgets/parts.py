"""Small editors and views that the widgets share."""

from html import escape
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QWidget,
)

from c2f_core.classes import ClassTable

FROM_FILE = "From file…"
DEVICES = ("auto", "cpu", "cuda", "mps")


class Choice(QComboBox):
    """One of several values, each shown by a text of its own.

    Parameters
    ----------
    texts : dict
        Text by value, in order.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__()
        fix_width(self)
        for value, text in texts.items():
            self.addItem(text, value)

    def value(self) -> str:
        """Return the chosen value."""
        return str(self.currentData())

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a value."""
        self.setCurrentIndex(self.findData(value))


class FileChoice(Choice):
    """A list of values, to which files can be added.

    Parameters
    ----------
    texts : dict
        Text by value of the entries that are no files.
    pattern : str
        Of the file dialog.
    """

    def __init__(self, texts: dict[str, str], pattern: str) -> None:
        super().__init__({**texts, FROM_FILE: FROM_FILE})
        self._pattern = pattern
        self._before = 0
        self.activated.connect(self._choose)

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a value, or a file, which is added to the list."""
        if self.findData(value) < 0:
            path = Path(value)
            self.insertItem(self.count() - 1, f"{path.name} ({path.parent.name})", value)
            self.setItemData(self.findData(value), value, Qt.ItemDataRole.ToolTipRole)
        self._before = self.findData(value)
        self.setCurrentIndex(self._before)

    def _choose(self, index: int) -> None:
        if self.itemData(index) != FROM_FILE:
            self._before = index
            return
        self.setCurrentIndex(self._before)
        path, _ = QFileDialog.getOpenFileName(self, FROM_FILE, "", self._pattern)
        if path:
            self.setValue(path)


class FolderEdit(QWidget):
    """A folder, typed or chosen."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        button = QToolButton()
        button.setText("…")
        button.setToolTip("Choose a folder")
        button.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(button)
        self.setFocusProxy(self.line)

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


def fix_width(box: QComboBox) -> None:
    """Let no long name widen the dock."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(20)


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


def button_row(tips: dict[QPushButton, str]) -> QHBoxLayout:
    """Lay out buttons side by side, with their tool tips."""
    row = QHBoxLayout()
    for button, tip in tips.items():
        button.setToolTip(tip)
        row.addWidget(button)
    return row
