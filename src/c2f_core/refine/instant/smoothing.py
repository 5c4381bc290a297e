"""Guided filter by colours (He, Sun and Tang, PAMI 2013): smooth, but not across edges."""

import numpy as np
from numpy.typing import NDArray

from c2f_core.opencv import cv2

RADIUS = 4
"""Half side in pixels of the windows."""
SMOOTHNESS = 1e-3
"""Regularisation: variance of colours in [0, 1] up to which a window counts as flat."""
HALO = 2 * RADIUS
_Plane = NDArray[np.float32]


class GuidedFilter:
    """Guided filter of planes by the colours of an image.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image that guides the filter.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._guide: list[_Plane] = [
            plane.astype(np.float32) / np.float32(255) for plane in np.moveaxis(rgb, -1, 0)
        ]
        self._means = [_mean(plane) for plane in self._guide]
        a, b, c, d, e, f = (
            _mean(self._guide[i] * self._guide[j])
            - self._means[i] * self._means[j]
            + (SMOOTHNESS if i == j else 0)
            for i in range(3)
            for j in range(i, 3)
        )
        aa, ab, ac = d * f - e * e, c * e - b * f, b * e - c * d
        bb, bc, cc = a * f - c * c, b * c - a * e, a * d - b * b
        determinant = a * aa + b * ab + c * ac
        rows = ((aa, ab, ac), (ab, bb, bc), (ac, bc, cc))
        self._inverse: list[list[_Plane]] = [
            [np.asarray(entry / determinant, np.float32) for entry in row] for row in rows
        ]

    def __call__(self, plane: _Plane) -> _Plane:
        """Return the filtered plane."""
        mean = _mean(plane)
        covariances = [
            _mean(guide * plane) - guide_mean * mean
            for guide, guide_mean in zip(self._guide, self._means, strict=True)
        ]
        slopes: list[_Plane] = [
            row[0] * covariances[0] + row[1] * covariances[1] + row[2] * covariances[2]
            for row in self._inverse
        ]
        offset = mean.copy()
        for slope, guide_mean in zip(slopes, self._means, strict=True):
            np.subtract(offset, slope * guide_mean, out=offset)
        filtered = _mean(offset)
        for slope, guide in zip(slopes, self._guide, strict=True):
            filtered += _mean(slope) * guide
        return filtered


def _mean(plane: _Plane) -> _Plane:
    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.boxFilter(plane, -1, size, borderType=cv2.BORDER_REFLECT), np.float32)
