"""Colour differences in images, in CIELAB, where edges of equal lightness count as others do."""

import numpy as np
from numpy.typing import NDArray

from c2f_core.opencv import cv2

BAND = 512
"""Number of rows whose gradient is computed at a time, to bound the memory."""


def to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert colours to CIELAB.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.

    Returns
    -------
    (Y, X, 3) float32 array
        L in [0, 100], a and b in about [-127, 127]. A distance of 2.3 is just visible.
    """
    shares = rgb.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(shares, cv2.COLOR_RGB2LAB), np.float32)


def colour_gradient(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the largest of the Sobel gradients of the three CIELAB channels.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.

    Returns
    -------
    (Y, X) float32 array
        Difference of CIELAB values per pixel.
    """
    height, width = rgb.shape[:2]
    gradient = np.empty((height, width), np.float32)
    for start in range(0, height, BAND):
        top = max(start - 1, 0)
        part = _gradient(rgb[top : start + BAND + 1])
        gradient[start : start + BAND] = part[start - top :][:BAND]
    return gradient


def _gradient(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    magnitudes = (
        cv2.magnitude(
            cv2.Sobel(channel, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE),
            cv2.Sobel(channel, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE),
        )
        for channel in cv2.split(to_lab(rgb))
    )
    first, second, third = magnitudes
    return np.maximum(np.maximum(first, second), third)
