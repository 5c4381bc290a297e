"""Saves the work on the images of a project: on the open one, and on those that were left."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from c2f_core.errors import DataError
from c2f_core.project import Project, Work
from napari_c2f.base.queue import QueueController, all_done
from napari_c2f.project.open_work import OpenWork

Done = Callable[[Any], None]


class Saving:
    """Saves work in its turn; what cannot be saved is not let go.

    Parameters
    ----------
    project : Project
    queue : QueueController
        Does one thing after the other, in a thread.
    told : callable
        Called when something was saved.
    """

    def __init__(self, project: Project, queue: QueueController, told: Callable[[], None]) -> None:
        self._project, self._queue, self._told = project, queue, told
        self.opened: OpenWork | None = None
        """On the image whose layers are in the viewer."""
        self._owed: dict[str, Work] = {}  # By image that is no longer open, until it is saved.

    # The open image

    def save(self, work: Work, done: Done = lambda _: None) -> None:
        """Save this copy of the work on the open image; call `done` then."""
        opened = self.opened
        opened.is_changed = opened.is_unsaved = False

        def write(*_: Any) -> None:
            self._project.save(work)

        def told(_: None) -> None:
            self._tell_saved(work)
            done(None)

        self._queue.do(write, told, "", opened.note_change)

    def save_opened(self) -> None:
        """Save the open image, unless nothing was done to it."""
        work = self._unsaved_work()
        if work is not None:
            self.save(work)

    def save_rest_now(self) -> None:
        """Save what was drawn since the open image was saved, or what could not be saved then."""
        if self.opened is not None and self.opened.is_unsaved:
            self._project.save(self.opened.copy())

    def autosave(self) -> None:
        """Keep the open image where a crash cannot reach it, if a map has changed."""
        self.flush()
        if self.opened is not None and self.opened.is_changed:
            self._keep(self.opened, self.opened.copy())

    def _keep(self, opened: OpenWork, work: Work) -> None:
        kept = opened.kept
        opened.is_changed = False

        def write(*_: Any) -> bool:
            if work.equals(kept):
                return False
            self._project.autosave(work)
            return True

        def told(written: bool) -> None:
            if written:
                self._tell_saved(work)

        self._queue.do(write, told, "", opened.note_change)

    def _unsaved_work(self) -> Work | None:
        opened = self.opened
        return None if opened is None else opened.unsaved(self._project.record(opened.name))

    def _tell_saved(self, work: Work) -> None:
        if self.opened is not None and self.opened.name == work.record.name:
            self.opened.kept = work
        self._told()

    # Images that are no longer open

    def owe(self) -> None:
        """Keep in mind what was done to the open image: its layers leave the viewer one by one."""
        work = self._unsaved_work()
        if work is not None:
            self._owed[work.record.name] = work

    def owed(self, name: str) -> Work | None:
        """Return the work on an image that is not saved yet though it is no longer open."""
        return self._owed.get(name)

    def forget(self, name: str) -> bool:
        """Owe nothing to an image any more; tell whether something was owed."""
        return self._owed.pop(name, None) is not None

    def flush(self) -> None:
        """Save the work on images that are no longer open."""
        for work in list(self._owed.values()):
            self._save_owed_soon(work)

    def _save_owed_soon(self, work: Work) -> None:
        def told(written: bool) -> None:
            if written:
                self._tell_saved(work)
                self._queue.tell(f"{work.record.name} was saved, and is no longer open.")

        self._queue.do(lambda *_: self._save_one_owed(work), told)

    def _save_one_owed(self, work: Work) -> bool:
        """Save this unless that was done, or newer work took its place; tell whether."""
        name = work.record.name
        if self._owed.get(name) is not work:
            return False
        self._project.save(work)
        del self._owed[name]
        return True

    def save_made(self, before: Work, after: Work, done: Callable[[bool], None]) -> None:
        """Save what was made in the background, see `ProjectController.save_made`."""
        project, name = self._project, before.record.name

        def write(*_: Any) -> bool:
            now = project.read(name)
            same = replace(before, class_table=now.class_table)  # Classes are of all images.
            if now.record != before.record or not now.equals(same):
                return False
            project.save(replace(after, class_table=now.class_table))
            return True

        is_left = name in {each.name for each in project.records}
        is_open = self.opened is not None and self.opened.name == name
        if not is_left or is_open or name in self._owed:
            done(False)
        else:
            self._queue.do(write, done, "", lambda: done(False))

    # All images

    def when_saved(self, go_on: Callable[[], None], but: str = "") -> None:
        """Do this once all images are saved, but this one; not if that fails."""

        def proceed(_: Any) -> None:
            left = ", ".join(name for name in self._owed if name != but)
            if left:
                raise DataError(f"The work on {left} could not be saved; mend that first.")
            go_on()

        self.flush()
        work = self._unsaved_work()
        if work is None:
            self._queue.do(lambda *_: None, proceed)
        else:
            self.save(work, proceed)

    def save_now(self) -> None:
        """Save everything before this returns.

        Raises
        ------
        C2FError
            Something cannot be saved; all else was.
        """
        with all_done() as attempt:
            attempt(self._save_opened_now)
            for work in list(self._owed.values()):
                attempt(partial(self._save_one_owed, work))

    def _save_opened_now(self) -> None:
        work = self._unsaved_work()
        if work is not None:
            self._project.save(work)
            self.opened.is_changed = self.opened.is_unsaved = False
            self._tell_saved(work)
