"""Geometry, colours and textures of the augmentation, one crop at a time.

Written out in torch instead of taken from kornia: a batch of 8 crops of 256 x 256
pixels with painted background takes a median of 15 ms instead of 72 ms (best 10
instead of 46), both on one thread of the same busy two-core AMD EPYC, where a
training step takes 180 ms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from c2f_core.config import AugmentationConfig

# Weights of red, green and blue in grey (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
DISTORTION_SPACING = 32
"""Pixels between places of a coarse map that move independently."""
TEXTURES = 32
"""Textures of either kind."""


@dataclass(frozen=True)
class Placement:
    """Where the pixels of a square crop lie in an image.

    The crop's pixel (column, row) is the image's point `linear @ (column, row) + origin`.

    Attributes
    ----------
    linear : (2, 2) float array
    origin : (2,) float array
        x and y in the image's pixels.
    side : int
        Side of the crop in pixels.
    """

    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    side: int

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First (x, y), and last (x, y), exclusive, of the image pixels that sampling reads."""
        last = self.side - 1
        corners = self.linear @ np.array([[0, last, 0, last], [0, 0, last, last]])
        corners += self.origin[:, None]
        # One pixel more than bilinear sampling needs, for what float32 rounds away.
        first = np.floor(corners.min(axis=1)).astype(np.int64) - 1
        return first, np.ceil(corners.max(axis=1)).astype(np.int64) + 3

    def coordinates(self, corner: NDArray[np.int64]) -> Tensor:
        """Points of all crop pixels, counted from an image pixel.

        Parameters
        ----------
        corner : (2,) integer array
            x and y of that pixel.

        Returns
        -------
        (2, side, side) float32 tensor
            x and y.
        """
        steps = torch.arange(self.side, dtype=torch.float32)
        points = torch.empty(2, self.side, self.side)
        for axis, start in enumerate((self.origin - corner).tolist()):
            by_column, by_row = self.linear[axis].tolist()
            torch.add(steps * by_column, (steps * by_row + start)[:, None], out=points[axis])
        return points

    def directions(self, shift: Tensor) -> Tensor:
        """Turn and magnify shifts (2, Y, X) of the crop to those of the image."""
        linear = torch.from_numpy(self.linear).float()
        return (linear @ shift.flatten(1)).view_as(shift)


def draw_placement(
    size: tuple[int, int],
    side: int,
    scales: tuple[float, float],
    config: AugmentationConfig,
    rng: np.random.Generator,
) -> Placement:
    """Magnify, turn, mirror and move at random.

    Parameters
    ----------
    size : (int, int)
        Rows and columns of the image.
    side : int
        Side of the crop in pixels.
    scales : (float, float)
        Range of the magnification.
    config : AugmentationConfig
        Its `rotation` and `flip`.
    rng : numpy.random.Generator

    Returns
    -------
    Placement
    """
    low, high = scales
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    angle = math.radians(rng.uniform(-config.rotation, config.rotation))
    mirror = -1.0 if config.flip and rng.random() < 0.5 else 1.0
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    linear = np.array([[mirror * cosine, mirror * sine], [-sine, cosine]])
    height, width = size
    centre = [_random_centre(length, side / scale, rng) for length in (width, height)]
    return Placement(linear, centre - linear @ np.full(2, side / 2), side)


def _random_centre(length: int, window: float, rng: np.random.Generator) -> float:
    """Centre of a window inside an axis, or near its middle where the window is longer."""
    low, high = sorted((window / 2, length - window / 2))
    return float(rng.uniform(low, high))


def draw_shift(side: int, config: AugmentationConfig, rng: np.random.Generator) -> Tensor:
    """Move a coarse map as a whole, and its parts smoothly against each other.

    The parts as in the elastic distortions of Simard et al. (ICDAR 2003), of the map alone.

    Parameters
    ----------
    side : int
        Side of the crop in pixels.
    config : AugmentationConfig
        Its `coarse_shift` and `coarse_distortion`.
    rng : numpy.random.Generator

    Returns
    -------
    (2, side, side) float32 tensor
        x and y in pixels of the crop.
    """
    whole = torch.from_numpy(rng.uniform(-1, 1, (2, 1, 1))).float() * config.coarse_shift
    knots = 1 + math.ceil(side / DISTORTION_SPACING)
    parts = torch.from_numpy(rng.uniform(-1, 1, (2, knots, knots))).float()
    between = _bicubic_weights(side, knots)
    distortion = (between @ parts @ between.T).clamp_(-1, 1)
    return distortion.mul_(config.coarse_distortion).add_(whole)


@lru_cache
def _bicubic_weights(side: int, knots: int) -> Tensor:
    """Weights (side, knots) of the knots along an axis: a tenth of the time of interpolating."""
    each = torch.eye(knots)[None, None]
    return functional.interpolate(each, (side, knots), mode="bicubic")[0, 0]


