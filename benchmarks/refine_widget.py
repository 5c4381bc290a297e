"""Latency and largest stall of the window while the Refine widget refines, whole and live.

    python benchmarks/refine_widget.py [--size 2000]

A timer in the event loop of the window fires every 10 ms; a stall is how much later
than that it comes. Live: from the end of a stroke to the changed fine map. Needs a
screen; xvfb-run gives one where there is none. To be run on an idle machine.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from napari_c2f.layers.convert import labels_layer_data

TICK = 10
"""Milliseconds between ticks of the timer."""
WINDOW = (1500, 950)
SETTLING = 5.0
"""Seconds after which the window is drawn and still."""
STROKES = 5
HAIR = 1


def main() -> None:
    """Refine the whole image, then after strokes; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2000)
    size = parser.parse_args().size
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    pair, table = astronaut_pair(size), ClassTable.preset("fasseg")
    viewer.add_image(pair.image, name="face")
    data, keywords, _ = labels_layer_data(table.to_labels(pair.coarse), table, "coarse")
    viewer.add_labels(data, **keywords)
    _, widget = viewer.window.add_plugin_dock_widget("napari-c2f", "Refine")
    watch(lambda: False, longest=SETTLING)
    print("| what | until the result | largest stall of the window |\n| --- | ---: | ---: |")
    report("(napari alone adds such a map)", *measure_adding(viewer, data, keywords))
    widget.refine_button.click()
    report("whole image", *watch(widget.refine_button.isEnabled))
    widget.live.click()
    measure_live(viewer, widget, size)
    viewer.close()


def measure_adding(viewer, data, keywords) -> tuple[float, float]:
    """Add a map and take it away again; what the plugin cannot be quicker than."""
    added: list[Any] = []
    QTimer.singleShot(100, lambda: added.append(viewer.add_labels(data, **keywords)))
    measured = watch(lambda: bool(added))
    viewer.layers.remove(added[0])
    watch(lambda: False, longest=1.0)
    return measured


def measure_live(viewer, widget, size: int) -> None:
    """Draw strokes; the first one loads the model."""
    coarse = viewer.layers["coarse"]
    coarse.mode, coarse.brush_size = "paint", 20
    for number in range(STROKES):
        before = widget.state.report
        row = size * (0.3 + 0.1 * number)
        with coarse.block_history():
            coarse._draw(HAIR, np.array([row, 0.1 * size]), np.array([row, 0.1 * size + 60]))
        seconds, stall = watch(lambda before=before: widget.state.report is not before)
        report(f"live, stroke {number + 1} of 20 x 60 px", seconds, stall)


def report(what: str, seconds: float, stall: float) -> None:
    """Print a row."""
    print(f"| {what} | {seconds:.2f} s | {stall:.0f} ms |", flush=True)


def watch(is_done: Callable[[], bool], longest: float = 300.0) -> tuple[float, float]:
    """Let the window work until something is done and drawn; return seconds and stall (ms)."""
    begun = last = time.perf_counter()
    done, largest = 0.0, 0.0
    loop = QEventLoop()

    def tick() -> None:
        nonlocal last, largest, done
        now = time.perf_counter()
        largest = max(largest, 1000 * (now - last) - TICK)
        last = now
        if not done and (is_done() or now - begun > longest):
            done = now - begun
        elif done and now - begun > done + 0.5:
            loop.quit()

    timer = QTimer()
    timer.setInterval(TICK)
    timer.timeout.connect(tick)
    timer.start()
    loop.exec()
    timer.stop()
    return done, largest


if __name__ == "__main__":
    main()
