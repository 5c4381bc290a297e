"""Marks images of the open project as reviewed."""

from collections.abc import Callable
from functools import partial

from c2f_core.project import ImageRecord, Project, Status, Work
from c2f_core.project.work import undecided_regions
from napari_c2f.base.worker import simple_task
from napari_c2f.project.open_work import OpenWork
from napari_c2f.project.workspace import Workspace

Confirm = Callable[[int], bool]
"""Asks the user whether to mark an image with this number of undecided regions."""


class ReviewMark:
    """Marks fine maps as reviewed or not.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def toggle(self, name: str, confirm: Confirm) -> None:
        """Mark an image as reviewed if it is not, and as not reviewed if it is."""
        self.set(name, not self._workspace.model.actions(name).is_reviewed, confirm)

    def set(self, name: str, reviewed: bool, confirm: Confirm = lambda _: True) -> None:
        """Mark an image as reviewed or not.

        Parameters
        ----------
        name : str
            Name of an image that has a fine map.
        reviewed : bool
            Whether the user vouches for the fine map.
        confirm : callable
            Function that is called first if regions are undecided.
        """
        with self._workspace.showing_errors():
            opened = self._opened(name)
            work = None if opened is None else opened.copy()
            if not reviewed or (work is not None and work.refined is None):
                self._save(name, reviewed)
                return
            count = simple_task(_count_undecided, self._workspace.project, name, work)
            proceed = partial(self._confirm, name, confirm)
            self._workspace.do(count, proceed, f"Checking {name}…")

    def _confirm(self, name: str, confirm: Confirm, undecided: int) -> None:
        if not undecided or confirm(undecided):
            self._save(name, True)
        else:
            self._workspace.report(f"{name} is not marked; decide on its regions in Review first.")

    def _save(self, name: str, reviewed: bool) -> None:
        project, opened = self._workspace.project, self._opened(name)
        if opened is None:
            task = simple_task(project.review, name, reviewed)
            self._workspace.do(task, self._report, f"Saving {name}…")
        else:
            work = project.with_review(opened.copy(), reviewed)
            opened.record = work.record
            self._workspace.saving.save(opened, work, partial(self._report, work.record))

    def _opened(self, name: str) -> OpenWork | None:
        opened = self._workspace.opened
        return opened if opened is not None and opened.name == name else None

    def _report(self, record: ImageRecord) -> None:
        if record.status is not Status.REVIEWED:
            message = f"{record.name} is no longer marked as reviewed."
        elif record.held_out:
            message = f"{record.name} marked as reviewed; it is held out to evaluate models."
        else:
            message = f"{record.name} marked as reviewed; it will be used for training."
        self._workspace.report(message)


def _count_undecided(project: Project, name: str, work: Work | None) -> int:
    """Count the undecided regions of the open image's work, or else of the saved work."""
    return undecided_regions(project.read(name) if work is None else work)
