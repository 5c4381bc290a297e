"""Fixtures of the tests that need a window."""

from dataclasses import replace

import pytest
from qtpy.QtCore import QEvent, QPointF, QSettings, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Keep what the widgets remember out of the user's own settings."""
    for form in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture
def click(qtbot):
    """Click a button with the mouse."""
    return lambda button: qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def drag(qtbot):
    """Draw on the canvas with the mouse, from point to point of the world (row, column)."""

    def send(viewer, kind, point, buttons, button=Qt.MouseButton.NoButton):
        canvas = viewer.window._qt_viewer.canvas
        x, y = canvas.view.scene.transform.map((point[1], point[0], 0, 1))[:2]
        place = QPointF(float(x), float(y))
        modifiers = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, place, place, button, buttons, modifiers)
        qtbot.wait(15)  # vispy drops what comes within 10 ms.
        QApplication.sendEvent(canvas.native, event)

    def draw(viewer, *points):
        for _ in range(5):  # Docks and new layers settle.
            QApplication.processEvents()
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        send(viewer, QEvent.Type.MouseMove, points[0], none)
        send(viewer, QEvent.Type.MouseButtonPress, points[0], left, left)
        for point in points[1:]:
            send(viewer, QEvent.Type.MouseMove, point, left)
        send(viewer, QEvent.Type.MouseButtonRelease, points[-1], none, left)

    return draw


@pytest.fixture
def data(tmp_path):
    """Folder of five small pairs; the last has no fine map."""
    pairs = [replace(synthetic_pair(48, seed), name=str(seed)) for seed in range(5)]
    write_pairs(tmp_path / "data", [*pairs[:4], replace(pairs[4], fine=None)], SHAPES)
    return tmp_path / "data"


@pytest.fixture
def tiny(data, tmp_path):
    """Settings of a run of a few quick steps."""
    return {
        "data": {"root": data, "class_table": str(data / "classes.json")},
        "run_folder": tmp_path / "run",
        "network": {"widths": (4, 8)},
        "discriminator": {"widths": (4,)},
        "crop": 32,
        "batch_size": 2,
        "steps": 4,
        "validate_every": 2,
        "stage2": {"steps": 2, "coarse_only_batch_size": 2, "guard": None},
        "device": "cpu",
        "threads": 1,
        "precision": "float32",
    }
