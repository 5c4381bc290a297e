"""Largest stall of the window while changes of a large map are reviewed.

    python benchmarks/review_widget.py [--size 2000]

The keys are pressed on the canvas; a stall is how late a timer of the window comes,
so that it holds the work and the drawing.
Needs a screen; xvfb-run gives one where there is none. To be run on an idle machine.
"""

import argparse

import napari
import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from refine_widget import WINDOW, measure_adding, watch
from scipy import ndimage

from c2f_core.classes.table import ClassTable
from napari_c2f.layers.convert import confidence_layer_data, labels_layer_data
from napari_c2f.layers.session import Session

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier
STEPS = {
    "next": (Qt.Key.Key_N, NONE),
    "accept": (Qt.Key.Key_A, NONE),
    "reject": (Qt.Key.Key_R, NONE),
    "next doubtful region": (Qt.Key.Key_D, NONE),
    "outlines": (Qt.Key.Key_W, NONE),
    "filled": (Qt.Key.Key_W, NONE),
    "final map": (Qt.Key.Key_G, NONE),
    "refined map": (Qt.Key.Key_G, NONE),
    "undo": (Qt.Key.Key_Z, CONTROL),
    "accept all from 90 %": (Qt.Key.Key_A, SHIFT),
    "undo it": (Qt.Key.Key_Z, CONTROL),
    "accept all": (Qt.Key.Key_A, CONTROL | SHIFT),
    "undo that": (Qt.Key.Key_Z, CONTROL),
    "reject all": (Qt.Key.Key_R, CONTROL | SHIFT),
}


def main() -> None:
    """Review a map of smooth random classes; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2000)
    size = parser.parse_args().size
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    add_layers(viewer, size)
    _, widget = viewer.window.add_plugin_dock_widget("napari-c2f", "Review")
    watch(lambda: False, longest=5.0)  # Meanwhile torch loads.
    print("| what | largest stall of the window |\n| --- | ---: |")
    fine = viewer.layers["fine"]
    keywords = {"colormap": fine.colormap, "name": "another"}
    _, stall = measure_adding(viewer, fine.data, keywords)
    report("(napari alone adds another such map)", stall)
    widget.begin_button.click()
    seconds, stall = watch(widget.table.isEnabled)
    regions = widget.table.model().rowCount()
    report(f"begin, {regions} regions of {size} x {size} px, after {seconds:.1f} s", stall)
    canvas = viewer.window._qt_viewer.canvas.native
    for name, (key, modifier) in STEPS.items():
        report(name, watch(press_once(canvas, key, modifier))[1])
    viewer.close()


def report(what: str, stall: float) -> None:
    """Print a row."""
    print(f"| {what} | {stall:.0f} ms |", flush=True)


def press_once(canvas, key, modifier):
    """Return what presses a key when it is first called, and then is done."""

    def is_done() -> bool:
        QTest.keyClick(canvas, key, modifier)
        return True

    return is_done


def add_layers(viewer: napari.Viewer, size: int) -> None:
    """Add a photograph of noise, and what refining leaves."""
    random, table = np.random.default_rng(0), ClassTable.preset("fasseg")

    def smooth(cells: int) -> np.ndarray:
        return ndimage.zoom(random.random((cells, cells)), size / cells, order=1)

    drawn, other = ((6 * smooth(cells)).astype(np.uint8) for cells in (20, 30))
    sure = np.clip(smooth(200) + 0.2, 0, 1).astype(np.float32)
    viewer.add_image(random.integers(0, 255, (size, size, 3), dtype=np.uint8), name="photo")
    data, keywords, _ = labels_layer_data(drawn, table, "coarse")
    coarse = Labels(data, **keywords)
    data, keywords, _ = confidence_layer_data(sure, "confidence")
    confidence = Image(data, **keywords)
    data, keywords, _ = labels_layer_data(np.where(smooth(60) > 0.75, other, drawn), table, "fine")
    fine = Labels(data, **keywords)
    Session.of(viewer).lineage.add_fine(fine, coarse, confidence)
    for layer in (coarse, confidence, fine):
        viewer.add_layer(layer)


if __name__ == "__main__":
    main()
