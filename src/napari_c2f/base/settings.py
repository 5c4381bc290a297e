"""Models that were trained or used lately: the widgets' common memory."""

from pathlib import Path

from psygnal import SignalInstance
from qtpy.QtCore import QSettings

RECENT_COUNT = 5
KEY = "recent models"
remembered = SignalInstance((str,), name="remembered")
"""Sent with the path of a model that was remembered: to every widget of this napari."""


def settings() -> QSettings:
    """Return what the widgets remember from one session to the next."""
    return QSettings("napari-c2f", "napari-c2f")


def recent_models() -> list[str]:
    """Return the files of the latest models that are still there, the latest first."""
    return [path for path in settings().value(KEY, [], list) if Path(path).is_file()]


def remember_model(path: str | Path) -> None:
    """Put a model at the top of the list and tell the widgets."""
    others = [other for other in recent_models() if other != str(path)]
    settings().setValue(KEY, [str(path), *others][:RECENT_COUNT])
    remembered.emit(str(path))
