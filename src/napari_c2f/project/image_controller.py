"""Shows an image of the open project, and saves the changes of its layers."""

from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels
from numpy.typing import NDArray

from c2f_core.errors import DataError
from c2f_core.project import ImageRecord, Status, Work
from c2f_core.project.records import Parameters
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.worker import RepeatingTimer, debouncer, simple_task
from napari_c2f.layers.session import Refined, Session
from napari_c2f.layers.upright import FILE_KEY
from napari_c2f.project.model_lookup import model_of_record
from napari_c2f.project.open_image import OpenImage
from napari_c2f.project.open_work import EffortClock, OpenWork
from napari_c2f.project.saving import Saving
from napari_c2f.project.workspace import Workspace

AUTOSAVE_INTERVAL = 60_000
"""Milliseconds between autosaves."""
DECISION_PAUSE = 1_000
"""Milliseconds from the last of several decisions to an autosave."""


class ImageController:
    """Shows one image at a time, and saves it while the user works on it.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    viewer : ViewerModel
        Viewer that shows the layers of the image.
    session : Session
        Session of the viewer.
    clock : EffortClock
        Clock of the time spent on the open image.
    """

    def __init__(
        self, workspace: Workspace, viewer: ViewerModel, session: Session, clock: EffortClock
    ) -> None:
        self._workspace, self._viewer, self._session = workspace, viewer, session
        self._clock = clock
        self._removed: list[Labels] = []  # Coarse layers of images that the user removed.
        self._autosave_timer = RepeatingTimer(AUTOSAVE_INTERVAL, self.autosave)
        self._save_decision = debouncer(DECISION_PAUSE, self.autosave)

    @property
    def image(self) -> OpenImage | None:
        """The open image."""
        opened = self._workspace.opened
        return None if opened is None else opened.image

    def start(self) -> None:
        """Start saving automatically."""
        self._autosave_timer.start()

    def stop(self) -> None:
        """Stop saving automatically."""
        self._autosave_timer.stop()
        self._save_decision.cancel()
        self._removed.clear()

    def show(self, name: str) -> None:
        """Save the open image, and bring another one into the viewer."""
        if name == self._workspace.model.opened:
            return
        with self._workspace.showing_errors():
            saving = self._workspace.saving
            saving.save_opened()
            saving.flush()
            self._workspace.do(simple_task(_read, saving, name), self._show, f"Opening {name}…")

    def _show(self, read: tuple[Work, NDArray[Any]]) -> GuiSteps:
        self._workspace.saving.save_rest_now()
        self._workspace.close_image()
        for coarse in self._removed:
            self._session.lineage.close(coarse)
        self._removed.clear()
        yield
        work, pixels = read
        opened = self._open(work, pixels)
        yield from opened.image.show(work)
        if not opened.image.is_there:
            opened.image.close()
            raise DataError(f"A layer of {opened.name} was removed; open the image again.")
        self._workspace.saving.discard(opened.name)
        self._workspace.set_image(opened)
        self._workspace.report(f"Opened {opened.name}: {work.record.stage}.")

    def _open(self, work: Work, pixels: NDArray[Any]) -> OpenWork:
        """Create the layers of an image, and follow them."""
        image = OpenImage(self._viewer, self._session, work, pixels)
        image.image.metadata[FILE_KEY] = self._workspace.project.image_path(image.name)
        is_saved = self._workspace.saving.pending(image.name) is None
        opened = OpenWork(image, work, self._clock, is_saved=is_saved)
        image.changed.connect(opened.note_change)
        image.decided.connect(self._on_decided)
        image.refined.connect(self._on_refined)
        image.review_begun.connect(self._on_review_begun)
        image.removed.connect(self._on_removed)
        return opened

    def _on_decided(self) -> None:
        """Autosave when no other decision follows."""
        self._save_decision.throttle()

    def _on_removed(self) -> None:
        """Close the image whose layers the user removed, and save what was done to it."""
        opened = self._workspace.opened
        if opened is None:
            return
        with self._workspace.showing_errors():
            saving = self._workspace.saving
            saving.defer()
            self._removed.append(opened.image.coarse)
            opened.image.release()
            self._workspace.tell(f"{opened.name} is no longer open.")
            self._workspace.forget_image()
            saving.flush()

    def _on_refined(self, refined: Refined) -> None:
        """Save the result of a refinement, with its model, confidence and parameters."""
        opened = self._workspace.opened
        if opened is None:
            return
        with self._workspace.showing_errors():
            opened.take_effort()
            project, before, record = self._workspace.project, opened.record, refined.record
            model = project.keep_model(model_of_record(record, project.models))
            confidence = record.get("mean_confidence")
            opened.record = before.refined(
                model,
                1.0 if confidence is None else confidence,
                Parameters(scope=record["scope"]) if "scope" in record else Parameters(),
            )
            self._save_reopened(opened, before)

    def _on_review_begun(self) -> None:
        """Clear the reviewed status because a new review has begun."""
        opened = self._workspace.opened
        if opened is None:
            return
        before = opened.record
        opened.record = before.under_review()
        opened.note_change()
        if before.status is Status.REVIEWED:
            self._save_reopened(opened, before)

    def _save_reopened(self, opened: OpenWork, before: ImageRecord) -> None:
        done = partial(self._report_reopened, before)
        self._workspace.saving.save(opened, opened.copy(), done)

    def _report_reopened(self, before: ImageRecord) -> None:
        self._workspace.refresh()
        if before.status is Status.REVIEWED:
            self._workspace.tell(
                f"{before.name} is no longer marked as reviewed; mark its new map once it is right."
            )

    def autosave(self) -> None:
        """Write a snapshot of the open image, which survives a crash, if a map has changed."""
        with self._workspace.showing_errors():
            self._workspace.saving.autosave()


def _read(saving: Saving, name: str) -> tuple[Work, NDArray[Any]]:
    project = saving.project
    return saving.pending(name) or project.read(name), project.read_image(name)
