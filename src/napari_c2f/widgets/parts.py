"""Small editors and views that the widgets share."""

from collections.abc import Callable, Mapping
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QCloseEvent, QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QWidget,
)
from superqt import QCollapsible

from c2f_core.classes import PRESETS, ClassTable

FROM_FILE = "From file…"
TABLE_FILES = "Class tables (*.json *.toml)"
LARGEST_HEIGHT = (1 << 24) - 1
"""Qt's limit."""
DEVICES = ("auto", "cpu", "cuda", "mps")


class DockedWidget(QWidget):
    """A widget whose work ends with it: when it is closed, or taken out of its dock.

    The cross of napari's docks takes it out, and does not close it.
    """

    _has_ended = False

    def end(self) -> None:
        """End the work for good."""
        raise NotImplementedError

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget goes."""
        self._end_once()
        super().closeEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """End the work where napari takes the widget out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._end_once()
        return super().event(event)

    def _end_once(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.end()


class Choice(QComboBox):
    """One of several values, each shown by a text of its own.

    Parameters
    ----------
    texts : dict
        Text by value, in order.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__()
        tame(self)
        for value, text in texts.items():
            self.addItem(text, value)

    def value(self) -> str:
        """Return the chosen value."""
        return str(self.currentData())

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a value."""
        self.setCurrentIndex(self.findData(value))

    @property
    def changed(self) -> Any:
        """Signal of another choice."""
        return self.currentIndexChanged


class FileChoice(Choice):
    """A list of values, to which files can be added.

    Parameters
    ----------
    texts : dict
        Text by value of the entries that are no files.
    pattern : str
        Of the file dialog.
    describe : callable, optional
        Returns the text of a file; without it that is its name and folder.
    """

    def __init__(
        self,
        texts: dict[str, str],
        pattern: str,
        describe: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__({**texts, FROM_FILE: FROM_FILE})
        self._pattern = pattern
        self._describe = describe or name_in_folder
        self._before = 0
        self.activated.connect(self._choose)

    def value(self) -> str:
        """Return the chosen value; until a file is chosen that is the one before."""
        index = self.currentIndex()
        return str(self.itemData(index if index < self._first_action() else self._before))

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a value, or a file, which is added to the list."""
        if self.findData(value) < 0:
            self.add(value)
        self._before = self.findData(value)
        self.setCurrentIndex(self._before)

    def add(self, path: str) -> None:
        """Add a file to the list, or tell its text anew; the choice stays as it is."""
        place = self.findData(path)
        if place < 0:
            place = self._first_action()
            self.insertItem(place, "", path)
            self.setItemData(place, path, Qt.ItemDataRole.ToolTipRole)
        self.setItemText(place, self._describe(path))

    def _first_action(self) -> int:
        """Place of the first entry that opens a dialog."""
        return self.findData(FROM_FILE)

    def _choose(self, index: int) -> None:
        if self.itemData(index) != FROM_FILE:
            self._before = index
            return
        self.setCurrentIndex(self._before)
        path, _ = QFileDialog.getOpenFileName(self, FROM_FILE, "", self._pattern)
        if path:
            self.setValue(path)


class TableChoice(FileChoice):
    """A list of class tables: presets and files.

    Parameters
    ----------
    own : str
        Entries before them that stand for something of the widget's own.
    """

    def __init__(self, *own: str) -> None:
        super().__init__({name: name for name in (*own, *PRESETS)}, TABLE_FILES)

    def table(self) -> ClassTable:
        """Load the class table that is chosen, which must be none of the widget's own.

        Raises
        ------
        ClassTableError
            The chosen file is no class table.
        """
        return ClassTable.named(self.value())


def name_in_folder(path: str) -> str:
    """Return the name of a file with that of its folder."""
    return f"{Path(path).name} ({Path(path).parent.name})"


class FolderEdit(QWidget):
    """A folder, typed or chosen."""

    changed = Signal()

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.textChanged.connect(self.changed)
        button = QToolButton()
        button.setText("…")
        button.setToolTip("Choose with a dialog")
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

    def is_empty(self) -> bool:
        """Tell whether nothing was chosen."""
        return not self.line.text().strip()

    def _choose(self) -> None:
        chosen = self._ask()
        if chosen:
            self.setValue(chosen)

    def _ask(self) -> str:
        return QFileDialog.getExistingDirectory(self, self.line.placeholderText())


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


def while_alive(show: Callable[..., None]) -> Callable[..., None]:
    """Guard a view's method against events that come when Qt has deleted the view.

    The work, whose `_controller` the view holds, is ended then.
    """

    @wraps(show)
    def guarded(self: Any, *values: Any) -> None:
        if isalive(self):
            show(self, *values)
        else:
            self._controller.close()

    return guarded


def layer_box(viewer: ViewerModel, kind: type[Layer]) -> ComboBox:
    """Return a list of the viewer's layers of a kind; `reset_choices` brings it up to date."""

    def layers(_: Any) -> list[Layer]:
        return [layer for layer in viewer.layers if isinstance(layer, kind)]

    box = ComboBox(choices=layers, nullable=True)
    tame(box.native)
    return box


def update_layer_box(box: ComboBox, viewer: ViewerModel) -> None:
    """List the layers that there are now; the choice stays while its layer is there."""
    before = box.value
    box.reset_choices()
    box.value = before if before in viewer.layers else None


class _NoWheel(QObject):
    """Lets what lies behind a box scroll, instead of changing what is chosen in it."""

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Pass the wheel on."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def tame(box: QComboBox) -> None:
    """Let no long name widen the dock, and no scrolling change the choice by accident."""
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.installEventFilter(_NoWheel(box))
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
