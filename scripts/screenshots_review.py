"""Take pictures of the Review widget: a review under way, and the final map.

    python scripts/screenshots_review.py FOLDER

FOLDER gets review and review-final, each -dark.png and -light.png. Needs a screen;
xvfb-run gives one where there is none.
"""

from pathlib import Path

from screenshot import (
    PLUGIN,
    dock,
    open_viewer,
    read_folder,
    refine,
    take_in_both_themes,
    wait_until,
)

DOCK_WIDTH = 430


def main() -> None:
    """Read the folder and take the pictures."""
    take_pictures(read_folder(__doc__))


def take_pictures(folder: Path) -> None:
    """Refine the sample, decide on some regions, then on all of them."""
    viewer = open_viewer()
    viewer.open_sample(PLUGIN, "astronaut")
    refine_widget = dock(viewer, "Refine")
    refine(refine_widget)
    viewer.window.remove_dock_widget(refine_widget)
    widget = dock(viewer, "Review", DOCK_WIDTH)
    widget.begin_button.click()
    wait_until(widget.table.isEnabled)
    for button in (widget.buttons.accept, widget.buttons.accept, widget.buttons.reject):
        button.click()
    widget.buttons.threshold.setValue(85)
    widget.buttons.accept_above.click()
    take_in_both_themes(viewer, folder, "review")
    widget.buttons.accept_rest.click()
    widget.switches.outlines.click()
    viewer.reset_view()
    take_in_both_themes(viewer, folder, "review-final")
    viewer.close()


if __name__ == "__main__":
    main()
