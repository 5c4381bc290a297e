"""The Project widget: a folder of images in work, and learning from them."""

from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Labels
from pydantic import ValidationError
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QFormLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)
from superqt import QCollapsible

from c2f_core.config.files import invalid_setting
from c2f_core.io.images import IMAGE_SUFFIXES
from c2f_core.project import Status
from c2f_core.project.files import REMOVED
from c2f_core.project.work import undecided_text
from c2f_core.training.fine_tuning import FineTuningSettings
from napari_c2f.base.proxies import bare
from napari_c2f.base.settings import settings
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.layers.convert import class_table_of_layer
from napari_c2f.layers.session import Session
from napari_c2f.project.batch import BatchController
from napari_c2f.project.batch_section import ToDoSection
from napari_c2f.project.controller import ProjectController
from napari_c2f.project.lesson import LessonController
from napari_c2f.project.table import ImageTable
from napari_c2f.widgets.choices import FileChoice, FolderEdit, TableChoice
from napari_c2f.widgets.config_form import ConfigForm
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.model_choice import MODEL_FILES, known_models, model_text
from napari_c2f.widgets.parts import StatusText, add_row, button_row, collapsible

FROM_MAP = "Of the selected map"
NO_MODEL = {"": "none"}
FOLDER_KEY, REPLAY_KEY = "project folder", "replay folder"
IMAGE_FILES = f"Images ({' '.join(f'*{suffix}' for suffix in IMAGE_SUFFIXES)})"
MAP_FILES = "Maps (*.png *.tif *.tiff *.npy)"
EFFORT_FILES = "Tables (*.csv *.md)"
TIPS = {
    "folder": "Folder of the project; it holds copies of the images",
    "classes": "Classes of a new project",
    "create": "Make a project in this folder, with these classes; pairs in it become its images",
    "open": "Open the project in this folder, as it was left",
    "add": "Copy image files into the project",
    "layers": "Copy the images that are selected in the layer list, or one and its coarse map",
    "remove": "Take the chosen image out of the project, after a question; its files are kept",
    "show": "Bring the chosen image and its maps into the viewer; what is open is saved (Enter)",
    "review": "Say that the fine map of the chosen image is right, or no longer: it then teaches",
    "export": "Write the fine map to a file, and beside it how it came about",
    "effort": "Write minutes and painted pixels of all images to a table",
    "model": "Refiner of the project: learning goes on from it, and replaces it by a better one",
    "replay": "Folder of pairs that the model knows, so that it does not forget them; may be empty",
    "learning": "Choose the refiner of the project, and teach it what was reviewed",
    "learn": "Go on training the model with the reviewed images, in the background",
    "stop": "Stop learning; the model stays as it is, and Learn goes on with it",
}


