"""Live mode: after a stroke, everything that depends on it is refined again, in place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from napari.layers import Image, Labels, Layer
from superqt.utils import QSignalDebouncer

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError
from c2f_core.geometry.arrays import (
    Slices,
    Window,
    around,
    common,
    from_corner,
    is_empty,
    to_corner,
)
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.instant.session import SessionRefiner, affected
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.plane import Limits
from c2f_core.refine.run import JobResult, Plane, RefineJob, run_refinement
from c2f_core.refine.scope import Scope
from napari_c2f.base.proxies import bare
from napari_c2f.base.worker import Report, ShouldStop, Task, TaskFunction
from napari_c2f.layers.session import Session
from napari_c2f.layers.strokes import covered
from napari_c2f.refine.request import RefinerChoice

PAUSE = 150
"""Milliseconds without a stroke before the refiner starts."""
UPDATES = "live_updates"
"""Entry of a fine map's record: number of updates by live mode."""
Touched = dict[Plane, Window]
"""Box around the pixels that strokes changed, by plane of the coarse map."""


@dataclass(frozen=True, eq=False)
class LiveTarget:
    """The layers that live mode keeps up to date, and those that it does so from."""

    image: Image
    coarse: Labels
    fine: Labels
    confidence: Image

    def name_of(self, layer: Layer) -> str | None:
        """Return what a layer is in live mode, for the user; None if it is not part of it."""
        names = {
            "image": self.image,
            "coarse map": self.coarse,
            "fine map": self.fine,
            "confidence": self.confidence,
        }
        return next((name for name, each in names.items() if bare(each) is bare(layer)), None)


OpenRefiner = Callable[[ClassTable], RefinerInterface]
MakeJob = Callable[[LiveTarget], tuple[RefineJob, RefinerChoice] | None]
"""Function that makes a job with the user's current choices, or returns None while it must wait."""


class Live:
    """Refines whatever depends on new strokes in a coarse map or in its fine map.

    Parameters
    ----------
    session : Session
        Session of the viewer.
    target : LiveTarget
        Layers to keep up to date.
    make_job : callable
        Function that makes a job, see `MakeJob`; it may raise a `C2FError`.
    tell : callable
        Function that is called with each result, or with an error after which `end` should be
        called.
    touched : dict
        Boxes that are refined at once, by plane of the coarse map.
    """

    def __init__(
        self,
        session: Session,
        target: LiveTarget,
        make_job: MakeJob,
        tell: Callable[[JobResult | C2FError], None],
        touched: Touched,
    ) -> None:
        self._session = session
        self.target, self._make_job, self._tell = target, make_job, tell
        self._touched = dict(touched)
        self._running: Touched = {}
        self._task: Task | None = None
        self._refiner = _LatestRefiner()
        self._debouncer = QSignalDebouncer()
        self._debouncer.setTimeout(PAUSE)
        self._debouncer.triggered.connect(self._start)
        self._drawn = session.strokes.follow(target.coarse)
        self._corrected = session.strokes.follow(target.fine)
        self._drawn.refinable = True  # What is drawn now is there to be refined.
        self._drawn.touched.connect(self._on_drawn)
        self._corrected.touched.connect(self._on_corrected)
        if touched:
            self._debouncer.throttle()

    def end(self) -> Touched:
        """Follow no longer, and drop what is under way; return what was not refined."""
        self._disconnect()
        if self._task is not None:
            self._task.stop()
            self._task = None
        for plane, box in self._running.items():
            self._touch(plane, box)
        return self._touched

    def close(self) -> None:
        """Wait for the thread: the window closes."""
        self._disconnect()
        if self._task is not None:
            self._task.abandon()
            self._task = None

    def _disconnect(self) -> None:
        self._debouncer.cancel()
        self._drawn.refinable = False
        self._drawn.touched.disconnect(self._on_drawn, missing_ok=True)
        self._corrected.touched.disconnect(self._on_corrected, missing_ok=True)

    def _on_drawn(self, place: Slices) -> None:
        for plane in product(*(range(axis.start, axis.stop) for axis in place[:-2])):
            self._touch(plane, (place[-2], place[-1]))
        self._debouncer.throttle()

    def _on_corrected(self, place: Slices) -> None:
        self._on_drawn(to_corner(place, self._session.lineage.slices_of(self.target.fine)))

    def _touch(self, plane: Plane, box: Window) -> None:
        rows, columns = around([self._touched.get(plane, box), box])
        self._touched[plane] = rows, columns

    def _start(self) -> None:
        """Refine one plane; the next ones follow it."""
        if self._task is not None or not self._touched:
            return
        try:
            made = self._make_job(self.target)
        except C2FError as error:
            self._tell(error)
            return
        if made is None:
            self._debouncer.throttle()
            return
        job, model = made
        plane = next(iter(self._touched))
        self._running = {plane: self._touched.pop(plane)}
        work = live_work(
            job, plane, self._running[plane], self._refiner.opener(model, plane, job.limits)
        )
        strokes = self._session.strokes.strokes_of(self.target.fine)
        latest = max((stroke.stamp for stroke in strokes), default=0)
        task = Task(work)
        task.succeeded.connect(lambda result: self._finish(task, job.scope, result, latest))
        task.failed.connect(lambda message: self._fail(task, message))
        self._task = task
        task.start()

    def _finish(self, task: Task, scope: Scope, result: JobResult, latest: int) -> None:
        if task is not self._task:  # It was ended meanwhile.
            return
        self._task, self._running = None, {}
        put_in_place(self._session, self.target, scope, result, latest)
        self._tell(result)
        self._start()

    def _fail(self, task: Task, message: str) -> None:
        if task is self._task:
            self._task, self._running = None, {}
            self._tell(C2FError(message))


