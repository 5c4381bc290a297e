"""Reads thumbnails of the open project's images in the background, for the rows that are seen."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.errors import C2FError
from c2f_core.project import Project
from c2f_core.project.thumbnails import read_thumbnail
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Report, ShouldStop
from napari_c2f.project.workspace import Workspace

INTERVAL = 100
"""Milliseconds between deliveries of thumbnails."""


class Thumbnails(Controller[Activity]):
    """Reads the thumbnails that are wanted at the moment, and no others.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    made = Signal(str, object)
    """Emitted with the name of an image and its thumbnail, an (y, x, 3) uint8 array; None if the
    image cannot be read."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(Activity())
        self._workspace = workspace
        self._wanted: Sequence[str] = ()

    def want(self, names: Sequence[str]) -> None:
        """Read the thumbnails of these images; those of other images are no longer wanted."""
        if self._task is None:
            self._wanted = names
            self._begin()
        elif not set(names) <= set(self._wanted):
            self._wanted = names
            self._task.stop()  # What is wanted now is read next.

    def _begin(self) -> None:
        if self._wanted and self._workspace.is_open:
            project = self._workspace.project
            work = partial(_read_all, project, tuple(self._wanted))
            self._start(work, partial(self._deliver, project), self._finish, interval=INTERVAL)

    def _deliver(self, project: Project, read: Sequence[tuple[str, NDArray[Any] | None]]) -> None:
        if self._workspace.is_open and self._workspace.project is project:
            for name, picture in read:
                self.made.emit(name, picture)
        done = {name for name, _ in read}
        self._wanted = [name for name in self._wanted if name not in done]

    def _finish(self, _result: None) -> None:
        self._succeed("")
        self._begin()


def _read_all(
    project: Project, names: Sequence[str], report: Report, should_stop: ShouldStop
) -> None:
    """Report the thumbnail of each image, or None if it cannot be read, until stopped."""
    for name in names:
        if should_stop():
            return
        try:
            report((name, read_thumbnail(project, name)))
        except C2FError:  # Opening the image says why.
            report((name, None))
