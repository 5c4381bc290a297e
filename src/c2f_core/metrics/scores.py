"""Scores of fine maps: pixels, regions, boundaries, damage.

All functions work on class ids (Y, X) uint8. Pixels that are unlabelled (255) in
the fine map are ignored everywhere; unlabelled pixels in a prediction are wrong.
Scores are in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.geometry.arrays import boundary_pixels

ClassIds = NDArray[np.uint8]
TRIMAP_WIDTHS = (1, 3, 5, 10)
"""Widths of the trimap bands in pixels."""
BOUNDARY_IOU_RATIO = 0.02
"""Width of the inner band of the boundary IoU, relative to the image diagonal."""
BOUNDARY_ACCURACY_STEPS = 5
"""Number of radii of the mean boundary accuracy."""


def confusion_matrix(
    predicted: ClassIds, fine: ClassIds, number_of_classes: int
) -> NDArray[np.int64]:
    """Count pixels by fine class (rows) and predicted class (columns).

    Parameters
    ----------
    predicted, fine : (Y, X) uint8 array
        Class ids of the prediction and of the fine map.
    number_of_classes : int
        Number of classes C.

    Returns
    -------
    (C, C + 1) int64 array
        Numbers of pixels; the last column is of those whose prediction is unlabelled.
    """
    labelled = fine < number_of_classes
    columns = np.minimum(predicted[labelled], number_of_classes).astype(np.int64)
    codes = fine[labelled].astype(np.int64) * (number_of_classes + 1) + columns
    size = number_of_classes * (number_of_classes + 1)
    return np.bincount(codes, minlength=size).reshape(number_of_classes, -1).astype(np.int64)


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the share of labelled pixels that are right; NaN if none is labelled."""
    total = int(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each fine class that is right, (C,); NaN if the class does not occur."""
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1))


def intersection_over_union(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intersection over union of each class, (C,); NaN if neither map has the class."""
    right = np.diagonal(confusion)
    predicted = confusion[:, : len(confusion)].sum(axis=0)
    return _ratio(right, confusion.sum(axis=1) + predicted - right)


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Return the mean intersection over union of the classes that occur."""
    return mean_of_known(intersection_over_union(confusion))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def mean_of_known(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def trimap_accuracy(
    predicted: ClassIds, fine: ClassIds, widths: Sequence[int] = TRIMAP_WIDTHS
) -> dict[int, float]:
    """Return the accuracy in bands on either side of the fine boundaries.

    The pixels that touch a boundary are the band of 1 px (Kohli et al., IJCV 2009).

    Parameters
    ----------
    predicted, fine : (Y, X) uint8 array
        Class ids of the prediction and of the fine map.
    widths : sequence of int
        Widths of the bands on either side, in pixels.

    Returns
    -------
    dict of int to float
        Accuracy by width; NaN if the fine map has no boundary.
    """
    boundary = boundary_pixels(fine)
    if not boundary.any():
        return dict.fromkeys(widths, float("nan"))
    distance = ndimage.distance_transform_edt(~boundary)
    right = predicted == fine
    labelled = fine != UNLABELLED_ID
    return {width: float(right[labelled & (distance < width)].mean()) for width in widths}


def boundary_iou(predicted: ClassIds, fine: ClassIds, number_of_classes: int) -> float:
    """Return the mean boundary IoU [1]_ of the classes that occur; NaN if there are none.

    The inner band of a class reaches 2 % of the image diagonal from its contour. The
    border of the image is a contour, as in the code of the paper.

    Parameters
    ----------
    predicted, fine : (Y, X) uint8 array
        Class ids of the prediction and of the fine map.
    number_of_classes : int
        Number of classes C.

    References
    ----------
    .. [1] B. Cheng, R. Girshick, P. Dollár, A. C. Berg, A. Kirillov: Boundary IoU:
       Improving Object-Centric Image Segmentation Evaluation. CVPR 2021, equation 1.
    """
    width = max(1, round(BOUNDARY_IOU_RATIO * float(np.hypot(*fine.shape))))
    labelled = fine != UNLABELLED_ID
    scores = []
    for class_id in range(number_of_classes):
        bands = [_inner_band(labelled & (each == class_id), width) for each in (predicted, fine)]
        union = (bands[0] | bands[1]).sum()
        if union:
            scores.append(float((bands[0] & bands[1]).sum() / union))
    return mean_of_known(scores)


def _inner_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    distance = ndimage.distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1]
    band: NDArray[np.bool_] = mask & (distance <= width)
    return band


def mean_boundary_accuracy(predicted: ClassIds, fine: ClassIds, number_of_classes: int) -> float:
    """Return the mean boundary accuracy [1]_, over radii and all classes of the fine map.

    For five radii from 1 px towards (height + width) / 300 px, as in the code of the
    paper, it is the share of pixels within the radius of the boundary of a class that
    are rightly inside or outside the class. The background is a class, too.

    Parameters
    ----------
    predicted, fine : (Y, X) uint8 array
        Class ids of the prediction and of the fine map.
    number_of_classes : int
        Number of classes C.

    References
    ----------
    .. [1] H. K. Cheng, J. Chung, Y.-W. Tai, C.-K. Tang: CascadePSP: Toward
       Class-Agnostic and Very High-Resolution Segmentation via Global and Local
       Refinement. CVPR 2020, section 4.1.
    """
    largest = sum(fine.shape) / 300
    radii = [
        1 + int((largest - 1) / BOUNDARY_ACCURACY_STEPS * step)
        for step in range(BOUNDARY_ACCURACY_STEPS)
    ]
    labelled = fine != UNLABELLED_ID
    scores = []
    for class_id in range(number_of_classes):
        inside = fine == class_id
        if not inside.any() or inside.all():
            continue
        distance = np.where(
            inside,
            ndimage.distance_transform_edt(inside),
            ndimage.distance_transform_edt(~inside),
        )
        right = (predicted == class_id) == inside
        scores += [mean_of_known(right[labelled & (distance <= radius)]) for radius in radii]
    return mean_of_known(scores)


@dataclass(frozen=True)
class Scores:
    """Scores of one image.

    Attributes
    ----------
    confusion : (C, C + 1) int64 array
        Numbers of pixels, see `confusion_matrix`.
    pixel_accuracy : float
        Share of the labelled pixels that are right.
    mean_iou : float
        Mean intersection over union of the classes that occur.
    trimap : dict of int to float
        Accuracy by width of the band in pixels.
    boundary_iou, mean_boundary_accuracy : float
        See the functions of the same names.
    damage : float
        Share of the labelled pixels that were right in the coarse map and are wrong
        now.
    gain : float
        Share of the labelled pixels that were wrong in the coarse map and are right
        now.
    worse : bool
        Whether the pixel accuracy is below that of the coarse map.
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
    predicted: ClassIds, coarse: ClassIds, fine: ClassIds, number_of_classes: int
) -> Scores:
    """Score the prediction for one image.

    Parameters
    ----------
    predicted, coarse, fine : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    number_of_classes : int
        Number of classes C.

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
    """Return a summary of the scores of several images.

    Pixel accuracy, trimap accuracies, boundary scores, damage and gain are means
    over the images. mIoU, IoU and accuracy of each class are computed from the
    pooled confusion matrix, so that a class that occurs in few images counts by its
    pixels. "images made worse" is a number of images.

    Parameters
    ----------
    scores : sequence of Scores
        Scores of each image.
    names : sequence of str
        Class names in the order of their ids.

    Returns
    -------
    dict of str to float
        Values by name, in the order of the published tables.
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
