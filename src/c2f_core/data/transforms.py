"""From pairs to training batches: the report's crops, and random augmented crops.

Image and maps go through the same geometry, the image bilinearly, the maps by
nearest neighbour. All randomness comes from one generator per step, so that a
resumed run draws the same batches. Geometry and colour are kornia's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from kornia import enhance
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import warp_affine
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.config import AugmentationConfig
from c2f_core.data.pairs import Pair
from c2f_core.errors import ConfigError

REPORT_CROP = 256


def image_to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Turn an image (Y, X, 3) uint8 into a tensor (1, 3, Y, X) float32 in [-1, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


def one_hot(positions: Tensor, number_of_classes: int) -> Tensor:
    """One channel per class; an unlabelled pixel (255) is the all-zero vector.

    Parameters
    ----------
    positions : (N, Y, X) integer tensor
    number_of_classes : int

    Returns
    -------
    (N, C, Y, X) float32 tensor
    """
    channels = torch.arange(number_of_classes, device=positions.device)
    return (positions[:, None] == channels[:, None, None]).to(torch.float32)


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Attributes
    ----------
    images : (N, 3, Y, X) float32 tensor in [-1, 1]
    coarse : (N, C, Y, X) float32 tensor, one-hot
    fine : (N, Y, X) int64 tensor, positions, 255 where unlabelled
    """

    images: Tensor
    coarse: Tensor
    fine: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Move all tensors to a device."""
        return Batch(self.images.to(device), self.coarse.to(device), self.fine.to(device))


def corner_crops(pair: Pair, side: int = REPORT_CROP) -> list[Pair]:
    """Cut the four corners of a pair, as the report's preprocessing does.

    Parameters
    ----------
    pair : Pair
        Smaller pairs are mirrored at their borders up to `side`.
    side : int
        Side of the crops in pixels.

    Returns
    -------
    list of four Pair
    """
    height, width = pair.coarse.shape
    pad = ((0, max(0, side - height)), (0, max(0, side - width)))
    image = np.pad(pair.image, (*pad, (0, 0)), mode="symmetric")
    coarse = np.pad(pair.coarse, pad, mode="symmetric")
    fine = None if pair.fine is None else np.pad(pair.fine, pad, mode="symmetric")
    height, width = coarse.shape
    crops = []
    for top in (0, height - side):
        for left in (0, width - side):
            window = (slice(top, top + side), slice(left, left + side))
            crops.append(
                Pair(
                    f"{pair.name}@{top},{left}",
                    image[window],
                    coarse[window],
                    None if fine is None else fine[window],
                )
            )
    return crops


class ReportBatches:
    """Batches of the report: four corner crops of each pair, shuffled by epoch.

    Parameters
    ----------
    pairs : sequence of Pair
        With fine maps.
    number_of_classes : int
    batch_size : int
    seed : int
    """

    def __init__(
        self, pairs: Sequence[Pair], number_of_classes: int, batch_size: int, seed: int
    ) -> None:
        self._crops = [crop for pair in pairs for crop in corner_crops(pair)]
        self._number_of_classes = number_of_classes
        self._batch_size = batch_size
        self._seed = seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of one step; the same step gives the same batch."""
        first = step * self._batch_size
        chosen = [self._crop(first + offset) for offset in range(self._batch_size)]
        coarse = torch.from_numpy(np.stack([crop.coarse for crop in chosen]))
        fine = torch.from_numpy(np.stack([_fine_of(crop) for crop in chosen]))
        return Batch(
            torch.cat([image_to_tensor(crop.image) for crop in chosen]),
            one_hot(coarse, self._number_of_classes),
            fine.long(),
        )

    def _crop(self, position: int) -> Pair:
        epoch, place = divmod(position, len(self._crops))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._crops))
        return self._crops[int(order[place])]


def _fine_of(pair: Pair) -> NDArray[np.uint8]:
    if pair.fine is None:
        raise ConfigError(f"{pair.name} has no fine map; train on pairs that have one.")
    return pair.fine


