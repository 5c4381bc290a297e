"""Do no harm: a changed region that is not expected to gain keeps its coarse label.

The expected gain of a region is the share of its pixels that become right less the share
that become wrong. It is estimated by boosted regression trees from what can be seen
without a fine map (`changes.FEATURES`). `scripts/fit_gate.py` fits them on simulated
coarse maps of many kinds of images.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.refine.changes import FEATURES, find_changes
from c2f_core.refine.clean_up import dissolve_islands
from c2f_core.refine.interface import ClassIds, Confidence
from c2f_core.refine.scope import Care

MODEL_FILE = Path(__file__).with_name("gate.json")
DOUBTFUL_DISTANCE = 24.0
"""Distance in pixels from the coarse boundary at which the log odds of a change are one less."""
NEARLY_FINE = 0.65
"""Share of the usual displacement below which a map is taken to be nearly fine."""
SURER = 1.25
"""Weight of the logarithm of that share in the log odds of a change."""
UNDECIDED = 0.5
"""Largest confidence where a change was rejected: both labels are possible."""


@dataclass(frozen=True)
class _Demand:
    """What is demanded of the changes of a map.

    Attributes
    ----------
    of_region : float
        Smallest expected gain of a region, per pixel.
    of_map : float
        Smallest expected gain of all accepted changes, per pixel that the refiner
        changed. Errors of a refiner in one image come together.
    """

    of_region: float
    of_map: float


DEMANDS: dict[Care, _Demand] = {"careful": _Demand(0.1, 0.25), "balanced": _Demand(0.0, 0.1)}


def keep_gains(
    rgb: NDArray[np.uint8],
    coarse: ClassIds,
    fine: ClassIds,
    confidence: Confidence,
    care: Care = "careful",
    smallest_region: int = 0,
    *,
    confidence_weight: float = 0.0,
    usual_displacement: float | None = None,
) -> tuple[ClassIds, Confidence]:
    """Take back the changes of a refined map that are not expected to gain.

    Unlabelled pixels of the coarse map keep the class that the refiner gave them.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    confidence : (Y, X) float32 array
        Confidence of the refined map in [0, 1].
    care : {"careful", "balanced", "model"}
        "careful" keeps changes with a clear expected gain, and none if those of the
        whole map are doubtful; "balanced" keeps changes that are more likely to help
        than to harm; "model" keeps all.
    smallest_region : int
        Number of pixels below which regions that the coarse map does not have are
        dissolved before changes are examined; see `dissolve_islands`.
    confidence_weight : float
        Weight in [0, 1] of the gain that the confidence promises, against the one that is
        estimated from the look of a change; see `RefinerInterface.confidence_weight`.
    usual_displacement : float, optional
        Mean distance in pixels between coarse and fine boundaries that the confidence was
        calibrated on. The fewer changes there are for the length of the boundaries, the more
        likely it is that the map is nearly fine, and the surer a change has to be.

    Returns
    -------
    fine : (Y, X) uint8 array
        Class ids.
    confidence : (Y, X) float32 array
        At most 0.5 where a change was taken back.
    """
    if care == "model":
        return fine, confidence
    cleaned = dissolve_islands(coarse, fine, smallest_region)
    changes = find_changes(rgb, coarse, cleaned, confidence)
    gains = (1 - confidence_weight) * expected_gains(changes.features)
    gains += confidence_weight * _gains_by_confidence(changes.features, usual_displacement)
    rejected = _rejected(changes.sizes, gains, DEMANDS[care])[changes.regions]
    return (
        np.where(rejected, coarse, cleaned),
        np.where(rejected, np.minimum(confidence, UNDECIDED), confidence).astype(np.float32),
    )


def _rejected(
    sizes: NDArray[np.int64], gains: NDArray[np.float64], demand: _Demand
) -> NDArray[np.bool_]:
    """Return which regions are rejected, by their number; 0 stands for unchanged pixels."""
    rejected = np.zeros(len(sizes) + 1, dtype=np.bool_)
    if not len(sizes):
        return rejected
    rejected[1:] = gains < demand.of_region
    expected = (gains * sizes)[~rejected[1:]].sum()
    if expected < demand.of_map * sizes.sum():
        rejected[1:] = True
    return rejected


def _gains_by_confidence(
    features: NDArray[np.float32], usual_displacement: float | None
) -> NDArray[np.float64]:
    """Return the probability that the new class is right less that of the opposite.

    Coarse maps are wrong near their boundaries: the further away, the surer a change has to be.
    The same holds for maps that are nearly fine, of which a refiner was shown few.
    """
    log_odds = features[:, FEATURES.index("log odds of the confidence")].astype(np.float64)
    distances = features[:, FEATURES.index("mean distance to the coarse boundary")]
    log_odds -= distances / DOUBTFUL_DISTANCE
    if usual_displacement is not None:
        shares = features[:, FEATURES.index("changed share along the boundaries")]
        log_odds += SURER * np.minimum(shares - np.log(NEARLY_FINE * usual_displacement), 0)
    return np.asarray(np.tanh(log_odds / 2), dtype=np.float64)


def expected_gains(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the expected gain per pixel of changed regions.

    Parameters
    ----------
    features : (N, 19) float32 array
        Features of the regions, in the order of `changes.FEATURES`.

    Returns
    -------
    (N,) float64 array
        Gains of about -1 (all pixels become wrong) to 1 (all become right).
    """
    model = _model()
    gains = np.full(len(features), model["base"], dtype=np.float64)
    for tree in model["trees"]:
        gains += _evaluate(tree, features)
    return gains


def _evaluate(tree: dict[str, NDArray[Any]], features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the value of the leaf of a regression tree that each row of features falls into."""
    nodes = np.zeros(len(features), dtype=np.intp)
    rows = np.arange(len(features))
    while (inner := tree["feature"][nodes] >= 0).any():
        left = features[rows, tree["feature"][nodes]] <= tree["threshold"][nodes]
        nodes = np.where(inner, np.where(left, tree["left"][nodes], tree["right"][nodes]), nodes)
    return np.asarray(tree["value"][nodes], dtype=np.float64)


@cache
def _model() -> dict[str, Any]:
    read = json.loads(MODEL_FILE.read_text(encoding="utf-8"))
    trees = [{key: np.array(values) for key, values in tree.items()} for tree in read["trees"]]
    return {"base": read["base"], "trees": trees}
