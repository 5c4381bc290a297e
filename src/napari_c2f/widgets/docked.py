"""A widget that is docked in napari, and what ends with it."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QWidget

from napari_c2f.base.gl_context import guard_removals

AnyWidget = TypeVar("AnyWidget", bound=QWidget)
Values = ParamSpec("Values")


class DockedWidget(QWidget):
    """A widget whose work ends when it is closed, taken out of its dock or deleted.

    The cross of napari's docks takes the widget out of its dock, and does not close it.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that the widget is docked in.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        guard_removals(viewer)
        self._viewer = viewer
        self._endings: list[Callable[[], object]] = []
        self.destroyed.connect(partial(_call_all, self._endings))

    def when_ended(self, *endings: Callable[[], object]) -> None:
        """Call these functions, in this order, when the work ends."""
        self._endings.extend(endings)

    def end(self) -> None:
        """End the work for good; a second call does nothing."""
        _call_all(self._endings)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget is closed."""
        self.end()
        super().closeEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """End the work if napari takes the widget out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.end()
        return super().event(event)


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