class AugmentedBatches:
    """Random augmented crops of pairs that are held in memory.

    Parameters
    ----------
    pairs : sequence of Pair
        With fine maps.
    class_table : ClassTable
    config : AugmentationConfig
    crop : int
        Side of the crops in pixels.
    batch_size : int
    seed : int

    Raises
    ------
    ConfigError
        `config.background_class` is not in the class table.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        class_table: ClassTable,
        config: AugmentationConfig,
        crop: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self._images = [image_to_tensor(pair.image) for pair in pairs]
        self._maps = [
            torch.from_numpy(np.stack([pair.coarse, _fine_of(pair)])[None].astype(np.float32))
            for pair in pairs
        ]
        self._number_of_classes = class_table.number_of_classes
        self._background = _background_position(config.background_class, class_table)
        self._config = config
        self._crop = crop
        self._batch_size = batch_size
        self._seed = seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of one step; the same step gives the same batch."""
        rng = np.random.default_rng([self._seed, step])
        images, coarse, fine = (
            torch.cat(parts)
            for parts in zip(*(self._sample(rng) for _ in range(self._batch_size)), strict=True)
        )
        images = self._change_colours(images, rng)
        return Batch(images.clamp(-1, 1), one_hot(coarse, self._number_of_classes), fine.long())

    def _sample(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Image (1, 3, Y, X), coarse and fine map (1, Y, X) of one augmented crop."""
        config = self._config
        index = int(rng.integers(len(self._images)))
        image, maps = self._images[index], self._maps[index]
        wide = rng.random() < config.wide_scale_share
        matrix = self._affine(image.shape[-2:], config.wide_scale if wide else config.scale, rng)
        shift = rng.uniform(-1, 1, 2) * config.coarse_shift * float(rng.random() < 0.5)
        shifted = matrix + torch.tensor([[[0, 0, shift[0]], [0, 0, shift[1]]]]).to(matrix)
        # The maps' padding is mirrored like the image's: a pair stays a pair.
        crop = self._warp(image, matrix, "bilinear")
        coarse = self._warp(maps[:, :1], shifted, "nearest")[:, 0]
        fine = self._warp(maps[:, 1:], matrix, "nearest")[:, 0]
        if self._background is not None and (wide or rng.random() < config.background_share):
            size = (self._crop, self._crop)
            outside = warp_affine(torch.ones_like(maps[:, :1]), matrix, size, "nearest")
            coarse[outside[:, 0] == 0] = self._background
            fine[outside[:, 0] == 0] = self._background
            crop = self._paint(crop, fine == self._background, rng)
        return crop, self._erase(coarse, rng), fine

    def _warp(self, source: Tensor, matrix: Tensor, mode: str) -> Tensor:
        size = (self._crop, self._crop)
        return warp_affine(source, matrix, size, mode, padding_mode="reflection")

    def _affine(
        self, size: tuple[int, ...], scales: tuple[float, float], rng: np.random.Generator
    ) -> Tensor:
        """Matrix (1, 2, 3) from source to crop pixels: magnify, turn, mirror, move."""
        config = self._config
        height, width = size
        low, high = scales
        scale = math.exp(rng.uniform(math.log(low), math.log(high)))
        angle = math.radians(rng.uniform(-config.rotation, config.rotation))
        mirror = -1.0 if config.flip and rng.random() < 0.5 else 1.0
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[mirror * cosine, -sine], [mirror * sine, cosine]])
        centre = [_random_centre(length, self._crop / scale, rng) for length in (width, height)]
        offset = self._crop / 2 - linear @ centre
        return torch.tensor(np.column_stack([linear, offset])[None], dtype=torch.float32)

    def _erase(self, coarse: Tensor, rng: np.random.Generator) -> Tensor:
        """Make a random box, or a whole class, of a coarse map (1, Y, X) unlabelled."""
        if rng.random() >= self._config.coarse_erase_share:
            return coarse
        if rng.random() < 0.5:
            erased = torch.full_like(coarse, float(UNLABELLED_POSITION))
            return torch.where(
                coarse == float(rng.integers(self._number_of_classes)), erased, coarse
            )
        top, left = rng.integers(0, self._crop, 2)
        height, width = rng.integers(self._crop // 16, self._crop // 2, 2)
        coarse = coarse.clone()
        coarse[:, top : top + height, left : left + width] = UNLABELLED_POSITION
        return coarse

    def _paint(self, image: Tensor, background: Tensor, rng: np.random.Generator) -> Tensor:
        """Paint a random texture over the background, a (1, Y, X) boolean mask."""
        # Blending over a pixel keeps the seam from giving the boundary away.
        mask = gaussian_blur2d(background.to(image.dtype)[:, None], (3, 3), (0.7, 0.7))
        return image + mask * (random_texture(self._crop, rng) - image)

    def _change_colours(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        strength = self._config.colour
        count = len(images)

        def factors(spread: float) -> Tensor:
            return torch.from_numpy(np.exp(rng.uniform(-spread, spread, count))).float()

        unit = (images / 2 + 0.5).clamp(0, 1)
        unit = enhance.adjust_saturation_with_gray_subtraction(unit, factors(2 * strength))
        unit = enhance.adjust_gamma(unit, factors(strength))
        unit = enhance.adjust_contrast_with_mean_subtraction(unit, factors(strength))
        tint = torch.from_numpy(rng.uniform(-0.3, 0.3, (count, 3, 1, 1)) * strength).float()
        unit = unit * (1 + tint)
        if rng.random() < self._config.blur_and_noise:
            sigma = float(rng.uniform(0.4, 1.2))
            unit = gaussian_blur2d(unit, (5, 5), (sigma, sigma))
        if rng.random() < self._config.blur_and_noise:
            noise = rng.standard_normal(unit.shape, dtype=np.float32)
            unit = unit + torch.from_numpy(noise) * float(rng.uniform(0.005, 0.04))
        return unit * 2 - 1


def _random_centre(length: int, window: float, rng: np.random.Generator) -> float:
    """Centre of a window inside an axis, or near its middle where the window is longer."""
    low, high = sorted((window / 2, length - window / 2))
    return float(rng.uniform(low, high))


def _background_position(name: str | None, class_table: ClassTable) -> int | None:
    if name is None:
        return None
    if name not in class_table.names:
        raise ConfigError(
            f"The class table '{class_table.name}' has no class '{name}' to replace as background; "
            f"choose one of {', '.join(class_table.names)} or none."
        )
    return class_table.names.index(name)


def random_texture(side: int, rng: np.random.Generator) -> Tensor:
    """Paint a random texture: coloured noise of several octaves and flat shapes.

    Parameters
    ----------
    side : int
        Side in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    (1, 3, side, side) float32 tensor in [-1, 1]
    """
    base = torch.from_numpy(rng.uniform(-0.9, 0.9, (1, 3, 1, 1))).float()
    texture = base.expand(1, 3, side, side).clone()
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    for _ in range(int(rng.integers(0, 7))):
        colour = torch.from_numpy(rng.uniform(-1, 1, (3, 1))).float()
        angle, offset = rng.uniform(0, math.tau), rng.uniform(0, side)
        across = (columns - offset) * math.cos(angle) + (rows - side / 2) * math.sin(angle)
        along = (rows - side / 2) * math.cos(angle) - (columns - offset) * math.sin(angle)
        inside = torch.logical_and(
            across.abs() < rng.uniform(4, side / 2), along.abs() < rng.uniform(4, side)
        )
        texture[0][:, inside] = colour
    roughness = rng.uniform(0, 0.6)
    for octave in range(1, 7):
        grid = rng.standard_normal((1, 3, 2**octave, 2**octave), dtype=np.float32)
        coarse_noise = torch.from_numpy(grid) * float(roughness * rng.uniform(0, 0.6))
        texture += functional.interpolate(coarse_noise, (side, side), mode="bilinear")
    return texture.clamp(-1, 1)
