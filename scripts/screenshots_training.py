"""Take pictures of a run in the Train widget: at the start, in the middle and at the end.

    python scripts/screenshots_training.py DATA FOLDER [--run-folder RUN] [--steps 600]

Drives the widget as a user does: choose the data, check them, train. FOLDER gets
training-check.png, training-start.png, training-middle.png, training-end.png and
training-runs.png. Needs a screen; xvfb-run gives one where there is none.
With --hide-images no picture shows an image or map of the data.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import napari
import screenshot
from qtpy.QtCore import QSettings
from screenshot import PLUGIN, dock, open_viewer, take

from napari_c2f.train.model import Phase
from napari_c2f.train.widget import TrainWidget

DOCK_WIDTH = 620
LONGEST_RUN = 24 * 3600 * 1000
"""Milliseconds."""
wait_until = partial(screenshot.wait_until, longest=LONGEST_RUN)
OVER = (Phase.DONE, Phase.STOPPED, Phase.FAILED)


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--run-folder", type=Path, help="a new folder; by default next to the data")
    parser.add_argument("--classes", help="class table; that of the folder or FASSEG's without it")
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--train", default="train", help="list of the split file")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--validate-every", type=int, default=25)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--hide-images", action="store_true", help="show the sample instead")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # What the widgets remember stays out of the user's own settings.
        QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, folder)
        take_pictures(options)


def take_pictures(options: argparse.Namespace) -> None:
    """Drive the widget from the check of the data to the list of runs."""
    viewer = open_viewer()
    widget = dock(viewer, "Train", DOCK_WIDTH)
    fill(widget, options)
    if options.hide_images:
        viewer.open_sample(PLUGIN, "astronaut")
    model = widget.model

    def picture(name: str) -> None:
        take(viewer, options.output / f"training-{name}.png")

    if not options.hide_images:
        widget.data.check_button.click()
        wait_until(lambda: model.phase is not Phase.CHECKING)
        picture("check")
    widget.train_button.click()
    wait_until(lambda: model.preview is not None or model.phase in OVER)
    if options.hide_images:
        remove_preview(viewer)
    else:
        widget.monitor.preview_button.click()
    picture("start")
    wait_until(lambda: model.progress >= 0.5 or model.phase in OVER)
    picture("middle")
    wait_until(lambda: model.phase in OVER)
    picture("end")
    widget.tabs.setCurrentWidget(widget.runs)
    wait_until(lambda: widget.runs.runs.topLevelItemCount() > 0)
    widget.runs.runs.topLevelItem(0).setSelected(True)
    widget.runs.buttons["compare"].click()
    picture("runs")
    print(widget.monitor.log.text())
    print(widget.status.text())
    viewer.close()


def remove_preview(viewer: napari.Viewer) -> None:
    """Remove the topmost layer, which training added; it does not come back."""
    viewer.layers.pop()
    viewer.reset_view()


def fill(widget: TrainWidget, options: argparse.Namespace) -> None:
    """Choose data, steps and run folder in the form."""
    widget.data.data.setValue(options.data)
    if options.classes:
        widget.data.class_table.setValue(options.classes)
    if options.run_folder:
        widget.setup.run_folder.setValue(options.run_folder)
    widget.setup.steps.setValue(options.steps)
    editors = {
        "validate_every": options.validate_every,
        "threads": options.threads,
        "data.splits": options.splits,
        "data.train": options.train,
    }
    for path, value in editors.items():
        widget.setup.form.editor(path).setValue(value)


if __name__ == "__main__":
    main()
