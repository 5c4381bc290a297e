"""Random changes of training crops, one crop at a time: placement, colours, textures.

OpenCV on 8-bit arrays is faster than torch on floats, which matters on a CPU, where
the network waits for its batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.config.settings import AugmentationConfig
from c2f_core.opencv import cv2

# Weights of red, green and blue in grey (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
LEVELS = np.arange(256) / 255
"""Levels of a channel in [0, 1]."""
DISTORTION_SPACING = 32
"""Spacing of the points of a coarse map that move independently, in pixels."""
TEXTURES = 32
"""Number of textures of each kind."""
NOISE_LEVELS = 32
"""Grey levels per standard deviation in the stored noise."""
NOISE_MEAN = 128.0


@dataclass(frozen=True)
class Placement:
    """Placement of a square crop in an image.

    The pixel (column, row) of the crop is at the point `matrix @ (column, row, 1)` of the
    image, which is mirrored at its borders.

    Attributes
    ----------
    matrix : (2, 3) float array
        Affine matrix from pixels of the crop to x and y in pixels of the image.
    side : int
        Side length of the crop in pixels.
    """

    matrix: NDArray[np.float64]
    side: int

    def of_window(
        self, size: tuple[int, int], margin: float
    ) -> tuple["Placement", tuple[slice, slice]]:
        """Return the window of an image that a crop sees, and the placement in that window.

        OpenCV refuses images of 32,767 pixels or more per side, but not a part of one.

        Parameters
        ----------
        size : (int, int)
            Rows and columns of the image.
        margin : float
            Largest shift of a map, in pixels of the crop.

        Returns
        -------
        placement : Placement
            Placement of the crop in the window.
        window : (slice, slice)
            Rows and columns of the window.
        """
        points = self._corners(margin)
        window = [
            _seen(int(low) - 2, int(high) + 2, length)
            for low, high, length in zip(
                np.floor(points.min(axis=1)), np.ceil(points.max(axis=1)), size[::-1], strict=True
            )
        ]
        moved = self.matrix.copy()
        moved[:, 2] -= [part.start for part in window]
        return Placement(moved, self.side), (window[1], window[0])

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sample an image (Y, X, 3) bilinearly; (side, side, 3)."""
        # With four channels, OpenCV 5 takes half the time for the same values.
        sampled = cv2.warpAffine(
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),
            self.matrix,
            (self.side, self.side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return _bytes(cv2.cvtColor(sampled, cv2.COLOR_RGBA2RGB))

    def map(
        self, class_ids: NDArray[np.uint8], shift: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """Sample a map (Y, X) by nearest neighbour, optionally shifted; (side, side)."""
        grid = _grid(self.side)
        # Not by warpAffine: with OpenCV 4, its ties are not those of remap, and two maps differ.
        points = cv2.transform(grid if shift is None else grid + shift, self.matrix)
        # The stubs do not know that points (Y, X, 2) need no second map; an empty one hangs 5.0.
        sampled = cv2.remap(  # type: ignore[call-overload]
            class_ids, points, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101
        )
        return _bytes(sampled)

    def outside(self, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Mark the crop's pixels (side, side) outside of an image of this size; None for none."""
        points = self._corners(0)
        if points.min() >= 0 and (points.max(axis=1) <= np.subtract(size[::-1], 1)).all():
            return None
        inside = cv2.warpAffine(
            np.ones(size, dtype=np.uint8),
            self.matrix,
            (self.side, self.side),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
        return np.asarray(inside == 0)

    def _corners(self, margin: float) -> NDArray[np.float64]:
        """Points (2, 4) of the image at the corners of the crop with a margin."""
        first, last = -margin, self.side - 1 + margin
        corners = [[first, last, first, last], [first, first, last, last], [1] * 4]
        return np.asarray(self.matrix @ np.array(corners))


@lru_cache
def _grid(side: int) -> NDArray[np.float32]:
    """Column and row of each pixel of a crop; (side, side, 2)."""
    columns = np.arange(side, dtype=np.float32)
    return np.stack(np.meshgrid(columns, columns), axis=2)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Give the type of an 8-bit array to a result of OpenCV."""
    return np.asarray(array, dtype=np.uint8)


def _seen(low: int, high: int, length: int) -> slice:
    """Pixels of an axis that are seen from `low` to `high`, mirrored at its ends."""
    start = max(0, min(low, 2 * (length - 1) - high))
    return slice(start, min(length, max(high, -low) + 1))


def draw_placement(
    size: tuple[int, int],
    side: int,
    scales: tuple[float, float],
    config: AugmentationConfig,
    rng: np.random.Generator,
) -> Placement:
    """Draw a random placement: scale, rotation, reflection and position.

    Parameters
    ----------
    size : (int, int)
        Rows and columns of the image.
    side : int
        Side length of the crop in pixels.
    scales : (float, float)
        Range of the magnification.
    config : AugmentationConfig
        Settings, of which `rotation` and `flip` are used.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Placement
        Placement of the crop in the image.
    """
    low, high = scales
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    angle = math.radians(rng.uniform(-config.rotation, config.rotation))
    mirror = -1.0 if config.flip and rng.random() < 0.5 else 1.0
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    linear = np.array([[mirror * cosine, mirror * sine], [-sine, cosine]])
    height, width = size
    centre = [_random_centre(length, side / scale, rng) for length in (width, height)]
    origin = centre - linear @ np.full(2, side / 2)
    return Placement(np.column_stack([linear, origin]), side)


def _random_centre(length: int, window: float, rng: np.random.Generator) -> float:
    """Centre of a window inside an axis, or near its middle if the window is longer."""
    low, high = sorted((window / 2, length - window / 2))
    return float(rng.uniform(low, high))


def draw_shift(
    side: int, config: AugmentationConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a random shift of a coarse map and a smooth distortion of its parts.

    The distortion is that of Simard et al. (ICDAR 2003), applied to the map alone.

    Parameters
    ----------
    side : int
        Side length of the crop in pixels.
    config : AugmentationConfig
        Settings, of which `coarse_shift` and `coarse_distortion` are used.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    (side, side, 2) float32 array
        Shift of each pixel in x and y, in pixels of the crop.
    """
    whole = config.coarse_shift * rng.uniform(-1, 1, 2)
    knots = 1 + math.ceil(side / DISTORTION_SPACING)
    parts = np.moveaxis(rng.uniform(-1, 1, (2, knots, knots)), 0, 2).astype(np.float32, order="C")
    between = np.asarray(cv2.resize(parts, (side, side), interpolation=cv2.INTER_CUBIC))
    between.clip(-1, 1, out=between)
    distort_and_move = np.column_stack([config.coarse_distortion * np.eye(2), whole])
    return np.asarray(cv2.transform(between, distort_and_move), dtype=np.float32)


def composite(
    image: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Replace an image (Y, X, 3) by another one where a mask (Y, X) is True."""
    # Blended over one pixel, so that the seam does not give the boundary away.
    weights = cv2.GaussianBlur(
        where.astype(np.float32), (3, 3), 0.7, borderType=cv2.BORDER_REPLICATE
    )
    return _bytes(cv2.blendLinear(other, image, weights, 1 - weights))


def box_of(where: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Bounding box of a mask (Y, X) as rows and columns, one pixel larger; None if empty."""
    left, top, width, height = cv2.boundingRect(where.view(np.uint8))
    if not width:
        return None
    return slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)


class ColourChanges:
    """Random changes of brightness, contrast, saturation and tint, blur and noise.

    Parameters
    ----------
    side : int
        Side length of the crops in pixels.
    rng : numpy.random.Generator
        Source of the stored noise, of which each noisy crop gets a random stretch.
    """

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        supply = rng.standard_normal(2 * 3 * side**2, dtype=np.float32)
        levels = NOISE_MEAN + NOISE_LEVELS * supply
        self._noise = levels.round().clip(0, 255).astype(np.uint8)

    def __call__(
        self, image: NDArray[np.uint8], config: AugmentationConfig, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Change the colours of one crop.

        Parameters
        ----------
        image : (Y, X, 3) uint8 array
            RGB image, at most of the size of the crops.
        config : AugmentationConfig
            Settings, of which `colour` and `blur_and_noise` are used.
        rng : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        (Y, X, 3) uint8 array
            Changed image.
        """
        # The curve x + a x (1 - x) of Guo et al. (Zero-DCE, CVPR 2020); the factor 1.4 makes it
        # as strong at mid-grey as a gamma between exp(-colour) and exp(colour).
        bend = rng.uniform(-1, 1) * min(1.0, 1.4 * config.colour)
        curve = 255 * (LEVELS + bend * LEVELS * (1 - LEVELS))
        bent = _bytes(cv2.LUT(image, curve.round().astype(np.uint8)))
        changed = cv2.transform(bent, _colour_matrix(bent, config.colour, rng))
        if rng.random() < config.blur_and_noise:
            sigma = float(rng.uniform(0.4, 1.2))
            changed = cv2.GaussianBlur(changed, (5, 5), sigma, borderType=cv2.BORDER_REPLICATE)
        if rng.random() < config.blur_and_noise:
            start = int(rng.integers(self._noise.size - image.size))
            noise = self._noise[start : start + image.size].reshape(image.shape)
            strength = float(rng.uniform(0.005, 0.04)) * 255 / NOISE_LEVELS
            changed = cv2.addWeighted(changed, 1, noise, strength, -NOISE_MEAN * strength)
        return _bytes(changed)


def _colour_matrix(
    image: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Matrix (3, 4), offsets last, that changes saturation, then contrast, then tint."""
    saturation, contrast = np.exp(rng.uniform(-1, 1, 2) * strength * (2, 1))
    tint = 1 + 0.3 * strength * rng.uniform(-1, 1, 3)
    mean = float(LUMA @ cv2.mean(image)[:3])
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) * LUMA)
    offset = np.full((3, 1), (1 - contrast) * mean)
    return np.asarray(tint[:, None] * np.hstack([matrix, offset]))


class TextureBank:
    """Random textures that are made once; each draw is a random window of one of them.

    Half of them are synthetic, half are cut from photographs: objects that are
    background in the coarse map have to stay background.

    Parameters
    ----------
    side : int
        Side length of the windows in pixels.
    photographs : sequence of (Y, X, 3) uint8 array
        RGB images to cut from.
    rng : numpy.random.Generator
        Source of the random numbers.
    """

    def __init__(
        self, side: int, photographs: Sequence[NDArray[np.uint8]], rng: np.random.Generator
    ) -> None:
        self._side = side
        size = side + side // 2
        painted = [random_texture(size, rng) for _ in range(TEXTURES)]
        chosen = rng.integers(len(photographs), size=TEXTURES).tolist()
        self._textures = painted + [cut_texture(photographs[index], size, rng) for index in chosen]

    def draw(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw a random window with its channels in random order; (side, side, 3) uint8."""
        texture = self._textures[int(rng.integers(len(self._textures)))]
        top, left = rng.integers(0, self._side // 2 + 1, 2).tolist()
        window = texture[top : top + self._side, left : left + self._side]
        shuffled = cv2.transform(window, np.eye(3)[rng.permutation(3)])
        for axis in (0, 1):
            if rng.random() < 0.5:
                shuffled = cv2.flip(shuffled, axis)
        return _bytes(shuffled)


def cut_texture(
    photograph: NDArray[np.uint8], side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut a random square from a photograph, rotate it by right angles and resize it.

    Parameters
    ----------
    photograph : (Y, X, 3) uint8 array
        RGB image.
    side : int
        Side length of the texture in pixels.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    (side, side, 3) uint8 array
        Texture.
    """
    shortest = min(photograph.shape[:2])
    length = int(rng.integers(-(-shortest // 4), shortest + 1))
    top, left = (int(rng.integers(0, size - length + 1)) for size in photograph.shape[:2])
    part = photograph[top : top + length, left : left + length]
    turned = np.ascontiguousarray(np.rot90(part, int(rng.integers(4))))
    return _bytes(cv2.resize(turned, (side, side)))


def random_texture(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Make a random texture: coloured noise of several octaves and flat shapes.

    Parameters
    ----------
    side : int
        Side length in pixels.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    (side, side, 3) uint8 array
        Texture.
    """
    texture = np.empty((side, side, 3), dtype=np.float32)
    texture[:] = rng.uniform(0.05, 0.95, 3)
    columns = np.arange(side, dtype=np.float32)
    rows = (columns - side / 2)[:, None]
    for _ in range(int(rng.integers(0, 7))):
        colour = rng.uniform(0, 1, 3)
        angle, offset = rng.uniform(0, math.tau), rng.uniform(0, side)
        across = (columns - offset) * math.cos(angle) + rows * math.sin(angle)
        along = rows * math.cos(angle) - (columns - offset) * math.sin(angle)
        inside = (abs(across) < rng.uniform(4, side / 2)) & (abs(along) < rng.uniform(4, side))
        texture[inside] = colour
    roughness = rng.uniform(0, 0.3)
    for octave in range(1, 7):
        grid = rng.standard_normal((2**octave, 2**octave, 3), dtype=np.float32)
        texture += roughness * rng.uniform(0, 0.6) * cv2.resize(grid, (side, side))
    return np.asarray(255 * texture.clip(0, 1)).round().astype(np.uint8)
