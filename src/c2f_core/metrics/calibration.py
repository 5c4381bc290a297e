"""Calibration of confidence: temperature scaling and the expected calibration error.

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
"""Smallest and largest temperature; a perfect classifier gets the smallest one."""


def fit_temperature(
    logits: NDArray[np.floating[Any]], class_ids: NDArray[np.integer[Any]]
) -> float:
    """Find the temperature at which the softmax of the logits is calibrated.

    The mean negative log-likelihood of ``softmax(logits / T)`` is convex in
    ``1 / T``; a bounded search finds its only minimum [1]_.

    Parameters
    ----------
    logits : (N, C) float array
        Network outputs of validation pixels.
    class_ids : (N,) integer array
        True class ids, 0 to C - 1; unlabelled pixels (255) are ignored.

    Returns
    -------
    float
        Temperature T in `TEMPERATURE_RANGE`; above 1 if the network was too confident.

    Raises
    ------
    DataError
        If no pixel is labelled, shapes do not fit or a logit is not finite.
    """
    logits, class_ids = _labelled(np.asarray(logits), np.asarray(class_ids))
    true_logits = np.take_along_axis(logits, class_ids[:, None], axis=1)[:, 0]

    def loss(inverse: float) -> float:
        return float(np.mean(logsumexp(logits * inverse, axis=1) - true_logits * inverse))

    coldest, hottest = TEMPERATURE_RANGE
    found = minimize_scalar(
        loss, bounds=(1 / hottest, 1 / coldest), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.clip(1 / found.x, coldest, hottest))


def _labelled(
    logits: NDArray[Any], class_ids: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    if logits.ndim != 2 or class_ids.shape != logits.shape[:1]:
        raise DataError(
            f"Logits of shape {logits.shape} and class ids of shape {class_ids.shape} do not "
            "fit; give (N, C) and (N,)."
        )
    labelled = class_ids != UNLABELLED_ID
    if not labelled.any():
        raise DataError("No pixel is labelled, so no temperature can be fitted; add fine maps.")
    logits = logits[labelled].astype(np.float64)
    if not np.isfinite(logits).all():
        raise DataError(
            "The network's outputs are not finite; train again with a lower learning rate."
        )
    return logits, class_ids[labelled].astype(np.intp)


def expected_calibration_error(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], bins: int = 15
) -> float:
    """Return the expected calibration error: the difference of confidence and accuracy.

    Confidences fall into `bins` intervals of equal width, closed on the right;
    the result is the mean of ``|accuracy - mean confidence|`` over the
    intervals, weighted by their pixels [1]_.

    Parameters
    ----------
    confidence : (N,) float array
        Estimated probabilities in [0, 1].
    correct : (N,) boolean array
        Whether each label is right.
    bins : int
        Number of intervals.

    Returns
    -------
    float
        Error in [0, 1]; 0 is perfect, and also the result for no pixels.

    Raises
    ------
    DataError
        If the shapes differ.
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
