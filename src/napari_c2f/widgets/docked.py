"""A widget that is docked in napari, and what ends with it."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QDockWidget, QLayout, QMainWindow, QVBoxLayout, QWidget

from napari_c2f.base.gl_context import guard_removals
from napari_c2f.base.keys import Keys
from napari_c2f.widgets.scrolling import ScrolledColumn

AnyWidget = TypeVar("AnyWidget", bound=QWidget)
Values = ParamSpec("Values")
Target = TypeVar("Target")


class DockedWidget(QWidget):
    """A widget whose work ends when it is closed, taken out of its dock or deleted.

    napari's docks have two buttons: the cross takes the widget out of its dock, which ends its
    work; the other one closes the dock, which may be opened again in the Window menu.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that the widget is docked in.
    """

    dock_closed = Signal()
    """Emitted when the user closes the dock; not when another tab or window covers it."""
    dock_opened = Signal()
    """Emitted when the dock is opened, for the first time or again."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        guard_removals(viewer)
        self._viewer = viewer
        self._dock: QDockWidget | None = None
        self._is_placed = False
        self._endings: list[Callable[[], object]] = []
        self.destroyed.connect(partial(_call_all, self._endings))

    def scrolled_column(self, *below: QWidget | QLayout) -> QVBoxLayout:
        """Return the layout of a column that scrolls where the window is too small for it.

        Parameters
        ----------
        below : QWidget or QLayout
            What stays in sight below the column.
        """
        area = ScrolledColumn()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(9, 4, 9, 4)
        for each in below:
            if isinstance(each, QLayout):
                foot.addLayout(each)
            else:
                foot.addWidget(each)
        layout.addLayout(foot)
        return area.column

    def when_ended(self, *endings: Callable[[], object]) -> None:
        """Call these functions, in this order, when the work ends."""
        self._endings.extend(endings)

    def use_keys(self, keys: Keys[Target], target: Target) -> None:
        """Let keys act on a target while the dock is open.

        Parameters
        ----------
        keys : Keys
            Actions of the widget.
        target : Any
            Target of the actions in this viewer.
        """
        follows = False

        def act(follow: bool) -> None:
            nonlocal follows
            if follow != follows:  # Opening is announced more than once.
                follows = follow
                (keys.follow if follow else keys.leave)(self._viewer, target)

        act(True)
        self.dock_opened.connect(partial(act, True))
        self.dock_closed.connect(partial(act, False))
        self.when_ended(partial(act, False))

    def end(self) -> None:
        """End the work for good; a second call does nothing."""
        _call_all(self._endings)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget is closed."""
        self.end()
        super().closeEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Follow the dock, and end the work if napari takes the widget out of it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            self._follow_dock()
            if not self.parent():
                self.end()
        return super().event(event)

    def _follow_dock(self) -> None:
        if self._dock is not None and isalive(self._dock):
            self._dock.visibilityChanged.disconnect(self._on_visibility)
        parent = self.parent()
        self._dock = parent if isinstance(parent, QDockWidget) else None
        if self._dock is not None:
            self._is_placed = False
            self._dock.visibilityChanged.connect(self._on_visibility)

    def _on_visibility(self, _visible: bool) -> None:
        """Announce whether the dock is open; Qt also calls a dock behind another tab invisible."""
        if self._dock is None or not self._endings:
            return
        if self._dock.isHidden():
            self.dock_closed.emit()
            return
        if not self._is_placed:
            self._is_placed = True
            _join_tabs(self._dock)
        self.dock_opened.emit()


def _join_tabs(dock: QDockWidget) -> None:
    """Put a dock that was just opened into the tabs of the plugin's other docks."""
    dock.setWindowTitle(dock.windowTitle().partition(" (")[0])  # Tabs are narrow.
    window = dock.parent()
    if not isinstance(window, QMainWindow) or dock.isFloating():
        return
    for other in window.findChildren(QDockWidget):
        is_ours = other is not dock and isinstance(other.widget(), DockedWidget)
        is_there = window.dockWidgetArea(other) == window.dockWidgetArea(dock)
        if is_ours and is_there and not (other.isFloating() or other.isHidden()):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def _call_all(endings: list[Callable[[], object]], *_: object) -> None:
    while endings:
        endings.pop(0)()


def while_alive(
    show: Callable[Concatenate[AnyWidget, Values], object],
) -> Callable[Concatenate[AnyWidget, Values], None]:
    """Skip a method of a widget that Qt has deleted: events of models may still arrive."""

    @wraps(show)
    def guarded(self: AnyWidget, /, *args: Values.args, **kwargs: Values.kwargs) -> None:
        if isalive(self):
            show(self, *args, **kwargs)

    return guarded
