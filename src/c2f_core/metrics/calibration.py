"""Confidence that means what it says: temperature scaling and its measure.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger: On Calibration of Modern
   Neural Networks. ICML 2017.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.errors import DataError

TEMPERATURE_RANGE = (0.05, 20.0)
"""Temperatures that are tried; a perfect classifier ends near the lower one."""


def fit_temperature(
    logits: NDArray[np.floating[Any]], positions: NDArray[np.integer[Any]]
) -> float:
    """Find the temperature at which the softmax of the logits is calibrated.

    The mean negative log-likelihood of ``softmax(logits / T)`` is convex in
    ``1 / T``; a bounded search finds its only minimum [1]_.

    Parameters
    ----------
    logits : (N, C) float array
        Network outputs of validation pixels.
    positions : (N,) integer array
        True class positions, 0 to C - 1; 255 (unlabelled) is ignored.

    Returns
    -------
    float
        Temperature T in `TEMPERATURE_RANGE`; above 1 the network was too sure.

    Raises
    ------
    DataError
        No pixel is labelled, shapes do not fit or a logit is not finite.
    """
    logits, positions = _labelled(np.asarray(logits), np.asarray(positions))
    true_logits = np.take_along_axis(logits, positions[:, None], axis=1)[:, 0]

    def loss(inverse: float) -> float:
        return float(np.mean(logsumexp(logits * inverse, axis=1) - true_logits * inverse))

    coldest, hottest = TEMPERATURE_RANGE
    found = minimize_scalar(
        loss, bounds=(1 / hottest, 1 / coldest), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.clip(1 / found.x, coldest, hottest))


def _labelled(
    logits: NDArray[Any], positions: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    if logits.ndim != 2 or positions.shape != logits.shape[:1]:
        raise DataError(
            f"Logits of shape {logits.shape} and positions of shape {positions.shape} do not "
            "fit; give (N, C) and (N,)."
        )
    labelled = positions != UNLABELLED_ID
    if not labelled.any():
        raise DataError("No pixel is labelled, so no temperature can be fitted; add fine maps.")
    logits = logits[labelled].astype(np.float64)
    if not np.isfinite(logits).all():
        raise DataError("The network's outputs are not finite; train again with a lower rate.")
    return logits, positions[labelled].astype(np.intp)


def expected_calibration_error(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], bins: int = 15
) -> float:
    """Measure how far confidence and accuracy are apart.

    Confidences fall into `bins` intervals of equal width, closed on the right;
    the result is the mean of ``|accuracy - mean confidence|`` over the
    intervals, weighted by their pixels [1]_.

    Parameters
    ----------
    confidence : (N,) float array
        Estimated probabilities in [0, 1].
    correct : (N,) boolean array
        Whether each label was right.
    bins : int

    Returns
    -------
    float
        In [0, 1]; 0 is perfect, and the result for no pixels at all.

    Raises
    ------
    DataError
        The shapes differ.
    """
    if confidence.shape != correct.shape:
        raise DataError(
            f"{confidence.size} confidences and {correct.size} results do not fit; give one "
            "result for each confidence."
        )
    if not confidence.size:
        return 0.0
    interval = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    excess = np.bincount(interval, weights=correct - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(excess).sum() / confidence.size)
