"""The changed regions as a table: what changed, size, confidence, decision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from c2f_core.review.decisions import Decision
from c2f_core.review.regions import ChangedRegion
from napari_c2f.layers.lineage import CHANGES
from napari_c2f.widgets.parts import types_text, untinted

COLUMNS = {
    "Change": "Class in the coarse map, and in the refined one",
    "Pixels": "Size of the region",
    "Sure": "Mean confidence of the refined map in the region",
    "Decision": "What was decided; the colour is that of the changes layer",
}
CHANGE, PIXELS, SURE, DECISION = range(len(COLUMNS))
ICON = QSize(12, 12)


class RegionModel(QAbstractTableModel):
    """One row for each region; only rows that are seen take time."""

    def __init__(self) -> None:
        super().__init__()
        self._regions: tuple[ChangedRegion, ...] = ()
        self._decisions: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._icons = [icon_of(entry.colour) for entry in CHANGES.classes]

    def show_regions(
        self, regions: tuple[ChangedRegion, ...], decisions: NDArray[np.uint8]
    ) -> None:
        """Show other regions, or other decisions on the same ones."""
        if regions is not self._regions:
            self.beginResetModel()
            self._regions, self._decisions = regions, decisions
            self.endResetModel()
        elif len(regions):
            self._decisions = decisions
            last = self.index(len(regions) - 1, DECISION)
            self.dataChanged.emit(self.index(0, DECISION), last)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of regions."""
        return 0 if parent.isValid() else len(self._regions)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the head of a column and its tool tip."""
        if orientation == Qt.Orientation.Horizontal:
            texts = {Qt.ItemDataRole.DisplayRole: list(COLUMNS)}
            texts[Qt.ItemDataRole.ToolTipRole] = list(COLUMNS.values())
            return texts[role][section] if role in texts else None
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (PIXELS, SURE):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DecorationRole and column == DECISION:
            return self._icons[self._decisions[row]]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"Region {row + 1} of {len(self._regions)}"
        return None

    def _text(self, row: int, column: int) -> str:
        region = self._regions[row]
        return (
            f"{region.before} → {region.after}",
            str(region.size),
            f"{100 * region.confidence:.0f} %",
            Decision(self._decisions[row]).name.lower(),
        )[column]


class ReviewTable(QTableView):
    """The regions in the order of priority; it only tells which one the user chose."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._model = RegionModel()
        self.setModel(self._model)
        self._lay_out()
        self.selectionModel().currentRowChanged.connect(self._choose)

    def _lay_out(self) -> None:
        self.setToolTip("What refining changed, the most doubtful and largest first")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        for column in range(len(COLUMNS)):
            header.resizeSection(column, 62 if column in (PIXELS, SURE) else 96)
        header.setSectionResizeMode(CHANGE, QHeaderView.ResizeMode.Stretch)
        self.setShowGrid(False)
        self.setIconSize(ICON)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(160)

    def value(self) -> int:
        """Return the number of the chosen region, 0 for none."""
        return self.currentIndex().row() + 1

    def setValue(self, number: int) -> None:  # noqa: N802
        """Show which region is chosen."""
        if number != self.value():
            was = self.blockSignals(True)
            self.setCurrentIndex(self._model.index(number - 1, CHANGE))
            self.blockSignals(was)

    def show_regions(
        self, regions: tuple[ChangedRegion, ...], decisions: NDArray[np.uint8]
    ) -> None:
        """Show other regions, or other decisions on the same ones."""
        self._model.show_regions(regions, decisions)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Leave letters to napari's keys."""
        if types_text(event):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _choose(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(current.row() + 1)


def icon_of(colour: tuple[int, int, int]) -> QIcon:
    """Draw a patch of a colour."""
    pixmap = QPixmap(ICON)
    pixmap.fill(QColor(*colour))
    return untinted(pixmap)
