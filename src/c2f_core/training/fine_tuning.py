"""Learn from corrections: a model goes on from where it is, and is replaced only by a better one.

Corrected pairs train, earlier ones are replayed beside them so that what was learned is
not forgotten (rehearsal; Robins, Connection Science 1995), and corrections that are kept
back judge the result.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import AugmentationConfig, Settings, TrainConfig
from c2f_core.data.pairs import Pair, fingerprint
from c2f_core.data.writing import TABLE_FILE, write_pairs
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.metrics.scores import confusion_matrix, pixel_accuracy
from c2f_core.models.metadata import RecordedConfig, read_metadata
from c2f_core.training.events import Event, Finished
from c2f_core.training.loading import ShouldStop

VALIDATIONS = 4
"""Validations in a lesson, of which the best checkpoint is taken: few, so that it is no luck."""
WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""


class TeachingSettings(Settings):
    """How a lesson is learned."""

    steps: int = Field(default=120, ge=VALIDATIONS)
    """Steps of the lesson."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate: a quarter of the usual one, as the model is good already."""
    corrected_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the crops that show corrected pairs where earlier ones are replayed."""
    batch_size: int = Field(default=8, ge=1)
    """Crops in a step."""
    crop: int = Field(default=256, ge=16)
    """Side of the crops in pixels."""
    seed: int = Field(default=0, ge=0)
    """Seed of crops and augmentation."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None leaves the choice to torch."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """Pairs of one class table, with fine maps.

    Attributes
    ----------
    class_table : ClassTable
    train : sequence of Pair
        Corrected pairs to learn from.
    held_out : sequence of Pair
        Corrected pairs that judge the result.
    earlier : sequence of Pair
        Pairs that the model has learned from already.
    """

    class_table: ClassTable
    train: Sequence[Pair]
    held_out: Sequence[Pair]
    earlier: Sequence[Pair] = ()

    def in_classes_of(self, other: ClassTable) -> "Corrections":
        """Return the pairs with positions of another class table, by the classes' names.

        Raises
        ------
        ClassTableError
            A class that occurs is not in the other table.
        """
        if other == self.class_table:
            return self

        def translated(pairs: Sequence[Pair]) -> list[Pair]:
            return [_translated(pair, self.class_table, other) for pair in pairs]

        parts = (self.train, self.held_out, self.earlier)
        return Corrections(other, *(translated(part) for part in parts))


@dataclass(frozen=True)
class FineTuneResult:
    """How a lesson ended.

    Attributes
    ----------
    coarse, before, after : float
        Pixel accuracy in [0, 1] on the kept-back pairs, of their coarse maps, of the
        model before and of the best one of the lesson. Before is that of the coarse
        maps where there was no model.
    pairs, held_out, earlier : int
        How many corrected pairs trained, how many judged, how many were replayed.
    checkpoint : Path
        The best model of the lesson.
    is_outrun : bool
        Another model was chosen meanwhile, which was not compared with this one.
    """

    coarse: float
    before: float
    after: float
    pairs: int
    held_out: int
    earlier: int
    checkpoint: Path
    is_outrun: bool = False

    @property
    def is_better(self) -> bool:
        """Tell whether the new model should replace the old one."""
        return self.after > self.before

    def message(self) -> str:
        """Say it in a sentence or two."""
        told = (
            f"Learned from {self.pairs} corrected images, replaying {self.earlier} earlier ones. "
            f"On the {self.held_out} kept back, {100 * self.before:.2f} % of the pixels were "
            f"right before and {100 * self.after:.2f} % after it"
        )
        fate = "so the old model stays in use"
        if self.is_better and self.is_outrun:
            fate = f"{self.checkpoint.name} is kept, and the model chosen meanwhile is in use"
        elif self.is_better:
            fate = "the new model is in use"
        return f"{told}; {fate}."


def teach(
    model: Path | None,
    corrections: Corrections,
    folder: Path,
    settings: TeachingSettings | None = None,
    *,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Event | FineTuneResult]:
    """Learn from corrections.

    A lesson that was stopped or killed goes on from its last checkpoint when it is
    given again: same model, pairs and settings.

    Parameters
    ----------
    model : Path or None
        Checkpoint to start from; None starts from random weights.
    corrections : Corrections
    folder : Path
        Made where it lacks; each lesson has its own run folder in it.
    settings : TeachingSettings, optional
    should_stop : callable
        Asked between steps.

    Yields
    ------
    Event or Taught
        Events of the run, then `FineTuneResult` unless it was stopped.

    Raises
    ------
    C2FError
        There is nothing to learn from or to judge by, the classes are not those of the
        model, or training fails.
    """
    # Not when the settings alone are asked for: torch takes seconds to load.
    from c2f_core.training.trainer import train_or_resume

    settings = settings or TeachingSettings()
    if not corrections.train or not corrections.held_out:
        raise DataError(
            "Learning needs two reviewed images, one to learn from and one to judge by; review "
            "more images first."
        )
    table = corrections.class_table if model is None else read_metadata(model).class_table
    lesson = corrections.in_classes_of(table)
    config = _prepare(model, lesson, folder, settings)
    for event in train_or_resume(config, should_stop=should_stop):
        yield event
    assert isinstance(event, Finished)
    if not event.stopped:
        yield _judge(model, lesson, config.run_folder / "best.safetensors")


