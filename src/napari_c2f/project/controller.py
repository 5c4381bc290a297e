"""Decides what happens in the Project widget; the only writer of its model.

Files are read and written in a thread, one piece of work after the other. Maps are
copied when the work is asked for, so that drawing can go on.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels, Layer

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.project import ImageRecord, Project, Status, Work
from c2f_core.project.effort import write_effort
from c2f_core.project.export import Export, export_map
from c2f_core.project.records import Parameters
from c2f_core.project.work import undecided_regions
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.queue import QueueController, all_done
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.worker import Report, ShouldStop, timer
from napari_c2f.layers.pairs import images_of_layers
from napari_c2f.layers.session import Refined, Session
from napari_c2f.project.model import ProjectState
from napari_c2f.project.model_of_run import model_of_run
from napari_c2f.project.open_image import OpenImage
from napari_c2f.project.open_work import TICK, EffortClock, OpenWork
from napari_c2f.project.saving import Saving

LOGGER = logging.getLogger(__name__)
AUTOSAVE_INTERVAL = 60_000
"""Milliseconds between autosaves."""
DECIDED_PAUSE = 1_000
"""Milliseconds after a decision, and those that follow at once, before it is saved."""


class ProjectController(QueueController[ProjectState]):
    """Opens a project and its images, saves them, and keeps the list up to date.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
        Session of the viewer.
    is_active : callable
        Tells whether the user is at work in the window; time counts only then.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        self.state = ProjectState()
        super().__init__(self.state)
        self.project: Project | None = None
        self._viewer, self._session = viewer, session
        self.clock = EffortClock(lambda: self.image is not None and is_active())
        self._saving: Saving | None = None  # As long as a project is open.
        self._gone: list[Labels] = []  # Coarse layers of images that the user removed.
        self._timers = [timer(AUTOSAVE_INTERVAL, self.autosave), timer(TICK, self.clock.tick)]
        self._soon = timer(DECIDED_PAUSE, self.autosave, once=True)

    @property
    def _opened(self) -> OpenWork | None:
        return None if self._saving is None else self._saving.opened

    @property
    def image(self) -> OpenImage | None:
        """The open image."""
        return None if self._opened is None else self._opened.image

    # The project

    def create(
        self, root: Path, selection: TableSelection, may_leave: Callable[[], bool] = lambda: True
    ) -> None:
        """Make a project in a folder, and open it, if the one that is open may be left then."""
        with self._errors_told():
            table = selection.checked_table()
            if table is None:
                raise DataError("Choose the classes of the new project first, under 'Classes'.")
            self.when_idle(lambda: self._create(root, table) if may_leave() else None)

    def _create(self, root: Path, table: ClassTable) -> None:
        self._leave()
        self._enter(Project.create(root, table), f"Created the project {root}; add images to it.")

    def open(self, root: Path, may_leave: Callable[[], bool] = lambda: True) -> None:
        """Open the project in a folder, if the one that is open may be left then."""
        with self._errors_told():
            self.when_idle(lambda: self._open(root) if may_leave() else None)

    def _open(self, root: Path) -> None:
        self._leave()
        self._enter(Project.open(root), f"Opened {root}; double-click an image.")

    def _enter(self, project: Project, told: str) -> None:
        self.project, self._saving = project, Saving(project, self, self._tell_saved)
        self.state.root = project.root
        self.refresh()
        for each in self._timers:
            each.start()
        self.state.message = _told_of(project, told)

    def _leave(self) -> None:
        """Save and close the project that is open."""
        if self.project is None:
            return
        self.save_now()
        if self.image is not None:
            self.image.close()
        self._shut()
        self.state.root, self.state.images = None, ()

    def close(self, *_: Any) -> None:
        """Save and close for good: the window closes."""
        self.save_quietly()
        if self.image is not None:
            self.image.release()
        self._shut()

    def _shut(self) -> None:
        """Let go of the project, which was saved."""
        self._forget()
        for each in (*self._timers, self._soon):
            each.stop()
        if self.project is not None:
            self.project.close()
            self.project = self._saving = None
        self._gone.clear()

    def save_quietly(self) -> None:
        """Save everything before this returns; nobody is left to read of an error."""
        try:
            self.save_now()
        except C2FError:
            LOGGER.exception("The project could not be saved")

    def save_now(self) -> None:
        """Save everything before this returns.

        Raises
        ------
        C2FError
            Something cannot be saved; all else was.
        """
        with all_done() as attempt:
            attempt(self._finish_now)
            if self._saving is not None:
                attempt(self._saving.save_now)

    def refresh(self) -> None:
        """Show what the project holds now."""
        if self.project is not None:
            self.state.images = self.project.records
            self.state.model = self.project.model
            self.state.models = tuple(map(str, self.project.models))

    # Images

    def add(self, paths: Iterable[Path]) -> None:
        """Copy image files into the project."""
        project, paths = self.project, list(paths)

        def work(_report: Report, should_stop: ShouldStop) -> int:
            for path in paths:
                if not should_stop():
                    project.add_image(path)
            return len(paths)

        self.do(work, self._tell_added, "Copying images…", self.refresh)

    def add_layers(self, layers: Iterable[Layer]) -> None:
        """Copy images out of the viewer into the project, or one image and its coarse map."""
        project = self.project
        with self._errors_told():
            images = images_of_layers(layers, project.class_table)

            def work(_report: Report, should_stop: ShouldStop) -> int:
                for image in images:
                    if not should_stop():
                        name = project.add_image(image.pixels, image.name).name
                        if image.coarse is not None:
                            project.save(replace(project.read(name), coarse=image.coarse))
                return len(images)

            self.do(work, self._tell_added, "Copying images…", self.refresh)

    def _tell_added(self, count: int) -> None:
        self._tell("Added one image." if count == 1 else f"Added {count} images.")

    def remove(self, name: str) -> None:
        """Take an image out of the project, with what was made of it."""

        def remove(project: Project) -> None:
            if name == self.state.opened:
                self.image.close()
                self._forget()

            def work(*_: Any) -> Path:
                return project.remove_image(name)

            def told(folder: Path) -> None:
                self._saving.forget(name)
                self._tell(f"{name} is in {folder} now.")

            self.do(work, told, "Removing…")

        self.when_saved(remove, but=name)

    def show(self, name: str) -> None:
        """Save the open image, and bring another one into the viewer."""
        if name == self.state.opened or self.project is None:
            return
        project, saving = self.project, self._saving
        with self._errors_told():
            saving.save_opened()
            saving.flush()

            def work(*_: Any) -> tuple[Work, Any]:
                return saving.owed(name) or project.read(name), project.read_image(name)

            self.do(work, self._show_image, f"Opening {name}…")

    def _show_image(self, read: tuple[Work, Any]) -> GuiSteps:
        self._saving.save_rest_now()
        if self.image is not None:
            self.image.close()
            self._forget()
        for coarse in self._gone:
            self._session.lineage.close(coarse)
        self._gone.clear()
        yield
        work, pixels = read
        image = OpenImage(self._viewer, self._session, work, pixels)
        opened = OpenWork(image, work, self.clock, is_saved=self._saving.owed(image.name) is None)
        image.changed.connect(opened.note_change)
        image.decided.connect(self._note_decision)
        image.refined.connect(self._note_refined)
        image.review_begun.connect(self._note_review)
        image.removed.connect(self._on_removed)
        yield from image.show(work)
        if not image.is_there:
            image.close()
            raise DataError(f"A layer of {image.name} was removed; open it again.")
        self._saving.forget(image.name)
        self._saving.opened = opened
        self.state.opened = work.record.name
        self._tell(f"Opened {work.record.name}: {work.record.status}.")

    def _on_removed(self) -> None:
        """Close the image whose layers the user removed, and save what was done to it."""
        with self._errors_told():
            self._saving.owe()
            self._gone.append(self.image.coarse)
            self.image.release()
            self.state.message = f"{self.image.name} is no longer open."
            self._forget()
            self._saving.flush()

    def save_made(self, before: Work, after: Work, done: Callable[[bool], None]) -> None:
        """Save what was made of an image in the background, unless a person goes on with it.

        Parameters
        ----------
        before, after : Work
            On one image, as it was read and as it shall be.
        done : callable
            Told whether it was saved.
        """
        saving = self._saving

        def told(written: bool) -> None:
            self.refresh()
            done(written)

        def take_turn() -> None:
            if saving is not None and saving is self._saving:  # The project is still open.
                saving.save_made(before, after, told)
            else:
                done(False)

        self.when_idle(take_turn)

    def _forget(self) -> None:
        if self._saving is not None:
            self._saving.opened = None
        self.state.opened = ""

    def review(
        self, name: str, reviewed: bool, may_mark: Callable[[int], bool] = lambda _: True
    ) -> None:
        """Say that the user vouches for the fine map of an image, or does not any more.

        Where regions are undecided, `may_mark` is asked first, with their number.
        """
        project = self.project
        with self._errors_told():
            opened = self._opened.copy() if name == self.state.opened else None
            if not reviewed or (opened is not None and opened.refined is None):
                self._mark(name, reviewed)
                return

            def count(*_: Any) -> int:
                return undecided_regions(opened or project.read(name))

            def mark(undecided: int) -> None:
                if not undecided or may_mark(undecided):
                    self._mark(name, reviewed)
                else:
                    self._tell(f"{name} is not marked; decide on its regions under Review first.")

            self.do(count, mark, f"Looking at {name}…")

    def _mark(self, name: str, reviewed: bool) -> None:
        project = self.project
        if name == self.state.opened:
            work = project.with_review(self._opened.copy(), reviewed)
            self._opened.record = work.record
            self._saving.save(work, lambda _: self._tell_review(work.record))
            return

        def review(*_: Any) -> ImageRecord:
            return project.review(name, reviewed)

        self.do(review, self._tell_review, f"Saving {name}…")

    def _tell_review(self, record: ImageRecord) -> None:
        role = "judges what is learned" if record.held_out else "teaches"
        reviewed = record.status is Status.REVIEWED
        self._tell(f"{record.name} is {record.status}" + (f", and {role}." if reviewed else "."))

    def export(self, name: str, path: Path) -> None:
        """Write the fine map of an image to a file, with its sidecar."""

        def export(project: Project) -> None:
            def work(report: Report, should_stop: ShouldStop) -> Export:
                return export_map(project, name, path, progress=report, should_stop=should_stop)

            self.do(work, lambda made: self._tell(made.message()), f"Exporting {name}…")

        self.when_saved(export)

    def write_effort(self, path: Path) -> None:
        """Write the table of minutes and painted pixels."""

        def write(project: Project) -> None:
            def work(*_: Any) -> None:
                write_effort(project, path)

            self.do(work, lambda _: self._tell(f"Wrote {path}."), "Writing…")

        self.when_saved(write)

    def choose_model(self, model: str) -> None:
        """Use another refiner in the project."""
        project = self.project
        if project is not None and model != project.model:

            def work(*_: Any) -> None:
                project.choose_model(model)

            self.do(work, lambda _: self._tell("The project has another model."), "")

    def when_saved(self, go_on: Callable[[Project], None], but: str = "") -> None:
        """Call this with the project once all images are saved, but this; not if that fails."""
        project = self.project
        if project is not None:
            with self._errors_told():
                self._saving.when_saved(lambda: go_on(project), but)

    # Following the work

    def _note_decision(self) -> None:
        """Save soon: several decisions may follow at once."""
        self._soon.start()

    def _note_refined(self, refined: Refined) -> None:
        """Save what refining made: by whom, how surely, and the work until then."""
        with self._errors_told():
            opened = self._opened
            opened.take_effort()
            told = refined.record
            model = self.project.keep_model(model_of_run(told, self.project.models))
            asked = Parameters() if "scope" not in told else Parameters(scope=told["scope"])
            sure = told.get("mean_confidence")
            before = opened.record
            opened.record = before.refined(model, 1.0 if sure is None else sure, asked)
            self._saving.save(opened.copy(), lambda _: self._tell_reopened(before))

    def _note_review(self) -> None:
        """Take back that the map was reviewed: another one is being made of it."""
        opened = self._opened
        before = opened.record
        opened.record = before.under_review()
        opened.note_change()
        if before.status is Status.REVIEWED:
            self._saving.save(opened.copy(), lambda _: self._tell_reopened(before))

    def _tell_reopened(self, before: ImageRecord) -> None:
        self.refresh()
        if before.status is Status.REVIEWED:
            self.state.message = (
                f"{before.name} is no longer marked reviewed; mark its new map when it is right."
            )

    def autosave(self) -> None:
        """Keep the open image where a crash cannot reach it, if a map has changed."""
        if self._saving is not None:
            with self._errors_told():
                self._saving.autosave()

    def _tell_saved(self) -> None:
        self.state.saved = f"Saved {time.strftime('%H:%M:%S')}"
        self.refresh()

    def _tell(self, message: str) -> None:
        self.refresh()
        self.state.message = message


def _told_of(project: Project, told: str) -> str:
    """Add to a message what opening a project found."""
    if project.restored:
        told = f"Restored the work on {', '.join(project.restored)}, which was not saved."
    if project.skipped:
        told += f" Left out (journal.jsonl tells why): {', '.join(project.skipped)}."
    if project.ambiguous:
        told += (
            " Colours of no class became unlabelled (journal.jsonl tells where, and 'removed' has "
            f"the maps as they were): {', '.join(project.ambiguous)}."
        )
    return told
