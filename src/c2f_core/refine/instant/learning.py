"""What is learned from an image and its coarse map: densities of the classes, weights, a width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import (
    Sliceable,
    Window,
    blocks,
    from_corner,
    grown,
    halves,
    to_corner,
)
from c2f_core.refine.instant.descriptors import Describer
from c2f_core.refine.instant.evidence import LearnedClasses
from c2f_core.refine.instant.fusion import (
    USUAL_WEIGHTS,
    USUAL_WIDTH,
    Fusion,
    fit_weights,
    fit_width,
)
from c2f_core.refine.instant.likelihoods import ClassModels, fold_of_rows_and_columns
from c2f_core.refine.instant.parts import WINDOW, ImagePart
from c2f_core.refine.instant.sampling import Survey, sample_windows
from c2f_core.refine.interface import ClassIds, Monitor

FITTED_WINDOWS = 12
"""Number of windows, evenly taken over the image, that fit the weights and the width."""
FITTED_PIXELS = 8000
RING = (4.0, 16.0)
"""Depths in pixels at which the weights are fitted."""
BAND = 16.0
"""Distance in pixels to the boundary at which the width is fitted."""
IMPOSSIBLE = -60.0
"""Log-likelihood of a class that cannot occur."""
MOST_CANDIDATES = 32
"""Number of classes that can fill unlabelled places, the most frequent ones."""
HALO = 128
"""Surroundings in pixels that are seen of a window of a large image."""
_Evidence = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]
_Locate = Callable[[Window], tuple[ImagePart, Window]]
"""Function that returns, for a window of the image, a part with it and the window there."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What all parts of an image share.

    Attributes
    ----------
    classes : LearnedClasses
        Densities of the classes.
    fusion : Fusion
        How much their likelihoods and the coarse map count.
    """

    classes: LearnedClasses
    fusion: Fusion


def learn(part: ImagePart, describer: Describer, monitor: Monitor) -> Learned:
    """Learn from an image that is in memory.

    Parameters
    ----------
    part : ImagePart
        The whole image with its coarse map, in which at least one pixel is labelled.
    describer : Describer
        Describer of the image.
    monitor : Monitor
        Asked between windows whether to stop.
    """
    counts = np.bincount(part.class_ids.ravel(), minlength=256)
    return _learn(
        list(blocks(part.size, WINDOW)), lambda window: (part, window), counts, describer, monitor
    )


def learn_from_sample(
    rgb: Sliceable, class_ids: Sliceable, survey: Survey, monitor: Monitor
) -> Learned:
    """Learn from some windows of a large image.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image, in memory or loaded lazily.
    class_ids : (Y, X) uint8 array
        Class ids of the coarse map, in memory or loaded lazily.
    survey : Survey
        What the coarse map has, and where; at least one pixel is labelled.
    monitor : Monitor
        Receives the progress, and is asked between windows whether to stop.
    """
    size = class_ids.shape[0], class_ids.shape[1]
    windows = sample_windows(survey)

    def locate(window: Window) -> tuple[ImagePart, Window]:
        place = grown(window, HALO, size)
        return ImagePart.read(rgb, class_ids, place), from_corner(window, place)

    describer = Describer.of_windows([np.asarray(rgb[window]) for window in windows])
    return _learn(windows, locate, survey.counts, describer, monitor)


def _learn(
    windows: Sequence[Window],
    locate: _Locate,
    counts: NDArray[np.int64],
    describer: Describer,
    monitor: Monitor,
) -> Learned:
    counts = counts[:UNLABELLED_ID]
    present = np.flatnonzero(counts)
    frequent = np.sort(np.argsort(-counts)[: min(MOST_CANDIDATES, len(present))])
    models = ClassModels(len(present))
    classes = LearnedClasses(describer, models, present, frequent)
    adding, fitting = monitor.split([len(windows), FITTED_WINDOWS])
    changeable = []
    for window, share in zip(windows, adding.split([1] * len(windows)), strict=True):
        share.raise_if_stopped()
        part, inner = locate(window)
        _add(classes, part, inner)
        if part.may_change(inner):
            changeable.append(window)
        share.report(1.0)
    models.fit()
    return Learned(classes, _fit_fusion(classes, changeable, locate, fitting))


def _add(classes: LearnedClasses, part: ImagePart, window: Window) -> None:
    """Add the examples of a window to the densities of the classes."""
    examples = np.flatnonzero(part.examples[window])
    rows = np.searchsorted(classes.present, part.class_ids[window].ravel()[examples])
    folds = fold_of_rows_and_columns(*to_corner(window, part.place)).ravel()[examples]
    classes.models.add(classes.describer.describe(part.rgb, window), examples, rows, folds)


def _fit_fusion(
    classes: LearnedClasses, windows: Sequence[Window], locate: _Locate, monitor: Monitor
) -> Fusion:
    """Fit the weights and the width in some of the windows in which something may change."""
    if len(classes.present) < 2 or not windows:
        return Fusion(USUAL_WEIGHTS, USUAL_WIDTH, 1.0)
    chosen = windows[:: -(-len(windows) // FITTED_WINDOWS)]
    rng = np.random.default_rng(0)
    samples = []
    for window, share in zip(chosen, monitor.split([1] * len(chosen)), strict=True):
        share.raise_if_stopped()
        samples.append(_evidence(classes, *locate(window), FITTED_PIXELS // len(chosen), rng))
        share.report(1.0)
    ring, own, band, distances = (
        _joined([sample[number] for sample in samples]) for number in range(4)
    )
    weights, recognised = fit_weights(ring, own)
    fitted = Fusion(weights, USUAL_WIDTH, recognised)
    return replace(fitted, width=fit_width(fitted.evidence(band), distances))


def _evidence(
    classes: LearnedClasses,
    part: ImagePart,
    window: Window,
    count: int,
    rng: np.random.Generator,
) -> _Evidence:
    """Return evidence on pixels inside the regions of a window and along their boundaries."""
    while not classes.is_small(part, window):
        window, _ = halves(window)
    evidence = classes.evidence(part, window)
    depth, class_ids = part.depth[window].ravel(), part.class_ids[window].ravel()
    labelled = class_ids != UNLABELLED_ID
    inside = np.flatnonzero(labelled & (depth > RING[0]) & (depth <= RING[1]))
    inside = _balanced(inside, class_ids, count, rng)
    along = np.flatnonzero(labelled & (depth <= BAND))
    along = rng.permutation(along)[: 2 * count]
    likelihoods = evidence.log_likelihoods.reshape(3, len(evidence.candidates), -1)
    return (
        likelihoods[:, :, inside],
        np.searchsorted(evidence.candidates, class_ids[inside]),
        likelihoods[:, :, along],
        evidence.distances.reshape(len(evidence.candidates), -1)[:, along],
    )


def _balanced(
    pixels: NDArray[np.intp], class_ids: ClassIds, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return at most `count` of the pixels, about equally many of each class.

    The choice does not depend on the order of the classes.
    """
    shuffled = rng.permutation(pixels)
    classes = class_ids[shuffled]
    present = np.unique(classes)
    share = count // max(len(present), 1)
    chosen = [shuffled[classes == each][:share] for each in present]
    return np.sort(np.concatenate([*chosen, np.empty(0, np.intp)]))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Join samples of windows with different numbers of classes along their pixels."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    most = max(part.shape[-2] for part in parts)
    padded = [
        np.pad(
            part,
            [(0, 0)] * (part.ndim - 2) + [(0, most - part.shape[-2]), (0, 0)],
            constant_values=IMPOSSIBLE,
        )
        for part in parts
    ]
    return np.concatenate(padded, axis=-1)