def cut_window(planes: Tensor, first: NDArray[np.int64], last: NDArray[np.int64]) -> Tensor:
    """Cut a window out of planes that go on, mirrored, beyond their borders.

    Parameters
    ----------
    planes : (P, Y, X) tensor
    first, last : (2,) integer array
        x and y of the first pixel, and of the last, exclusive; may lie outside.

    Returns
    -------
    (P, rows, columns) tensor
        A view of the planes where the window lies within them.
    """
    inner, borders = planes, [(0, 0)]
    for axis, low, high in zip((1, 2), first[::-1].tolist(), last[::-1].tolist(), strict=True):
        length = planes.shape[axis]
        inner = inner.narrow(axis, max(0, low), min(length, high) - max(0, low))
        borders.append((max(0, -low), max(0, high - length)))
    if not any(map(any, borders)):
        return inner
    return torch.from_numpy(np.pad(inner.numpy(), borders, mode="reflect"))


def outside_window(
    size: tuple[int, int], first: NDArray[np.int64], last: NDArray[np.int64]
) -> Tensor:
    """Mark the pixels of a window that lie outside of an image.

    Parameters
    ----------
    size : (int, int)
        Rows and columns of the image.
    first, last : (2,) integer array
        As for `cut_window`.

    Returns
    -------
    (1, rows, columns) boolean tensor
    """
    inside = []
    for length, low, high in zip(size[::-1], first.tolist(), last.tolist(), strict=True):
        places = torch.arange(low, high)
        inside.append((places >= 0) & (places < length))
    columns, rows = inside
    return ~(rows[:, None] & columns)[None]


def sample_bilinear(image: Tensor, points: Tensor) -> Tensor:
    """Sample a float image (3, rows, columns) at points (2, Y, X) within it; (3, Y, X)."""
    height, width = image.shape[-2:]
    grid = torch.empty(*points.shape[1:], 2)
    for axis, length in enumerate((width, height)):
        torch.add(points[axis] * (2 / (length - 1)), -1, out=grid[..., axis])
    return functional.grid_sample(image[None], grid[None], align_corners=True)[0]


def nearest_places(points: Tensor, width: int) -> Tensor:
    """Round points (2, Y, X) to pixels of a window `width` columns wide; (Y, X) int32."""
    pixels = points.round().int()
    return pixels[1] * width + pixels[0]


def take(maps: Tensor, places: Tensor) -> Tensor:
    """Read maps (M, rows, columns) at places (Y, X) counted along their rows; (M, Y, X)."""
    # One map at a time: torch selects from several in one call six times more slowly.
    chosen = [map_.flatten().index_select(0, places.flatten()) for map_ in maps]
    return torch.stack(chosen).view(len(maps), *places.shape)


def smooth(planes: Tensor, sigma: float, radius: int) -> Tensor:
    """Blur planes (P, Y, X) with a Gaussian of `sigma`, cut off at `radius` pixels."""
    weights = [math.exp(-((offset / sigma) ** 2) / 2) for offset in range(-radius, radius + 1)]
    weights = [weight / sum(weights) for weight in weights]
    for axis, border in ((1, (0, 0, radius, radius)), (2, (radius, radius, 0, 0))):
        length = planes.shape[axis]
        padded = functional.pad(planes[None], border, mode="replicate")[0]
        planes = padded.narrow(axis, 0, length) * weights[0]
        for offset, weight in enumerate(weights[1:], start=1):
            planes.add_(padded.narrow(axis, offset, length), alpha=weight)
    return planes


class ColourChanges:
    """Random changes of brightness, contrast, saturation and tint, blur and noise.

    Parameters
    ----------
    side : int
        Side of the crops in pixels.
    rng : numpy.random.Generator
        Draws a supply of noise, of which each noisy crop gets a random stretch.
    """

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        supply = rng.standard_normal(2 * 3 * side**2, dtype=np.float32)
        self._noise = torch.from_numpy(supply)

    def __call__(
        self, image: Tensor, config: AugmentationConfig, rng: np.random.Generator
    ) -> Tensor:
        """Change one crop.

        Parameters
        ----------
        image : (3, Y, X) float32 tensor in [0, 1]
        config : AugmentationConfig
            Its `colour` and `blur_and_noise`.
        rng : numpy.random.Generator

        Returns
        -------
        (3, Y, X) float32 tensor in [0, 1]
        """
        # The curve x + a x (1 - x) of Guo et al. (Zero-DCE, CVPR 2020); 1.4 makes it at
        # mid-grey as strong as a gamma between exp(-colour) and exp(colour).
        bend = rng.uniform(-1, 1) * min(1.0, 1.4 * config.colour)
        image = (image * -bend).add_(1 + bend).mul_(image)
        matrix, offset = _colour_matrix(image, config.colour, rng)
        image = torch.addmm(offset, matrix, image.flatten(1)).view_as(image)
        if rng.random() < config.blur_and_noise:
            image = smooth(image, float(rng.uniform(0.4, 1.2)), 2)
        if rng.random() < config.blur_and_noise:
            start = int(rng.integers(self._noise.numel() - image.numel()))
            noise = self._noise[start : start + image.numel()].view_as(image)
            image.add_(noise, alpha=float(rng.uniform(0.005, 0.04)))
        return image.clamp_(0, 1)


