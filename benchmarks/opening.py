"""Stall of the window while the widgets are opened, each as the first one and after the others.

    python benchmarks/opening.py

Each widget is opened first in a fresh napari with an image, and then the others. A
timer in the event loop of the window fires every 10 ms; a stall is how much later
than that it comes, also while slow modules are imported in the background. Needs a
screen; xvfb-run gives one where there is none. To be run on an idle machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading

TOOLS = ("Draw", "Refine", "Review", "Project", "Train")
WINDOW = (1500, 950)
SETTLING = 5.0
"""Seconds after which the window is drawn and still."""
AFTER = 2.0
"""Seconds that the window is watched after a widget is there and modules are imported."""


def main() -> None:
    """Open the widgets in five orders; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", choices=TOOLS, help=argparse.SUPPRESS)
    first = parser.parse_args().first
    if first is not None:
        print(json.dumps(stalls_of(first)))
        return
    found = {tool: run(tool) for tool in TOOLS}
    print("| widget | opened first: until it is there | largest stall | after others: stall |")
    print("| --- | ---: | ---: | ---: |")
    for tool in TOOLS:
        seconds, stall = found[tool][tool]
        later = max(found[other][tool][1] for other in TOOLS if other != tool)
        print(f"| {tool} | {seconds:.2f} s | {stall:.0f} ms | {later:.0f} ms |")


def run(first: str) -> dict[str, tuple[float, float]]:
    """Open all widgets in a process, this one first."""
    command = [sys.executable, __file__, "--first", first]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def stalls_of(first: str) -> dict[str, tuple[float, float]]:
    """Return seconds until each widget is there, and the largest stall (ms)."""
    import napari
    from qtpy.QtCore import QSettings, QTimer
    from refine_widget import watch
    from skimage.data import astronaut

    # What the widgets remember stays out of the user's own settings.
    scope, folder = QSettings.Scope.UserScope, tempfile.mkdtemp()
    QSettings.setPath(QSettings.Format.NativeFormat, scope, folder)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    viewer.add_image(astronaut())
    watch(lambda: False, longest=SETTLING)
    measured = {}
    for tool in (first, *(other for other in TOOLS if other != first)):
        opened: list[object] = []

        def open_widget(tool: str = tool, opened: list[object] = opened) -> None:
            opened.append(viewer.window.add_plugin_dock_widget("napari-c2f", tool))

        QTimer.singleShot(0, open_widget)
        seconds, stall = watch(lambda opened=opened: bool(opened))
        _, later = watch(lambda: not imports_are_waiting(), longest=60)
        _, rest = watch(lambda: False, longest=AFTER)
        measured[tool] = seconds, max(stall, later, rest)
    viewer.close()
    return measured


def imports_are_waiting() -> bool:
    """Return whether modules are still imported in the background."""
    from napari_c2f.base.imports import IMPORTING

    return any(thread.name == IMPORTING for thread in threading.enumerate())


if __name__ == "__main__":
    main()
