"""Model 1 and the plain U-Net: the pixel-wise loss on pairs with fine maps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from c2f_core.config.settings import TrainConfig
from c2f_core.data.batches import (
    AugmentedBatches,
    Batch,
    CropSampling,
    CropSource,
    ReportBatches,
)
from c2f_core.data.pairs import Pair
from c2f_core.losses.pixelwise import PIXEL_LOSSES, inverse_class_proportions
from c2f_core.models.metadata import CheckpointMetadata, ModelMetadata
from c2f_core.networks.unet import UNet, build_generator, generator_input
from c2f_core.training.initial import load_initial_weights
from c2f_core.training.learner import Learner, StepResult
from c2f_core.training.loading import TrainingData
from c2f_core.training.validation import ValidationResult, validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_batches(
    config: TrainConfig, data: TrainingData, processes: int = 1
) -> CropSource[Any, Batch]:
    """Return the source of batches of the pairs with fine maps, for all processes together."""
    batch_size = config.batch_size * processes
    if config.preprocessing == "report":
        classes = data.class_table.number_of_classes
        return ReportBatches(data.train, classes, batch_size, config.seed)
    return AugmentedBatches(
        data.train,
        data.class_table,
        config.augmentation,
        CropSampling(config.crop, batch_size, config.seed),
        simulation=config.simulation,
    )


class SupervisedLearner(Learner):
    """Trains the generator on pairs with fine maps.

    Parameters
    ----------
    config, fabric, data
        See `Learner`.

    Attributes
    ----------
    class_weights : (C,) float tensor
        Weight of each class in the pixel-wise loss.
    """

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        super().__init__(config, fabric, data)
        weights = inverse_class_proportions(
            [pair.fine for pair in data.train if pair.fine is not None],
            data.class_table.number_of_classes,
            config.class_weight_cap,
        )
        self.class_weights = torch.from_numpy(weights).to(fabric.device)
        self._pixel_loss = PIXEL_LOSSES[config.loss]
        source = make_batches(config, data, self.processes.count)
        self._batches = self.processes.batches(source, fabric.device)

    @staticmethod
    def _build(config: TrainConfig, data: TrainingData) -> UNet:
        return build_generator(config.architecture, data.class_table.number_of_classes)

    @property
    def weights_by_class(self) -> Mapping[str, float]:
        """Weight of each class in the loss by name."""
        return dict(zip(self._class_table.names, self.class_weights.tolist(), strict=True))

    @property
    def validated_generator(self) -> UNet:
        """Averaged generator; see `Learner.validated_generator`."""
        module = super().validated_generator
        assert isinstance(module, UNet)
        return module

    def validate(self, pairs: Sequence[Pair]) -> ValidationResult:
        """Score the averaged generator on pairs with fine maps, and calibrate its confidence."""
        colour_weight = self._config.colour_weight
        return validate(
            self.validated_generator,
            pairs,
            self._class_table,
            self._fabric.device,
            colour_weight,
            self.processes,
        )

    def metadata(self, common: ModelMetadata) -> CheckpointMetadata:
        """Return the metadata of a checkpoint; see `Learner.metadata`."""
        return CheckpointMetadata(**dict(common), class_table=self._class_table)

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
