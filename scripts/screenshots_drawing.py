"""Take pictures of the Draw widget: shapes with their classes, and the map made of them.

    python scripts/screenshots_drawing.py FOLDER

FOLDER gets drawing-shapes and drawing-map, each -dark.png and -light.png. Needs a
screen; xvfb-run gives one where there is none.
"""

from pathlib import Path

import numpy as np
from screenshot import PLUGIN, dock, open_viewer, pause, read_folder, take_in_both_themes

DOCK_WIDTH = 400
OUTLINES = {
    "background": ("path", [(0.06, 0.05), (0.06, 0.3), (0.3, 0.06), (0.7, 0.06)]),
    "hair": ("polygon", [(0.1, 0.5), (0.2, 0.25), (0.6, 0.2), (0.6, 0.85), (0.2, 0.8)]),
    "skin": ("ellipse", [(0.25, 0.32), (0.25, 0.7), (0.8, 0.7), (0.8, 0.32)]),
    "nose": ("polygon", [(0.45, 0.5), (0.6, 0.44), (0.6, 0.58)]),
}
"""Kind and points, as shares of height and width, of a shape of each class."""
STROKE_WIDTH = 12


def main() -> None:
    """Read the folder and take the pictures."""
    take_pictures(read_folder(__doc__))


def take_pictures(folder: Path) -> None:
    """Draw shapes of several classes, make a map of them, lock a class."""
    viewer = open_viewer()
    viewer.open_sample(PLUGIN, "astronaut")
    image = viewer.layers[0]
    del viewer.layers[1:]
    widget = dock(viewer, "Draw", DOCK_WIDTH)
    widget.class_table.setValue("fasseg")
    pause(500)
    viewer.reset_view()
    draw_shapes(viewer, widget, image.data.shape[:2])
    take_in_both_themes(viewer, folder, "drawing-shapes")
    widget.shapes_button.click()
    skin = widget.map.value.metadata["c2f_class_table"].names.index("skin")
    widget.table.lock_box(skin).click()
    widget._controller.choose(skin + 1)
    pause(1000)  # Pixels are counted meanwhile.
    take_in_both_themes(viewer, folder, "drawing-map")
    viewer.close()


def draw_shapes(viewer, widget, size) -> None:
    """Choose each class in the palette and draw its shape."""
    shapes = viewer.add_shapes(ndim=2, name="rough", opacity=0.6)
    shapes.mode = "add_polygon"
    for row, name in enumerate(["background", "hair", "skin", "eyes", "nose", "mouth"]):
        if name in OUTLINES:
            widget.table.selectRow(row)
            kind, points = OUTLINES[name]
            width = STROKE_WIDTH if kind == "path" else 1
            shapes.add(np.array(points) * size, shape_type=kind, edge_width=width)


if __name__ == "__main__":
    main()
