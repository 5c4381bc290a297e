"""Fine-tune a model on corrections; it is replaced only by a better one.

Corrected pairs train, and earlier ones are replayed so that what was learned is not
forgotten (rehearsal; Robins, Connection Science 1995). Held-out corrections decide
whether the result is better.
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
"""Validations of a fine-tuning, the best of which is taken: few, so that it is not by chance."""
WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""


class FineTuningSettings(Settings):
    """Settings of fine-tuning on corrections."""

    steps: int = Field(default=120, ge=VALIDATIONS)
    """Number of training steps."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate: a quarter of the usual one, as the model is already trained."""
    corrected_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the crops that show corrected pairs if earlier ones are replayed."""
    batch_size: int = Field(default=8, ge=1)
    """Crops per step."""
    crop: int = Field(default=256, ge=16)
    """Side length of the crops in pixels."""
    seed: int = Field(default=0, ge=0)
    """Seed of the crops and the augmentation."""
    threads: int | None = Field(default=None, ge=1)
    """Number of CPU threads; None leaves the choice to torch."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """Pairs of one class table, with fine maps.

    Attributes
    ----------
    class_table : ClassTable
        Class table of all pairs.
    train : sequence of Pair
        Corrected pairs to train on.
    held_out : sequence of Pair
        Corrected pairs that score the result and are never trained on.
    earlier : sequence of Pair
        Pairs that the model was trained on before, to replay.
    """

    class_table: ClassTable
    train: Sequence[Pair]
    held_out: Sequence[Pair]
    earlier: Sequence[Pair] = ()

    def in_classes_of(self, other: ClassTable) -> "Corrections":
        """Return the pairs with class ids of another class table, matched by class name.

        Parameters
        ----------
        other : ClassTable
            Class table of the result.

        Returns
        -------
        Corrections
            These pairs in the other classes.

        Raises
        ------
        ClassTableError
            If a class that occurs is not in the other table.
        """
        if other == self.class_table:
            return self

        def translated(pairs: Sequence[Pair]) -> list[Pair]:
            return [_translated(pair, self.class_table, other) for pair in pairs]

        parts = (self.train, self.held_out, self.earlier)
        return Corrections(other, *(translated(part) for part in parts))


@dataclass(frozen=True)
class FineTuneResult:
    """Result of a fine-tuning.

    Attributes
    ----------
    coarse, before, after : float
        Pixel accuracy on the held-out pairs in [0, 1]: of their coarse maps, of the
        model before, and of the best fine-tuned one. Without a model before, it is
        that of the coarse maps.
    pairs, held_out, earlier : int
        Numbers of corrected pairs that trained, that were held out, and of replayed pairs.
    checkpoint : Path
        Checkpoint of the best fine-tuned model.
    is_outrun : bool
        Whether another model was chosen meanwhile, with which this one was not compared.
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
        """Whether the new model should replace the old one."""
        return self.after > self.before

    def message(self) -> str:
        """Describe the result in a sentence or two."""
        images = "one corrected image" if self.pairs == 1 else f"{self.pairs} corrected images"
        scores = (
            f"Fine-tuned on {images}, replaying {self.earlier} earlier ones. Pixel accuracy on the "
            f"held-out images ({self.held_out}): {100 * self.before:.2f} % before, "
            f"{100 * self.after:.2f} % after"
        )
        fate = "the old model stays in use"
        if self.is_better and self.is_outrun:
            fate = f"{self.checkpoint.name} is kept, and the model chosen meanwhile is in use"
        elif self.is_better:
            fate = "the new model is in use"
        return f"{scores}; {fate}."


def fine_tune(
    model: Path | None,
    corrections: Corrections,
    folder: Path,
    settings: FineTuningSettings | None = None,
    *,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Event | FineTuneResult]:
    """Fine-tune a model on corrections.

    A run that was stopped or killed is resumed from its last checkpoint when this is
    called again with the same model, pairs and settings.

    Parameters
    ----------
    model : Path or None
        Checkpoint to start from; None starts from random weights.
    corrections : Corrections
        Pairs to train on, to score with and to replay.
    folder : Path
        Folder in which each fine-tuning has its own run folder; created if it is missing.
    settings : FineTuningSettings, optional
        Settings; the defaults if omitted.
    should_stop : callable
        Function that is called between steps; when it returns True, the run is stopped.

    Yields
    ------
    Event or FineTuneResult
        Events of the run, then the result, unless the run was stopped.

    Raises
    ------
    C2FError
        If there is no pair to train on or to score with, the classes are not those
        of the model, or training fails.
    """
    # Imported lazily: torch takes seconds, and the settings do not need it.
    from c2f_core.training.trainer import train_or_resume

    settings = settings or FineTuningSettings()
    if not corrections.train or not corrections.held_out:
        raise DataError(
            "Fine-tuning needs two reviewed images, one to train on and one held out to score "
            "the result; review more images first."
        )
    table = corrections.class_table if model is None else read_metadata(model).class_table
    corrections = corrections.in_classes_of(table)
    config = _prepare(model, corrections, folder, settings)
    for event in train_or_resume(config, should_stop=should_stop):
        yield event
    assert isinstance(event, Finished)
    if not event.stopped:
        yield _evaluate(model, corrections, config.run_folder / "best.safetensors")


