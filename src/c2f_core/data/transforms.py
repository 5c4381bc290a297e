"""From pairs to training batches: the report's crops, and random augmented crops.

Image and maps go through the same geometry, the image bilinearly, the maps by
nearest neighbour. All randomness comes from one generator per step, so that a
resumed run draws the same batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.config import AugmentationConfig
from c2f_core.data.augment import (
    ColourChanges,
    Placement,
    TextureBank,
    cut_window,
    draw_placement,
    draw_shift,
    nearest_places,
    outside_window,
    sample_bilinear,
    smooth,
    take,
)
from c2f_core.data.pairs import Pair
from c2f_core.errors import ConfigError

REPORT_CROP = 256
RECOLOURING = AugmentationConfig(colour=1.0, blur_and_noise=0.0)
"""How a class changes its colours by itself."""


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
    count, height, width = positions.shape
    channels = torch.empty(count, number_of_classes, height, width, device=positions.device)
    for position in range(number_of_classes):
        # Without a boolean tensor in between it takes a fifth of the time.
        torch.eq(positions, position, out=channels[:, position])
    return channels


def most_likely(scores: Tensor) -> Tensor:
    """Return the class with the largest score, the first of equals.

    Parameters
    ----------
    scores : (N, C, Y, X) tensor

    Returns
    -------
    (N, Y, X) uint8 tensor
        Positions.
    """
    # On a CPU torch's argmax over the classes takes fifty times as long.
    best = scores[:, 0]
    positions = torch.zeros_like(best, dtype=torch.uint8)
    for position in range(1, scores.shape[1]):
        positions.masked_fill_(scores[:, position] > best, position)
        best = torch.maximum(best, scores[:, position])
    return positions


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Attributes
    ----------
    images : (N, 3, Y, X) float32 tensor in [-1, 1]
    coarse : (N, C, Y, X) float32 tensor, one-hot
    fine : (N, Y, X) int64 tensor
        Positions, 255 where unlabelled; 255 everywhere for a pair without a fine map.
    evidence : (N, Y, X) int64 tensor or None
        What `AugmentedBatches` was given as evidence, 255 where there is none.
    strong_images : (N, 3, Y, X) float32 tensor in [-1, 1] or None
        The same crops as `images` with stronger changes of their colours.
    """

    images: Tensor
    coarse: Tensor
    fine: Tensor
    evidence: Tensor | None = None
    strong_images: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Move all tensors to a device."""
        evidence, strong = self.evidence, self.strong_images
        return Batch(
            self.images.to(device),
            self.coarse.to(device),
            self.fine.to(device),
            None if evidence is None else evidence.to(device),
            None if strong is None else strong.to(device),
        )


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
    return np.full_like(pair.coarse, UNLABELLED_POSITION) if pair.fine is None else pair.fine


@dataclass
class _Crop:
    """One crop on its way into a batch; changed in place.

    Attributes
    ----------
    image : (3, Y, X) float32 tensor in [0, 1]
    fine : (Y, X) uint8 tensor
    guides : (1 or 2, Y, X) uint8 tensor
        The coarse map, and the evidence where there is any.
    outside : (Y, X) boolean tensor or None
        Pixels outside of the pair; None where there are none.
    """

    image: Tensor
    fine: Tensor
    guides: Tensor
    outside: Tensor | None


class AugmentedBatches:
    """Random augmented crops of pairs that are held in memory.

    Parameters
    ----------
    pairs : sequence of Pair
    class_table : ClassTable
    config : AugmentationConfig
    crop : int
        Side of the crops in pixels.
    batch_size : int
    seed : int
    evidence : sequence of (Y, X) uint8 arrays or None
        One map for each pair, 255 where it says nothing. It is warped like the coarse
        map, and 255 outside of the image, on painted background and where the coarse
        map is erased.
    strong : AugmentationConfig or None
        Its `colour` and `blur_and_noise` make `Batch.strong_images`, on top of the
        changes of `config`.

    Raises
    ------
    ConfigError
        `config.background_class` is not in the class table.
    ValueError
        Evidence does not fit the pairs in number or size.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        class_table: ClassTable,
        config: AugmentationConfig,
        crop: int,
        batch_size: int,
        seed: int,
        *,
        evidence: Sequence[NDArray[np.uint8]] | None = None,
        strong: AugmentationConfig | None = None,
    ) -> None:
        guides = [[pair.coarse] for pair in pairs]
        for maps, more in zip(guides, evidence or [], strict=evidence is not None):
            maps.append(more)
        self._planes = [
            torch.from_numpy(np.stack([*pair.image.transpose(2, 0, 1), _fine_of(pair), *maps]))
            for pair, maps in zip(pairs, guides, strict=True)
        ]
        self._has_fine = [pair.fine is not None for pair in pairs]
        self._number_of_classes = class_table.number_of_classes
        self._background = _background_position(config.background_class, class_table)
        self._config = config
        self._strong = strong
        self._crop = crop
        self._batch_size = batch_size
        self._seed = seed
        # A third number, so that it is the generator of no step.
        rng = np.random.default_rng([seed, 0, 1])
        self._change_colours = ColourChanges(crop, rng)
        self._textures = None
        if self._background is not None:
            self._textures = TextureBank(crop, [planes[:3] for planes in self._planes], rng)

    def __call__(self, step: int) -> Batch:
        """Return the batch of one step; the same step gives the same batch."""
        rng = np.random.default_rng([self._seed, step])
        crops = [self._sample(rng) for _ in range(self._batch_size)]
        guides = torch.stack([crop.guides for crop in crops], dim=1)
        # Drawn after all crops: a strong view changes nothing in the rest of the batch.
        strong = None
        if self._strong is not None:
            strong = _signed([self._change_colours(c.image, self._strong, rng) for c in crops])
        return Batch(
            _signed([crop.image for crop in crops]),
            one_hot(guides[0], self._number_of_classes),
            torch.stack([crop.fine for crop in crops]).long(),
            guides[1].long() if len(guides) > 1 else None,
            strong,
        )

    def _sample(self, rng: np.random.Generator) -> _Crop:
        config = self._config
        index = int(rng.integers(len(self._planes)))
        height, width = self._planes[index].shape[1:]
        wide = rng.random() < config.wide_scale_share
        scales = config.wide_scale if wide else config.scale
        placement = draw_placement((height, width), self._crop, scales, config, rng)
        shift = draw_shift(self._crop, config, rng) if rng.random() < 0.5 else None
        crop = _warp(self._planes[index], placement, shift)
        if self._textures is not None and (wide or rng.random() < config.background_share):
            self._paint(crop, self._textures.draw(rng), self._has_fine[index])
        if rng.random() < config.recolour_share:
            self._recolour(crop, rng)
        if rng.random() < config.coarse_erase_share:
            self._erase(crop.guides, rng)
        crop.image = self._change_colours(crop.image, config, rng)
        return crop

    def _paint(self, crop: _Crop, texture: Tensor, has_fine: bool) -> None:
        """Paint a texture (3, Y, X) over the background and around the image."""
        assert self._background is not None
        painted = crop.fine == self._background
        if crop.outside is not None:
            painted |= crop.outside
            crop.guides[0].masked_fill_(crop.outside, self._background)
            if has_fine:
                crop.fine.masked_fill_(crop.outside, self._background)
        crop.guides[1:].masked_fill_(painted, UNLABELLED_POSITION)
        _blend(crop.image, texture, painted)

    def _recolour(self, crop: _Crop, rng: np.random.Generator) -> None:
        """Change the colours of half of the classes, each by itself."""
        for position in range(self._number_of_classes):
            region = crop.fine == position
            if rng.random() < 0.5 and region.any():
                recoloured = self._change_colours(crop.image, RECOLOURING, rng)
                _blend(crop.image, recoloured, region)

    def _erase(self, guides: Tensor, rng: np.random.Generator) -> None:
        """Make a random box, or a whole class, of a coarse map (and its evidence) unlabelled."""
        if rng.random() < 0.5:
            erased = guides[0] == int(rng.integers(self._number_of_classes))
            guides.masked_fill_(erased, UNLABELLED_POSITION)
            return
        top, left = rng.integers(0, self._crop, 2).tolist()
        height, width = rng.integers(self._crop // 16, self._crop // 2, 2).tolist()
        guides[:, top : top + height, left : left + width] = UNLABELLED_POSITION


def _warp(planes: Tensor, placement: Placement, shift: Tensor | None) -> _Crop:
    """Sample a crop from planes (P, Y, X): red, green, blue, fine, coarse, and evidence if any.

    Coarse map and evidence are moved by a shift (2, Y, X), x and y in pixels of the crop.
    """
    height, width = planes.shape[1:]
    first, last = placement.bounds()
    moved = None if shift is None else placement.directions(shift)
    if moved is not None:
        margin = moved.abs().amax(dim=(1, 2)).ceil().long().numpy() + 1
        first, last = first - margin, last + margin
    # Maps are mirrored at the borders like the image: a pair stays a pair.
    window = cut_window(planes, first, last)
    points = placement.coordinates(first)
    places = nearest_places(points, window.shape[2])
    moved_places = places if moved is None else nearest_places(points + moved, window.shape[2])
    guides = take(window[4:], moved_places)
    outside = None
    if first.min() < 0 or (last > (width, height)).any():
        outside = take(outside_window((height, width), first, last), places)[0]
        guides[1:].masked_fill_(outside, UNLABELLED_POSITION)
    return _Crop(
        image=sample_bilinear(window[:3].float(), points).mul_(1 / 255),
        fine=take(window[3:4], places)[0],
        guides=guides,
        outside=outside,
    )


def _blend(image: Tensor, other: Tensor, where: Tensor) -> None:
    """Put another image (3, Y, X) in the place of this one where a mask (Y, X) is True."""
    # Blending over a pixel keeps the seam from giving the boundary away.
    image.lerp_(other, smooth(where.float()[None], 0.7, 1))


def _signed(images: Sequence[Tensor]) -> Tensor:
    """Stack images (3, Y, X) in [0, 1] to (N, 3, Y, X) in [-1, 1]."""
    return torch.stack(tuple(images)).mul_(2).sub_(1)


def _background_position(name: str | None, class_table: ClassTable) -> int | None:
    if name is None:
        return None
    if name not in class_table.names:
        raise ConfigError(
            f"The class table '{class_table.name}' has no class '{name}' to replace as background; "
            f"choose one of {', '.join(class_table.names)} or none."
        )
    return class_table.names.index(name)