class ProjectWidget(DockedWidget):
    """Keeps the work on many images in a folder.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        self._controller = ProjectController(viewer, Session.of(viewer), is_at_work)
        self._lessons = LessonController()
        self._to_do = BatchController(self._controller)
        self.when_ended(self._lessons.close, self._to_do.close, self._controller.close)
        self.state, self.lesson = self._controller.state, self._lessons.model
        self.folder = FolderEdit("folder of the project")
        self.class_table = TableChoice(FROM_MAP)
        self.create_button = QPushButton("&Create")
        self.open_button = QPushButton("&Open")
        self.images = ImageTable()
        self.add_button = QPushButton("&Add images…")
        self.layers_button = QPushButton("Add se&lected")
        self.remove_button = QPushButton("Remo&ve…")
        self.show_button = QPushButton("Open &image")
        self.review_button = QPushButton("Mar&k reviewed")
        self.export_button = QPushButton("E&xport…")
        self.effort_button = QPushButton("Effort ta&ble…")
        self.to_do = ToDoSection(self._to_do)
        self.model = FileChoice(NO_MODEL | known_models(), MODEL_FILES, model_text)
        self.replay = FolderEdit("pairs that the model knows")
        self.teaching = ConfigForm(FineTuningSettings, set(), "Lesson")
        self.learn_button = QPushButton("Lear&n from corrections")
        self.stop_button = QPushButton("S&top")
        self.progress = QProgressBar()
        self.lesson_text = QLabel()
        self.saved = QLabel()
        self.status = StatusText()
        self._lay_out()
        self._connect()
        self.folder.setValue(settings().value(FOLDER_KEY, "", str))
        self.replay.setValue(settings().value(REPLAY_KEY, "", str))
        self._show_project()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "Fol&der", self.folder, TIPS["folder"])
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        whole = {self.create_button: TIPS["create"], self.open_button: TIPS["open"]}
        form.addRow("", button_row(whole))
        one = {
            self.show_button: TIPS["show"],
            self.review_button: TIPS["review"],
            self.remove_button: TIPS["remove"],
        }
        out = {
            self.add_button: TIPS["add"],
            self.layers_button: TIPS["layers"],
            self.export_button: TIPS["export"],
            self.effort_button: TIPS["effort"],
        }
        self.saved.setToolTip("When the open image was saved last, by itself too")
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.images, 3)
        layout.addLayout(button_row(one))
        layout.addLayout(button_row(out))
        layout.addWidget(self.to_do)
        self.learning = self._lesson_section()
        layout.addWidget(self.learning)
        layout.addWidget(self.saved)
        layout.addWidget(self.status, 1)

    def _lesson_section(self) -> QCollapsible:
        form = QFormLayout()
        add_row(form, "&Model", self.model, TIPS["model"])
        add_row(form, "&Replay", self.replay, TIPS["replay"])
        form.addRow(self.teaching)
        buttons = {self.learn_button: TIPS["learn"], self.stop_button: TIPS["stop"]}
        form.addRow(button_row(buttons))
        self.progress.setToolTip("Finished share of the lesson")
        self.lesson_text.setWordWrap(True)
        self.lesson_text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form.addRow(self.progress)
        form.addRow(self.lesson_text)
        section = collapsible("Model and learning", form)
        section.toggleButton().setToolTip(TIPS["learning"])
        return section

    def _connect(self) -> None:
        controller = self._controller
        self.create_button.clicked.connect(self._create)
        self.open_button.clicked.connect(self._open)
        self.add_button.clicked.connect(self._add)
        self.layers_button.clicked.connect(
            lambda: controller.add_layers(map(bare, self._viewer.layers.selection))
        )
        self.remove_button.clicked.connect(self._remove)
        self.images.opened.connect(controller.show)
        self.images.chosen.connect(self._show_choice)
        self.show_button.clicked.connect(lambda: controller.show(self.images.value()))
        self.review_button.clicked.connect(self._review)
        self.export_button.clicked.connect(self._export)
        self.effort_button.clicked.connect(self._write_effort)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.learn_button.clicked.connect(self._learn)
        self.stop_button.clicked.connect(self._lessons.stop)
        events = controller.state.events
        events.root.connect(self._show_project)
        events.images.connect(self._show_images)
        events.opened.connect(self._show_images)
        events.models.connect(self._show_model)
        events.model.connect(self._show_model)
        events.saved.connect(self._show_saved)
        events.message.connect(self._show_message)
        lesson = self._lessons.model.events
        lesson.busy.connect(self._show_lesson)
        lesson.progress.connect(self._show_lesson)
        lesson.message.connect(self._show_lesson)

    # What the user wants

    def _create(self) -> None:
        self._begin(
            lambda folder: self._controller.create(folder, self.selected_table(), self._may_leave)
        )

    def _open(self) -> None:
        self._begin(lambda folder: self._controller.open(folder, self._may_leave))

    def _begin(self, enter: Any) -> None:
        if self.folder.is_empty():
            self._show_message("Choose the folder of the project first.")
            return
        if self._may_leave():
            enter(self.folder.value())

    def _may_leave(self) -> bool:
        """Tell whether the project that is open may be closed; say why where it may not."""
        if self.lesson.busy:
            self._show_message("Learning is under way in this project; stop it first.")
        elif self._to_do.model.busy:
            self._show_message("Refining is under way in this project; stop it first.")
        return not (self.lesson.busy or self._to_do.model.busy)

    def selected_table(self) -> TableSelection:
        """Return the classes of a new project; None where no map is selected to take them from."""
        active = self._viewer.layers.selection.active
        if self.class_table.value() == FROM_MAP and isinstance(active, Labels):
            return TableSelection.read(lambda: class_table_of_layer(active))
        return self.class_table.selection()

    def _add(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add images", "", IMAGE_FILES)
        if paths:
            self._controller.add(map(Path, paths))

    def _remove(self) -> None:
        name = self.images.value()
        question = (
            f"Take '{name}' out of the project, with its maps?\nNo file is deleted: they move to "
            f"the folder '{REMOVED}' of the project. What a model has learned of it stays."
        )
        if QMessageBox.question(self, "Remove image", question) == QMessageBox.StandardButton.Yes:
            self._controller.remove(name)

    def _review(self) -> None:
        name = self.images.value()
        reviewed = any(
            record.name == name and record.status is Status.REVIEWED for record in self.state.images
        )
        self._controller.review(name, not reviewed, self._may_mark)

    def _may_mark(self, undecided: int) -> bool:
        question = (
            f"{undecided_text(undecided)}\nOnce it is marked, the map teaches that this is right. "
            "Mark it all the same?"
        )
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self, "Mark reviewed", question, yes | no, no) == yes

    def _export(self) -> None:
        name = self.images.value()
        suggested = str(self.state.root / "exports" / f"{name}.png")
        path, _ = QFileDialog.getSaveFileName(self, f"Export {name}", suggested, MAP_FILES)
        if path:
            self._controller.export(name, Path(path))

    def _write_effort(self) -> None:
        suggested = str(self.state.root / "effort.csv")
        path, _ = QFileDialog.getSaveFileName(self, "Effort table", suggested, EFFORT_FILES)
        if path:
            self._controller.write_effort(Path(path))

    def _choose_model(self, *_: Any) -> None:
        self._controller.choose_model(self.model.value())

    def _learn(self) -> None:
        settings().setValue(REPLAY_KEY, "" if self.replay.is_empty() else str(self.replay.value()))
        replay = None if self.replay.is_empty() else self.replay.value()
        try:
            teaching = FineTuningSettings.model_validate(self.teaching.value())
        except ValidationError as error:
            self._show_message(invalid_setting(error))
            return
        controller, lessons = self._controller, self._lessons
        controller.when_saved(
            lambda project: lessons.learn(project, replay, teaching, controller.refresh)
        )

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Look out for the end of the window, which may take the layers before this widget."""
        super().showEvent(event)
        self.window().installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Save when the window is about to close."""
        if watched is self.window() and event is not None and event.type() == QEvent.Type.Close:
            self._controller.save_quietly()
        return False

    # What is shown

    @while_alive
    def _show_project(self, *_: Any) -> None:
        is_open = self.state.root is not None
        if is_open:
            settings().setValue(FOLDER_KEY, str(self.state.root))
        adding = self.add_button, self.layers_button
        for widget in (self.images, *adding, self.effort_button, self.to_do, self.model):
            widget.setEnabled(is_open)
        self._show_images()
        self._show_model()
        self._show_lesson()

    @while_alive
    def _show_images(self, *_: Any) -> None:
        self.images.show_images(self.state.images, self.state.opened)

    @while_alive
    def _show_choice(self, *_: Any) -> None:
        """Offer what can be done with the chosen image."""
        name = self.images.value()
        record = next((each for each in self.state.images if each.name == name), None)
        refined = record is not None and record.status is not Status.TO_DO
        self.remove_button.setEnabled(record is not None)
        self.show_button.setEnabled(record is not None and name != self.state.opened)
        self.review_button.setEnabled(refined)
        self.export_button.setEnabled(refined)
        reviewed = record is not None and record.status is Status.REVIEWED
        self.review_button.setText("Mar&k not reviewed" if reviewed else "Mar&k reviewed")

    @while_alive
    def _show_model(self, *_: Any) -> None:
        blocked = self.model.blockSignals(True)
        for path in self.state.models:
            self.model.add(path)
        self.model.setValue(self.state.model)
        self.model.blockSignals(blocked)

    @while_alive
    def _show_saved(self, saved: str) -> None:
        self.saved.setText(saved)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)

    @while_alive
    def _show_lesson(self, *_: Any) -> None:
        self.learn_button.setEnabled(self.state.root is not None and not self.lesson.busy)
        self.stop_button.setEnabled(self.lesson.busy)
        self.lesson_text.setText(self.lesson.message)
        self.progress.setRange(0, 0 if self.lesson.busy and not self.lesson.progress else 100)
        self.progress.setValue(round(100 * self.lesson.progress))


def is_at_work() -> bool:
    """Tell whether a window of this program, or a dialog of it, is the active one."""
    return QApplication.activeWindow() is not None
