"""What the widgets remember from one session to the next."""

from pathlib import Path
from typing import ClassVar

from psygnal import Signal
from qtpy.QtCore import QSettings


def settings() -> QSettings:
    """Return the settings of all widgets, which persist between sessions."""
    return QSettings("napari-c2f", "napari-c2f")


class RecentModels:
    """Models that were trained or used last, kept between sessions."""

    KEY: ClassVar[str] = "recent models"
    COUNT: ClassVar[int] = 5

    remembered = Signal(str)
    """Emitted with the path of a model that was remembered."""

    def paths(self) -> list[str]:
        """Return the paths of the models whose files still exist, the latest first."""
        return [path for path in settings().value(self.KEY, [], list) if Path(path).is_file()]

    def remember(self, path: str | Path) -> None:
        """Put a model at the top of the list, and tell every widget."""
        others = [other for other in self.paths() if other != str(path)]
        settings().setValue(self.KEY, [str(path), *others][: self.COUNT])
        self.remembered.emit(str(path))


RECENT_MODELS = RecentModels()
"""The one list of this napari: napari creates each widget on its own, so they share it here."""