def _colour_matrix(
    image: Tensor, strength: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Matrix (3, 3) and offset (3, 1) that change saturation, then contrast, then tint."""
    saturation, contrast = np.exp(rng.uniform(-1, 1, 2) * strength * (2, 1))
    tint = 1 + 0.3 * strength * rng.uniform(-1, 1, 3)
    mean = float(LUMA @ image.mean(dim=(1, 2)).numpy())
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) * LUMA)
    offset = np.full(3, (1 - contrast) * mean)
    return (
        torch.from_numpy(tint[:, None] * matrix).float(),
        torch.from_numpy(tint * offset).float()[:, None],
    )


class TextureBank:
    """Random textures, made once; each draw is another window of one of them.

    Half of them are painted, half are cut from photographs: what looks like an
    object and is drawn as background in the coarse map has to stay background.

    Parameters
    ----------
    side : int
        Side of the windows in pixels.
    photographs : sequence of (3, Y, X) uint8 tensor
    rng : numpy.random.Generator
        Paints and cuts.
    """

    def __init__(self, side: int, photographs: Sequence[Tensor], rng: np.random.Generator) -> None:
        self._side = side
        size = side + side // 2
        painted = [random_texture(size, rng) for _ in range(TEXTURES)]
        chosen = rng.integers(len(photographs), size=TEXTURES).tolist()
        cut = [cut_texture(photographs[index], size, rng) for index in chosen]
        self._textures = torch.stack(painted + cut).mul_(255).to(torch.uint8)

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Cut a random window, its channels in random order; (3, side, side) float32 in [0, 1]."""
        index = int(rng.integers(len(self._textures)))
        top, left = rng.integers(0, self._side // 2 + 1, 2).tolist()
        window = self._textures[index, :, top : top + self._side, left : left + self._side]
        channels = torch.from_numpy(rng.permutation(3))
        axes = [axis for axis in (1, 2) if rng.random() < 0.5]
        return window[channels].flip(axes).float().mul_(1 / 255)


def cut_texture(photograph: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Cut a part of a photograph, turn it by a right angle and magnify it.

    Parameters
    ----------
    photograph : (3, Y, X) uint8 tensor
    side : int
        Side of the texture in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    (3, side, side) float32 tensor in [0, 1]
    """
    shortest = min(photograph.shape[1:])
    length = int(rng.integers(-(-shortest // 4), shortest + 1))
    top, left = (int(rng.integers(0, size - length + 1)) for size in photograph.shape[1:])
    part = photograph[:, top : top + length, left : left + length].float().mul_(1 / 255)
    turned = part.rot90(int(rng.integers(4)), (1, 2))
    return functional.interpolate(turned[None], (side, side), mode="bilinear")[0]


def random_texture(side: int, rng: np.random.Generator) -> Tensor:
    """Paint a random texture: coloured noise of several octaves and flat shapes.

    Parameters
    ----------
    side : int
        Side in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    (3, side, side) float32 tensor in [0, 1]
    """
    base = torch.from_numpy(rng.uniform(0.05, 0.95, (3, 1, 1))).float()
    texture = base.expand(3, side, side).clone()
    columns = torch.arange(side, dtype=torch.float32)
    rows = (columns - side / 2)[:, None]
    for _ in range(int(rng.integers(0, 7))):
        colour = torch.from_numpy(rng.uniform(0, 1, (3, 1, 1))).float()
        angle, offset = rng.uniform(0, math.tau), rng.uniform(0, side)
        across = (columns - offset) * math.cos(angle) + rows * math.sin(angle)
        along = rows * math.cos(angle) - (columns - offset) * math.sin(angle)
        inside = (across.abs() < rng.uniform(4, side / 2)) & (along.abs() < rng.uniform(4, side))
        texture = torch.where(inside, colour, texture)
    roughness = rng.uniform(0, 0.3)
    for octave in range(1, 7):
        grid = rng.standard_normal((1, 3, 2**octave, 2**octave), dtype=np.float32)
        coarse_noise = torch.from_numpy(grid) * float(roughness * rng.uniform(0, 0.6))
        texture += functional.interpolate(coarse_noise, (side, side), mode="bilinear")[0]
    return texture.clamp_(0, 1)
