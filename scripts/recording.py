"""Record an annotator's day as a GIF: draw, refine, review, correct, fine-tune, export.

    python scripts/recording.py docs/images/day.gif

The mouse and the keys are sent to a real window, which is photographed after each
step; the arrow is drawn where the mouse is. Needs a screen; xvfb-run gives one where
there is none.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QEvent, QPoint, QPointF, QSettings, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from screenshot import PLUGIN, pause, wait_until

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.project import Project
from c2f_core.project.refining import refine_image
from c2f_core.training.fine_tuning import FineTuningSettings

SIZE = (1240, 880)
DOCK_WIDTH = 390
STRIP = 34
"""Height of the caption."""
COLOURS = 256
"""Of the GIF."""
LARGEST = 5_000_000
"""Bytes."""
ARROW = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
OUTLINES = {
    "background": [(0.01, 0.01), (0.01, 0.99), (0.99, 0.99), (0.99, 0.01)],
    "hair": [(0.1, 0.5), (0.2, 0.25), (0.6, 0.2), (0.62, 0.85), (0.2, 0.8)],
    "skin": [(0.27, 0.43), (0.27, 0.62), (0.5, 0.7), (0.78, 0.57), (0.78, 0.45), (0.5, 0.33)],
    "nose": [(0.45, 0.5), (0.59, 0.45), (0.59, 0.56)],
    "mouth": [(0.61, 0.44), (0.61, 0.58), (0.68, 0.51)],
}
"""Corners of the polygon of each class, as shares of height and width."""
BOX = [(0.05, 0.12), (0.5, 0.55), (0.95, 0.93)]
STROKE = [(0.15, 0.34), (0.1, 0.43), (0.09, 0.54), (0.13, 0.63)]
OTHERS = {"left": (slice(0, 320), slice(0, 256)), "right": (slice(0, 320), slice(192, 448))}
"""Windows of the sample that play images that were reviewed before."""
FINE_TUNING = FineTuningSettings(steps=8, batch_size=2, crop=96, threads=1)
CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class Recorder:
    """Photographs the window, with the mouse and a caption.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._font = ImageFont.load_default(19)
        self._frames: list[Image.Image] = []
        self._times: list[int] = []
        self.mouse = QPoint(SIZE[0] // 2, SIZE[1] // 2)
        self.caption = ""

    def shoot(self, milliseconds: int) -> None:
        """Take a picture that is shown for so long; where nothing is new, prolong the last."""
        pause(20)
        picture = self._picture()
        if self._frames and picture.tobytes() == self._frames[-1].tobytes():
            self._times[-1] += milliseconds
            return
        self._frames.append(picture)
        self._times.append(milliseconds)

    def _picture(self) -> Image.Image:
        window = self._viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        picture = Image.new("RGB", (window.shape[1], window.shape[0] + STRIP), "black")
        picture.paste(Image.fromarray(window), (0, 0))
        draw = ImageDraw.Draw(picture)
        draw.text((12, window.shape[0] + 5), self.caption, "white", self._font)
        corners = [(self.mouse.x() + x, self.mouse.y() + y) for x, y in ARROW]
        draw.polygon(corners, "white", "black")
        return picture

    def save(self, path: Path) -> None:
        """Write the GIF; all frames share the colours of the most colourful ones."""
        few = self._frames[:: max(len(self._frames) // 12, 1)]
        sheet = Image.fromarray(np.vstack([np.asarray(frame) for frame in few]))
        palette = sheet.quantize(COLOURS, Image.Quantize.FASTOCTREE)
        frames = [
            frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self._frames
        ]
        if len({frame.size for frame in frames}) > 1:
            raise SystemExit("The window grew; make SIZE larger.")
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=self._times, loop=0)
        seconds, size = sum(self._times) / 1000, path.stat().st_size
        print(f"{path}: {len(frames)} frames, {seconds:.0f} s, {size / 1e6:.1f} MB")
        if size > LARGEST:
            raise SystemExit(f"That is more than {LARGEST / 1e6:.0f} MB.")


class Hand:
    """Moves the mouse and presses keys, while the recorder looks.

    Parameters
    ----------
    viewer : napari.Viewer
    recorder : Recorder
    """

    def __init__(self, viewer: napari.Viewer, recorder: Recorder) -> None:
        self._viewer, self._recorder = viewer, recorder
        self._window = viewer.window._qt_window
        self._canvas = viewer.window._qt_viewer.canvas

    def go_to(self, widget: QWidget, place: QPoint | None = None) -> QPoint:
        """Move to a position in a widget, by default its centre; return the position."""
        place = widget.rect().center() if place is None else place
        start, end = self._recorder.mouse, widget.mapTo(self._window, place)
        steps = min(1 + (end - start).manhattanLength() // 150, 4)
        for step in range(1, steps + 1):
            self._recorder.mouse = start + (end - start) * (step / steps)
            self._recorder.shoot(60)
        return place

    def click(self, widget: QWidget, place: QPoint | None = None, hold: int = 500) -> None:
        """Go to a widget and click it."""
        QTest.mouseClick(widget, LEFT, NONE, self.go_to(widget, place))
        self._recorder.shoot(hold)

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE, hold: int = 500) -> None:
        """Press a key while the canvas has the focus."""
        QTest.keyClick(self._canvas.native, key, modifier)
        pause(150)
        self._recorder.shoot(hold)

    def draw(self, *points: tuple[float, float], hold: int = 60) -> None:
        """Draw on the canvas from point to point, in rows and columns of the world."""
        places = [self._place(point) for point in points]
        self.go_to(self._canvas.native, places[0])
        self._send(QEvent.Type.MouseMove, places[0], NO_BUTTON, NO_BUTTON)
        self._send(QEvent.Type.MouseButtonPress, places[0], LEFT, LEFT)
        for place in places[1:]:
            self._recorder.mouse = self._canvas.native.mapTo(self._window, place)
            self._send(QEvent.Type.MouseMove, place, NO_BUTTON, LEFT)
            self._recorder.shoot(hold)
        self._send(QEvent.Type.MouseButtonRelease, places[-1], LEFT, NO_BUTTON)
        self._recorder.shoot(hold)

    def _place(self, point: tuple[float, float]) -> QPoint:
        x, y = self._canvas.view.scene.transform.map((point[1], point[0], 0, 1))[:2]
        return QPoint(round(float(x)), round(float(y)))

    def _send(self, kind: QEvent.Type, place: QPoint, button: object, buttons: object) -> None:
        pause(15)  # vispy drops what comes within 10 ms.
        where = QPointF(place)
        event = QMouseEvent(kind, where, where, button, buttons, NONE)
        QApplication.sendEvent(self._canvas.native, event)


class Day:
    """What an annotator does from opening an image to its export.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.recorder = Recorder(viewer)
        self.hand = Hand(viewer, self.recorder)
        self._docks = {}
        for name in ("Draw", "Refine", "Review", "Project"):
            dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
            self._docks[name] = dock, widget
        viewer.window._qt_window.resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
        self.image = astronaut_pair().image

    def turn_to(self, name: str, caption: str) -> QWidget:
        """Bring a widget to the front, and say what comes."""
        dock, widget = self._docks[name]
        dock.raise_()
        pause(200)
        self.say(caption)
        return widget

    def say(self, caption: str) -> None:
        """Show another caption."""
        self.recorder.caption = caption
        self.recorder.shoot(600)

    def at(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return points that are given as shares of height and width in pixels."""
        return [(row * len(self.image), column * len(self.image)) for row, column in points]

    def open(self) -> None:
        """Open an image of the project."""
        project = self.turn_to("Project", "A project: double-click an image")
        (item,) = project.images.table.findItems("astronaut", Qt.MatchFlag.MatchExactly)
        place = project.images.table.visualItemRect(item).center()
        self.hand.click(project.images.table.viewport(), place, hold=100)
        QTest.mouseDClick(project.images.table.viewport(), LEFT, NONE, place)
        wait_until(lambda: project.state.opened == "astronaut")
        self.viewer.reset_view()
        pause(500)
        self.recorder.shoot(1000)

    def draw(self) -> None:
        """Draw a polygon of each class, and make a coarse map of them."""
        draw = self.turn_to("Draw", "Draw: choose a class (Ctrl+2), draw a rough polygon (P)")
        names = ClassTable.preset("fasseg").names
        self._new_shapes(Qt.Key.Key_P)
        self.viewer.layers.selection.active.opacity = 0.45
        for name, corners in OUTLINES.items():
            self.hand.press(Qt.Key(Qt.Key.Key_1 + names.index(name)), CONTROL, hold=300)
            for corner in self.at(corners):
                self.hand.draw(corner)
            self.hand.press(Qt.Key.Key_Escape, hold=300)
        self.say("From shapes: a coarse map")
        self.hand.click(draw.shapes_button, hold=200)
        pause(500)  # Pixels are counted meanwhile.
        self.recorder.shoot(1500)

    def _new_shapes(self, key: Qt.Key) -> None:
        self.hand.click(self.viewer.window._qt_viewer.layerButtons.newShapesButton, hold=200)
        self.hand.press(key, hold=200)

    def refine(self) -> None:
        """Refine within a box."""
        refine = self.turn_to("Refine", "Refine, here within a drawn box (R)")
        self._new_shapes(Qt.Key.Key_R)
        self.hand.draw(*self.at(BOX), hold=120)
        self.hand.click(refine.scope_section.toggleButton(), hold=300)
        pause(500)
        self.hand.go_to(refine.scope.where)
        refine.scope.where.setValue("shapes")
        self.recorder.shoot(700)
        box = self.viewer.layers.selection.active
        self._refine(refine)
        box.visible = False
        self.recorder.shoot(1800)

    def _refine(self, refine: QWidget) -> None:
        self.hand.click(refine.refine_button, hold=100)
        wait_until(refine.refine_button.isEnabled)
        pause(300)

    def review(self) -> None:
        """Accept, reject, accept; take one back; accept the rest."""
        review = self.turn_to("Review", "Review what changed, the most doubtful first")
        self.hand.click(review.begin_button, hold=100)
        wait_until(review.table.isEnabled)
        pause(500)
        self.recorder.shoot(1200)
        for caption, key, modifier in (
            ("A accepts the region", Qt.Key.Key_A, NONE),
            ("R rejects it", Qt.Key.Key_R, NONE),
            ("Ctrl+Z takes a decision back", Qt.Key.Key_Z, CONTROL),
            ("A accepts the region", Qt.Key.Key_A, NONE),
        ):
            self.recorder.caption = caption
            self.hand.press(key, modifier, hold=800)
        self.say("Accept the rest: the final map")
        self.hand.click(review.buttons.accept_rest, hold=300)
        self.viewer.reset_view()
        pause(500)
        self.recorder.shoot(1300)

    def correct(self) -> None:
        """Paint a stroke, and refine the whole image."""
        self.say("Correct it with the brush (here hair, Ctrl+2)")
        self.hand.press(Qt.Key.Key_2, CONTROL, hold=300)
        self.viewer.layers.selection.active.brush_size = 32
        self.hand.draw(*self.at(STROKE), hold=150)
        self.recorder.shoot(700)
        refine = self.turn_to("Refine", "Refine again, now the whole image: your stroke stays")
        self.hand.go_to(refine.scope.where)
        refine.scope.where.setValue("image")
        self._refine(refine)
        self.recorder.shoot(2000)

    def fine_tune(self) -> None:
        """Mark the image as reviewed, and fine-tune the model."""
        project = self.turn_to("Project", "Mark it as reviewed: now it is used for training")
        self.viewer.reset_view()  # The Project widget is wider, and would hide a part of the image.
        self.hand.click(project.images.review_button, hold=100)
        wait_until(lambda: not project.state.busy)
        self.recorder.shoot(900)
        self.say("Fine-tune in the background; a worse model is never used")
        project.fine_tuning.settings.setValue(FINE_TUNING.model_dump())
        self.hand.click(project.fine_tuning_group.toggleButton(), hold=100)
        pause(500)
        self.hand.click(project.fine_tuning.task.start_button, hold=100)
        wait_until(lambda: project.fine_tuning.task.model.busy)
        while project.fine_tuning.task.model.busy:
            pause(300)
            self.recorder.shoot(300)
        pause(500)
        self.recorder.shoot(2000)

    def export(self, path: Path) -> None:
        """Export the map without the file dialog, which would be a separate window."""
        project = self.turn_to("Project", "Export the map, with a record of how it was made")
        self.hand.go_to(project.images.export_button)
        project._controller.exporter.export_map("astronaut", path)
        wait_until(lambda: not project.state.busy)
        pause(300)
        self.recorder.shoot(2000)


def fill(root: Path) -> None:
    """Make a project of the sample, and two parts of it that were reviewed."""
    pair, table = astronaut_pair(), ClassTable.preset("fasseg")
    with Project.create(root, table) as project:
        project.choose_model("fasseg")
        project.add_image(pair.image, "astronaut")
        for name, window in OTHERS.items():
            work = project.read(project.add_image(pair.image[window], name).name)
            project.save(replace(work, coarse=table.to_labels(pair.coarse[window])))
            work = refine_image(project, name)
            project.save(replace(work, fine=table.to_labels(pair.fine[window])))
            project.review(name)


def record(output: Path) -> None:
    """Do a day's work, and write the recording."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    day = Day(viewer)
    project = day._docks["Project"][1]
    project.folder.setValue(Path("faces"))
    project.open_button.click()
    day.open()
    day.draw()
    day.refine()
    day.review()
    day.correct()
    day.fine_tune()
    day.export(Path("astronaut.png"))
    day.recorder.save(output)
    viewer.close()


def main() -> None:
    """Read the arguments and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # What the widgets remember stays out of the user's own settings.
        QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, folder)
        os.chdir(folder)
        fill(Path("faces"))
        record(output)


if __name__ == "__main__":
    main()
