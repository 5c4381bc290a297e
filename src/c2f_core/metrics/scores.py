"""Scores of fine maps: pixels, regions, boundaries, damage.

All functions work on positions (Y, X) uint8. Pixels that are unlabelled (255)
in the fine map are left out everywhere; unlabelled pixels in a prediction are
wrong. Shares are in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.classes.table import UNLABELLED_ID

Positions = NDArray[np.uint8]
TRIMAP_WIDTHS = (1, 3, 5, 10)
BOUNDARY_IOU_RATIO = 0.02
BOUNDARY_ACCURACY_STEPS = 5


def confusion_matrix(
    predicted: Positions, fine: Positions, number_of_classes: int
) -> NDArray[np.int64]:
    """Count pixels by fine class (rows) and predicted class (columns).

    Returns
    -------
    (C, C + 1) int64 array
        The last column counts pixels whose prediction is unlabelled.
    """
    labelled = fine < number_of_classes
    columns = np.minimum(predicted[labelled], number_of_classes).astype(np.int64)
    codes = fine[labelled].astype(np.int64) * (number_of_classes + 1) + columns
    size = number_of_classes * (number_of_classes + 1)
    return np.bincount(codes, minlength=size).reshape(number_of_classes, -1).astype(np.int64)


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of labelled pixels that are right; NaN where nothing is labelled."""
    total = int(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each fine class that is right, (C,); NaN for classes that do not occur."""
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1))


def intersection_over_union(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each class, (C,); NaN where neither map has the class."""
    right = np.diagonal(confusion)
    predicted = confusion[:, : len(confusion)].sum(axis=0)
    return _ratio(right, confusion.sum(axis=1) + predicted - right)


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean intersection over union of the classes that occur."""
    return mean_of_known(intersection_over_union(confusion))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def mean_of_known(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def boundary_pixels(
    fine: NDArray[Any], unlabelled: int | None = UNLABELLED_ID
) -> NDArray[np.bool_]:
    """Mark pixels with a 4-neighbour of another class.

    Parameters
    ----------
    fine : (Y, X) integer array
    unlabelled : int, optional
        Value that makes no boundary; with None every value does.
    """
    marked = np.zeros(fine.shape, dtype=bool)
    for first, second in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differ = fine[first] != fine[second]
        if unlabelled is not None:
            differ &= (fine[first] != unlabelled) & (fine[second] != unlabelled)
        marked[first] |= differ
        marked[second] |= differ
    return marked


def trimap_accuracy(
    predicted: Positions, fine: Positions, widths: Sequence[int] = TRIMAP_WIDTHS
) -> dict[int, float]:
    """Accuracy in bands of w px on either side of the fine boundaries.

    The pixels that touch a boundary are the band of 1 px (Kohli et al., IJCV 2009).

    Returns
    -------
    dict
        Accuracy by width; NaN where the fine map has no boundary.
    """
    boundary = boundary_pixels(fine)
    if not boundary.any():
        return dict.fromkeys(widths, float("nan"))
    distance = ndimage.distance_transform_edt(~boundary)
    right = predicted == fine
    labelled = fine != UNLABELLED_ID
    return {width: float(right[labelled & (distance < width)].mean()) for width in widths}


def boundary_iou(predicted: Positions, fine: Positions, number_of_classes: int) -> float:
    """Mean boundary IoU (Cheng et al., CVPR 2021, equation 1) of the classes that occur.

    The inner band of a class reaches 2 % of the image diagonal from its
    contour, and the border of the image is a contour, as in the paper's code.
    """
    width = max(1, round(BOUNDARY_IOU_RATIO * float(np.hypot(*fine.shape))))
    labelled = fine != UNLABELLED_ID
    scores = []
    for position in range(number_of_classes):
        bands = [_inner_band(labelled & (each == position), width) for each in (predicted, fine)]
        union = (bands[0] | bands[1]).sum()
        if union:
            scores.append(float((bands[0] & bands[1]).sum() / union))
    return mean_of_known(scores)


def _inner_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    distance = ndimage.distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1]
    band: NDArray[np.bool_] = mask & (distance <= width)
    return band


def mean_boundary_accuracy(predicted: Positions, fine: Positions, number_of_classes: int) -> float:
    """Mean boundary accuracy of CascadePSP (Cheng et al., CVPR 2020, section 4.1).

    Five radii from 1 px towards (height + width) / 300 px, as in the paper's
    code; in each, the share of pixels within the radius of a class's boundary
    that are rightly inside or outside it. Mean over radii and over all classes
    of the fine map, background included.
    """
    largest = sum(fine.shape) / 300
    radii = [
        1 + int((largest - 1) / BOUNDARY_ACCURACY_STEPS * step)
        for step in range(BOUNDARY_ACCURACY_STEPS)
    ]
    labelled = fine != UNLABELLED_ID
    scores = []
    for position in range(number_of_classes):
        inside = fine == position
        if not inside.any() or inside.all():
            continue
        distance = np.where(
            inside,
            ndimage.distance_transform_edt(inside),
            ndimage.distance_transform_edt(~inside),
        )
        right = (predicted == position) == inside
        scores += [mean_of_known(right[labelled & (distance <= radius)]) for radius in radii]
    return mean_of_known(scores)


@dataclass(frozen=True)
class Scores:
    """Scores of one image.

    Attributes
    ----------
    confusion : (C, C + 1) int64 array
        See `confusion_matrix`.
    pixel_accuracy, mean_iou, boundary_iou, mean_boundary_accuracy : float
    trimap : dict
        Accuracy by width of the band in pixels.
    damage, gain : float
        Shares of the labelled pixels: right in the coarse map and wrong
        afterwards, and the other way round.
    worse : bool
        The pixel accuracy is below that of the coarse map.
    """

    confusion: NDArray[np.int64]
    pixel_accuracy: float
    mean_iou: float
    trimap: dict[int, float]
    boundary_iou: float
    mean_boundary_accuracy: float
    damage: float
    gain: float
    worse: bool


def score_pair(
    predicted: Positions, coarse: Positions, fine: Positions, number_of_classes: int
) -> Scores:
    """Score the prediction for one image.

    Parameters
    ----------
    predicted, coarse, fine : (Y, X) uint8 array
        Positions; 255 is unlabelled.
    number_of_classes : int

    Returns
    -------
    Scores
    """
    confusion = confusion_matrix(predicted, fine, number_of_classes)
    labelled = fine != UNLABELLED_ID
    before, after = (coarse == fine)[labelled], (predicted == fine)[labelled]
    return Scores(
        confusion=confusion,
        pixel_accuracy=pixel_accuracy(confusion),
        mean_iou=mean_iou(confusion),
        trimap=trimap_accuracy(predicted, fine),
        boundary_iou=boundary_iou(predicted, fine, number_of_classes),
        mean_boundary_accuracy=mean_boundary_accuracy(predicted, fine, number_of_classes),
        damage=mean_of_known(before & ~after),
        gain=mean_of_known(after & ~before),
        worse=bool(after.sum() < before.sum()),
    )


def mean_scores(scores: Sequence[Scores], names: Sequence[str]) -> dict[str, float]:
    """Summarise the scores of images.

    Pixel accuracy, trimap accuracies, boundary scores, damage and gain are
    means over the images. mIoU, the IoU and the accuracy of each class are of
    the pooled confusion matrix, so that a class that few images hold counts by
    its pixels. "images made worse" is a count.

    Parameters
    ----------
    scores : sequence of Scores
    names : sequence of str
        Class names in order.

    Returns
    -------
    dict
        Value by name, in the order of the published tables.
    """
    pooled = np.sum([score.confusion for score in scores], axis=0)
    summary = {
        "pixel accuracy": mean_of_known([score.pixel_accuracy for score in scores]),
        "mIoU": mean_iou(pooled),
    }
    for width in TRIMAP_WIDTHS:
        summary[f"trimap {width}"] = mean_of_known([score.trimap[width] for score in scores])
    summary["boundary IoU"] = mean_of_known([score.boundary_iou for score in scores])
    summary["mean boundary accuracy"] = mean_of_known(
        [score.mean_boundary_accuracy for score in scores]
    )
    summary["damage"] = mean_of_known([score.damage for score in scores])
    summary["gain"] = mean_of_known([score.gain for score in scores])
    summary["images made worse"] = float(sum(score.worse for score in scores))
    for kind, values in (
        ("accuracy", class_accuracy(pooled)),
        ("IoU", intersection_over_union(pooled)),
    ):
        summary |= {
            f"{kind} {name}": float(value) for name, value in zip(names, values, strict=True)
        }
    return summary
