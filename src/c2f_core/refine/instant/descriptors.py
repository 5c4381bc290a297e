"""Descriptors of the pixels of an image: quantised colours and textures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Window
from c2f_core.opencv import cv2

COLOUR_BINS = (16, 16, 16)
"""Bins of lightness and of the two colour axes (CIELAB)."""
TEXTURE_BINS = (14, 10, 10)
"""Bins of smoothed lightness, of its local deviation and of its gradient."""
TEXTURE_SCALE = 1.0
"""Standard deviation in pixels of the Gaussian window of the texture."""
LARGEST_SAMPLE = 1 << 20
"""Number of pixels from which the ranges of the bins are taken."""
HALO = 8
"""Surroundings in pixels on which the descriptors of a window depend."""
_Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Descriptors:
    """Descriptors of the pixels of a window.

    Attributes
    ----------
    lab : (Y, X, 3) float32 array
        CIELAB colours, less the mean colour of the image.
    bins : tuple of (Y, X) int32 arrays
        Bin of each pixel in the colour histogram and in the texture histogram.
    """

    lab: NDArray[np.float32]
    bins: tuple[NDArray[np.int32], ...]


class Describer:
    """Describe the windows of one image in the same terms.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    """

    sizes = (int(np.prod(COLOUR_BINS)), int(np.prod(TEXTURE_BINS)))
    shapes = (COLOUR_BINS, TEXTURE_BINS)

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb = rgb
        step = max(1, int(np.ceil(np.sqrt(rgb.shape[0] * rgb.shape[1] / LARGEST_SAMPLE))))
        height, width = rgb.shape[:2]
        rows = slice(0, height, step)
        lab = _lab(np.ascontiguousarray(rgb[rows, ::step]))
        self._mean = lab.reshape(-1, 3).mean(axis=0)
        window = _centre(height, width, int(np.sqrt(LARGEST_SAMPLE)))
        texture = _texture(_lab(rgb[window])[..., 0])
        self._ranges = [_range(lab[..., axis]) for axis in range(3)]
        self._texture_ranges = [_range(plane) for plane in texture]

    def describe(self, window: Window) -> Descriptors:
        """Return the descriptors of a window of the image."""
        rows, columns = window
        top, left = max(rows.start - HALO, 0), max(columns.start - HALO, 0)
        lab = _lab(self._rgb[top : rows.stop + HALO, left : columns.stop + HALO])
        inner = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        texture = [plane[inner] for plane in _texture(np.ascontiguousarray(lab[..., 0]))]
        lab = lab[inner]
        colours = [lab[..., axis] for axis in range(3)]
        return Descriptors(
            lab - self._mean,
            (
                _joint_bin(colours, self._ranges, COLOUR_BINS),
                _joint_bin(texture, self._texture_ranges, TEXTURE_BINS),
            ),
        )


def _centre(height: int, width: int, largest: int) -> Window:
    top, left = max(0, (height - largest) // 2), max(0, (width - largest) // 2)
    return slice(top, top + largest), slice(left, left + largest)


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    scaled = np.ascontiguousarray(rgb).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)


def _texture(lightness: _Plane) -> list[_Plane]:
    smooth = cv2.GaussianBlur(lightness, (0, 0), TEXTURE_SCALE)
    square = cv2.GaussianBlur(lightness * lightness, (0, 0), TEXTURE_SCALE)
    gradient = cv2.magnitude(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    )
    return [smooth, np.sqrt(np.maximum(square - smooth * smooth, 0)), gradient]


def _range(plane: _Plane) -> tuple[float, float]:
    low, high = np.percentile(plane, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-3))


def _joint_bin(
    planes: list[_Plane], ranges: list[tuple[float, float]], counts: tuple[int, ...]
) -> NDArray[np.int32]:
    joint = np.zeros(planes[0].shape, dtype=np.int32)
    for plane, (low, high), count in zip(planes, ranges, counts, strict=True):
        scaled = (plane - low) * (count / (high - low))
        joint = joint * count + np.clip(scaled, 0, count - 1).astype(np.int32)
    return joint