def accuracy_of(model: Path | None, pairs: Sequence[Pair], class_table: ClassTable) -> float:
    """Return the pixel accuracy of a model, the mean over whole images, in [0, 1].

    It is NaN where a pair has no labelled pixel, which no model betters.

    Parameters
    ----------
    model : Path or None
        Checkpoint of the same classes; None scores the coarse maps.
    pairs : sequence of Pair
        With fine maps.
    class_table : ClassTable

    Raises
    ------
    C2FError
        The model cannot be read, or knows other classes.
    """
    from c2f_core.refine.learned import Refiner

    refiner = None if model is None else Refiner.load(model)
    accuracies = []
    for pair in pairs:
        assert pair.fine is not None, "accuracy is measured against fine maps"
        predicted = pair.coarse
        if refiner is not None:
            result = refiner.refine(pair.image, class_table.to_labels(pair.coarse))
            predicted = class_table.to_class_ids(result.labels)
        confusion = confusion_matrix(predicted, pair.fine, class_table.number_of_classes)
        accuracies.append(pixel_accuracy(confusion))
    return float(np.mean(accuracies))


def _prepare(
    model: Path | None, lesson: Corrections, folder: Path, settings: TeachingSettings
) -> TrainConfig:
    """Write the data of a lesson, unless they are there, and return its config."""
    run = folder / f"lesson-{_digest(model, lesson, settings)}"
    data, splits = run / "data", run / "data" / "splits.json"
    if not splits.exists():
        shutil.rmtree(data, ignore_errors=True)
        names = _write(data, lesson, settings.corrected_share)
        with atomic_path(splits) as temporary:
            temporary.write_text(json.dumps(names) + "\n", encoding="utf-8")
    return _config(model, run, settings)


def _write(data: Path, lesson: Corrections, share: float) -> dict[str, list[str]]:
    """Write the pairs; return the names that train, repeated by their share, and that judge."""
    named = {
        kind: [
            replace(pair, name=f"{kind}-{number}-{pair.name.replace('/', '-')}")
            for number, pair in enumerate(pairs)
        ]
        for kind, pairs in (
            ("corrected", lesson.train),
            ("kept-back", lesson.held_out),
            ("earlier", lesson.earlier),
        )
    }
    write_pairs(data, (pair for pairs in named.values() for pair in pairs), lesson.class_table)
    corrected, held_out, earlier = ([pair.name for pair in pairs] for pairs in named.values())
    return {"train": _balanced(corrected, earlier, share), "validation": held_out}


def _balanced(corrected: list[str], earlier: list[str], share: float) -> list[str]:
    """Repeat names so that about this share of all are corrected, and none is left out."""
    if not earlier or share == 1:
        return corrected
    wanted = share / (1 - share) * len(earlier) / len(corrected)
    return corrected * max(1, round(wanted)) + earlier * max(1, round(1 / wanted))


def _config(model: Path | None, run: Path, settings: TeachingSettings) -> TrainConfig:
    data = run / "data"
    tree: dict[str, Any] = {
        "data": {
            "root": data,
            "class_table": str(data / TABLE_FILE),
            "splits": data / "splits.json",
            "validation": "validation",
        },
        "run_folder": run,
        "steps": settings.steps,
        "validate_every": -(-settings.steps // VALIDATIONS),
        "batch_size": settings.batch_size,
        "crop": settings.crop,
        "seed": settings.seed,
        "threads": settings.threads,
    }
    if model is None:
        return TrainConfig.model_validate(tree)
    recorded = read_metadata(model).config
    tree["method"] = "plain" if recorded.method == "plain" else "model1"
    tree["network"], tree["initial_weights"] = recorded.network, str(model)
    tree["colour_weight"] = recorded.colour_weight
    tree["augmentation"] = _augmentation_of(recorded)
    tree["optimiser"] = {
        "learning_rate": settings.learning_rate,
        "warmup_steps": round(WARMUP_SHARE * settings.steps),
    }
    return TrainConfig.model_validate(tree)


def _augmentation_of(config: RecordedConfig) -> AugmentationConfig:
    """Return the augmentation that a model was trained with; the default if it is not known."""
    recorded = (config.model_extra or {}).get("augmentation", {})
    try:
        return AugmentationConfig.model_validate(recorded)
    except ValidationError:  # The model was trained by another version.
        return AugmentationConfig()


def _digest(model: Path | None, lesson: Corrections, settings: TeachingSettings) -> str:
    """Name a lesson by all that decides on it."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"threads"}).encode())
    digest.update(lesson.class_table.model_dump_json().encode())
    digest.update(b"" if model is None else model.read_bytes())
    for pairs in (lesson.train, lesson.held_out, lesson.earlier):
        digest.update(fingerprint(pairs).encode())
    return digest.hexdigest()[:12]


def _judge(model: Path | None, lesson: Corrections, checkpoint: Path) -> FineTuneResult:
    pairs, table = lesson.held_out, lesson.class_table
    return FineTuneResult(
        coarse=accuracy_of(None, pairs, table),
        before=accuracy_of(model, pairs, table),
        after=accuracy_of(checkpoint, pairs, table),
        pairs=len(lesson.train),
        held_out=len(pairs),
        earlier=len(lesson.earlier),
        checkpoint=checkpoint,
    )


def _translated(pair: Pair, ours: ClassTable, theirs: ClassTable) -> Pair:
    def positions(of_ours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return theirs.to_class_ids(ours.translate(ours.to_labels(of_ours), theirs))

    fine = None if pair.fine is None else positions(pair.fine)
    return replace(pair, coarse=positions(pair.coarse), fine=fine)
