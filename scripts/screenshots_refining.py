"""Take pictures of the Refine widget: a part that is refined, and corrections that stay.

    python scripts/screenshots_refining.py FOLDER

FOLDER gets refining-scope, refining-kept and refining-live, each -dark.png and
-light.png. Needs a screen; xvfb-run gives one where there is none.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from screenshot import (
    PLUGIN,
    dock,
    open_viewer,
    pause,
    read_folder,
    refine,
    take_in_both_themes,
    wait_until,
)

DOCK_WIDTH = 400
BOX = [(0.2, 0.1), (0.2, 0.55), (0.9, 0.55), (0.9, 0.1)]
"""Corners of a polygon, as shares of height and width."""
HAIR = 1


def main() -> None:
    """Read the folder and take the pictures."""
    take_pictures(read_folder(__doc__))


def take_pictures(folder: Path) -> None:
    """Refine in a box; correct, and show what stays; draw in live mode."""
    viewer = open_viewer()
    viewer.open_sample(PLUGIN, "astronaut")
    widget = dock(viewer, "Refine", DOCK_WIDTH)
    widget.scope_section.expand()
    pause(500)
    viewer.reset_view()
    size = widget.image.value.data.shape[:2]
    viewer.add_shapes([np.array(BOX) * size], name="box", face_color="transparent", edge_width=3)
    widget.scope.where.setValue("shapes")
    refine(widget)
    take_in_both_themes(viewer, folder, "refining-scope")
    widget.scope.where.setValue("image")
    viewer.layers["box"].visible = False
    refine(widget)
    correct(viewer.layers.selection.active, size)
    widget.scope.show_protected.click()
    take_in_both_themes(viewer, folder, "refining-kept")
    widget.scope.show_protected.click()
    widget.live.click()
    correct(widget.coarse.value, size, 0.75)
    wait_until(lambda: widget.status.text().startswith("Live:"))
    take_in_both_themes(viewer, folder, "refining-live")
    viewer.close()


def correct(layer, size, row: float = 0.4) -> None:
    """Paint a stroke of hair."""
    layer.mode, layer.brush_size = "paint", 18
    points = np.array([(row, 0.15), (row + 0.1, 0.2), (row + 0.2, 0.3)]) * size
    with layer.block_history():
        for first, last in pairwise(points):
            layer._draw(HAIR, first.round(), last.round())


if __name__ == "__main__":
    main()
