"""Scores and calibration on whole validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.data.transforms import image_to_tensor, one_hot
from c2f_core.networks.unet import UNet, generator_input
from c2f_core.refine.calibration import expected_calibration_error, fit_temperature

CALIBRATION_STRIDE = 7
"""Every seventh pixel takes part in calibration: neighbours say nothing new."""


@dataclass(frozen=True)
class ValidationResult:
    """Scores in [0, 1] by name, and the temperature that calibrates the confidence."""

    scores: dict[str, float]
    temperature: float


def whole_image_logits(generator: UNet, pair: Pair, device: torch.device) -> Tensor:
    """Compute the logits (C, Y, X) of a whole pair."""
    coarse = one_hot(torch.from_numpy(pair.coarse)[None], generator.number_of_classes)
    inputs = generator_input(image_to_tensor(pair.image), coarse, generator.conditional)
    logits: Tensor = generator(inputs.to(device))
    return logits[0]


@torch.inference_mode()
def validate(
    generator: UNet, pairs: Sequence[Pair], class_table: ClassTable, device: torch.device
) -> ValidationResult:
    """Score a generator on whole images and calibrate its confidence.

    Parameters
    ----------
    generator : UNet
        On `device`; left in evaluation mode.
    pairs : sequence of Pair
        With fine maps.
    class_table : ClassTable
    device : torch.device

    Returns
    -------
    ValidationResult
        The scores of `scores_of`, and "calibration error" after calibration.
    """
    generator.eval()
    predictions, samples, truths = [], [], []
    for pair in pairs:
        logits = whole_image_logits(generator, pair, device).float().cpu().numpy()
        predictions.append(logits.argmax(axis=0).astype(np.uint8))
        samples.append(logits.reshape(len(logits), -1)[:, ::CALIBRATION_STRIDE].T)
        truths.append(_fine(pair).ravel()[::CALIBRATION_STRIDE])
    sampled, truth = np.concatenate(samples), np.concatenate(truths)
    temperature = fit_temperature(sampled, truth)
    scores = scores_of(predictions, pairs, class_table)
    scores["calibration error"] = _calibration_error(sampled / temperature, truth)
    return ValidationResult(scores, temperature)


def _calibration_error(logits: NDArray[np.floating[Any]], truth: NDArray[np.uint8]) -> float:
    labelled = truth != UNLABELLED_POSITION
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
    """tmp"""
    from scipy import ndimage

    C = class_table.number_of_classes
    conf = np.zeros((C, 256), int)
    acc = []
    tri = []
    for p, q in zip(predictions, pairs):
        f = q.fine
        ok = f != 255
        conf += np.bincount(f[ok].astype(int) * 256 + p[ok], minlength=C * 256).reshape(C, 256)
        acc.append((p == f)[ok].mean())
        b = np.zeros(f.shape, bool)
        b[1:] |= f[1:] != f[:-1]
        b[:-1] |= f[1:] != f[:-1]
        b[:, 1:] |= f[:, 1:] != f[:, :-1]
        b[:, :-1] |= f[:, 1:] != f[:, :-1]
        band = ndimage.distance_transform_edt(~b) < 5
        tri.append((p == f)[band].mean())
    c = conf[:, :C]
    iou = np.diag(c) / np.maximum(1, conf.sum(1) + c.sum(0) - np.diag(c))
    return {
        "pixel accuracy": float(np.mean(acc)),
        "mIoU": float(iou.mean()),
        "trimap 5": float(np.mean(tri)),
    }
