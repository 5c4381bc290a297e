"""Take pictures of the Review widget: a review under way, and the final map.

    python scripts/screenshots_review.py FOLDER [--theme light]

FOLDER gets review-dark.png and review-final-dark.png, or those of the light theme.
Needs a screen; xvfb-run gives one where there is none.
"""

import argparse
from pathlib import Path

import napari
from imageio.v3 import imwrite
from qtpy.QtCore import Qt
from screenshot import PLUGIN, SIZE, pause, wait_until

DOCK_WIDTH = 430


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    take_pictures(options.output, options.theme)


def take_pictures(folder: Path, theme: str) -> None:
    """Refine the sample, decide on some regions, then on all of them."""
    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, "astronaut")
    refine(viewer)
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
    viewer.window._qt_window.resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    widget.begin_button.click()
    wait_until(widget.table.isEnabled)
    for button in (widget.accept_button, widget.accept_button, widget.reject_button):
        button.click()
    widget.enough.setValue(85)
    widget.above_button.click()
    take(viewer, folder / f"review-{theme}.png")
    widget.accept_rest_button.click()
    widget.outline_box.click()
    viewer.reset_view()
    take(viewer, folder / f"review-final-{theme}.png")
    viewer.close()


def refine(viewer: napari.Viewer) -> None:
    """Refine the sample's coarse map with the bundled model."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Refine")
    widget.refine_button.click()
    wait_until(widget.refine_button.isEnabled)
    viewer.window.remove_dock_widget(widget)


def take(viewer: napari.Viewer, path: Path) -> None:
    """Take a picture of the whole window, when it has settled."""
    pause(1500)
    imwrite(path, viewer.screenshot(canvas_only=False, flash=False))


if __name__ == "__main__":
    main()
