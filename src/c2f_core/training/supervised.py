"""Model 1 and the plain U-Net: the pixel-wise loss on pairs with fine maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from c2f_core.config.settings import OptimiserConfig, TrainConfig
from c2f_core.data.batches import (
    AugmentedBatches,
    Batch,
    Batches,
    CropSampling,
    ReportBatches,
    prefetched,
)
from c2f_core.data.pairs import Pair
from c2f_core.device import memory_format
from c2f_core.losses.pixelwise import PIXEL_LOSSES, inverse_class_proportions
from c2f_core.networks.unet import UNet, build_generator, generator_input
from c2f_core.training.initial import load_initial_weights
from c2f_core.training.loading import TrainingData
from c2f_core.training.optimisation import NetworkWithOptimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class StepResult:
    """Result of one training step.

    Attributes
    ----------
    loss : float
        Loss that the generator minimised.
    gradient_norm : float
        Norm of the generator's gradient before clipping.
    values : dict of str to float
        Other losses, rates and shares by name.
    """

    loss: float
    gradient_norm: float
    values: dict[str, float] = field(default_factory=dict)


def make_optimiser(generator: UNet, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the optimiser of the generator's parameters."""
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    # Fused, all parameters are updated in one pass; the default takes twice as long on a CPU.
    return kind(
        generator.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )


def make_batches(config: TrainConfig, data: TrainingData) -> Batches:
    """Return a function from step to batch of the pairs with fine maps."""
    if config.preprocessing == "report":
        classes = data.class_table.number_of_classes
        return ReportBatches(data.train, classes, config.batch_size, config.seed)
    return AugmentedBatches(
        data.train,
        data.class_table,
        config.augmentation,
        CropSampling(config.crop, config.batch_size, config.seed),
        simulation=config.simulation,
    )


class SupervisedLearner:
    """Trains the generator on pairs with fine maps.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run.
    fabric : Fabric
        Launched training engine.
    data : TrainingData
        Pairs of the run.

    Attributes
    ----------
    generator : NetworkWithOptimiser
        Generator with its optimiser.
    average : AveragedModel
        Moving average of the generator's weights and batch statistics.
    class_weights : (C,) float tensor
        Weight of each class in the pixel-wise loss.
    """

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        torch.manual_seed(config.seed)
        classes = data.class_table.number_of_classes
        generator = build_generator(config.architecture, classes)
        layout = memory_format(fabric.device)
        generator = generator.to(memory_format=layout)  # type: ignore[call-overload]
        self.average = AveragedModel(
            generator,
            multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.average_decay),
            use_buffers=True,
        )
        self.average.to(fabric.device)
        optimiser = make_optimiser(generator, config.optimiser)
        self.generator = NetworkWithOptimiser(
            fabric, generator, optimiser, config.optimiser.clip_norm
        )
        weights = inverse_class_proportions(
            [pair.fine for pair in data.train if pair.fine is not None],
            classes,
            config.class_weight_cap,
        )
        self.class_weights = torch.from_numpy(weights).to(fabric.device)
        self._config = config
        self._class_table = data.class_table
        self._fabric = fabric
        self._pixel_loss = PIXEL_LOSSES[config.loss]
        self._batches = prefetched(make_batches(config, data), fabric.device)

    @property
    def validated_generator(self) -> UNet:
        """Averaged generator, which is validated and saved; without decay, a copy."""
        module = self.average.module
        assert isinstance(module, UNet)
        return module

    def step(self, number: int) -> StepResult:
        """Train on step `number`, counted from 0."""
        batch = self._fine_batch(number)
        loss = self._pixel_loss(
            self._logits(batch.images, batch.coarse), batch.fine, self.class_weights
        )
        return StepResult(loss.item(), self._optimise(loss))

    def _fine_batch(self, number: int) -> Batch:
        return self._batches(number).to(self._fabric.device)

    def _logits(self, images: Tensor, coarse: Tensor) -> Tensor:
        conditional = self._config.architecture.conditional
        logits: Tensor = self.generator.network(generator_input(images, coarse, conditional))
        # The losses take a fifth less time on contiguous channels than on channels last.
        return logits.to(torch.float32, memory_format=torch.contiguous_format)

    def _optimise(self, loss: Tensor) -> float:
        norm = self.generator.optimise(loss)
        self.average.update_parameters(self.generator.module)
        return norm

    def load_start(self) -> None:
        """Load what the config names to start from; by default the weights stay random.

        Raises
        ------
        C2FError
            If it cannot be read, or does not fit the config and the data.
        """
        source = self._config.initial_weights
        if source is not None:
            architecture = self._config.architecture
            self.set_weights(load_initial_weights(source, architecture, self._class_table))

    def discriminator_accuracy_on(
        self,
        pairs: Sequence[Pair],  # noqa: ARG002
        predictions: Sequence[NDArray[np.uint8]],  # noqa: ARG002
    ) -> float | None:
        """Return the accuracy of the discriminator on held-out pairs; None without one.

        Parameters
        ----------
        pairs : sequence of Pair
            Pairs with fine maps.
        predictions : sequence of (Y, X) uint8 array
            Class ids that the generator predicts, in the order of the pairs.

        Returns
        -------
        float or None
            Accuracy in [0, 1]; 0.5 if no map has a pixel that counts as fake.
        """
        return None

    def realism_map(
        self,
        image: NDArray[np.uint8],  # noqa: ARG002
        class_ids: NDArray[np.uint8],  # noqa: ARG002
    ) -> NDArray[np.float32] | None:
        """Score how real each pixel of a map looks to the discriminator; None without one.

        Parameters
        ----------
        image : (Y, X, 3) uint8 array
            RGB image.
        class_ids : (Y, X) uint8 array
            Class ids of the map, 255 where unlabelled.

        Returns
        -------
        (Y, X) float32 array or None
            Scores in [0, 1]; 1 looks real.
        """
        return None

    def set_weights(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights by those of a generator of the same shape."""
        self.generator.module.load_state_dict(weights)
        self.average.module.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers only, for `torch.load(weights_only=True)`."""
        return {"generator": self.generator.state_dict(), "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
