"""Sortable table of the images of a project."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QTreeWidget,
    QTreeWidgetItem,
)

from c2f_core.project import ImageRecord
from c2f_core.project.records import by_doubt
from napari_c2f.project.pictures import SIZE, PictureDelegate

COLUMNS = {
    "Image": "Double-click an image, or press Enter, to bring it into the viewer",
    "Status": "Pending, drawn (with a coarse map), refined, or reviewed by a person",
    "Doubt": "One minus the mean confidence of the refiner, in per cent; sort by it to get the "
    "images that need a look first, and reviewed ones last",
    "Minutes": "Time during which the image was open and the window active",
    "Painted": "Pixels changed by hand",
    "Role": "Reviewed images are used for training; every fourth is held out to evaluate models",
}
NAME, STATUS, DOUBT, MINUTES, PAINTED, ROLE = range(len(COLUMNS))
ORDER = ("refined", "drawn", "pending", "reviewed")
"""Stages in the order in which images need a look."""
SORT = Qt.ItemDataRole.UserRole
PICTURE = SORT + 1
"""Role of the data that name the picture of a row."""
ROLES = {None: "", False: "training", True: "held out"}
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
WIDTHS = {NAME: 116, STATUS: 66, DOUBT: 50, MINUTES: 58, PAINTED: 56, ROLE: 60}
"""Initial widths of columns, in pixels of the screen."""
LEAST_HEIGHT = 150
"""Smallest height, at which some images are seen, in pixels of the screen."""


class _Row(QTreeWidgetItem):
    """Row that sorts by the values of its cells, not by their texts."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        tree = self.treeWidget()
        column = 0 if tree is None else tree.sortColumn()
        return bool(self.data(column, SORT) < other.data(column, SORT))


class ImageTable(QTreeWidget):
    """Table with one row per image.

    Attributes
    ----------
    opened : Signal
        Emitted with the name of an image that the user wants to open.
    selected : Signal
        Emitted when another image is selected.
    pictures_wanted : Signal
        Emitted with the names of the images in view whose pictures are missing, see `show_picture`.
    """

    opened = Signal(str)
    selected = Signal()
    pictures_wanted = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self._pictures = PictureDelegate(PICTURE, self)
        self._pictures.wanted.connect(self.pictures_wanted)
        self.setItemDelegateForColumn(NAME, self._pictures)
        self.setIconSize(SIZE)
        self.setUniformRowHeights(True)
        self.setHeaderLabels(list(COLUMNS))
        header = self.headerItem()
        assert header is not None, "it was just set"
        for column, tip in enumerate(COLUMNS.values()):
            header.setToolTip(column, tip)
        descending = (
            Qt.SortOrder.DescendingOrder
        )  # The first click brings doubtful images to the top.
        header.setData(DOUBT, Qt.ItemDataRole.InitialSortOrderRole, descending)
        self.setToolTip("Images of the project; click a column heading to sort by it")
        self.setMinimumHeight(LEAST_HEIGHT)
        self.setRootIsDecorated(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSortingEnabled(True)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        sections = self.header()
        assert sections is not None, "a tree has a header"
        for column, width in WIDTHS.items():
            sections.resizeSection(column, width)
        sections.setStretchLastSection(False)
        self.itemDoubleClicked.connect(lambda item, _: self.opened.emit(item.text(NAME)))
        self.itemSelectionChanged.connect(self.selected)

    def value(self) -> str:
        """Return the name of the selected image; empty if none is selected."""
        items = self.selectedItems()
        return str(items[0].data(NAME, SORT)[1]) if items else ""

    def setValue(self, name: str) -> None:  # noqa: N802
        """Select an image."""
        for row in range(self.topLevelItemCount()):
            item = self.topLevelItem(row)
            if item is not None and item.data(NAME, SORT)[1] == name:
                self.setCurrentItem(item)

    def neighbour(self, name: str, step: int) -> str:
        """Return the image this many rows below another one; empty if there is none.

        Without another one, the first or the last image of the list is returned.
        """
        rows = [self.topLevelItem(row) for row in range(self.topLevelItemCount())]
        names = [str(row.data(NAME, SORT)[1]) for row in rows if row is not None]
        before = -1 if step > 0 else len(names)
        row = step + (names.index(name) if name in names else before)
        return names[row] if 0 <= row < len(names) else ""

    def show_images(self, images: Sequence[ImageRecord], opened: str) -> None:
        """List the images; the open one is bold."""
        selected = self.value()
        self._pictures.keep_only({record.name for record in images})
        blocked = self.blockSignals(True)
        self.setSortingEnabled(False)
        self.clear()
        ranks = {record.name: rank for rank, record in enumerate(reversed(by_doubt(images)))}
        for number, record in enumerate(images):
            row = _row(number, record, ranks[record.name], record.name == opened)
            self.addTopLevelItem(row)
        self.setSortingEnabled(True)
        self.setValue(selected)
        self.blockSignals(blocked)
        self.selected.emit()

    def show_picture(self, name: str, picture: NDArray[Any] | None) -> None:
        """Show the picture of an image, an (y, x, 3) uint8 array; None if there is none."""
        self._pictures.add(name, picture)
        viewport = self.viewport()
        assert viewport is not None, "a tree has a viewport"
        viewport.update()

    def forget_pictures(self) -> None:
        """Forget all pictures, because the images are those of another project."""
        self._pictures.keep_only(())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Open the selected image with Enter."""
        is_enter = event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and self.value():
            self.opened.emit(self.value())
        else:
            super().keyPressEvent(event)


def _row(number: int, record: ImageRecord, rank: int, is_open: bool) -> QTreeWidgetItem:
    seconds = record.before.seconds + record.after.seconds
    painted = record.before.painted + record.after.painted
    cells: dict[int, tuple[str, Any]] = {
        NAME: (record.name, (number, record.name)),
        STATUS: (record.stage, ORDER.index(record.stage)),
        DOUBT: ("" if record.doubt is None else f"{100 * record.doubt:.1f}", rank),
        MINUTES: (f"{seconds / 60:.1f}", seconds),
        PAINTED: (f"{painted:,}", painted),
        ROLE: (ROLES[record.held_out], ROLES[record.held_out]),
    }
    row = _Row([text for text, _ in cells.values()])
    row.setData(NAME, PICTURE, record.name)
    for column, (_, value) in cells.items():
        row.setData(column, SORT, value)
        if column in (DOUBT, MINUTES, PAINTED):
            row.setTextAlignment(
                column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
        if is_open:
            font = row.font(column)
            font.setBold(True)
            row.setFont(column, font)
    return row
