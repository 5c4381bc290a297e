"""The table of classes: colour, name, key, share and lock."""

from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_c2f.draw.model import Swatch
from napari_c2f.widgets.parts import colour_icon, types_text

COLUMNS = {
    "": "Colour; double-click to change it",
    "Class": "Class; click to draw with it, double-click to rename it",
    "Key": "Key that chooses the class while the image has the focus",
    "Share": "Share of the map's pixels",
    "Lock": "Drawing and refining leave pixels of a locked class unchanged",
}
COLOUR, NAME, KEY, SHARE, LOCK = range(len(COLUMNS))
ICON = QSize(18, 18)


class CellBox(QCheckBox):
    """A check box that reacts to clicks anywhere in its cell."""

    def hitButton(self, pos: QPoint) -> bool:  # noqa: N802
        """Return whether a click at this position toggles the box."""
        return bool(self.rect().contains(pos))


class PaletteTable(QTableWidget):
    """A table with a row for each class, which emits what the user wants."""

    chosen = Signal(int)
    """Emitted with the label of the class to draw with."""
    renamed = Signal(int, str)
    """Emitted with the label and the new name of a class."""
    colour_wanted = Signal(int)
    """Emitted with the label of a class whose colour the user wants to change."""
    locked = Signal(int, bool)
    """Emitted with the label of a class, and whether it is locked."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self._swatches: tuple[Swatch, ...] = ()
        self._lay_out()
        self.cellClicked.connect(lambda row, _: self.chosen.emit(self._index(row)))
        self.itemSelectionChanged.connect(self._choose)
        self.cellDoubleClicked.connect(self._want_colour)
        self.itemChanged.connect(self._rename)

    def _lay_out(self) -> None:
        self.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tip in enumerate(COLUMNS.values()):
            item = self.horizontalHeaderItem(column)
            assert item is not None
            item.setToolTip(tip)
        self.setToolTip("The classes of the map; click the one to draw with")
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.setShowGrid(False)
        self.setIconSize(ICON)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(150)

    def value(self) -> int | None:
        """Return the label of the chosen class, or None."""
        rows = {item.row() for item in self.selectedItems()}
        return self._index(rows.pop()) if rows else None

    def setValue(self, index: int | None) -> None:  # noqa: N802
        """Choose the class of a label; None or an unknown label chooses none."""
        was = self.blockSignals(True)
        rows = [row for row, each in enumerate(self._swatches) if each.entry.index == index]
        if not rows:
            self.clearSelection()
        elif self.value() != index:
            self.setCurrentCell(rows[0], NAME)
        self.blockSignals(was)

    def show_swatches(self, swatches: tuple[Swatch, ...], has_map: bool) -> None:
        """Show classes; existing rows keep their focus and an open editor."""
        was = self.blockSignals(True)
        self._swatches = swatches
        while self.rowCount() < len(swatches):
            self._add_row()
        self.setRowCount(len(swatches))
        for row, swatch in enumerate(swatches):
            self._show_row(row, swatch, has_map)
        self.blockSignals(was)

    def edit_name(self) -> None:
        """Open the editor of the chosen class's name."""
        item = self.item(self.currentRow(), NAME)
        if item is not None and self.value() is not None:
            self.editItem(item)

    def _add_row(self) -> None:
        row = self.rowCount()
        self.insertRow(row)
        for column in range(len(COLUMNS)):
            item = QTableWidgetItem()
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            if column in (KEY, SHARE):
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        box = CellBox()
        box.toggled.connect(lambda on: self.locked.emit(self._index(row), on))
        self.setCellWidget(row, LOCK, box)

    def _show_row(self, row: int, swatch: Swatch, has_map: bool) -> None:
        entry = swatch.entry
        self._cell(row, COLOUR).setIcon(
            colour_icon(None if swatch.is_eraser else entry.colour, ICON)
        )
        name = self._cell(row, NAME)
        name.setText(f"{entry.name} (eraser)" if swatch.is_eraser else entry.name)
        name.setToolTip(f"Label {entry.index}")
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        name.setFlags(flags if swatch.is_eraser else flags | Qt.ItemFlag.ItemIsEditable)
        self._cell(row, KEY).setText(key_text(swatch.key))
        share = "" if swatch.share is None else f"{100 * swatch.share:.1f} %"
        self._cell(row, SHARE).setText(share)
        box = self.lock_box(row)
        box.blockSignals(True)
        box.setChecked(swatch.locked)
        box.blockSignals(False)
        box.setEnabled(has_map)
        box.setToolTip(f"Leave '{entry.name}' unchanged")

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.item(row, column)
        assert item is not None
        return item

    def lock_box(self, row: int) -> CellBox:
        """Return the check box that locks the class of a row."""
        box = self.cellWidget(row, LOCK)
        assert isinstance(box, CellBox)
        return box

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Pass letters and digits on to napari's tools."""
        if event is not None and types_text(event):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _index(self, row: int) -> int:
        return self._swatches[row].entry.index

    def _choose(self) -> None:
        index = self.value()
        if index is not None:
            self.chosen.emit(index)

    def _want_colour(self, row: int, column: int) -> None:
        if column == COLOUR and not self._swatches[row].is_eraser:
            self.colour_wanted.emit(self._index(row))

    def _rename(self, item: QTableWidgetItem) -> None:
        if item.column() == NAME:
            self.renamed.emit(self._index(item.row()), item.text())


def key_text(key: int | None) -> str:
    """Return the text of a number key, in the style of this system."""
    native = QKeySequence.SequenceFormat.NativeText
    return "" if key is None else QKeySequence(f"Ctrl+{key}").toString(native)
