"""Take a picture of napari with the sample refined by the docked widget.

    python scripts/screenshot.py OUT.png

Needs a screen; xvfb-run gives one where there is none.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from PIL import Image
from qtpy.QtCore import QEventLoop, Qt, QTimer

PLUGIN = "napari-c2f"
SIZE = (1500, 950)
PICTURES = (
    "astronaut",
    "astronaut coarse",
    "astronaut fine",
    "astronaut confidence",
)
COLOURS = 256
"""Number of colours of a picture."""
LONGEST_WAIT = 120_000
"""Milliseconds."""


def main() -> None:
    """Open, refine, show side by side, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    viewer = open_viewer()
    viewer.open_sample(PLUGIN, "astronaut")
    widget = dock(viewer, "Refine")
    refine(widget)
    show_side_by_side(viewer)
    output.parent.mkdir(parents=True, exist_ok=True)
    take(viewer, output)
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


def read_folder(description: str) -> Path:
    """Read the folder of the pictures from the command line, and make it."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    return output


def open_viewer() -> napari.Viewer:
    """Open napari in the size of the pictures."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    return viewer


def dock(viewer: napari.Viewer, name: str, width: int | None = None) -> Any:
    """Dock a widget of the plugin with this width in pixels, and return it."""
    docked, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    if width is not None:
        viewer.window._qt_window.resizeDocks([docked], [width], Qt.Orientation.Horizontal)
    return widget


def refine(widget: Any) -> None:
    """Click Refine and wait for the result."""
    widget.refine_button.click()
    wait_until(widget.refine_button.isEnabled)


def take(viewer: napari.Viewer, path: Path) -> None:
    """Take a picture of the whole window, when it has settled."""
    pause(1500)
    picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    # A palette makes the file a quarter as large; an octree keeps the colours of thin lines.
    picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def take_in_both_themes(viewer: napari.Viewer, folder: Path, name: str) -> None:
    """Take NAME-light.png and NAME-dark.png; the viewer stays dark."""
    for theme in ("light", "dark"):
        viewer.theme = theme
        take(viewer, folder / f"{name}-{theme}.png")


def pause(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec_()


def wait_until(condition: Callable[[], bool], longest: int = LONGEST_WAIT) -> None:
    """Process events until the condition holds, for at most this many milliseconds."""
    for _ in range(longest // 100):
        pause(100)
        if condition():
            return
    raise SystemExit("What the picture waits for did not come in time.")


if __name__ == "__main__":
    main()
