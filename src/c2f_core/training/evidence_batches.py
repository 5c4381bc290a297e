"""Training batches of the class-agnostic network: crops with the evidence for their classes.

The evidence is that of the instant refiner, which learns in a region of the image around
the crops. Each step has its own random generator, so that a resumed run draws the same
batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.config.settings import AugmentationConfig, SimulationConfig
from c2f_core.data.batches import CropSampling
from c2f_core.data.pairs import Pair
from c2f_core.data.simulation import simulation_of
from c2f_core.device import memory_format
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Window
from c2f_core.networks.encoding import image_to_tensor
from c2f_core.refine.class_agnostic.evidence import NetworkEvidence, evidence_of
from c2f_core.refine.instant.posterior import InstantModel

CROPS_PER_REGION = 2
"""Number of crops that share what the instant refiner learns, as learning takes longest."""
LARGEST_REGION = 512
"""Side in pixels of the largest region of an image in which the instant refiner learns."""
MOST_CLASSES = 4
"""Largest number of classes in a crop; the rarest are left out."""
WINDOWS, ENOUGH_ERRORS = 3, 0.002
"""Number of windows that are tried, until this share of the labelled pixels is wrong."""
REGIONS = 50
"""Number of regions that are tried, until one has a coarse and a fine label."""
SMALLEST_ERROR, LARGEST_ERROR = 0.01, 0.2
"""Limits of the share of wrong coarse pixels, by which the loss of a crop is divided."""
MEAN_ERROR = 0.05
"""Share of wrong coarse pixels of which the loss has the weight 1."""
FEW_LABELS, WEIGHT_OF_FEW = 0.3, 0.4
"""Share of unlabelled pixels from which on a crop counts as scribbles, and its weight."""
Scalar = TypeVar("Scalar", bound=np.generic)
IGNORED = -100
"""Stands for pixels without a class in the fine map, or with one that is left out."""


@dataclass(frozen=True)
class EvidenceBatch:
    """A training batch.

    Attributes
    ----------
    images : (N, 3, Y, X) float32 tensor
        RGB images in [-1, 1].
    evidence : (M, 7, Y, X) float32 tensor
        Evidence for the classes of each image, one image after the other.
    counts : list of int
        Number of classes of each image.
    fine : (N, Y, X) int64 tensor
        Place of the right class among those of the image, `IGNORED` where unknown.
    weights : (N,) float32 tensor
        Weight of each image in the loss.
    """

    images: Tensor
    evidence: Tensor
    counts: list[int]
    fine: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "EvidenceBatch":
        """Move all tensors to a device."""
        layout = memory_format(device)
        return EvidenceBatch(
            self.images.to(device, memory_format=layout),
            self.evidence.to(device, memory_format=layout),
            self.counts,
            self.fine.to(device),
            self.weights.to(device),
        )


@dataclass(frozen=True)
class _Crop:
    """One crop: image (Y, X, 3), evidence (K, 7, Y, X), fine (Y, X), and its weight.

    `coloured` (1, 3, Y, X) is the image with changed colours in [-1, 1], once all are drawn.
    """

    image: NDArray[np.uint8]
    evidence: NDArray[np.float32]
    fine: NDArray[np.int64]
    weight: float
    coloured: Tensor | None = None


class EvidenceBatches:
    """Random crops of pairs.

    Parameters
    ----------
    pairs : sequence of Pair
        Pairs with fine maps.
    sampling : CropSampling
        Size, number and seed of the crops.
    augmentation : AugmentationConfig
        Of which `flip` mirrors and turns the crops, and `colour` changes their colours,
        which the evidence does not follow: the network must not trust them too much.
    simulation : SimulationConfig
        Share and kinds of the coarse maps that are simulated from the fine ones.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        sampling: CropSampling,
        augmentation: AugmentationConfig,
        simulation: SimulationConfig,
    ) -> None:
        self._pairs = pairs
        self._sampling = sampling
        self._augmentation = augmentation
        self._simulated_share = simulation.share
        self._simulation = simulation_of(simulation)

    def __call__(self, step: int) -> EvidenceBatch:
        """Return the batch of one step; the same step gives the same batch.

        Raises
        ------
        DataError
            If no pair has both a coarse and a fine label.
        """
        return self.batch(self.crops(step))

    def crops(self, step: int) -> list[_Crop]:
        """Return the crops of one step; errors are those of a call."""
        rng = np.random.default_rng([self._sampling.seed, step])
        crops: list[_Crop] = []
        while len(crops) < self._sampling.batch_size:
            wanted = min(CROPS_PER_REGION, self._sampling.batch_size - len(crops))
            crops += self._crops(self._region(rng), wanted, rng)
        return [replace(crop, coloured=self._coloured(crop.image, rng)) for crop in crops]

    def batch(self, crops: Sequence[_Crop]) -> EvidenceBatch:
        """Stack crops."""
        return EvidenceBatch(
            torch.cat([crop.coloured for crop in crops if crop.coloured is not None]),
            torch.from_numpy(np.concatenate([crop.evidence for crop in crops])),
            [len(crop.evidence) for crop in crops],
            torch.from_numpy(np.stack([crop.fine for crop in crops])),
            torch.tensor([crop.weight for crop in crops]),
        )

    def _region(self, rng: np.random.Generator) -> Pair:
        """Cut a random region with both kinds of labels, its coarse map real or simulated."""
        for _ in range(REGIONS):
            pair = self._pairs[int(rng.integers(len(self._pairs)))]
            assert pair.fine is not None, "only pairs with fine maps train"
            window = _random_window(pair.coarse.shape, LARGEST_REGION, rng)
            fine, coarse = pair.fine[window], pair.coarse[window]
            if not (fine != UNLABELLED_ID).any():
                continue
            is_simulated = rng.random() < self._simulated_share or pair.is_simulated
            if self._simulation is not None and is_simulated:
                coarse = self._simulation.simulate(fine, rng).class_ids
            if (coarse != UNLABELLED_ID).any():
                return Pair(pair.name, pair.image[window], coarse, fine)
        raise DataError(
            "The training pairs have hardly any labels in their coarse and fine maps; draw more."
        )

    def _crops(self, region: Pair, count: int, rng: np.random.Generator) -> list[_Crop]:
        model = InstantModel.of_image(region.image, region.coarse)
        crops = [self._crop(region, model, rng) for _ in range(count)]
        if self._augmentation.flip:
            crops = [_turned(crop, int(rng.integers(8))) for crop in crops]
        return crops

    def _crop(self, region: Pair, model: InstantModel, rng: np.random.Generator) -> _Crop:
        side = self._sampling.side
        window = _window_with_errors(region, side, rng)
        assert region.fine is not None
        coarse, fine = region.coarse[window], region.fine[window]
        found = evidence_of(model, window)
        rows = _frequent_rows(found, coarse, fine)
        places = np.full(UNLABELLED_ID + 1, IGNORED, np.int64)
        places[found.candidates[rows]] = np.arange(len(rows))
        return _padded(
            _Crop(
                region.image[window], found.channels[rows], places[fine], _weight_of(coarse, fine)
            ),
            side,
        )

    def _coloured(self, image: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Change contrast, brightness and tint, permute or invert the channels of some images."""
        strength = self._augmentation.colour
        tensor = image_to_tensor(image)
        if rng.random() < 0.7:
            contrast, *shifts = (strength * rng.uniform(-1, 1, 5)).tolist()
            tint = torch.tensor(shifts[1:])[:, None, None]
            tensor = tensor * (1 + 1.2 * contrast) + shifts[0] + 0.4 * tint
        if strength and rng.random() < 0.15:
            tensor = tensor[:, rng.permutation(3).tolist()]
        if strength and rng.random() < 0.1:
            tensor = -tensor
        return tensor.float()


def _random_window(size: tuple[int, ...], side: int, rng: np.random.Generator) -> Window:
    top, left = (int(rng.integers(0, max(length - side, 0) + 1)) for length in size)
    return slice(top, min(top + side, size[0])), slice(left, min(left + side, size[1]))


def _window_with_errors(region: Pair, side: int, rng: np.random.Generator) -> Window:
    """Return the first random window with enough errors of the coarse map, or the worst."""
    assert region.fine is not None
    wrong = (region.coarse != region.fine) & (region.fine != UNLABELLED_ID)
    worst, most = _random_window(wrong.shape, side, rng), -1.0
    for _ in range(WINDOWS):
        window = _random_window(wrong.shape, side, rng)
        share = float(wrong[window].mean())
        if share > most:
            worst, most = window, share
        if share > ENOUGH_ERRORS:
            break
    return worst


def _frequent_rows(
    found: NetworkEvidence, coarse: NDArray[np.uint8], fine: NDArray[np.uint8]
) -> NDArray[np.intp]:
    """Return the rows of the most frequent classes of a crop, in ascending order."""
    counts = np.bincount(coarse.ravel(), minlength=256) + np.bincount(fine.ravel(), minlength=256)
    order = np.argsort(-counts[found.candidates], kind="stable")
    rows: NDArray[np.intp] = np.sort(order[:MOST_CLASSES])
    return rows


def _weight_of(coarse: NDArray[np.uint8], fine: NDArray[np.uint8]) -> float:
    """Return the weight of a crop: the better its coarse map, the more each error counts."""
    if (coarse == UNLABELLED_ID).mean() > FEW_LABELS:
        return WEIGHT_OF_FEW
    wrong = float(((coarse != fine) & (fine != UNLABELLED_ID)).mean())
    return MEAN_ERROR / min(max(wrong, SMALLEST_ERROR), LARGEST_ERROR)


def _padded(crop: _Crop, side: int) -> _Crop:
    """Repeat the last rows and columns up to the side; they do not count in the loss."""
    pad = [(0, side - length) for length in crop.fine.shape]
    if not any(after for _, after in pad):
        return crop
    return _Crop(
        np.pad(crop.image, [*pad, (0, 0)], mode="edge"),
        np.pad(crop.evidence, [(0, 0), (0, 0), *pad], mode="edge"),
        np.pad(crop.fine, pad, constant_values=IGNORED),
        crop.weight,
    )


def _turned(crop: _Crop, symmetry: int) -> _Crop:
    """Apply one of the eight symmetries of the square."""

    def turned(planes: NDArray[Scalar], axes: tuple[int, int]) -> NDArray[Scalar]:
        mirrored = np.flip(planes, axes[1]) if symmetry & 1 else planes
        return np.ascontiguousarray(np.rot90(mirrored, symmetry >> 1, axes))

    return _Crop(
        turned(crop.image, (0, 1)),
        turned(crop.evidence, (2, 3)),
        turned(crop.fine, (0, 1)),
        crop.weight,
    )
