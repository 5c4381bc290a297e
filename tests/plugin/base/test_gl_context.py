"""Drawing works after layers were removed; in a separate process, as a failure crashes it."""

import subprocess
import sys

import pytest

BEGIN = """
import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

def draw():
    loop = QEventLoop()
    QTimer.singleShot(300, loop.quit)
    loop.exec()

viewer = napari.Viewer(show=True)
for name in ("Review", "Draw"):
    viewer.window.add_plugin_dock_widget("napari-c2f", name)
"""
HIDDEN = """
stays, goes = (viewer.add_labels(np.ones((40, 60), np.uint8)) for _ in range(2))
draw()
goes.visible = False
draw()
viewer.layers.remove(goes)
draw()
stays.contour = 1
draw()
"""
OTHER_PLANE = """
viewer.add_labels(np.ones((3, 40, 60), np.uint8))
goes = viewer.add_labels(np.ones((1, 40, 60), np.uint8), translate=(1, 0, 0))
for plane in (1, 2):
    viewer.dims.set_current_step(0, plane)
    draw()
viewer.layers.remove(goes)
for plane in (1, 0):
    viewer.dims.set_current_step(0, plane)
    draw()
"""


@pytest.mark.window
def test_a_canvas_is_guarded_once_however_many_widgets_are_docked(viewer, dock):
    for name in ("Review", "Draw", "Train"):
        dock(name)
    guards = [
        each for each in viewer.layers.events.removing.callbacks if "guard_removals" in str(each)
    ]
    assert len(guards) == 1


@pytest.mark.parametrize("scene", [HIDDEN, OTHER_PLANE], ids=["hidden", "other plane"])
def test_drawing_survives_the_removal_of_layers(scene):
    script = f"{BEGIN}{scene}viewer.close()\nprint('drawn')"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("drawn\n")
