"""Take pictures of the Refine widget: a part that is refined, and corrections that stay.

    python scripts/screenshots_refining.py FOLDER [--theme light]

FOLDER gets refining-scope.png, refining-kept.png and refining-live.png. Needs a
screen; xvfb-run gives one where there is none.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import Qt
from screenshot import PLUGIN, SIZE, pause, wait_until
from screenshots_drawing import DOCK_WIDTH, take

BOX = [(0.2, 0.1), (0.2, 0.55), (0.9, 0.55), (0.9, 0.1)]
"""Corners of a polygon, as shares of height and width."""
HAIR = 1


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    take_pictures(options.output, options.theme)


def take_pictures(folder: Path, theme: str) -> None:
    """Refine in a box; correct, and show what stays; draw in live mode."""
    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, "astronaut")
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Refine")
    viewer.window._qt_window.resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    widget.scope_section.expand()
    pause(500)
    viewer.reset_view()
    size = widget.image.value.data.shape[:2]
    viewer.add_shapes([np.array(BOX) * size], name="box", face_color="transparent", edge_width=3)
    widget.scope.where.setValue("shapes")
    refine(widget)
    take(viewer, folder / "refining-scope.png")
    widget.scope.where.setValue("image")
    viewer.layers["box"].visible = False
    refine(widget)
    correct(viewer.layers.selection.active, size)
    widget.scope.show_kept.click()
    take(viewer, folder / "refining-kept.png")
    widget.scope.show_kept.click()
    widget.live.click()
    correct(widget.coarse.value, size, 0.75)
    wait_until(lambda: widget.status.text().startswith("Live:"))
    take(viewer, folder / "refining-live.png")
    viewer.close()


def refine(widget) -> None:
    """Click Refine and wait."""
    widget.refine_button.click()
    wait_until(widget.refine_button.isEnabled)


def correct(layer, size, row: float = 0.4) -> None:
    """Paint a stroke of hair."""
    layer.mode, layer.brush_size = "paint", 18
    points = np.array([(row, 0.15), (row + 0.1, 0.2), (row + 0.2, 0.3)]) * size
    with layer.block_history():
        for first, last in pairwise(points):
            layer._draw(HAIR, first.round(), last.round())


if __name__ == "__main__":
    main()
