"""What the class-agnostic network sees of each class: the evidence of the instant refiner."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Window
from c2f_core.networks.class_agnostic import EVIDENCE_CHANNELS, LOG_SCALE
from c2f_core.refine.instant.parts import REACH
from c2f_core.refine.instant.posterior import InstantModel

NEAR = 20
"""Distance in pixels to a window up to which classes may compete in it."""


@dataclass(frozen=True)
class NetworkEvidence:
    """Evidence for the classes of a window, as the network sees it.

    Attributes
    ----------
    candidates : (K,) integer array
        Class ids in ascending order.
    channels : (K, 7, Y, X) float32 array
        Evidence; see `c2f_core.networks.class_agnostic.EVIDENCE_CHANNELS`.
    distinct : (Y, X) boolean array
        Whether the classes look different around each pixel.
    """

    candidates: NDArray[np.intp]
    channels: NDArray[np.float32]
    distinct: NDArray[np.bool_]


def evidence_of(model: InstantModel, window: Window) -> NetworkEvidence:
    """Return the evidence for the classes in and near a window.

    Classes that are far away do not take part, unless the window has unlabelled pixels:
    they would change the means over the classes, and the result would depend on how
    an image is cut into windows.

    Parameters
    ----------
    model : InstantModel
        The part with the window, and what was learned of its image.
    window : (slice, slice)
        Rows and columns of the window in the part.
    """
    found = model.posterior(window)
    evidence, class_ids = found.evidence, model.part.class_ids[window]
    near = evidence.distances.max(axis=(1, 2)) > -NEAR
    if (class_ids == UNLABELLED_ID).any():
        near[:] = True
    candidates = evidence.candidates[near]
    channels = np.empty((len(candidates), EVIDENCE_CHANNELS, *class_ids.shape), np.float32)
    channels[:, 0] = class_ids[None] == candidates[:, None, None]
    channels[:, 1] = evidence.distances[near] / np.float32(REACH)
    channels[:, 2] = np.log(found.posterior[near]) / np.float32(LOG_SCALE)
    channels[:, 3:6] = evidence.log_likelihoods[:, near].swapaxes(0, 1) / np.float32(LOG_SCALE)
    channels[:, 6] = model.learned.fusion.recognised
    return NetworkEvidence(candidates, channels, found.distinct)
