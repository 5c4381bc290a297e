"""Choices of values, files, folders and class tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QWidget,
)

from c2f_core.classes.table import PRESETS, ClassTable
from napari_c2f.base.table_selection import TableSelection

FROM_FILE = "From file…"
TABLE_FILES = "Class tables (*.json *.toml)"
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
        fix_combo_size(self)
        ignore_wheel(self)
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
        Entries before the presets that stand for a table that the widget gets elsewhere, as in
        "From the coarse map".
    """

    def __init__(self, *own: str) -> None:
        super().__init__({name: name for name in (*own, *PRESETS)}, TABLE_FILES)
        self._own = own
        self._read: tuple[str, int | None] | None = None
        self._selection = TableSelection()

    def selection(self) -> TableSelection:
        """Return the selected class table; a file is read again only after it has changed."""
        name = self.value()
        if name in self._own:
            return TableSelection()
        latest = name, _modification_time(name)
        if latest != self._read:
            self._read = latest
            self._selection = TableSelection.read(lambda: ClassTable.named(name))
        return self._selection


def _modification_time(name: str) -> int | None:
    """Return when a file was changed last, in nanoseconds; None for presets and missing files."""
    try:
        return Path(name).stat().st_mtime_ns
    except OSError:
        return None


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

    @property
    def chosen(self) -> Path | None:
        """Folder, or None if none is chosen."""
        return None if self.is_empty() else FolderEdit.value(self)

    def is_empty(self) -> bool:
        """Tell whether nothing was chosen."""
        return not self.line.text().strip()

    def _choose(self) -> None:
        chosen = self._ask()
        if chosen:
            self.setValue(chosen)

    def _ask(self) -> str:
        return QFileDialog.getExistingDirectory(self, self.line.placeholderText())


class _NoWheel(QObject):
    """Lets what lies behind a box scroll, instead of changing what is chosen in it."""

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Pass the wheel on."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def ignore_wheel(box: QComboBox) -> None:
    """Prevent scrolling over a box from changing the choice by accident."""
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.installEventFilter(_NoWheel(box))


def fix_combo_size(box: QComboBox) -> None:
    """Prevent long names from widening the dock."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(20)
