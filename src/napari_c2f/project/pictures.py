"""Small pictures in the rows of a table, which are asked for once their row is seen."""

from collections import deque
from collections.abc import Container
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import QModelIndex, QObject, QSize, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_c2f.base.worker import debouncer

SIZE = QSize(36, 27)
"""Largest size of a picture, in pixels of the screen."""
PAUSE = 50
"""Milliseconds without a new row in view after which pictures are asked for."""
MOST_KEPT = 500
"""Largest number of pictures in memory."""
MOST_WANTED = 64
"""Largest number of pictures asked for at once: more than there are rows on a screen."""


class PictureDelegate(QStyledItemDelegate):
    """Draws a picture in front of the text of a cell.

    Parameters
    ----------
    role : int
        Role of the data that name the picture of a row.
    parent : QObject
        View that the delegate draws in.
    """

    wanted = Signal(list)
    """Emitted with the names of pictures that are in view and not known."""

    def __init__(self, role: int, parent: QObject) -> None:
        super().__init__(parent)
        self._role = role
        self._icons: dict[str, QIcon] = {}
        self._missing: deque[str] = deque(maxlen=MOST_WANTED)
        self._ask = debouncer(PAUSE, self._ask_now)

    def keep_only(self, names: Container[str]) -> None:
        """Forget all pictures but those of these names."""
        self._icons = {name: icon for name, icon in self._icons.items() if name in names}

    def add(self, name: str, picture: NDArray[Any] | None) -> None:
        """Show a picture from now on; without one, none is asked for again.

        Parameters
        ----------
        name : str
            Name of the picture.
        picture : (y, x, 3) uint8 array or None
            RGB values.
        """
        self._icons[name] = QIcon() if picture is None else _icon(picture)
        if len(self._icons) > MOST_KEPT:
            del self._icons[next(iter(self._icons))]

    def initStyleOption(  # noqa: N802
        self, option: QStyleOptionViewItem | None, index: QModelIndex
    ) -> None:
        """Add the picture to what is drawn; ask for it if it is not known."""
        super().initStyleOption(option, index)
        if option is None:
            return
        option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration
        option.decorationSize = SIZE
        name = str(index.data(self._role))
        if name in self._icons:
            self._icons[name] = option.icon = self._icons.pop(name)  # The last one seen.
        elif name not in self._missing:
            self._missing.append(name)
            self._ask.throttle()

    def _ask_now(self) -> None:
        names = list(self._missing)
        self._missing.clear()
        self.wanted.emit(names)


def _icon(picture: NDArray[Any]) -> QIcon:
    height, width, _ = picture.shape
    # A copy, as QImage does not own the memory of an array.
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    icon = QIcon()  # Qt would tint the picture in selected rows.
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(QPixmap.fromImage(image), mode)
    return icon
