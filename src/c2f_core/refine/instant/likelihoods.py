"""Likelihoods of the classes at each pixel, learned inside the regions of the coarse map.

The likelihoods are cross-fitted: a pixel is judged by pixels of other squares of the
image, so that a class whose own pixels are not recognised is noticed.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.opencv import cv2
from c2f_core.refine.instant.descriptors import Describer, Descriptors

FOLDS = 4
SQUARE = 48
"""Side in pixels of the squares of a fold; the squares of four folds alternate."""
SPREAD = 0.75
"""Standard deviation in bins by which the histograms are smoothed."""
FLOOR = 0.015
"""Share of the mean of all classes that is mixed into each histogram."""
SMALLEST_DENSITY = 5e-4
"""Density of a bin that no class has, as a share of the mean density of all bins."""
LOWEST = float(np.log(1e-3))
"""Lowest logarithm of a class's share of the likelihood."""
NEAR, FAR = 8, 48
"""Inner and outer half side in pixels of the square ring of local colours."""
SHRINKAGE = 0.02
"""Weight of the class's colours in the whole image, as a share of the ring's pixels."""
CLASS_NOISE, FEW_NOISE, FEW = 4.0, 50.0, 4
"""Variance that is added to that of a class's colours; that of a class with few examples; few."""
COLOUR_NOISE = 6.0
"""Variance that is added to the variances of local colours, in squared CIELAB units."""
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def fold_of_rows_and_columns(rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Return the fold in 0..3 of each pixel of a window."""
    vertical = (np.arange(rows.start, rows.stop) // SQUARE) % 2
    horizontal = (np.arange(columns.start, columns.stop) // SQUARE) % 2
    folds: NDArray[np.uint8] = (2 * vertical[:, None] + horizontal).astype(np.uint8)
    return folds


class ClassModels:
    """Colour and texture histograms and mean colours of each class of a coarse map.

    Parameters
    ----------
    class_count : int
        Number of classes in the coarse map.
    """

    def __init__(self, class_count: int) -> None:
        self._counts = [np.zeros((FOLDS, class_count, size)) for size in Describer.sizes]
        self._moments = np.zeros((class_count, 10))
        self._log_densities: list[NDArray[np.float32]] = []
        self._gaussians: NDArray[np.float32] = np.zeros((class_count, 9), np.float32)

    def add(
        self,
        descriptors: Descriptors,
        examples: NDArray[np.int64],
        classes: NDArray[np.int64],
        folds: NDArray[np.uint8],
    ) -> None:
        """Add the examples of a window.

        Parameters
        ----------
        descriptors : Descriptors
            Descriptors of the window.
        examples : (N,) int64 array
            Flat indices of the example pixels in the window.
        classes : (N,) int64 array
            Class of each example, in 0..K-1.
        folds : (N,) uint8 array
            Fold of each example.
        """
        count = len(self._moments)
        for counts, bins in zip(self._counts, descriptors.bins, strict=True):
            size = counts.shape[-1]
            joint = (folds.astype(np.int64) * count + classes) * size + bins.ravel()[examples]
            counts += np.bincount(joint, minlength=counts.size).reshape(counts.shape)
        colours = descriptors.lab.reshape(-1, 3)[examples].astype(np.float64)
        products = [colours[:, i] * colours[:, j] for i, j in _PAIRS]
        for column, values in enumerate([np.ones(len(examples)), *colours.T, *products]):
            self._moments[:, column] += np.bincount(classes, values, minlength=count)

    def fit(self) -> None:
        """Compute the densities from the examples added so far."""
        self._log_densities = [
            _cross_fitted(counts, shape)
            for counts, shape in zip(self._counts, Describer.shapes, strict=True)
        ]
        self._gaussians = _shrunken_gaussians(self._moments)

    def log_likelihoods(
        self,
        descriptors: Descriptors,
        candidates: NDArray[np.intp],
        masks: NDArray[np.bool_],
        folds: NDArray[np.uint8],
    ) -> NDArray[np.float32]:
        """Return the normalised log-likelihoods of some classes in a window.

        Parameters
        ----------
        descriptors : Descriptors
            Descriptors of the window.
        candidates : (K,) integer array
            Classes.
        masks : (K, Y, X) boolean array
            Examples of each of these classes in the window.
        folds : (Y, X) uint8 array
            Fold of each pixel.

        Returns
        -------
        (3, K, Y, X) float32 array
            By colours, by colours nearby, by texture; over the classes, the
            likelihoods of a pixel sum to one.
        """
        found = np.empty((3, *masks.shape), np.float32)
        for row, (candidate, mask) in enumerate(zip(candidates, masks, strict=True)):
            colours, texture = (
                log_densities[folds, candidate, bins]
                for log_densities, bins in zip(self._log_densities, descriptors.bins, strict=True)
            )
            nearby = _local_gaussian(descriptors.lab, mask, self._gaussians[candidate])
            found[0, row], found[1, row], found[2, row] = colours, nearby, texture
        for each in found:
            _normalise(each)
        return found


def _cross_fitted(counts: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the log-density of each bin by class, for each fold from the other folds."""
    total = counts.sum(axis=0)
    classes = total.shape[0]
    log_densities = np.empty(counts.shape, dtype=np.float32)
    for fold, own in enumerate(counts):
        others = total - own
        few = others.sum(axis=1) < 0.2 * total.sum(axis=1)
        others[few] = total[few]
        smooth = ndimage.gaussian_filter(
            others.reshape(classes, *shape), (0, SPREAD, SPREAD, SPREAD)
        ).reshape(classes, -1)
        density = smooth / np.maximum(smooth.sum(axis=1, keepdims=True), 1e-9)
        density += FLOOR * density.mean(axis=0) + SMALLEST_DENSITY / density.shape[1]
        log_densities[fold] = np.log(density)
    return log_densities


def _shrunken_gaussians(moments: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean and the second moments of each class's colours, with some noise added."""
    means = moments[:, 1:] / np.maximum(moments[:, :1], 1)
    for column, (i, j) in enumerate(_PAIRS):
        if i == j:
            means[:, 3 + column] += np.where(moments[:, 0] < FEW, FEW_NOISE, CLASS_NOISE)
    return means.astype(np.float32)


def _ring(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum over the square ring around each pixel."""
    outer, inner = (
        np.asarray(
            cv2.boxFilter(
                values, -1, (2 * half + 1,) * 2, normalize=False, borderType=cv2.BORDER_CONSTANT
            ),
            np.float32,
        )
        for half in (FAR, NEAR)
    )
    return outer - inner


def _local_gaussian(
    lab: NDArray[np.float32], mask: NDArray[np.bool_], gaussian: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the log-density of each pixel under the Gaussian of a class's colours nearby."""
    weight = mask.astype(np.float32)
    prior = SHRINKAGE * (2 * FAR + 1) ** 2
    total = np.maximum(_ring(weight), 0) + prior
    planes = [lab[..., axis] for axis in range(3)]
    means = [
        (_ring(weight * plane) + prior * gaussian[axis]) / total
        for axis, plane in enumerate(planes)
    ]
    covariances = []
    for column, (i, j) in enumerate(_PAIRS):
        second = (_ring(weight * planes[i] * planes[j]) + prior * gaussian[3 + column]) / total
        covariances.append(second - means[i] * means[j] + (COLOUR_NOISE if i == j else 0.0))
    x, y, z = (plane - mean for plane, mean in zip(planes, means, strict=True))
    a, b, c, d, e, f = covariances
    aa, ab, ac = d * f - e * e, c * e - b * f, b * e - c * d
    bb, bc, cc = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = np.maximum(a * aa + b * ab + c * ac, 1.0)
    square = aa * x * x + bb * y * y + cc * z * z + 2 * (ab * x * y + ac * x * z + bc * y * z)
    log_density: NDArray[np.float32] = -0.5 * np.maximum(square, 0) / determinant - 0.5 * np.log(
        determinant
    )
    return log_density


def _normalise(log_likelihoods: NDArray[np.float32]) -> None:
    """Make the likelihoods (K, Y, X) of each pixel sum to one, in place."""
    log_likelihoods -= log_likelihoods.max(axis=0)
    total = np.zeros(log_likelihoods.shape[1:], np.float32)
    for plane in log_likelihoods:
        total += np.exp(plane)
    log_likelihoods -= np.log(total)
    np.maximum(log_likelihoods, LOWEST, out=log_likelihoods)