class _LatestRefiner:
    """Keeps the latest refiner open: opening one takes longer than refining a stroke."""

    def __init__(self) -> None:
        self._key: tuple[RefinerChoice, ClassTable] | None = None
        self._refiner: RefinerInterface | None = None
        self._place: tuple[Plane, Limits | None] | None = None

    def opener(self, model: RefinerChoice, plane: Plane, limits: Limits | None) -> OpenRefiner:
        """Return a function that opens a model for a class table, unless it is open already.

        The instant refiner keeps what it learns of one plane with its values of black and white.
        """

        def open_once(class_table: ClassTable) -> RefinerInterface:
            if self._refiner is None or self._key != (model, class_table):
                self._refiner, self._key = model.open(class_table), (model, class_table)
                self._place = None
            if isinstance(self._refiner, InstantRefiner) and self._place != (plane, limits):
                self._refiner, self._place = SessionRefiner(class_table), (plane, limits)
            return self._refiner

        return open_once


def live_work(
    job: RefineJob, plane: Plane, touched: Window, open_refiner: OpenRefiner
) -> TaskFunction:
    """Return the work of refining what depends on a box of one plane, within the run's scope."""

    def work(report: Report, should_stop: ShouldStop) -> JobResult:
        refiner = open_refiner(job.class_table)
        size = int(job.coarse.shape[-2]), int(job.coarse.shape[-1])
        is_session = isinstance(refiner, SessionRefiner)
        seen = affected(touched, size) if is_session else refiner.receptive_window(touched, size)
        rows, columns = common(seen, job.scope.region(size))
        if isinstance(refiner, SessionRefiner):
            refiner.part = rows, columns
        scope = replace(job.scope, box=(rows, columns))
        part = replace(job, plane=plane, scope=scope, whole=False, before=None)
        return run_refinement(part, refiner, progress=report, should_stop=should_stop)

    return work


def put_in_place(
    session: Session, target: LiveTarget, scope: Scope, result: JobResult, latest: int
) -> None:
    """Put a result into the layers, but where it is out of scope or was painted over since.

    Parameters
    ----------
    session : Session
        Session of the viewer.
    target : LiveTarget
        Layers that the result is written into.
    scope : Scope
        Scope that the user chose; pixels outside stay unchanged.
    result : JobResult
        Result for a part of the coarse map.
    latest : int
        Stamp of the latest stroke in the fine map that the result knows.
    """
    own = session.lineage.slices_of(target.fine)
    shared = common(result.slices, own)
    if is_empty(shared):
        return
    here, there = from_corner(shared, own), from_corner(shared, result.slices)
    newer = [stroke for stroke in session.strokes.strokes_of(target.fine) if stroke.stamp > latest]
    newer += session.strokes.stroke_under_way(target.fine)
    where = ~covered(target.fine.data.shape, newer)[here]
    if scope.mask is not None:
        where &= np.asarray(scope.mask[shared[-2:]])
    for layer, values in ((target.fine, result.labels), (target.confidence, result.confidence)):
        np.copyto(layer.data[here], values[there], where=where, casting="same_kind")
        layer.refresh(extent=False)
    record = session.lineage.record_of(target.fine)
    updated = {**record, UPDATES: record.get(UPDATES, 0) + 1}
    session.lineage.set_record(target.fine, updated)
