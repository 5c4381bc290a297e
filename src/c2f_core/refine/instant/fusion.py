"""Weights of the likelihoods and width of the spatial prior, estimated in one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

USUAL_WEIGHTS = np.array([0.45, 0.35, 0.20])
"""Weights of colours, colours nearby and texture, towards which the estimate is drawn.

Measured on simulated coarse maps of twenty sets of images.
"""
PRIOR_STRENGTH = 0.3
"""Strength of that pull, in mean log-likelihood per squared weight."""
LARGEST_WEIGHT = 2.0
WIDTHS = np.array([1.5, 2.0, 2.7, 3.6, 4.8, 6.4, 8.5, 11.3])
"""Widths of the spatial prior in pixels from which the likeliest is chosen."""
USUAL_WIDTH, WIDTH_PENALTY = 4.0, 0.01
CAUTION = 0.7
"""Exponent of the likelihood next to boundaries.

Pixels there are mixed, and neighbours are not independent.
"""
NEWTON_STEPS = 12


@dataclass(frozen=True)
class Fusion:
    """How much the likelihoods and the coarse map count in one image.

    Attributes
    ----------
    weights : (3,) float64 array
        Exponents of the three likelihoods.
    width : float
        Width of the spatial prior in pixels: an error of the coarse boundary is e
        times less likely with each such distance.
    recognised : float
        Mean over classes of the share in [0, 1] of a class's own pixels, 4 to 16 pixels
        inside its boundary, that the likelihoods assign to it.
    """

    weights: NDArray[np.float64]
    width: float
    recognised: float

    def evidence(self, log_likelihoods: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weighted log-likelihoods.

        Parameters
        ----------
        log_likelihoods : (3, ...) float32 array
            Log-likelihoods of the classes by colours, colours nearby and texture.
        """
        weights = (CAUTION * self.weights).astype(np.float32)
        evidence: NDArray[np.float32] = np.tensordot(weights, log_likelihoods, axes=1)
        return evidence


def fit_weights(
    log_likelihoods: NDArray[np.float32], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Fit the weights of the likelihoods by penalised multinomial regression.

    Parameters
    ----------
    log_likelihoods : (3, K, N) float32 array
        Log-likelihoods of examples.
    classes : (N,) int64 array
        Class of each example, in 0..K-1.

    Returns
    -------
    weights : (3,) float64 array
        Weights in [0, 2].
    recognised : float
        Mean over classes of the share of a class's examples that are assigned to it.
    """
    weights = USUAL_WEIGHTS.copy()
    if not len(classes) or log_likelihoods.shape[1] < 2:
        return weights, 1.0
    values = log_likelihoods.astype(np.float64)
    own = values[:, classes, np.arange(len(classes))]
    for _ in range(NEWTON_STEPS):
        posterior = _softmax(np.tensordot(weights, values, axes=1))
        expected = (values * posterior).sum(axis=1)
        gradient = (own - expected).mean(axis=1) - PRIOR_STRENGTH * (weights - USUAL_WEIGHTS)
        centred = values - expected[:, None]
        curvature = np.einsum("akn,bkn,kn->ab", centred, centred, posterior, optimize=True)
        curvature = curvature / len(classes) + PRIOR_STRENGTH * np.eye(len(weights))
        step = np.clip(np.linalg.solve(curvature, gradient), -0.3, 0.3)
        weights = np.clip(weights + step, 0.0, LARGEST_WEIGHT)
    found = np.tensordot(weights, values, axes=1).argmax(axis=0) == classes
    return weights, float(np.mean([found[classes == each].mean() for each in np.unique(classes)]))


def fit_width(evidence: NDArray[np.float32], distances: NDArray[np.float32]) -> float:
    """Return the width of the spatial prior that makes the evidence likeliest.

    Parameters
    ----------
    evidence : (K, N) float32 array
        Weighted log-likelihoods of pixels around the coarse boundaries.
    distances : (K, N) float32 array
        Their signed distances to the regions of the classes, in pixels.
    """
    if not evidence.size:
        return USUAL_WIDTH
    likelihood = np.exp(evidence)
    scores = [
        np.log((_softmax(distances / width) * likelihood).sum(axis=0)).mean()
        - WIDTH_PENALTY * np.log(width / USUAL_WIDTH) ** 2
        for width in WIDTHS
    ]
    return float(WIDTHS[int(np.argmax(scores))])


def _softmax(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    shifted = np.exp(scores - scores.max(axis=0))
    softmax: NDArray[np.floating] = shifted / shifted.sum(axis=0)
    return softmax
