"""Saves the work on the images of a project: on the open one, and on those closed since."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from c2f_core.errors import DataError
from c2f_core.project import Project, Work
from napari_c2f.base.queue import QueueController, all_done
from napari_c2f.base.worker import simple_task
from napari_c2f.project.model import ProjectState
from napari_c2f.project.open_work import OpenWork, SaveState

Done = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class Saving:
    """Saves the work on images in the queue, and keeps what could not be saved.

    Parameters
    ----------
    project : Project
        Project to save to.
    queue : QueueController
        Queue of background work.
    on_saved : callable
        Function without parameters that is called whenever work was saved.
    """

    def __init__(
        self, project: Project, queue: QueueController[ProjectState], on_saved: Callable[[], None]
    ) -> None:
        self.project = project
        self._queue, self._on_saved = queue, on_saved
        self.opened: OpenWork | None = None
        """Work on the image whose layers are in the viewer."""
        self._pending: dict[str, Work] = {}  # By name; images closed before they were saved.

    # The open image

    def save(self, opened: OpenWork, work: Work, done: Done = _nothing) -> None:
        """Save this copy of the work on the open image, then call `done`."""
        opened.save_state = SaveState.SAVED
        succeed = partial(self._after_save, work, done)
        self._queue.do(simple_task(self.project.save, work), succeed, "", opened.note_change)

    def _after_save(self, work: Work, done: Done, _result: None) -> None:
        self._note_saved(work)
        done()

    def save_opened(self) -> None:
        """Save the open image, unless it is unchanged."""
        unsaved = self._unsaved()
        if unsaved is not None:
            self.save(*unsaved)

    def save_rest_now(self) -> None:
        """Save what was drawn since the open image was saved, or could not be saved then."""
        if self.opened is not None and self.opened.save_state is not SaveState.SAVED:
            self.project.save(self.opened.copy())

    def autosave(self) -> None:
        """Save closed images, and write a snapshot of the open one if a map may have changed."""
        self.flush()
        opened = self.opened
        if opened is None or opened.save_state is not SaveState.CHANGED:
            return
        work = opened.copy()
        opened.save_state = SaveState.AUTOSAVED
        write = simple_task(_autosave, self.project, work, opened.last_written)
        self._queue.do(write, partial(self._after_autosave, work), "", opened.note_change)

    def _after_autosave(self, work: Work, written: bool) -> None:
        if written:
            self._note_saved(work)

    def _unsaved(self) -> tuple[OpenWork, Work] | None:
        opened = self.opened
        work = None if opened is None else opened.unsaved(self.project.record(opened.name))
        return None if opened is None or work is None else (opened, work)

    def _note_saved(self, work: Work) -> None:
        if self.opened is not None and self.opened.name == work.record.name:
            self.opened.last_written = work
        self._on_saved()

    # Images closed before they were saved

    def defer(self) -> None:
        """Keep a copy of the open image, whose layers are being removed, to save it later."""
        unsaved = self._unsaved()
        if unsaved is not None:
            _, work = unsaved
            self._pending[work.record.name] = work

    def pending(self, name: str) -> Work | None:
        """Return the work on a closed image that is not saved yet."""
        return self._pending.get(name)

    def discard(self, name: str) -> None:
        """Discard the work on a closed image."""
        self._pending.pop(name, None)

    def flush(self) -> None:
        """Save the work on closed images."""
        for work in list(self._pending.values()):
            write = simple_task(self._save_pending, work)
            self._queue.do(write, partial(self._after_pending, work))

    def _save_pending(self, work: Work) -> bool:
        """Save this work, unless it was saved or replaced meanwhile; return whether it was."""
        name = work.record.name
        if self._pending.get(name) is not work:
            return False
        self.project.save(work)
        del self._pending[name]
        return True

    def _after_pending(self, work: Work, written: bool) -> None:
        if written:
            self._note_saved(work)
            self._queue.tell(f"{work.record.name} was saved and closed.")

    # Results of background work

    def save_result(self, before: Work, after: Work, done: Callable[[bool], None]) -> None:
        """Save the result of background work, see `Workspace.save_result`."""
        name = before.record.name
        is_removed = name not in {record.name for record in self.project.records}
        is_open = self.opened is not None and self.opened.name == name
        if is_removed or is_open or name in self._pending:
            done(False)
        else:
            write = simple_task(_save_if_unchanged, self.project, before, after)
            self._queue.do(write, done, "", partial(done, False))

    # All images

    def when_saved(self, proceed: Done, ignore: str = "") -> None:
        """Call `proceed` once all images are saved.

        Parameters
        ----------
        proceed : callable
            Function without parameters; it is not called if an image cannot be saved.
        ignore : str
            Name of a closed image that need not be saved.
        """
        self.flush()
        proceed = partial(self._check_pending, proceed, ignore)
        unsaved = self._unsaved()
        if unsaved is None:
            self._queue.do(simple_task(_nothing), lambda _: proceed())
        else:
            self.save(*unsaved, proceed)

    def _check_pending(self, proceed: Done, ignore: str) -> None:
        names = ", ".join(name for name in self._pending if name != ignore)
        if names:
            raise DataError(f"The work on {names} could not be saved; fix this first.")
        proceed()

    def save_now(self) -> None:
        """Save all images before returning.

        Raises
        ------
        C2FError
            If an image cannot be saved; all others were saved.
        """
        with all_done() as attempt:
            attempt(self._save_opened_now)
            for work in list(self._pending.values()):
                attempt(partial(self._save_pending, work))

    def _save_opened_now(self) -> None:
        unsaved = self._unsaved()
        if unsaved is not None:
            opened, work = unsaved
            self.project.save(work)
            opened.save_state = SaveState.SAVED
            self._note_saved(work)


def _autosave(project: Project, work: Work, last: Work) -> bool:
    """Write a snapshot, unless the work equals the last one; return whether it was written."""
    if work.equals(last):
        return False
    project.autosave(work)
    return True


def _save_if_unchanged(project: Project, before: Work, after: Work) -> bool:
    """Save `after` if the project still contains `before`; return whether it was saved."""
    now = project.read(before.record.name)
    expected = replace(before, class_table=now.class_table)  # All images share the classes.
    if now.record != before.record or not now.equals(expected):
        return False
    project.save(replace(after, class_table=now.class_table))
    return True
