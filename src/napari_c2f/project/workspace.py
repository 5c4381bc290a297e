"""The open project, and the queue of work on it.

Files are read and written in a background thread, one job after another. Maps are copied when a
job is queued, so that the user can keep drawing.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from c2f_core.errors import DataError
from c2f_core.project import Project, Work
from napari_c2f.base.queue import QueueController, all_done
from napari_c2f.project.model import ProjectState
from napari_c2f.project.open_work import OpenWork
from napari_c2f.project.saving import Saving


class Workspace(QueueController[ProjectState]):
    """The open project and its unsaved work, which all parts of the Project widget share."""

    def __init__(self) -> None:
        super().__init__(ProjectState())
        self._saving: Saving | None = None

    @property
    def is_open(self) -> bool:
        """Whether a project is open."""
        return self._saving is not None

    @property
    def saving(self) -> Saving:
        """Saves the work on the images of the open project.

        Raises
        ------
        DataError
            If no project is open.
        """
        if self._saving is None:
            raise DataError("No project is open; open or create one first.")
        return self._saving

    @property
    def project(self) -> Project:
        """The open project.

        Raises
        ------
        DataError
            If no project is open.
        """
        return self.saving.project

    @property
    def opened(self) -> OpenWork | None:
        """Work on the open image; None if no image is open."""
        return None if self._saving is None else self._saving.opened

    def enter(self, project: Project) -> None:
        """Make this the open project."""
        self._saving = Saving(project, self, self._note_saved)
        self.model.root = project.root
        self.refresh()

    def leave(self) -> None:
        """Close the open project, if any, without saving."""
        self.forget_image()
        if self._saving is not None:
            self._saving.project.close()
            self._saving = None

    def set_image(self, opened: OpenWork) -> None:
        """Make this the open image."""
        self.saving.opened = opened
        self.model.opened = opened.name

    def forget_image(self) -> None:
        """Let no image be open; its layers are not removed."""
        if self._saving is not None:
            self._saving.opened = None
        self.model.opened = ""

    def close_image(self) -> None:
        """Remove the layers of the open image, if any."""
        if self.opened is not None:
            self.opened.image.close()
            self.forget_image()

    def refresh(self) -> None:
        """Update the model from the project."""
        if self._saving is not None:
            project = self._saving.project
            self.model.images = project.records
            self.model.model = project.model
            self.model.models = tuple(map(str, project.models))

    def report(self, message: str) -> None:
        """Update the model from the project, and show a message."""
        self.refresh()
        self.model.message = message

    def showing_errors(self) -> AbstractContextManager[None]:
        """Show errors that are raised inside the block as messages."""
        return self._showing_errors()

    def save_now(self) -> None:
        """Finish all queued work and save all images before returning.

        Raises
        ------
        C2FError
            If something cannot be saved; everything else was saved.
        """
        with all_done() as attempt:
            attempt(self._finish_now)
            if self._saving is not None:
                attempt(self._saving.save_now)

    def save_result(self, before: Work, after: Work, done: Callable[[bool], None]) -> None:
        """Save the result of background work on an image, unless the user changed it meanwhile.

        Parameters
        ----------
        before, after : Work
            Work on the image before and after the background work.
        done : callable
            Function that is called with whether the result was saved.
        """
        self.when_idle(partial(self._save_result, self._saving, before, after, done))

    def _save_result(
        self, saving: Saving | None, before: Work, after: Work, done: Callable[[bool], None]
    ) -> None:
        if saving is None or saving is not self._saving:  # The project was closed meanwhile.
            done(False)
        else:
            saving.save_result(before, after, partial(self._after_result, done))

    def _after_result(self, done: Callable[[bool], None], written: bool) -> None:
        self.refresh()
        done(written)

    def _note_saved(self) -> None:
        self.model.saved = f"Saved {time.strftime('%H:%M:%S')}"
        self.refresh()
