"""Take a picture of napari with the sample refined by the docked widget.

    python scripts/screenshot.py OUT.png

Needs a screen; xvfb-run gives one where there is none.
"""

import argparse
from pathlib import Path

import napari
from imageio.v3 import imwrite
from qtpy.QtCore import QEventLoop, QTimer

PLUGIN = "napari-c2f"
SIZE = (1500, 950)
PICTURES = (
    "astronaut",
    "astronaut coarse",
    "astronaut coarse refined",
    "astronaut coarse confidence",
)
LONGEST_WAIT = 120_000
"""Milliseconds."""


def main() -> None:
    """Open, refine, show side by side, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, "astronaut")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Refine")
    widget.refine_button.click()
    wait_until(lambda: widget.refine_button.isEnabled())
    show_side_by_side(viewer)
    pause(1500)
    output.parent.mkdir(parents=True, exist_ok=True)
    imwrite(output, viewer.screenshot(canvas_only=False, flash=False))
    print(widget.status.text())
    viewer.close()


def show_side_by_side(viewer: napari.Viewer) -> None:
    """Show image, coarse map, fine map and confidence in a grid, each with its name."""
    for name in [layer.name for layer in viewer.layers if layer.name not in PICTURES]:
        viewer.layers.remove(name)
    for name in PICTURES:
        layer = viewer.layers[name]
        layer.visible, layer.opacity = True, 1.0
        layer.name_overlay.visible, layer.name_overlay.font_size = True, 12
    viewer.canvas.grid.enabled = True
    viewer.canvas.grid.shape = (2, 2)
    viewer.reset_view()


def pause(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec_()


def wait_until(condition, longest=LONGEST_WAIT):
    """Let the window work until the condition holds."""
    for _ in range(longest // 100):
        pause(100)
        if condition():
            return
    raise SystemExit("The refinement did not end in time.")


if __name__ == "__main__":
    main()
