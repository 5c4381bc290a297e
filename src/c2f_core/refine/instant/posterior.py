"""Posterior of the classes of one image: what its pixels and its coarse map say together."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Window, from_corner, grown
from c2f_core.opencv import cv2
from c2f_core.refine.instant import smoothing
from c2f_core.refine.instant.descriptors import Describer
from c2f_core.refine.instant.fusion import (
    USUAL_WEIGHTS,
    USUAL_WIDTH,
    Fusion,
    fit_weights,
    fit_width,
)
from c2f_core.refine.instant.likelihoods import FAR, ClassModels, fold_of_rows_and_columns
from c2f_core.refine.instant.regions import depth_of_regions, find_examples, signed_distances
from c2f_core.refine.instant.smoothing import GuidedFilter
from c2f_core.refine.interface import SILENT, ClassIds, Monitor

REACH = 24
"""Distance in pixels to the coarse boundary from which on nothing changes."""
WINDOW = 512
"""Side in pixels of the windows in which an image is processed."""
FITTED_WINDOWS = 12
"""Number of windows, evenly taken over the image, that fit the weights and the width."""
FITTED_PIXELS = 8000
RING = (4.0, 16.0)
"""Depths in pixels at which the weights are fitted."""
BAND = 16.0
"""Distance in pixels to the boundary at which the width is fitted."""
SUPPORT = 9
"""Side in pixels of the windows in which it is decided whether classes look alike."""
SMALLEST_SUPPORT = 0.1
"""Difference of the log-likelihoods below which classes look alike, and nothing changes."""
IMPOSSIBLE = -60.0
"""Log-likelihood of a class that cannot occur."""
_Sample = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]
MOST_CANDIDATES = 32
"""Number of classes that can fill unlabelled places, the most frequent ones."""


@dataclass(frozen=True)
class WindowEvidence:
    """What is known about the classes in a window.

    Attributes
    ----------
    candidates : (K,) integer array
        Class ids that a pixel of the window may have.
    distances : (K, Y, X) float32 array
        Signed distances to the coarse regions in pixels, positive inside, within 24.
    log_likelihoods : (3, K, Y, X) float32 array
        By colours, by colours nearby and by texture.
    """

    candidates: NDArray[np.intp]
    distances: NDArray[np.float32]
    log_likelihoods: NDArray[np.float32]

    def within(self, window: Window) -> "WindowEvidence":
        """Return the evidence in a part of the window, counted from its corner."""
        return WindowEvidence(
            self.candidates, self.distances[:, *window], self.log_likelihoods[:, :, *window]
        )


@dataclass(frozen=True)
class WindowPosterior:
    """What image and coarse map say together about a window.

    Attributes
    ----------
    evidence : WindowEvidence
        Evidence on its K candidates.
    posterior : (K, Y, X) float32 array
        Probabilities that sum to one, smoothed by the guided filter.
    distinct : (Y, X) boolean array
        Whether the histograms of the classes tell them apart around each pixel.
    """

    evidence: WindowEvidence
    posterior: NDArray[np.float32]
    distinct: NDArray[np.bool_]


@dataclass
class InstantModel:
    """Everything that is learned from one image and its coarse map.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    class_ids : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled; at least one
        pixel is labelled.
    describer : Describer, optional
        Describer of the image, if it was made before.
    monitor : Monitor, optional
        Asked between windows whether to stop.
    """

    rgb: NDArray[np.uint8]
    class_ids: ClassIds
    describer: Describer | None = None
    monitor: Monitor = SILENT

    def __post_init__(self) -> None:
        self._describer = self.describer or Describer(self.rgb)
        counts = np.bincount(self.class_ids.ravel(), minlength=256)[:UNLABELLED_ID]
        self.present: NDArray[np.intp] = np.flatnonzero(counts)
        self._frequent = np.sort(np.argsort(-counts)[: min(MOST_CANDIDATES, len(self.present))])
        self._row_of_class = np.zeros(256, dtype=np.int64)
        self._row_of_class[self.present] = np.arange(len(self.present))
        self.depth = depth_of_regions(self.class_ids)
        self._examples = find_examples(self.class_ids, self.depth)
        self._models = self._fit_models()
        self.fusion = self._fit_fusion()

    def knows(self, class_ids: ClassIds) -> bool:
        """Return whether the model has learned all these classes."""
        return bool(np.isin(class_ids, (*self.present, UNLABELLED_ID)).all())

    def redrawn(self, class_ids: ClassIds, window: Window) -> "InstantModel":
        """Return the model of a coarse map that differs in a window; what was learned stays.

        Parameters
        ----------
        class_ids : (Y, X) uint8 array
            Class ids of the whole coarse map; the model knows all of them.
        window : (slice, slice)
            Rows and columns outside of which the map is the same.
        """
        height, width = class_ids.shape
        changed = grown(window, REACH, (height, width))
        seen = grown(changed, REACH, (height, width))
        depth = depth_of_regions(class_ids[seen])
        examples = find_examples(class_ids[seen], depth)
        redrawn = copy(self)
        redrawn.class_ids = class_ids
        redrawn.depth, redrawn._examples = self.depth.copy(), self._examples.copy()
        inner = from_corner(changed, seen)
        redrawn.depth[changed], redrawn._examples[changed] = depth[inner], examples[inner]
        return redrawn

    def windows(self) -> list[Window]:
        """Return the windows of the image in which something may change."""
        return [window for window in _windows(self.class_ids.shape) if self.may_change(window)]

    def may_change(self, window: Window) -> bool:
        """Return whether a window has unlabelled pixels, or a coarse boundary within reach."""
        is_near = bool((self.depth[window] <= REACH).any())
        return is_near or bool((self.class_ids[window] == UNLABELLED_ID).any())

    def candidates(self, window: Window) -> NDArray[np.intp]:
        """Return the class ids that pixels of a window may have: those around it.

        Unlabelled pixels may have the most frequent classes of the image, too.
        """
        outer, inner = _surrounded(window, self.class_ids.shape, FAR + REACH)
        class_ids = self.class_ids[outer]
        around = np.flatnonzero(np.bincount(class_ids.ravel(), minlength=256)[:UNLABELLED_ID])
        if not (class_ids[inner] == UNLABELLED_ID).any():
            return around
        candidates: NDArray[np.intp] = np.union1d(around, self._frequent)
        return candidates

    def evidence(self, window: Window) -> WindowEvidence:
        """Return the evidence in a window.

        Parameters
        ----------
        window : (slice, slice)
            Rows and columns of the window.
        """
        outer, inner = _surrounded(window, self.class_ids.shape, FAR + REACH)
        class_ids = self.class_ids[outer]
        candidates = self.candidates(window)
        examples = self._examples[outer]
        masks = (class_ids[None] == candidates[:, None, None]) & examples
        likelihoods = self._models.log_likelihoods(
            self._describer.describe(outer),
            self._row_of_class[candidates],
            masks,
            fold_of_rows_and_columns(*outer),
        )
        distances = signed_distances(class_ids, candidates, REACH)
        return WindowEvidence(
            candidates, distances[:, *inner], np.ascontiguousarray(likelihoods[:, :, *inner])
        )

    def posterior(self, window: Window) -> WindowPosterior:
        """Return the posterior of the classes in a window, and the evidence that it is made of.

        Parameters
        ----------
        window : (slice, slice)
            Rows and columns of the window.
        """
        outer, inner = _surrounded(window, self.class_ids.shape, smoothing.HALO)
        found = self.evidence(outer)
        evidence = self.fusion.evidence(found.log_likelihoods)
        distinct = _distinct(found.log_likelihoods)
        posterior = self._smoothed(outer, found.distances, evidence)
        return WindowPosterior(found.within(inner), posterior[:, *inner], distinct[inner])

    def _smoothed(
        self, window: Window, distances: NDArray[np.float32], evidence: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        scores = distances / self.fusion.width + evidence
        scores = np.exp(scores - scores.max(axis=0))
        scores /= scores.sum(axis=0)
        smooth = GuidedFilter(self.rgb[window])
        posterior = np.stack([np.clip(smooth(plane), 1e-4, 1) for plane in scores])
        posterior /= posterior.sum(axis=0)
        return posterior

    def _fit_models(self) -> ClassModels:
        models = ClassModels(len(self.present))
        for window in _windows(self.class_ids.shape):
            self.monitor.raise_if_stopped()
            examples = np.flatnonzero(self._examples[window])
            classes = self._row_of_class[self.class_ids[window].ravel()[examples]]
            folds = fold_of_rows_and_columns(*window).ravel()[examples]
            models.add(self._describer.describe(window), examples, classes, folds)
        models.fit()
        return models

    def _fit_fusion(self) -> Fusion:
        """Fit the weights and the width in some windows of the image."""
        windows = self.windows()
        if len(self.present) < 2 or not windows:
            return Fusion(USUAL_WEIGHTS, USUAL_WIDTH, 1.0)
        step = -(-len(windows) // FITTED_WINDOWS)
        rng = np.random.default_rng(0)
        samples = [
            self._sample(window, FITTED_PIXELS // len(windows[::step]), rng)
            for window in windows[::step]
        ]
        ring, classes, band, distances = (
            _joined([sample[part] for sample in samples]) for part in range(4)
        )
        weights, recognised = fit_weights(ring, classes)
        fitted = Fusion(weights, USUAL_WIDTH, recognised)
        return replace(fitted, width=fit_width(fitted.evidence(band), distances))

    def _sample(self, window: Window, count: int, rng: np.random.Generator) -> _Sample:
        """Return evidence on pixels inside the regions of a window and along their boundaries."""
        self.monitor.raise_if_stopped()
        evidence = self.evidence(window)
        depth, class_ids = self.depth[window].ravel(), self.class_ids[window].ravel()
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


def _distinct(log_likelihoods: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the colours or the texture of the classes differ, in means over windows.

    Colours nearby do not count: their variances differ where a class has few examples.
    """
    histograms = log_likelihoods[0] + log_likelihoods[2]
    means = np.stack([cv2.blur(plane, (SUPPORT, SUPPORT)) for plane in histograms])
    distinct: NDArray[np.bool_] = np.ptp(means, axis=0) > SMALLEST_SUPPORT
    return distinct


def _balanced(
    pixels: NDArray[np.intp], class_ids: ClassIds, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return at most so many of the pixels, of each class about as many.

    Which ones does not depend on the order of the classes.
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


def _windows(shape: tuple[int, ...]) -> list[Window]:
    return [
        (slice(top, min(top + WINDOW, shape[0])), slice(left, min(left + WINDOW, shape[1])))
        for top in range(0, shape[0], WINDOW)
        for left in range(0, shape[1], WINDOW)
    ]


def _surrounded(window: Window, shape: tuple[int, ...], halo: int) -> tuple[Window, Window]:
    """Return a window with its surroundings, and the place of the window in them."""
    outer = tuple(
        slice(max(part.start - halo, 0), min(part.stop + halo, size))
        for part, size in zip(window, shape, strict=True)
    )
    inner = tuple(
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(window, outer, strict=True)
    )
    return (outer[0], outer[1]), (inner[0], inner[1])
