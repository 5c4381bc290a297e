"""Scores and calibration on whole validation images."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import C2FError
from c2f_core.metrics.calibration import expected_calibration_error, fit_temperature
from c2f_core.metrics.scores import (
    confusion_matrix,
    mean_iou,
    mean_of_known,
    pixel_accuracy,
    trimap_accuracy,
)
from c2f_core.networks.colour_prior import with_colour_models
from c2f_core.networks.encoding import image_to_tensor, one_hot
from c2f_core.networks.unet import UNet, generator_input
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.training.events import ClassicalReference
from c2f_core.training.process_group import ProcessGroup

CALIBRATION_STRIDE = 7
"""Stride of the pixels used for calibration, as neighbours carry little information."""
Baselines = Mapping[str, Callable[[ClassTable], RefinerInterface]]
"""Refiners without training by name, made for a class table."""
BOUNDARY_WIDTH = 5
"""Width of the boundary band whose accuracy is shown during training, in pixels."""


@dataclass(frozen=True)
class ValidationResult:
    """Result of a validation.

    Attributes
    ----------
    scores : dict of str to float
        Scores in [0, 1] by name.
    temperature : float
        Temperature that calibrates the confidence.
    predictions : list of (Y, X) uint8 array
        Predicted class ids, in the order of the pairs that this process validates.
    """

    scores: dict[str, float]
    temperature: float
    predictions: list[NDArray[np.uint8]]


def whole_image_logits(
    generator: UNet, pair: Pair, device: torch.device, colour_weight: float
) -> Tensor:
    """Compute the logits (C, Y, X) of a whole pair."""
    image = image_to_tensor(pair.image).to(device)
    coarse = one_hot(torch.from_numpy(pair.coarse)[None].to(device), generator.number_of_classes)
    logits = generator(generator_input(image, coarse, generator.conditional))
    return with_colour_models(logits.float(), image, colour_weight)[0]


@torch.inference_mode()
def validate(
    generator: UNet,
    pairs: Sequence[Pair],
    class_table: ClassTable,
    device: torch.device,
    colour_weight: float,
    processes: ProcessGroup,
) -> ValidationResult:
    """Score a generator on whole images and calibrate its confidence.

    Parameters
    ----------
    generator : UNet
        Network on `device`; it is left in evaluation mode.
    pairs : sequence of Pair
        Pairs with fine maps.
    class_table : ClassTable
        Class table of the pairs.
    device : torch.device
        Device to compute on.
    colour_weight : float
        Weight of the colour prior, see `c2f_core.networks.colour_prior`.
    processes : ProcessGroup
        Processes that validate together, each of them its part of the pairs.

    Returns
    -------
    ValidationResult
        Scores of `scores_of`, with the "calibration error" after calibration.
    """
    generator.eval()
    predictions, counts, samples = [], [], []
    for pair in processes.part(pairs):
        logits = whole_image_logits(generator, pair, device, colour_weight).cpu().numpy()
        predictions.append(logits.argmax(axis=0).astype(np.uint8))
        counts.append(ImageCounts.of(predictions[-1], _fine(pair), class_table))
        # Copied, as a view would keep the logits of all pixels in memory.
        sampled = logits.reshape(len(logits), -1)[:, ::CALIBRATION_STRIDE].T.copy()
        samples.append((sampled, _fine(pair).ravel()[::CALIBRATION_STRIDE]))
    all_counts, all_samples = processes.gathered(counts), processes.gathered(samples)
    scores, temperature = processes.from_first(lambda: _calibrated(all_counts, all_samples))
    return ValidationResult(scores, temperature, predictions)


def _calibrated(
    counts: Sequence["ImageCounts"],
    samples: Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.uint8]]],
) -> tuple[dict[str, float], float]:
    """Return scores and temperature from the counts, logits and classes of all pairs."""
    sampled, truth = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    temperature = fit_temperature(sampled, truth)
    error = _calibration_error(sampled / temperature, truth)
    return scores_from(counts) | {"calibration error": error}, temperature


def _calibration_error(logits: NDArray[np.floating[Any]], truth: NDArray[np.uint8]) -> float:
    labelled = truth != UNLABELLED_ID
    probabilities = torch.from_numpy(logits[labelled]).softmax(dim=1).numpy()
    correct = probabilities.argmax(axis=1) == truth[labelled]
    return expected_calibration_error(probabilities.max(axis=1), correct)


def _fine(pair: Pair) -> NDArray[np.uint8]:
    assert pair.fine is not None, "validation pairs have fine maps"
    return pair.fine


def reference_scores(pairs: Sequence[Pair], class_table: ClassTable) -> dict[str, float]:
    """Score the coarse maps as if they were predictions."""
    return scores_of([pair.coarse for pair in pairs], pairs, class_table)


def scores_of(
    predictions: Sequence[NDArray[np.uint8]], pairs: Sequence[Pair], class_table: ClassTable
) -> dict[str, float]:
    """Compute the scores that are quick enough to show during training.

    Parameters
    ----------
    predictions : sequence of (Y, X) uint8 array
        Predicted class ids in the order of the pairs.
    pairs : sequence of Pair
        Pairs with fine maps.
    class_table : ClassTable
        Class table of the pairs.

    Returns
    -------
    dict of str to float
        "pixel accuracy" and "trimap 5" (boundary accuracy) as means over the images,
        and "mIoU" of the pooled confusion matrix, all in [0, 1]. A score that no image
        has, as without a boundary, is missing.
    """
    matched = zip(predictions, pairs, strict=True)
    return scores_from([ImageCounts.of(found, _fine(pair), class_table) for found, pair in matched])


@dataclass(frozen=True)
class ImageCounts:
    """What the scores of all images need of one image.

    Attributes
    ----------
    confusion : (C, C) integer array
        Confusion matrix.
    boundary : float
        Accuracy in the band around boundaries in [0, 1]; NaN without one.
    """

    confusion: NDArray[np.int64]
    boundary: float

    @classmethod
    def of(
        cls, predicted: NDArray[np.uint8], fine: NDArray[np.uint8], class_table: ClassTable
    ) -> Self:
        """Compare predicted and true class ids, (Y, X)."""
        boundary = trimap_accuracy(predicted, fine, (BOUNDARY_WIDTH,))[BOUNDARY_WIDTH]
        return cls(confusion_matrix(predicted, fine, class_table.number_of_classes), boundary)


def scores_from(counts: Sequence[ImageCounts]) -> dict[str, float]:
    """Compute the scores of `scores_of` from the counts of all images."""
    confusions = [each.confusion for each in counts]
    scores = {
        "pixel accuracy": mean_of_known([pixel_accuracy(each) for each in confusions]),
        "mIoU": mean_iou(np.sum(confusions, axis=0)),
        f"trimap {BOUNDARY_WIDTH}": mean_of_known([each.boundary for each in counts]),
    }
    return {name: score for name, score in scores.items() if not math.isnan(score)}


LARGEST_PIXELS = 1_000_000
"""Maximum number of pixels for the classical reference (a few seconds)."""


def best_classical(
    pairs: Sequence[Pair], class_table: ClassTable, baselines: Baselines = CLASSICAL_REFINERS
) -> ClassicalReference | None:
    """Refine the first pairs with each refiner without training; return the most accurate one.

    Parameters
    ----------
    pairs : sequence of Pair
        Pairs with fine maps; at least one is refined, more up to `LARGEST_PIXELS` in all.
    class_table : ClassTable
        Class table of the pairs.
    baselines : mapping of str to type
        Refiners by name.

    Returns
    -------
    ClassicalReference or None
        Scores of the most accurate refiner; None if none can refine the pairs, as when
        nothing is labelled.
    """
    chosen = _first(pairs, LARGEST_PIXELS)
    scored = [
        ClassicalReference(name, len(chosen), scores)
        for name, kind in baselines.items()
        if (scores := _scores(kind(class_table), chosen)) is not None
    ]
    return max(scored, key=lambda each: each.scores["pixel accuracy"], default=None)


def _first(pairs: Sequence[Pair], pixels: int) -> list[Pair]:
    chosen: list[Pair] = []
    for pair in pairs:
        pixels -= pair.coarse.size
        if chosen and pixels < 0:
            break
        chosen.append(pair)
    return chosen


def _scores(refiner: RefinerInterface, pairs: Sequence[Pair]) -> dict[str, float] | None:
    table, predictions = refiner.class_table, []
    for pair in pairs:
        try:
            refined = refiner.refine(pair.image, table.to_labels(pair.coarse))
        except C2FError:
            return None
        predictions.append(table.to_class_ids(refined.labels))
    return scores_of(predictions, pairs, table)
