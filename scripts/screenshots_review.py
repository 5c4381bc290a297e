"""Take pictures of the Review widget: a review under way, and the final map.

    python scripts/screenshots_review.py FOLDER [--theme light]

FOLDER gets review-dark.png and review-final-dark.png, or those of the light theme.
Needs a screen; xvfb-run gives one where there is none.
"""

from pathlib import Path

from screenshot import PLUGIN, dock, open_viewer, read_options, refine, take, wait_until

DOCK_WIDTH = 430


def main() -> None:
    """Read the arguments and take the pictures."""
    take_pictures(*read_options(__doc__))


def take_pictures(folder: Path, theme: str) -> None:
    """Refine the sample, decide on some regions, then on all of them."""
    viewer = open_viewer(theme)
    viewer.open_sample(PLUGIN, "astronaut")
    refine_widget = dock(viewer, "Refine")
    refine(refine_widget)
    viewer.window.remove_dock_widget(refine_widget)
    widget = dock(viewer, "Review", DOCK_WIDTH)
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


if __name__ == "__main__":
    main()
