"""Fixtures of the tests that need a window."""

import pytest
from qtpy.QtCore import QSettings, Qt


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Keep what the widgets remember out of the user's own settings."""
    for form in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture
def click(qtbot):
    """Click a button with the mouse."""
    return lambda button: qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
