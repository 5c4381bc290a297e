"""The images of a project as a table that sorts."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
)

from c2f_core.project import ImageRecord, Status
from c2f_core.project.records import by_doubt

COLUMNS = {
    "Image": "Double-click it, or press Enter, to bring it into the viewer",
    "Status": "To do, refined, or reviewed by a person",
    "Doubt": "One minus the mean confidence of the refiner, in per cent; sorted by it, the images "
    "come first where a look is worth most, and reviewed ones last",
    "Minutes": "In which the image was open and the window active",
    "Painted": "Pixels that were changed by hand",
    "Role": "Reviewed images teach; every fourth judges what was learned",
}
NAME, STATUS, DOUBT, MINUTES, PAINTED, ROLE = range(len(COLUMNS))
ORDER = {Status.REFINED: 0, Status.TO_DO: 1, Status.REVIEWED: 2}
SORT = Qt.ItemDataRole.UserRole
ROLES = {None: "", False: "teaches", True: "judges"}


class _Row(QTreeWidgetItem):
    """Sorts by the value of a cell, not by its text."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        tree = self.treeWidget()
        column = 0 if tree is None else tree.sortColumn()
        return bool(self.data(column, SORT) < other.data(column, SORT))


class ImageTable(QTreeWidget):
    """One row for each image; it only tells what the user wants."""

    opened = Signal(str)
    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(list(COLUMNS))
        header = self.headerItem()
        for column, tip in enumerate(COLUMNS.values()):
            header.setToolTip(column, tip)
        descending = Qt.SortOrder.DescendingOrder  # At the first click the most doubtful is on top.
        header.setData(DOUBT, Qt.ItemDataRole.InitialSortOrderRole, descending)
        self.setToolTip("Images of the project; click a heading to sort by it")
        self.setRootIsDecorated(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSortingEnabled(True)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        self.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.header().setStretchLastSection(True)
        self.itemDoubleClicked.connect(lambda item, _: self.opened.emit(item.text(NAME)))
        self.itemSelectionChanged.connect(self.chosen)

    def value(self) -> str:
        """Return the name of the chosen image; empty where none is."""
        items = self.selectedItems()
        return str(items[0].data(NAME, SORT)[1]) if items else ""

    def setValue(self, name: str) -> None:  # noqa: N802
        """Choose an image."""
        for row in range(self.topLevelItemCount()):
            item = self.topLevelItem(row)
            if item.data(NAME, SORT)[1] == name:
                self.setCurrentItem(item)

    def show_images(self, images: Sequence[ImageRecord], opened: str) -> None:
        """List the images; the open one is bold."""
        chosen = self.value()
        blocked = self.blockSignals(True)
        self.setSortingEnabled(False)
        self.clear()
        worth = {record.name: place for place, record in enumerate(reversed(by_doubt(images)))}
        for number, record in enumerate(images):
            row = _row(number, record, worth[record.name], record.name == opened)
            self.addTopLevelItem(row)
        self.setSortingEnabled(True)
        self.setValue(chosen)
        self.blockSignals(blocked)
        self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Open the chosen image with Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.value():
            self.opened.emit(self.value())
        else:
            super().keyPressEvent(event)


def _row(number: int, record: ImageRecord, worth: int, is_open: bool) -> QTreeWidgetItem:
    seconds = record.before.seconds + record.after.seconds
    painted = record.before.painted + record.after.painted
    cells: dict[int, tuple[str, Any]] = {
        NAME: (record.name, (number, record.name)),
        STATUS: (str(record.status), ORDER[record.status]),
        DOUBT: ("" if record.doubt is None else f"{100 * record.doubt:.1f}", worth),
        MINUTES: (f"{seconds / 60:.1f}", seconds),
        PAINTED: (f"{painted:,}", painted),
        ROLE: (ROLES[record.held_out], ROLES[record.held_out]),
    }
    row = _Row([text for text, _ in cells.values()])
    for column, (_, value) in cells.items():
        row.setData(column, SORT, value)
        if column in (DOUBT, MINUTES, PAINTED):
            row.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
        if is_open:
            font = row.font(column)
            font.setBold(True)
            row.setFont(column, font)
    return row
