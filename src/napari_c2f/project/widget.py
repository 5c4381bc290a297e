"""The Project widget: keeps the work on many images in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QFormLayout, QInputDialog, QLabel, QPushButton

from napari_c2f.base.proxies import bare
from napari_c2f.layers.session import Session
from napari_c2f.project.controller import ProjectController
from napari_c2f.project.fine_tuning_section import FineTuningSection
from napari_c2f.project.image_section import KEYS, ImageSection
from napari_c2f.project.task_section import TaskSection
from napari_c2f.widgets.choices import FolderEdit, TableChoice
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.parts import StatusText, add_row, button_row, collapsible

FROM_MAP = "From the selected map"
TIPS = {
    "folder": "Folder of the project; it contains copies of the images",
    "classes": "Classes of a new project",
    "create": "Create a project with these classes in this folder; pairs in it become its images",
    "open": "Open the project in this folder as you left it",
    "refine": "Refine every pending image that has a coarse map, except the open one, with the "
    "model of the project; then sort the list by doubt",
    "stop": "Stop after the current step; images that were refined are saved",
    "fine-tuning": "Choose the model of the project, and fine-tune it on the reviewed images",
}


class ProjectWidget(DockedWidget):
    """Keeps the work on many images in a folder.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that shows the images.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        session = Session.of(viewer)
        controller = ProjectController(viewer, session, is_at_work)
        self._controller, self.state = controller, controller.model
        session.class_deletion_wanted.connect(self._delete_class)
        self.when_ended(lambda: session.class_deletion_wanted.disconnect(self._delete_class))
        self.when_ended(controller.close)
        self.folder = FolderEdit("folder of the project")
        self.class_table = TableChoice(FROM_MAP)
        self.create_button = QPushButton("&Create")
        self.open_button = QPushButton("&Open")
        self.images = ImageSection(controller, self._selected_layers)
        self.batch = TaskSection(
            controller.batch,
            ("R&efine all pending", TIPS["refine"]),
            ("Stop refinin&g", TIPS["stop"]),
            "Finished share of the pending images",
        )
        self.fine_tuning = FineTuningSection(controller)
        self.use_keys(KEYS, self.images)
        self.saved = QLabel()
        self.status = StatusText()
        self._lay_out()
        self._connect()
        self.folder.setValue(controller.last_folder())
        self._show_project()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "Fol&der", self.folder, TIPS["folder"])
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        buttons = {self.create_button: TIPS["create"], self.open_button: TIPS["open"]}
        form.addRow("", button_row(buttons))
        self.fine_tuning_group = collapsible("Model and fine-tuning", self.fine_tuning)
        self.fine_tuning_group.toggleButton().setToolTip(TIPS["fine-tuning"])
        self.saved.setToolTip("When the open image was last saved, including autosaves")
        layout = self.scrolled_column(self.status)
        layout.addLayout(form)
        layout.addWidget(self.images, 3)
        layout.addWidget(self.batch)
        layout.addWidget(self.fine_tuning_group)
        layout.addWidget(self.saved)

    def _connect(self) -> None:
        self.create_button.clicked.connect(self._create)
        self.open_button.clicked.connect(self._open)
        self.batch.start_button.clicked.connect(self._controller.batch.refine)
        events = self.state.events
        events.root.connect(self._show_project)
        events.saved.connect(self._show_saved)
        events.message.connect(self._show_message)

    # What the user wants

    def _create(self) -> None:
        self._controller.create(self._folder(), self.class_table.selection())

    def _open(self) -> None:
        self._controller.open(self._folder())

    def _delete_class(self, label: int) -> None:
        self._controller.classes.delete(label, self._choose_class)

    def _choose_class(self, question: str, names: Sequence[str]) -> str | None:
        name, ok = QInputDialog.getItem(self, "Delete class", question, list(names), 0, False)
        return name if ok else None

    def _folder(self) -> Path | None:
        return None if self.folder.is_empty() else self.folder.value()

    def _selected_layers(self) -> list[Layer]:
        return [bare(layer) for layer in self._viewer.layers.selection]

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Watch the window: when it closes, its layers may go before this widget does."""
        super().showEvent(event)
        window = self.window()
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Save when the window is about to close."""
        if watched is self.window() and event is not None and event.type() == QEvent.Type.Close:
            self._controller.save_quietly()
        return False

    # What is shown

    @while_alive
    def _show_project(self, *_: Any) -> None:
        self.batch.setEnabled(self.state.root is not None)

    @while_alive
    def _show_saved(self, saved: str) -> None:
        self.saved.setText(saved)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)


def is_at_work() -> bool:
    """Return whether a window or dialog of this program is the active one."""
    return QApplication.activeWindow() is not None
