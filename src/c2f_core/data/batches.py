"""Training batches of pairs: the crops of the report, and random augmented crops.

Image and maps go through the same geometry, the image bilinearly, the maps by
nearest neighbour. Each step has its own random generator, so that a resumed run
draws the same batches.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.config.settings import AugmentationConfig, SimulationConfig
from c2f_core.data.augment import (
    ColourChanges,
    Placement,
    TextureBank,
    box_of,
    composite,
    draw_placement,
    draw_shift,
)
from c2f_core.data.pairs import Pair
from c2f_core.data.simulation import simulation_of
from c2f_core.device import memory_format
from c2f_core.errors import ConfigError
from c2f_core.networks.encoding import image_to_tensor, one_hot

REPORT_CROP = 256
RECOLOURING = AugmentationConfig(colour=1.0, blur_and_noise=0.0)
"""Settings for changing the colours of one class."""


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Attributes
    ----------
    images : (N, 3, Y, X) float32 tensor
        RGB images in [-1, 1].
    coarse : (N, C, Y, X) float32 tensor
        One-hot coarse maps, all zero where unlabelled.
    fine : (N, Y, X) int64 tensor
        Class ids, 255 where unlabelled, which is everywhere for pairs without a fine map.
    strong_images : (N, 3, Y, X) float32 tensor or None
        The same crops as `images` with stronger changes of their colours.
    """

    images: Tensor
    coarse: Tensor
    fine: Tensor
    strong_images: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Move all tensors to a device."""
        strong = self.strong_images
        return Batch(
            self.images.to(device, memory_format=memory_format(device)),
            self.coarse.to(device),
            self.fine.to(device),
            None if strong is None else strong.to(device, memory_format=memory_format(device)),
        )


def corner_crops(pair: Pair, side: int = REPORT_CROP) -> list[Pair]:
    """Cut the four corners of a pair, as in the preprocessing of the report.

    Parameters
    ----------
    pair : Pair
        Pair to cut; a smaller one is mirrored at its borders up to `side`.
    side : int
        Side length of the crops in pixels.

    Returns
    -------
    list of Pair
        Four crops.
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
    """Batches of the report: four corner crops of each pair, shuffled in each epoch.

    Parameters
    ----------
    pairs : sequence of Pair
        Pairs to crop, with or without fine maps.
    number_of_classes : int
        Number of classes C.
    batch_size : int
        Number of crops per batch.
    seed : int
        Seed of the order.
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
        return self.batch(self.crops(step))

    def crops(self, step: int) -> list[Pair]:
        """Return the crops of one step."""
        first = step * self._batch_size
        return [self._crop(first + offset) for offset in range(self._batch_size)]

    def batch(self, crops: Sequence[Pair]) -> Batch:
        """Stack crops."""
        coarse = torch.from_numpy(np.stack([crop.coarse for crop in crops]))
        fine = torch.from_numpy(np.stack([_fine_of(crop) for crop in crops]))
        return Batch(
            torch.cat([image_to_tensor(crop.image) for crop in crops]),
            one_hot(coarse, self._number_of_classes),
            fine.long(),
        )

    def _crop(self, position: int) -> Pair:
        epoch, place = divmod(position, len(self._crops))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._crops))
        return self._crops[int(order[place])]


def _fine_of(pair: Pair) -> NDArray[np.uint8]:
    """Return the fine map of a pair; without one, an unlabelled map that takes no memory."""
    if pair.fine is not None:
        return pair.fine
    return np.broadcast_to(np.uint8(UNLABELLED_ID), pair.coarse.shape)


@dataclass
class _Crop:
    """One crop on its way into a batch; changed in place.

    Attributes
    ----------
    image : (Y, X, 3) uint8 array
        RGB image.
    fine, coarse : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    outside : (Y, X) boolean array or None
        Pixels outside of the pair; None if there are none.
    strong_image : (Y, X, 3) uint8 array or None
        The image with stronger changes of its colours.
    """

    image: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    outside: NDArray[np.bool_] | None
    strong_image: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Planes:
    """A pair as the crops are cut from it.

    Attributes
    ----------
    image : (Y, X, 3) uint8 array
        RGB image.
    fine, coarse : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    has_fine : bool
        Whether the pair has a fine map.
    is_simulated : bool
        Whether the coarse map was simulated from the fine one.
    """

    image: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    has_fine: bool
    is_simulated: bool

    def part(self, window: tuple[slice, slice]) -> "_Planes":
        """Return views of some rows and columns."""
        return replace(
            self, image=self.image[window], fine=self.fine[window], coarse=self.coarse[window]
        )

    def sample(self, placement: Placement, shift: NDArray[np.float32] | None) -> _Crop:
        """Sample a crop; a shift (Y, X, 2) in pixels of the crop moves its coarse map."""
        return _Crop(
            placement.image(self.image),
            placement.map(self.fine),
            placement.map(self.coarse, shift),
            placement.outside(self.fine.shape),
        )


@dataclass(frozen=True)
class CropSampling:
    """How many crops of which size are drawn in a step, and from which seed.

    Attributes
    ----------
    side : int
        Side of the crops in pixels.
    batch_size : int
        Crops in a step.
    seed : int
        Seed of all random numbers.
    """

    side: int
    batch_size: int
    seed: int


class AugmentedBatches:
    """Random augmented crops of pairs.

    Parameters
    ----------
    pairs : sequence of Pair
        Pairs to crop, with or without fine maps.
    class_table : ClassTable
        Class table of the pairs.
    augmentation : AugmentationConfig
        Random changes of the crops.
    sampling : CropSampling
        Size, number and seed of the crops.
    strong : AugmentationConfig, optional
        Settings whose `colour` and `blur_and_noise` make `Batch.strong_images`, on top of
        the changes of `augmentation`; without them, there are no strong images.
    simulation : SimulationConfig, optional
        Share and kinds of the coarse maps that are simulated from the fine ones.

    Raises
    ------
    ConfigError
        If `augmentation.background_class` is not in the class table.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        class_table: ClassTable,
        augmentation: AugmentationConfig,
        sampling: CropSampling,
        strong: AugmentationConfig | None = None,
        simulation: SimulationConfig | None = None,
    ) -> None:
        self._planes = [_planes_of(pair) for pair in pairs]
        self._number_of_classes = class_table.number_of_classes
        self._background = _background_id(augmentation.background_class, class_table)
        self._augmentation = augmentation
        self._sampling = sampling
        self._strong = strong
        self._simulated_share = simulation.share if simulation else 0.0
        self._simulation = simulation_of(simulation) if simulation else None
        # The third number keeps this generator apart from those of the steps.
        rng = np.random.default_rng([sampling.seed, 0, 1])
        self._change_colours = ColourChanges(sampling.side, rng)
        self._textures = None
        if self._background is not None:
            images = [planes.image for planes in self._planes]
            self._textures = TextureBank(sampling.side, images, rng)

    def __call__(self, step: int) -> Batch:
        """Return the batch of one step; the same step gives the same batch."""
        return self.batch(self.crops(step))

    def crops(self, step: int) -> list[_Crop]:
        """Return the crops of one step."""
        rng = np.random.default_rng([self._sampling.seed, step])
        crops = [self._sample(rng) for _ in range(self._sampling.batch_size)]
        # Drawn after all crops, so that strong views leave the rest of the batch unchanged.
        if self._strong is not None:
            for crop in crops:
                crop.strong_image = self._change_colours(crop.image, self._strong, rng)
        return crops

    def batch(self, crops: Sequence[_Crop]) -> Batch:
        """Stack crops."""
        strong = [crop.strong_image for crop in crops if crop.strong_image is not None]
        return Batch(
            _signed([crop.image for crop in crops]),
            one_hot(_stacked([crop.coarse for crop in crops]), self._number_of_classes),
            _stacked([crop.fine for crop in crops]).long(),
            _signed(strong) if strong else None,
        )

    def _sample(self, rng: np.random.Generator) -> _Crop:
        augmentation = self._augmentation
        planes = self._planes[int(rng.integers(len(self._planes)))]
        wide = rng.random() < augmentation.wide_scale_share
        crop = self._cut(planes, augmentation.wide_scale if wide else augmentation.scale, rng)
        self._simulate(crop, planes, rng)
        if self._textures is not None and (wide or rng.random() < augmentation.background_share):
            self._paint(crop, self._textures.draw(rng), planes.has_fine)
        if rng.random() < augmentation.recolour_share:
            self._recolour(crop, rng)
        if rng.random() < augmentation.coarse_erase_share:
            self._erase(crop.coarse, rng)
        crop.image = self._change_colours(crop.image, augmentation, rng)
        crop.outside = None  # Not needed any more; crops may be sent to another process.
        return crop

    def _cut(self, planes: _Planes, scales: tuple[float, float], rng: np.random.Generator) -> _Crop:
        """Cut a crop at a random place and scale, its coarse map shifted in half of the cases."""
        augmentation, side = self._augmentation, self._sampling.side
        size = planes.fine.shape
        placement = draw_placement(size, side, scales, augmentation, rng)
        shift = draw_shift(side, augmentation, rng) if rng.random() < 0.5 else None
        margin = augmentation.coarse_shift + augmentation.coarse_distortion
        placement, window = placement.of_window(size, margin)
        return planes.part(window).sample(placement, shift)

    def _simulate(self, crop: _Crop, planes: _Planes, rng: np.random.Generator) -> None:
        """Replace the coarse map by a simulated one in a share of the crops with fine maps."""
        if self._simulation is None or not planes.has_fine:
            return
        if rng.random() < self._simulated_share or planes.is_simulated:
            crop.coarse = self._simulation.simulate(crop.fine, rng).class_ids

    def _paint(self, crop: _Crop, texture: NDArray[np.uint8], has_fine: bool) -> None:
        """Paint a texture (Y, X, 3) over the background and around the image."""
        assert self._background is not None
        painted = crop.fine == self._background
        if crop.outside is not None:
            painted |= crop.outside
            crop.coarse[crop.outside] = self._background
            if has_fine:
                crop.fine[crop.outside] = self._background
        crop.image = composite(crop.image, texture, painted)

    def _recolour(self, crop: _Crop, rng: np.random.Generator) -> None:
        """Change the colours of half of the classes, each independently."""
        for class_id in range(self._number_of_classes):
            region = crop.fine == class_id
            if rng.random() < 0.5 and (box := box_of(region)):
                part = crop.image[box]
                recoloured = self._change_colours(part, RECOLOURING, rng)
                crop.image[box] = composite(part, recoloured, region[box])

    def _erase(self, coarse: NDArray[np.uint8], rng: np.random.Generator) -> None:
        """Make a random box, or a whole class, of a coarse map unlabelled."""
        if rng.random() < 0.5:
            coarse[coarse == int(rng.integers(self._number_of_classes))] = UNLABELLED_ID
            return
        side = self._sampling.side
        top, left = rng.integers(0, side, 2).tolist()
        height, width = rng.integers(side // 16, side // 2, 2).tolist()
        coarse[top : top + height, left : left + width] = UNLABELLED_ID


def _planes_of(pair: Pair) -> _Planes:
    has_fine = pair.fine is not None
    return _Planes(pair.image, _fine_of(pair), pair.coarse, has_fine, pair.is_simulated)


def _stacked(maps: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack maps (Y, X) to (N, Y, X)."""
    return torch.from_numpy(np.stack(maps))


def _signed(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack images (Y, X, 3) to (N, 3, Y, X) in [-1, 1], channels last in memory."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    # As floats first: arithmetic with bytes takes twice the time.
    return stacked.float().sub_(127.5).div_(127.5)


def _background_id(name: str | None, class_table: ClassTable) -> int | None:
    if name is None:
        return None
    if name not in class_table.names:
        raise ConfigError(
            f"The class table '{class_table.name}' has no class '{name}' to replace as background; "
            f"choose one of {', '.join(class_table.names)} or none."
        )
    return class_table.names.index(name)


Batches = Callable[[int], Batch]
"""From step to batch."""


AnyBatch = TypeVar("AnyBatch")
AnyBatchMade = TypeVar("AnyBatchMade", covariant=True)
AnyCrop = TypeVar("AnyCrop")


class CropSource(Protocol[AnyCrop, AnyBatchMade]):
    """Source of batches that can make the crops of a step, and stack any crops to a batch."""

    def __call__(self, step: int) -> AnyBatchMade:
        """Return the batch of one step: all its crops."""

    def crops(self, step: int) -> list[AnyCrop]:
        """Return the crops of one step."""

    def batch(self, crops: Sequence[AnyCrop]) -> AnyBatchMade:
        """Stack crops."""


MOST_THREADS = 8
"""Largest number of threads that make batches, each of which is held in memory."""


class Prefetcher(Generic[AnyBatch]):
    """Prefetch the next batches in background threads.

    Each step gets the same batch as without prefetching.

    Parameters
    ----------
    batches : callable
        Function from step to batch; called from all threads.
    threads : int
        Number of threads, each of which makes another batch. A GPU takes a step in less time
        than a thread takes to make a batch.
    """

    def __init__(self, batches: Callable[[int], AnyBatch], threads: int = 1) -> None:
        self._batches = batches
        self._count = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._made: dict[int, Future[AnyBatch]] = {}

    def __call__(self, step: int) -> AnyBatch:
        """Return the batch of one step and start with those of the next.

        Raises
        ------
        Exception
            Any error raised while the batch was made.
        """
        made = self._made.pop(step, None)
        batch = made.result() if made else self._batches(step)
        wanted = range(step + 1, step + 1 + self._count)
        for number in self._made.keys() - wanted:
            self._made.pop(number).cancel()
        for number in wanted:
            if number not in self._made:
                self._made[number] = self._threads.submit(self._batches, number)
        return batch


def prefetched(
    batches: Callable[[int], AnyBatch], device: torch.device
) -> Callable[[int], AnyBatch]:
    """Prefetch batches for a GPU; on a CPU there is no spare time (measured: no gain)."""
    if device.type == "cpu":
        return batches
    return Prefetcher(batches, min(MOST_THREADS, max(1, torch.get_num_threads() - 1)))
