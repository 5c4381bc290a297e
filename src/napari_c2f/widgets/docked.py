"""A widget that is docked in napari, and what ends with it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QWidget,
)


class DockedWidget(QWidget):
    """A widget whose work ends with it: when it is closed, or taken out of its dock.

    The cross of napari's docks takes it out, and does not close it.
    """

    _has_ended = False

    def end(self) -> None:
        """End the work for good."""
        raise NotImplementedError

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget goes."""
        self._end_once()
        super().closeEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """End the work where napari takes the widget out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._end_once()
        return super().event(event)

    def _end_once(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.end()


def while_alive(show: Callable[..., None]) -> Callable[..., None]:
    """Guard a view's method against events that come when Qt has deleted the view.

    The work, whose `_controller` the view holds, is ended then.
    """

    @wraps(show)
    def guarded(self: Any, *values: Any) -> None:
        if isalive(self):
            show(self, *values)
        else:
            self._controller.close()

    return guarded
