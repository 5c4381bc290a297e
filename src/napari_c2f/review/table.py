"""Table of the changed regions: change, size, confidence and decision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from c2f_core.review.decisions import Decision
from c2f_core.review.regions import ChangedRegion
from napari_c2f.layers.lineage import CHANGES
from napari_c2f.widgets.parts import colour_icon, types_text

COLUMNS = {
    "Change": "Class in the coarse map → class in the fine map",
    "Pixels": "Area of the region in pixels",
    "Conf.": "Mean confidence of the fine map in the region",
    "Decision": "Decision, with its colour in the changes layer",
}
CHANGE, PIXELS, CONFIDENCE, DECISION = range(len(COLUMNS))
WIDTHS = {PIXELS: 46, CONFIDENCE: 44, DECISION: 94}
"""Initial widths of columns, in pixels of the screen."""
ICON = QSize(12, 12)


class RegionModel(QAbstractTableModel):
    """Table model with one row per region; only visible rows cost time."""

    def __init__(self) -> None:
        super().__init__()
        self._regions: tuple[ChangedRegion, ...] = ()
        self._decisions: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._icons = [colour_icon(entry.colour, ICON) for entry in CHANGES.classes]

    def show_regions(
        self, regions: tuple[ChangedRegion, ...], decisions: NDArray[np.uint8]
    ) -> None:
        """Show regions and their decisions."""
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
        """Return the title or the tool tip of a column."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return list(COLUMNS)[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return list(COLUMNS.values())[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text, alignment, icon or tool tip of a cell."""
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (PIXELS, CONFIDENCE):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DecorationRole and column == DECISION:
            return self._icons[self._decisions[row]]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"Region {row + 1} of {len(self._regions)}: {self._text(row, CHANGE)}"
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
    """Table of the regions by falling priority; emits which one the user chose."""

    chosen = Signal(int)
    """Emitted with the number of a region."""

    def __init__(self) -> None:
        super().__init__()
        self._model = RegionModel()
        self.setModel(self._model)
        self._lay_out()
        selection = self.selectionModel()
        assert selection is not None  # It comes with the model.
        selection.currentRowChanged.connect(self._choose)

    def _lay_out(self) -> None:
        self.setToolTip("Changed regions, the most doubtful and largest first")
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        header.setHighlightSections(False)
        for column, width in WIDTHS.items():
            header.resizeSection(column, width)
        header.setSectionResizeMode(CHANGE, QHeaderView.ResizeMode.Stretch)
        self.setShowGrid(False)
        self.setIconSize(ICON)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(120)

    def value(self) -> int:
        """Return the number of the chosen region, 0 for none."""
        return self.currentIndex().row() + 1

    def setValue(self, number: int) -> None:  # noqa: N802
        """Show which region is in view, without emitting `chosen`."""
        if number != self.value():
            was = self.blockSignals(True)
            self.setCurrentIndex(self._model.index(number - 1, CHANGE))
            self.blockSignals(was)

    def show_regions(
        self, regions: tuple[ChangedRegion, ...], decisions: NDArray[np.uint8]
    ) -> None:
        """Show regions and their decisions."""
        self._model.show_regions(regions, decisions)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Pass letters on to napari's keys."""
        if event is not None and types_text(event):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _choose(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(current.row() + 1)
