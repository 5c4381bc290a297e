"""Table of what the latest refinement changed, by class."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from c2f_core.refine.report import ScopeReport, class_changes

COLUMNS = ("Class", "Gained", "Lost", "Net")
MOST_ROWS = 4
"""Classes that are visible without scrolling."""
PADDING = 6
TIP = "Pixels that each class gained and lost in the latest refinement"


class ReportTable(QTableWidget):
    """Gains and losses by class; hidden if there are none."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip(TIP)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.setDefaultSectionSize(self.fontMetrics().height() + PADDING)
        rows.hide()
        for corner in self.findChildren(QAbstractButton):
            corner.setToolTip(TIP)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.hide()

    def show_report(self, report: ScopeReport | None) -> None:
        """Show what a refinement changed."""
        changes = [] if report is None else class_changes(report)
        self.setRowCount(len(changes))
        for row, change in enumerate(changes):
            self.setItem(row, 0, QTableWidgetItem(change.name))
            for column, text in enumerate(
                (f"{change.gained:,}", f"{change.lost:,}", f"{change.net:+,}"), 1
            ):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, column, item)
        header = self.horizontalHeader()
        rows = sum(self.rowHeight(row) for row in range(min(len(changes), MOST_ROWS)))
        top = 0 if header is None else header.sizeHint().height()
        self.setFixedHeight(rows + top + 2 * self.frameWidth())
        self.setVisible(bool(changes))

    def text(self) -> list[list[str]]:
        """Return the texts of all cells, row by row."""
        items = [
            [self.item(row, column) for column in range(self.columnCount())]
            for row in range(self.rowCount())
        ]
        return [["" if item is None else item.text() for item in row] for row in items]
