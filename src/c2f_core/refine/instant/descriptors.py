"""Descriptors of the pixels of an image: quantised colours and textures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Window, from_corner, grown
from c2f_core.opencv import cv2

COLOUR_BINS = (16, 16, 16)
"""Bins of lightness and of the two colour axes (CIELAB)."""
TEXTURE_BINS = (14, 10, 10)
"""Bins of smoothed lightness, of its local deviation and of its gradient."""
TEXTURE_SCALE = 1.0
"""Standard deviation in pixels of the Gaussian window of the texture."""
LARGEST_SAMPLE = 1 << 20
"""Number of pixels from which the bins are taken."""
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
    """Describe the pixels of one image in the same terms, whichever window they are in.

    Parameters
    ----------
    colours : (Y, X, 3) uint8 array
        Sample of the RGB colours of the image, from which the mean colour and the bins of the
        colours are taken.
    textures : sequence of (Y, X, 3) uint8 arrays
        Windows of the image from which the bins of the texture are taken.
    """

    sizes = (int(np.prod(COLOUR_BINS)), int(np.prod(TEXTURE_BINS)))
    shapes = (COLOUR_BINS, TEXTURE_BINS)

    def __init__(self, colours: NDArray[np.uint8], textures: Sequence[NDArray[np.uint8]]) -> None:
        lab = _lab(colours)
        self._mean = lab.reshape(-1, 3).mean(axis=0)
        self._ranges = [_range(lab[..., axis]) for axis in range(3)]
        planes = zip(*(_texture(_lab(window)[..., 0]) for window in textures), strict=True)
        self._texture_ranges = [
            _range(np.concatenate([plane.ravel() for plane in same])) for same in planes
        ]

    @classmethod
    def of_image(cls, rgb: NDArray[np.uint8]) -> "Describer":
        """Return the describer of an image, (Y, X, 3) uint8."""
        step = _step(rgb.shape[0] * rgb.shape[1])
        return cls(rgb[::step, ::step], [_centre(rgb, LARGEST_SAMPLE)])

    @classmethod
    def of_windows(cls, windows: Sequence[NDArray[np.uint8]]) -> "Describer":
        """Return the describer of an image of which some windows, (Y, X, 3) uint8, are known."""
        step = _step(sum(window.size // 3 for window in windows))
        colours = [window[::step, ::step].reshape(-1, 1, 3) for window in windows]
        largest = LARGEST_SAMPLE // len(windows)
        return cls(np.concatenate(colours), [_centre(window, largest) for window in windows])

    def describe(self, rgb: NDArray[np.uint8], window: Window) -> Descriptors:
        """Return the descriptors of a window.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            The image, or a part that contains the window and 8 pixels around it.
        window : (slice, slice)
            Rows and columns in this part.
        """
        outer = grown(window, HALO, (rgb.shape[0], rgb.shape[1]))
        lab, inner = _lab(rgb[outer]), from_corner(window, outer)
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


def _step(pixels: int) -> int:
    """Return the step with which pixels are taken so that the sample is not too large."""
    return max(1, int(np.ceil(np.sqrt(pixels / LARGEST_SAMPLE))))


def _centre(rgb: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Return a square from the middle of an image, with at most the given number of pixels."""
    height, width = rgb.shape[:2]
    side = int(np.sqrt(pixels))
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return rgb[top : top + side, left : left + side]


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
