"""The classes as a table: colour, name, key, share, lock."""

from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QKeySequence, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_c2f.draw.model import Swatch
from napari_c2f.widgets.parts import types_text, untinted

COLUMNS = {
    "": "Colour; double-click it for another one",
    "Class": "Click to draw with it; double-click for another name",
    "Key": "Chooses the class while the image has the focus",
    "Share": "Of the pixels of the map",
    "Lock": "Drawing and refining leave the pixels of this class as they are",
}
COLOUR, NAME, KEY, SHARE, LOCK = range(len(COLUMNS))
ICON = QSize(18, 18)


class CellBox(QCheckBox):
    """A check box that a click anywhere in its cell switches."""

    def hitButton(self, pos: QPoint) -> bool:  # noqa: N802
        """Tell whether a click here is meant for the box."""
        return bool(self.rect().contains(pos))


class PaletteTable(QTableWidget):
    """One row for each class; it only tells what the user wants."""

    chosen = Signal(int)
    renamed = Signal(int, str)
    colour_wanted = Signal(int)
    locked = Signal(int, bool)

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
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.setShowGrid(False)
        self.setIconSize(ICON)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(180)

    def value(self) -> int | None:
        """Return the index of the chosen class."""
        rows = {item.row() for item in self.selectedItems()}
        return self._index(rows.pop()) if rows else None

    def setValue(self, index: int | None) -> None:  # noqa: N802
        """Show which class is chosen."""
        was = self.blockSignals(True)
        rows = [row for row, each in enumerate(self._swatches) if each.entry.index == index]
        if not rows:
            self.clearSelection()
        elif self.value() != index:
            self.setCurrentCell(rows[0], NAME)
        self.blockSignals(was)

    def show_swatches(self, swatches: tuple[Swatch, ...], has_map: bool) -> None:
        """Show classes; rows that are there already keep focus and open editor."""
        was = self.blockSignals(True)
        self._swatches = swatches
        while self.rowCount() < len(swatches):
            self._add_row()
        self.setRowCount(len(swatches))
        for row, swatch in enumerate(swatches):
            self._show_row(row, swatch, has_map)
        self.blockSignals(was)

    def edit_name(self) -> None:
        """Let the user type another name for the chosen class."""
        item = self.item(self.currentRow(), NAME)
        if item is not None and self.value() is not None:
            self.editItem(item)

    def _add_row(self) -> None:
        row = self.rowCount()
        self.insertRow(row)
        for column in range(len(COLUMNS)):
            item = QTableWidgetItem()
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            self.setItem(row, column, item)
        for column in (KEY, SHARE):
            self.item(row, column).setTextAlignment(
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
        box = CellBox()
        box.toggled.connect(lambda on: self.locked.emit(self._index(row), on))
        self.setCellWidget(row, LOCK, box)

    def _show_row(self, row: int, swatch: Swatch, has_map: bool) -> None:
        entry = swatch.entry
        self.item(row, COLOUR).setIcon(icon_of(None if swatch.is_eraser else entry.colour))
        name = self.item(row, NAME)
        name.setText(f"{entry.name} (eraser)" if swatch.is_eraser else entry.name)
        name.setToolTip(f"Label {entry.index}")
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        name.setFlags(flags if swatch.is_eraser else flags | Qt.ItemFlag.ItemIsEditable)
        self.item(row, KEY).setText(key_text(swatch.key))
        share = "" if swatch.share is None else f"{100 * swatch.share:.1f} %"
        self.item(row, SHARE).setText(share)
        box = self.lock_box(row)
        box.blockSignals(True)
        box.setChecked(swatch.locked)
        box.blockSignals(False)
        box.setEnabled(has_map)
        box.setToolTip(f"Leave '{entry.name}' as it is")

    def lock_box(self, row: int) -> CellBox:
        """Return the box that locks the class of a row."""
        box = self.cellWidget(row, LOCK)
        assert isinstance(box, CellBox)
        return box

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Leave letters and digits to napari's tools."""
        if types_text(event):
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
    """Return what the user reads of a number key, as this system writes it."""
    native = QKeySequence.SequenceFormat.NativeText
    return "" if key is None else QKeySequence(f"Ctrl+{key}").toString(native)


def icon_of(colour: tuple[int, int, int] | None) -> QIcon:
    """Draw a patch of a colour; where it is None, one that is struck out."""
    pixmap = QPixmap(ICON)
    pixmap.fill(Qt.GlobalColor.transparent if colour is None else QColor(*colour))
    painter = QPainter(pixmap)
    painter.setPen(QColor(128, 128, 128))
    painter.drawRect(0, 0, ICON.width() - 1, ICON.height() - 1)
    if colour is None:
        painter.drawLine(0, ICON.height() - 1, ICON.width() - 1, 0)
    painter.end()
    return untinted(pixmap)
