"""Take pictures of all widgets on small screens, and fail if the window does not fit.

    python scripts/screenshots_docks.py FOLDER

FOLDER gets docks-TOOL-WIDTHxHEIGHT, each -dark.png and -light.png. Needs a screen of at least
1280 x 780 pixels; xvfb-run gives one where there is none.
"""

from pathlib import Path

import napari
from screenshot import PLUGIN, dock, pause, read_folder, refine, take_in_both_themes, wait_until

SIZES = ((1280, 780), (933, 600))
TOOLS = ("Draw", "Refine", "Review", "Train", "Project")


def main() -> None:
    """Read the folder and take the pictures."""
    take_pictures(read_folder(__doc__))


def take_pictures(folder: Path) -> None:
    """Refine the sample, begin a review, and show each widget at each size."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZES[0])
    viewer.open_sample(PLUGIN, "astronaut")
    widgets = {name: dock(viewer, name) for name in TOOLS}
    widgets["Refine"].model.setValue("fasseg")
    refine(widgets["Refine"])
    widgets["Review"].begin_button.click()
    wait_until(widgets["Review"].table.isEnabled)
    for size in SIZES:
        viewer.window.resize(*size)
        for name, widget in widgets.items():
            widget.parent().raise_()
            pause(300)
            check_size(viewer, size)
            take_in_both_themes(viewer, folder, f"docks-{name.lower()}-{size[0]}x{size[1]}")
    viewer.close()


def check_size(viewer: napari.Viewer, size: tuple[int, int]) -> None:
    """Stop if the window had to become larger than asked for."""
    window = viewer.window._qt_window
    if (window.width(), window.height()) != size:
        raise SystemExit(f"The window is {window.width()} x {window.height()} instead of {size}.")


if __name__ == "__main__":
    main()
