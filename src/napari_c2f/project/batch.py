"""Refines the images of a project that are to do, in the background; the only writer of its model.

The thread only computes. What it made is saved by the project's controller, in its turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from c2f_core.errors import C2FError, DataError
from c2f_core.project import Project, Status, Work
from c2f_core.project.refining import refined_work
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Report, ShouldStop, Task
from napari_c2f.project.controller import ProjectController

MOST_NAMED = 3
"""Images that a message lists by name."""
WENT_ON = "you went on with it meanwhile"


@dataclass(frozen=True, eq=False)
class BatchItem:
    """What became of an image: its work before and after, or else why it was left as it is."""

    name: str
    before: Work | None = None
    after: Work | None = None
    reason: str = ""


def refine_batch(project: Project, names: list[str]) -> Callable[[Report, ShouldStop], bool]:
    """Return the work of refining images one by one; its result is whether it was stopped."""

    def report_share(report: Report, number: int, share: float) -> None:
        report((number + share) / len(names))

    def work(report: Report, should_stop: ShouldStop) -> bool:
        for number, name in enumerate(names):
            made = _made(project, name, partial(report_share, report, number), should_stop)
            if should_stop():
                return True
            report(made)
        return False

    return work


def _made(
    project: Project, name: str, progress: Callable[[float], None], should_stop: ShouldStop
) -> BatchItem:
    try:
        before = project.read(name)
        if before.record.status is not Status.TO_DO:
            return BatchItem(name, reason=WENT_ON)
        if (before.coarse == before.class_table.unlabelled.index).all():
            return BatchItem(name, reason="nothing is drawn in the coarse map")
        after = refined_work(project, before, progress=progress, should_stop=should_stop)
    except C2FError as error:  # One image that cannot be refined keeps no other from it.
        return BatchItem(name, reason=str(error))
    return BatchItem(name, before, after)


class BatchController(Controller[Activity]):
    """Refines all images that are to do but the open one; drawing and saving go on meanwhile.

    Parameters
    ----------
    projects : ProjectController
    """

    def __init__(self, projects: ProjectController) -> None:
        super().__init__(Activity())
        self._projects = projects
        self._wanted = self._refined = 0
        self._left: dict[str, list[str]] = {}  # Names by the reason why they are not refined.

    def refine(self) -> None:
        """Refine the images, unless that is under way."""
        project, opened = self._projects.project, self._projects.state.opened
        if project is None or self.model.busy:
            return
        with self._errors_told():
            if not project.model:
                raise DataError(
                    "The project has no model yet; choose one under 'Model and learning'."
                )
            to_do = [each.name for each in project.records if each.status is Status.TO_DO]
            names = [name for name in to_do if name != opened]
            if not names:
                raise DataError(
                    "No image is to do but the open one, which the Refine widget refines."
                    if to_do
                    else "No image is to do; add images first."
                )
            self._wanted, self._refined, self._left = len(names), 0, {}
            self.model.message = f"Refining {self._wanted} images…"
            self._start(Task(refine_batch(project, names)), self._show_reports, self._end)

    def _show_reports(self, reports: list[float | BatchItem]) -> None:
        for report in reports:
            if isinstance(report, BatchItem):
                self._save(report)
            else:
                self.model.progress = report

    def _save(self, made: BatchItem) -> None:
        def told(written: bool) -> None:
            if written:
                self._refined += 1
            else:
                self._leave(made.name, WENT_ON)

        if made.before is None or made.after is None:
            self._leave(made.name, made.reason)
        else:
            self._projects.save_made(made.before, made.after, told)

    def _leave(self, name: str, reason: str) -> None:
        self._left.setdefault(reason, []).append(name)

    def _end(self, stopped: bool) -> None:
        """Tell what was done, once all of it is saved."""
        self._projects.when_idle(lambda: self._tell_end(stopped))

    def _tell_end(self, stopped: bool) -> None:
        share = self.model.progress
        told = f"Refined {self._refined} of {self._wanted} images."
        if stopped:
            told = f"Stopped. {told} 'Refine all to do' goes on with the rest."
        self._succeed(" ".join([told, *map(_left_text, self._left.items())]))
        if stopped:
            self.model.progress = share


def _left_text(left: tuple[str, list[str]]) -> str:
    reason, names = left
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"Not refined: {', '.join(names[:MOST_NAMED])}{more} ({reason.rstrip('.')})."
