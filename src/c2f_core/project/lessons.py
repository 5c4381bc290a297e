"""Teach the model of a project what its reviewed images show."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair
from c2f_core.errors import Cancelled
from c2f_core.io.atomic import atomic_path
from c2f_core.io.intensity import as_rgb8
from c2f_core.project.project import Project
from c2f_core.project.records import Status
from c2f_core.project.refining import file_of_model
from c2f_core.training.events import Event
from c2f_core.training.fine_tuning import Corrections, FineTuneResult, TeachingSettings, teach
from c2f_core.training.loading import ShouldStop


def learn(
    project: Project,
    replay: Path | None = None,
    settings: TeachingSettings | None = None,
    *,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Event | FineTuneResult]:
    """Learn from the reviewed images, and use the new model if it is better.

    It goes on from the model of the project; without one, or with a classical refiner,
    it starts from random weights, and has to be better than the coarse maps. The old
    model stays in `models`.

    Parameters
    ----------
    project : Project
    replay : Path, optional
        Folder of pairs that the model has learned from already.
    settings : TeachingSettings, optional
    should_stop : callable
        Asked between steps. A lesson that was stopped goes on where it was when the
        same images are learned from again.

    Yields
    ------
    Event or Taught
        Events of the run, then `FineTuneResult` unless it was stopped.

    Raises
    ------
    C2FError
        Fewer than two images are reviewed, or the model or the pairs do not fit.
    """
    corrections = corrections_of(project, replay, should_stop)
    lessons = project.root / "lessons"
    before = project.model
    model = file_of_model(before)
    for event in teach(model, corrections, lessons, settings, should_stop=should_stop):
        if isinstance(event, FineTuneResult):
            event = _adopted(project, event, before)
            shutil.rmtree(lessons)
        yield event


def corrections_of(
    project: Project, replay: Path | None = None, should_stop: ShouldStop = lambda: False
) -> Corrections:
    """Read the reviewed images, and the pairs to replay but those that are kept back.

    Where nothing is drawn in the fine map there is nothing to learn, and the pair is left out.

    Raises
    ------
    DataError
        A file cannot be read.
    ClassTableError
        The pairs to replay hold a class that the project lacks.
    Cancelled
        `should_stop` returned True.
    """
    train: list[Pair] = []
    held_out: list[Pair] = []
    for record in project.records:
        if record.status is Status.REVIEWED:
            _raise_if(should_stop)
            pair = _pair(project, record.name)
            if pair.has_labels:
                (held_out if record.held_out else train).append(pair)
    found = Corrections(project.class_table, train, held_out)
    return found if replay is None else _with_earlier(found, replay, should_stop)


def _with_earlier(found: Corrections, root: Path, should_stop: ShouldStop) -> Corrections:
    source = open_pairs(root, found.class_table)
    judges = {pair.image.tobytes() for pair in found.held_out}
    earlier = []
    for pair in source.subset(source.names_with_fine):
        _raise_if(should_stop)
        if pair.has_labels and pair.image.tobytes() not in judges:
            earlier.append(pair)
    theirs = Corrections(source.class_table, (), (), earlier)
    return replace(found, earlier=theirs.in_classes_of(found.class_table).earlier)


def _pair(project: Project, name: str) -> Pair:
    work, table = project.read(name), project.class_table
    return Pair(
        name=name,
        image=as_rgb8(project.read_image(name)),
        coarse=table.to_class_ids(work.coarse),
        fine=None if work.fine is None else table.to_class_ids(work.fine),
    )


def _adopted(project: Project, taught: FineTuneResult, before: str) -> FineTuneResult:
    """Keep the new model in the project, if it is better, and use it in place of the one before."""
    folder = project.root / "models"
    files = (folder / f"lesson-{number}.safetensors" for number in count(1))
    kept = next(file for file in files if not file.exists())
    if taught.is_better:
        with atomic_path(kept) as temporary:
            shutil.copyfile(taught.checkpoint, temporary)
        taught = replace(taught, checkpoint=kept, is_outrun=project.model != before)
        if not taught.is_outrun:
            project.choose_model(kept)
    project.journal.write(
        "learned",
        model=kept.name if taught.is_better else None,
        before=taught.before,
        after=taught.after,
        pairs=taught.pairs,
        held_out=taught.held_out,
        earlier=taught.earlier,
    )
    return taught


def _raise_if(should_stop: ShouldStop) -> None:
    if should_stop():
        raise Cancelled("Stopped before the first step; nothing was learned.")
