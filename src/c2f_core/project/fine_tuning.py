"""Fine-tune the model of a project on its reviewed images."""

import shutil
from collections.abc import Generator
from dataclasses import replace
from itertools import count
from pathlib import Path

from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair
from c2f_core.errors import Cancelled
from c2f_core.io.atomic import atomic_path
from c2f_core.io.intensity import as_rgb8
from c2f_core.models.metadata import takes_any_classes
from c2f_core.project.layout import FINE_TUNING, FORMAT_1_FINE_TUNING
from c2f_core.project.project import Project
from c2f_core.project.records import Status
from c2f_core.project.refining import file_of_model
from c2f_core.training.events import Event
from c2f_core.training.fine_tuning import Corrections, FineTuneResult, FineTuningSettings, fine_tune
from c2f_core.training.loading import ShouldStop


def fine_tune_model(
    project: Project,
    replay: Path | None = None,
    settings: FineTuningSettings | None = None,
    *,
    should_stop: ShouldStop = lambda: False,
) -> Generator[Event | FineTuneResult, None, None]:
    """Fine-tune the model of a project on its reviewed images, and use the new one if it is better.

    Training starts from the model of the project. Without a model, or with a classical refiner, it
    starts from random weights, and the new model has to be better than the coarse maps. The old
    model stays in `models`.

    Parameters
    ----------
    project : Project
        Project with at least two reviewed images.
    replay : Path, optional
        Folder of pairs that the model was trained on before.
    settings : FineTuningSettings, optional
        Settings of the training.
    should_stop : callable
        Function without parameters, called between steps; training stops when it returns True. A
        stopped run is resumed when the same model is fine-tuned on the same images again.

    Yields
    ------
    Event or FineTuneResult
        Events of the run, then a `FineTuneResult` unless the run was stopped.

    Raises
    ------
    C2FError
        If fewer than two images are reviewed, or the model or the pairs do not match.
    """
    corrections = corrections_of(project, replay, should_stop)
    before = project.model
    model, earlier = _start(before), project.root / FORMAT_1_FINE_TUNING
    folder = earlier if earlier.is_dir() else project.root / FINE_TUNING
    for event in fine_tune(model, corrections, folder, settings, should_stop=should_stop):
        if isinstance(event, FineTuneResult):
            event = _adopt(project, event, before)
            shutil.rmtree(folder)
        yield event


def _start(model: str) -> Path | None:
    """Return the file to start from: none for a refiner that has no classes of its own."""
    file = file_of_model(model)
    return None if file is None or takes_any_classes(file) else file


def corrections_of(
    project: Project, replay: Path | None = None, should_stop: ShouldStop = lambda: False
) -> Corrections:
    """Read the reviewed images, and the pairs to replay except held-out ones.

    Pairs whose fine map is entirely unlabelled are omitted.

    Parameters
    ----------
    project : Project
        Project with reviewed images.
    replay : Path, optional
        Folder of pairs that the model was trained on before.
    should_stop : callable
        Function without parameters, called before each pair is read.

    Raises
    ------
    DataError
        If a file cannot be read.
    ClassTableError
        If the pairs to replay contain a class that the project does not have.
    Cancelled
        If `should_stop` returned True.
    """
    train: list[Pair] = []
    held_out: list[Pair] = []
    for record in project.records:
        if record.status is Status.REVIEWED:
            _raise_if_stopped(should_stop)
            pair = _pair(project, record.name)
            if pair.has_labels:
                (held_out if record.held_out else train).append(pair)
    corrections = Corrections(project.class_table, train, held_out)
    return corrections if replay is None else _with_replay(corrections, replay, should_stop)


def _with_replay(corrections: Corrections, root: Path, should_stop: ShouldStop) -> Corrections:
    source = open_pairs(root, corrections.class_table)
    held_out = {pair.image.tobytes() for pair in corrections.held_out}
    earlier = []
    for pair in source.subset(source.names_with_fine):
        _raise_if_stopped(should_stop)
        if pair.has_labels and pair.image.tobytes() not in held_out:
            earlier.append(pair)
    replayed = Corrections(source.class_table, (), (), earlier)
    translated = replayed.in_classes_of(corrections.class_table)
    return replace(corrections, earlier=translated.earlier)


def _pair(project: Project, name: str) -> Pair:
    work, table = project.read(name), project.class_table
    return Pair(
        name=name,
        image=as_rgb8(project.read_image(name)),
        coarse=table.to_class_ids(work.coarse),
        fine=None if work.fine is None else table.to_class_ids(work.fine),
    )


def _adopt(project: Project, result: FineTuneResult, before: str) -> FineTuneResult:
    """Copy the new model into the project if it is better, and use it instead of the one before."""
    folder = project.root / "models"
    files = (folder / f"fine-tuned-{number}.safetensors" for number in count(1))
    file = next(file for file in files if not file.exists())
    if result.is_better:
        with atomic_path(file) as temporary:
            shutil.copyfile(result.checkpoint, temporary)
        result = replace(result, checkpoint=file, is_outrun=project.model != before)
        if not result.is_outrun:
            project.choose_model(file)
    project.journal.write(
        "fine-tuned",
        model=file.name if result.is_better else None,
        before=result.before,
        after=result.after,
        pairs=result.pairs,
        held_out=result.held_out,
        earlier=result.earlier,
    )
    return result


def _raise_if_stopped(should_stop: ShouldStop) -> None:
    if should_stop():
        raise Cancelled("Stopped before the first step; the model is unchanged.")
