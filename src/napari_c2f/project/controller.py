"""Opens and closes projects, and owns the controllers of the open one."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels

from c2f_core.classes.editing import new_table
from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io.images import IMAGE_SUFFIXES
from c2f_core.project import Project
from napari_c2f.base.settings import settings
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.worker import RepeatingTimer
from napari_c2f.layers.convert import class_table_of_layer
from napari_c2f.layers.session import Session
from napari_c2f.project.batch import BatchController
from napari_c2f.project.classes import ClassDeleter
from napari_c2f.project.exporting import Exporter
from napari_c2f.project.fine_tuning import FineTuningController
from napari_c2f.project.image_controller import ImageController
from napari_c2f.project.library import Library
from napari_c2f.project.open_work import TICK, EffortClock
from napari_c2f.project.review_mark import ReviewMark
from napari_c2f.project.thumbnails import Thumbnails
from napari_c2f.project.workspace import Workspace

LOGGER = logging.getLogger(__name__)
FOLDER_KEY = "project folder"
PROBLEMS_SHOWN = 3
"""Maximum number of problems that the message on opening lists."""


class ProjectController:
    """Opens and closes projects; everything else is the job of one of its parts.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that shows the images.
    session : Session
        Session of the viewer.
    is_active : callable
        Function without parameters that returns whether the user is working in the window; only
        then time counts as effort.

    Attributes
    ----------
    model : ProjectState
        State of the open project.
    images : ImageController
        Shows and saves an image.
    classes : ClassDeleter
        Deletes classes from all maps.
    library : Library
        Adds and removes images, and chooses the model.
    review_mark : ReviewMark
        Marks images as reviewed.
    exporter : Exporter
        Exports maps and the effort table.
    batch : BatchController
        Refines all pending images.
    fine_tuning : FineTuningController
        Fine-tunes the model.
    thumbnails : Thumbnails
        Reads small pictures of the images.
    """

    def __init__(
        self, viewer: ViewerModel, session: Session, is_active: Callable[[], bool] = lambda: True
    ) -> None:
        self._viewer = viewer
        self.workspace = Workspace()
        self.model = self.workspace.model
        self.clock = EffortClock(lambda: self.workspace.opened is not None and is_active())
        self.images = ImageController(self.workspace, viewer, session, self.clock)
        self.library = Library(self.workspace)
        self.classes = ClassDeleter(self.workspace, self.images, self._check_idle)
        self.review_mark = ReviewMark(self.workspace)
        self.exporter = Exporter(self.workspace)
        self.batch = BatchController(self.workspace)
        self.fine_tuning = FineTuningController(self.workspace)
        self.thumbnails = Thumbnails(self.workspace)
        self._tick = RepeatingTimer(TICK, self.clock.tick)

    @staticmethod
    def last_folder() -> str:
        """Return the folder of the project opened last; empty if there was none."""
        return str(settings().value(FOLDER_KEY, "", str))

    def create(self, root: Path | None, selection: TableSelection) -> None:
        """Create a project in a folder, and open it once all queued work is done.

        Images that are directly in the folder are copied into the project.

        Parameters
        ----------
        root : Path or None
            Folder of the project; None if the user has not chosen one.
        selection : TableSelection
            Classes of the project; without a table, those of the active map, or else one class
            to start from.
        """
        with self.workspace.showing_errors():
            folder = self._check_folder(root)
            table = selection.checked_table() or self._table_of_active_map() or new_table()
            self.workspace.when_idle(partial(self._create, folder, table))

    def _table_of_active_map(self) -> ClassTable | None:
        active = self._viewer.layers.selection.active
        return class_table_of_layer(active) if isinstance(active, Labels) else None

    def _create(self, root: Path, table: ClassTable) -> None:
        self._leave()
        self._enter(Project.create(root, table), f"Created the project {root}; add images to it.")
        images = _images_in(root)
        if images:
            self.library.add_files(images)

    def open(self, root: Path | None) -> None:
        """Open the project in a folder once all queued work is done."""
        with self.workspace.showing_errors():
            self.workspace.when_idle(partial(self._open, self._check_folder(root)))

    def _open(self, root: Path) -> None:
        self._leave()
        self._enter(Project.open(root), f"Opened {root}; double-click an image.")

    def _check_folder(self, root: Path | None) -> Path:
        if root is None:
            raise DataError("Choose the folder of the project first.")
        self._check_idle()
        return root

    def _check_idle(self) -> None:
        """Raise an error if the open project must not be closed now."""
        if self.fine_tuning.model.busy:
            raise DataError("Fine-tuning is running in this project; stop it first.")
        if self.batch.model.busy:
            raise DataError("Refining is running in this project; stop it first.")

    def _enter(self, project: Project, message: str) -> None:
        self.workspace.enter(project)
        for part in (self.batch, self.fine_tuning):
            part.tell("")  # What it said was about another project.
        self.images.start()
        self._tick.start()
        settings().setValue(FOLDER_KEY, str(project.root))
        self.workspace.tell(_opening_message(project, message))

    def _leave(self) -> None:
        """Save and close the open project, if any."""
        self._check_idle()
        if self.workspace.is_open:
            self.workspace.save_now()
            self.workspace.close_image()
            self._stop()
            self.model.root, self.model.images = None, ()

    def _stop(self) -> None:
        self.images.stop()
        self._tick.stop()
        self.workspace.leave()

    def close(self, *_: Any) -> None:
        """Save and close everything for good because the window closes."""
        self.fine_tuning.close()
        self.batch.close()
        self.thumbnails.close()
        self.save_quietly()
        if self.images.image is not None:
            self.images.image.release()
        self._stop()

    def save_quietly(self) -> None:
        """Save synchronously; log errors instead of showing them."""
        try:
            self.workspace.save_now()
        except C2FError:
            LOGGER.exception("The project could not be saved")


def _images_in(root: Path) -> list[Path]:
    """Return the image files that are directly in a folder."""
    files = (path for path in root.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(path for path in files if path.is_file())


def _opening_message(project: Project, message: str) -> str:
    """Add to a message what was recovered when a project was opened."""
    if project.restored:
        message = f"Restored unsaved work on {', '.join(project.restored)}."
    shown = list(project.skipped.items())[:PROBLEMS_SHOWN]
    message += "".join(f" {name} was not added: {reason}" for name, reason in shown)
    if len(project.skipped) > PROBLEMS_SHOWN:
        more = len(project.skipped) - PROBLEMS_SHOWN
        message += f" {more} more files were not added; see journal.jsonl for the reasons."
    if project.ambiguous:
        message += (
            f" Colours of no class became unlabelled in {', '.join(project.ambiguous)}; see "
            "journal.jsonl for the pixels, and the folder 'removed' for the original maps."
        )
    message = " ".join([message, *project.problems[:PROBLEMS_SHOWN]])
    if len(project.problems) > PROBLEMS_SHOWN:
        message += f" {len(project.problems) - PROBLEMS_SHOWN} more problems are in journal.jsonl."
    return message