def accuracy_of(model: Path | None, pairs: Sequence[Pair], class_table: ClassTable) -> float:
    """Return the pixel accuracy of a model as the mean over whole images.

    Parameters
    ----------
    model : Path or None
        Checkpoint of the same classes; None scores the coarse maps.
    pairs : sequence of Pair
        Pairs with fine maps.
    class_table : ClassTable
        Class table of the pairs.

    Returns
    -------
    float
        Accuracy in [0, 1]; NaN if a pair has no labelled pixel, so that no model is better.

    Raises
    ------
    C2FError
        If the model cannot be read, or has other classes.
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
    model: Path | None, corrections: Corrections, folder: Path, settings: FineTuningSettings
) -> TrainConfig:
    """Write the data of a run, unless they are there, and return its config."""
    digest = _digest(model, corrections, settings)
    # Whatever its prefix, which was another one in projects of format 1.
    run = next(folder.glob(f"*-{digest}"), folder / f"run-{digest}")
    data, splits = run / "data", run / "data" / "splits.json"
    if not splits.exists():
        shutil.rmtree(data, ignore_errors=True)
        names = _write(data, corrections, settings.corrected_share)
        with atomic_path(splits) as temporary:
            temporary.write_text(json.dumps(names) + "\n", encoding="utf-8")
    return _config(model, run, settings)


def _write(data: Path, corrections: Corrections, share: float) -> dict[str, list[str]]:
    """Write the pairs; return the names that train, repeated by their share, and that validate."""
    parts = {
        "corrected": corrections.train,
        "held-out": corrections.held_out,
        "earlier": corrections.earlier,
    }
    named = {kind: _renamed(kind, pairs) for kind, pairs in parts.items()}
    write_pairs(data, (pair for pairs in named.values() for pair in pairs), corrections.class_table)
    corrected, held_out, earlier = ([pair.name for pair in pairs] for pairs in named.values())
    return {"train": _balanced(corrected, earlier, share), "validation": held_out}


def _renamed(kind: str, pairs: Sequence[Pair]) -> list[Pair]:
    """Name pairs by their kind and number, so that no two names are equal."""
    return [
        replace(pair, name=f"{kind}-{number}-{pair.name.replace('/', '-')}")
        for number, pair in enumerate(pairs)
    ]


def _balanced(corrected: list[str], earlier: list[str], share: float) -> list[str]:
    """Repeat names so that about this share of them are corrected pairs; all names occur."""
    if not earlier or share == 1:
        return corrected
    wanted = share / (1 - share) * len(earlier) / len(corrected)
    return corrected * max(1, round(wanted)) + earlier * max(1, round(1 / wanted))


def _config(model: Path | None, run: Path, settings: FineTuningSettings) -> TrainConfig:
    data = run / "data"
    tree: dict[str, Any] = {
        "data": {
            "root": data,
            "class_table": str(data / TABLE_FILE),
            "splits": data / "splits.json",
            "validation": "validation",
        },
        "run_folder": run,
        "validate_every": -(-settings.steps // VALIDATIONS),
        **settings.model_dump(include={"steps", "batch_size", "crop", "seed", "threads"}),
    }
    start = {} if model is None else _settings_of(model, settings)
    return TrainConfig.model_validate(tree | start)


def _settings_of(model: Path, settings: FineTuningSettings) -> dict[str, Any]:
    """Return the settings that a run takes over from the model that it starts from."""
    recorded = read_metadata(model).config
    return {
        "method": "plain" if recorded.method == "plain" else "model1",
        "network": recorded.network,
        "initial_weights": str(model),
        "colour_weight": recorded.colour_weight,
        "augmentation": _augmentation_of(recorded),
        "optimiser": {
            "learning_rate": settings.learning_rate,
            "warmup_steps": round(WARMUP_SHARE * settings.steps),
        },
    }


def _augmentation_of(config: RecordedConfig) -> AugmentationConfig:
    """Return the augmentation that a model was trained with; the default if it is not known."""
    recorded = (config.model_extra or {}).get("augmentation", {})
    try:
        return AugmentationConfig.model_validate(recorded)
    except ValidationError:  # The model was trained by another version.
        return AugmentationConfig()


def _digest(model: Path | None, corrections: Corrections, settings: FineTuningSettings) -> str:
    """Name a fine-tuning by everything that its result depends on."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"threads"}).encode())
    digest.update(corrections.class_table.model_dump_json().encode())
    digest.update(b"" if model is None else model.read_bytes())
    for pairs in (corrections.train, corrections.held_out, corrections.earlier):
        digest.update(fingerprint(pairs).encode())
    return digest.hexdigest()[:12]


def _evaluate(model: Path | None, corrections: Corrections, checkpoint: Path) -> FineTuneResult:
    """Score the models before and after on the held-out pairs."""
    pairs, table = corrections.held_out, corrections.class_table
    return FineTuneResult(
        coarse=accuracy_of(None, pairs, table),
        before=accuracy_of(model, pairs, table),
        after=accuracy_of(checkpoint, pairs, table),
        pairs=len(corrections.train),
        held_out=len(pairs),
        earlier=len(corrections.earlier),
        checkpoint=checkpoint,
    )


def _translated(pair: Pair, ours: ClassTable, theirs: ClassTable) -> Pair:
    def class_ids(of_ours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return theirs.to_class_ids(ours.translate(ours.to_labels(of_ours), theirs))

    fine = None if pair.fine is None else class_ids(pair.fine)
    return replace(pair, coarse=class_ids(pair.coarse), fine=fine)
