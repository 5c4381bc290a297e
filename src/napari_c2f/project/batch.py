"""Refines the pending images of a project in the background; the only writer of its model.

The thread only computes. Its results are saved by the workspace, in the GUI thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from c2f_core.errors import C2FError, DataError
from c2f_core.project import Project, Status, Work
from c2f_core.project.refining import find_model, painted_patches, refined_work
from c2f_core.refine.fitting import misfit
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.words import counted
from napari_c2f.base.worker import Report, ShouldStop
from napari_c2f.project.workspace import Workspace
from napari_c2f.widgets.choices import title_of

NAMES_SHOWN = 3
"""Maximum number of images that a message lists by name."""
CHANGED = "you changed it in the meantime"
OPEN = "it is open; refine it with the Refine widget"


@dataclass(frozen=True, eq=False)
class BatchItem:
    """Result for one image: its work before and after, or the reason why it was not refined."""

    name: str
    before: Work | None = None
    after: Work | None = None
    reason: str = ""


def refine_batch(
    project: Project, names: Sequence[str], report: Report, should_stop: ShouldStop
) -> bool:
    """Refine images one by one, and report shares and results; return whether it was stopped.

    A project without a model gets the one that suits its classes.
    """
    if not project.model:
        project.choose_model(find_model(project))
    for number, name in enumerate(names):
        progress = partial(_report_share, report, number, len(names))
        item = _refine(project, name, progress, should_stop)
        if should_stop():
            return True
        report(item)
    return False


def _report_share(report: Report, number: int, count: int, share: float) -> None:
    report((number + share) / count)


def _refine(
    project: Project, name: str, progress: Callable[[float], None], should_stop: ShouldStop
) -> BatchItem:
    try:
        before = project.read(name)
        if before.record.status is not Status.PENDING:
            return BatchItem(name, reason=CHANGED)
        if not before.is_drawn:
            return BatchItem(name, reason="nothing is drawn in the coarse map")
        problem = _misfit(project.model, before)
        if problem:
            return BatchItem(name, reason=problem)
        after = refined_work(project, before, progress=progress, should_stop=should_stop)
    except C2FError as error:  # One image that cannot be refined does not stop the others.
        return BatchItem(name, reason=str(error))
    return BatchItem(name, before, after)


def _misfit(model: str, work: Work) -> str:
    """Return why a model cannot refine the coarse map of an image, for the user."""
    painted = painted_patches(work)
    return misfit(model, work.class_table, work.coarse, painted, title=title_of(model))


@dataclass
class _Summary:
    """Counts of refined images, and the reasons why others were skipped."""

    wanted: int = 0
    model: str = ""
    """Note on the model, if the project did not have one."""
    refined: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    """Names of images that were not refined, by reason."""

    def skip(self, name: str, reason: str) -> None:
        self.skipped.setdefault(reason, []).append(name)

    def message(self, stopped: bool) -> str:
        text = f"Refined {self.refined} of {counted(self.wanted, 'image')}{self.model}."
        if stopped:
            text = f"Stopped. {text} 'Refine all pending' continues with the others."
        return " ".join([text, *map(_skipped_text, self.skipped, self.skipped.values())])


def _skipped_text(reason: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"Not refined: {', '.join(names[:NAMES_SHOWN])}{more} ({reason.rstrip('.')})."


class BatchController(Controller[Activity]):
    """Refines all pending images except the open one; the user can keep working meanwhile.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(Activity())
        self._workspace = workspace
        self._summary, self._had_model = _Summary(), True

    def refine(self) -> None:
        """Refine the images, unless a batch is running."""
        if self.model.busy:
            return
        with self._showing_errors():
            project = self._workspace.project
            names = self._pending(project)
            self._summary, self._had_model = _Summary(len(names)), bool(project.model)
            self._note_open(project)
            self.model.message = f"Refining {counted(len(names), 'image')}…"
            work = partial(refine_batch, project, names)
            self._start(work, self._show_reports, self._finish)

    def _pending(self, project: Project) -> list[str]:
        """Return the names of the images to refine."""
        pending = [each.name for each in project.records if each.status is Status.PENDING]
        names = [name for name in pending if name != self._workspace.model.opened]
        if not names:
            raise DataError(
                "Only the open image is pending; refine it with the Refine widget."
                if pending
                else "No image is pending; add images first."
            )
        return names

    def _note_open(self, project: Project) -> None:
        """List the open image as skipped if it is pending."""
        opened = self._workspace.model.opened
        if opened and project.record(opened).status is Status.PENDING:
            self._summary.skip(opened, OPEN)

    def _show_reports(self, reports: list[float | BatchItem]) -> None:
        for report in reports:
            if isinstance(report, BatchItem):
                self._save(report)
            else:
                self.model.progress = report

    def _save(self, item: BatchItem) -> None:
        if item.before is None or item.after is None:
            self._summary.skip(item.name, item.reason)
        else:
            count = partial(self._count, item.name)
            self._workspace.save_result(item.before, item.after, count)

    def _count(self, name: str, saved: bool) -> None:
        if saved:
            self._summary.refined += 1
        else:
            self._summary.skip(name, CHANGED)

    def _finish(self, stopped: bool) -> None:
        """Show the summary once all results are saved."""
        self._workspace.when_idle(partial(self._show_summary, stopped))

    def _show_summary(self, stopped: bool) -> None:
        share, project = self.model.progress, self._workspace.project
        if not self._had_model:
            self._summary.model = f" with '{title_of(project.model)}', the model for their classes"
        self._workspace.refresh()
        self._succeed(self._summary.message(stopped))
        if stopped:
            self.model.progress = share
