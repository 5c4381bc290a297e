"""Choices of values, files, folders and class tables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QToolButton,
    QWidget,
)

from c2f_core.classes.editing import table_of_names
from c2f_core.classes.table import PRESETS, ClassTable
from c2f_core.models.bundled import is_model_file, stem_of
from napari_c2f.base.table_selection import TableSelection

TITLES = {
    "fasseg": "Faces",
    "cityscapes": "Cityscapes",
    "camvid": "CamVid",
    "any": "Any classes",
    "instant": "From this image",
    "watershed": "Watershed",
    "random walker": "Random walker",
}
"""Texts of class tables and refiners, by name."""
NEW_CLASSES = "New classes…"
FROM_FILE = "From file…"
TABLE_FILES = "Class tables (*.json *.toml)"
DEVICES = ("auto", "cpu", "cuda", "mps")


def title_of(name: str) -> str:
    """Return what the user reads for a class table or refiner: its title, or the name of a file."""
    return TITLES.get(name) or (stem_of(name) if is_model_file(name) else name)


class Choice(QComboBox):
    """A list of values, each of which is shown as a text.

    Parameters
    ----------
    texts : mapping of str to str
        Text of each value, in the order of the list.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
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

    def set_tip(self, value: str, tip: str) -> None:
        """Set the tool tip of an entry."""
        self.setItemData(self.findData(value), tip, Qt.ItemDataRole.ToolTipRole)

    @property
    def changed(self) -> Any:
        """Signal that is emitted when another value is chosen."""
        return self.currentIndexChanged


class FileChoice(Choice):
    """A list of values to which the user can add files.

    Parameters
    ----------
    texts : mapping of str to str
        Text of each entry that is not a file, by value.
    pattern : str
        Filter of the file dialog, as in "Models (*.safetensors)".
    describe : callable, optional
        Function that returns the text of a file; without it the text is its name and folder.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        pattern: str,
        describe: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__({**texts, FROM_FILE: FROM_FILE})
        self._pattern = pattern
        self._describe = describe or name_in_folder
        self._before = 0
        self.activated.connect(self._choose)

    def value(self) -> str:
        """Return the chosen value; while the file dialog is open, the previous one."""
        index = self.currentIndex()
        return str(self.itemData(index if index < self._first_action() else self._before))

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose a value; a file that is not in the list is added."""
        if self.findData(value) < 0:
            self.add(value)
        self._before = self.findData(value)
        self.setCurrentIndex(self._before)

    def add(self, path: str) -> None:
        """Add a file to the list, or update its text; the choice is unchanged."""
        row = self.findData(path)
        if row < 0:
            row = self._first_action()
            self.insertItem(row, "", path)
            self.setItemData(row, path, Qt.ItemDataRole.ToolTipRole)
        self.setItemText(row, self._describe(path))

    def _first_action(self) -> int:
        """Return the row of the entry that opens the file dialog."""
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
    """A list of class tables: presets, files and new classes.

    Parameters
    ----------
    own : str
        Entries before the presets that stand for a table that the widget gets elsewhere, as in
        "From the coarse map".
    makes_new : bool
        Whether new classes can be typed.
    """

    def __init__(self, *own: str, makes_new: bool = True) -> None:
        new = (NEW_CLASSES,) if makes_new else ()
        names = (*own, *PRESETS, *new)
        super().__init__({name: title_of(name) for name in names}, TABLE_FILES)
        self._own = own
        self._typed: dict[str, TableSelection] = {}
        self._read: tuple[str, int | None] | None = None
        self._selection = TableSelection()

    def selection(self) -> TableSelection:
        """Return the selected class table; a file is read again only after it has changed."""
        name = self.value()
        if name in self._own:
            return TableSelection()
        if name in self._typed:
            return self._typed[name]
        latest = name, _modification_time(name)
        if latest != self._read:
            self._read = latest
            self._selection = TableSelection.read(lambda: ClassTable.named(name))
        return self._selection

    def _first_action(self) -> int:
        """Return the row of the first entry that opens a dialog."""
        new = self.findData(NEW_CLASSES)
        return super()._first_action() if new < 0 else new

    def _choose(self, index: int) -> None:
        if self.itemData(index) != NEW_CLASSES:
            super()._choose(index)
            return
        self.setCurrentIndex(self._before)
        text, is_accepted = QInputDialog.getMultiLineText(
            self, "New classes", "Names of the classes, one in each line:", "background\n"
        )
        if is_accepted:
            self._add_typed(text.splitlines())

    def _add_typed(self, names: list[str]) -> None:
        """Add a table of new classes to the list, and choose it."""
        selection = TableSelection.read(lambda: table_of_names(names))
        shown = names if selection.table is None else selection.table.names
        key = f"New: {', '.join(shown)}"
        self._typed[key] = selection
        if self.findData(key) < 0:
            self.insertItem(self._first_action(), key, key)
            self.setItemData(self.findData(key), key, Qt.ItemDataRole.ToolTipRole)
        self.setValue(key)


def _modification_time(name: str) -> int | None:
    """Return when a file was changed last, in nanoseconds; None for presets and missing files."""
    try:
        return Path(name).stat().st_mtime_ns
    except OSError:
        return None


def name_in_folder(path: str) -> str:
    """Return the name of a file, followed by the name of its folder in parentheses."""
    return f"{Path(path).name} ({Path(path).parent.name})"


class PathLine(QWidget):
    """A line in which a path is typed, and a button that opens a dialog to choose one.

    Parameters
    ----------
    placeholder : str
        Text of the empty line.
    """

    changed = Signal()
    """Emitted when the text changes."""

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

    @property
    def chosen(self) -> Path | None:
        """Path, or None if the line is empty."""
        return None if self.is_empty() else Path(self.line.text()).expanduser()

    def is_empty(self) -> bool:
        """Return whether the line is empty."""
        return not self.line.text().strip()

    def _choose(self) -> None:
        chosen = self._ask()
        if chosen:
            self.line.setText(chosen)

    def _ask(self) -> str:
        """Ask for a path in a dialog; return an empty string if the user cancels it."""
        raise NotImplementedError


class FolderEdit(PathLine):
    """An editor of a folder, which is typed or chosen in a dialog."""

    def value(self) -> Path:
        """Return the folder; see `is_empty`."""
        return Path(self.line.text()).expanduser()

    def setValue(self, value: str | Path) -> None:  # noqa: N802
        """Set the folder."""
        self.line.setText(str(value))

    def _ask(self) -> str:
        return QFileDialog.getExistingDirectory(self, self.line.placeholderText())


class _NoWheel(QObject):
    """Event filter that lets the form behind a box scroll instead of changing the choice."""

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Pass wheel events on."""
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
    box.setMinimumContentsLength(10)
