"""A column of widgets that scrolls where the window is too small for it."""

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

LEAST_HEIGHT = 120
"""Smallest height of the visible part of a column, in pixels of the screen."""


class ScrolledColumn(QScrollArea):
    """A column that is as wide as its widgets need, and of any height.

    Attributes
    ----------
    column : QVBoxLayout
        Layout that the widgets are added to.
    """

    def __init__(self) -> None:
        super().__init__()
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the width of the widgets and of a scroll bar, and a small height."""
        return QSize(self._with_bar(self._content().minimumSizeHint()).width(), LEAST_HEIGHT)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size at which nothing has to be scrolled."""
        return self._with_bar(self._content().sizeHint())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the width that the widgets need."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def _content(self) -> QWidget:
        content = self.widget()
        assert content is not None  # It is set once, above.
        return content

    def _with_bar(self, size: QSize) -> QSize:
        bar = self.verticalScrollBar()
        assert bar is not None  # Qt makes it.
        return QSize(size.width() + bar.sizeHint().width(), size.height())
