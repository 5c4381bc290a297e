"""What all learners share: a network with its optimiser and the moving average of its weights."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from c2f_core.config.settings import OptimiserConfig, TrainConfig
from c2f_core.data.pairs import Pair
from c2f_core.device import memory_format
from c2f_core.models.metadata import ModelMetadata
from c2f_core.networks.synchronised import synchronised
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.training.loading import TrainingData
from c2f_core.training.optimisation import NetworkWithOptimiser
from c2f_core.training.process_group import ProcessGroup
from c2f_core.training.validation import Baselines, ValidationResult

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


def make_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the optimiser of a network's parameters."""
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    # Fused, all parameters are updated in one pass; the default takes twice as long on a CPU.
    return kind(
        network.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )


class Learner(ABC):
    """Trains a network.

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
        Network with its optimiser.
    average : AveragedModel
        Moving average of the network's weights and batch statistics.
    processes : ProcessGroup
        Processes that train together.
    baselines : mapping of str to type
        Refiners without training to compare with, by name.
    """

    baselines: ClassVar[Baselines] = CLASSICAL_REFINERS

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        self.processes = ProcessGroup(fabric)
        torch.manual_seed(config.seed)
        network = self._build(config, data)
        network = network.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        self.average = AveragedModel(
            network,
            multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.average_decay),
            use_buffers=True,
        )
        self.average.to(fabric.device)
        if not self.processes.is_alone:
            network = synchronised(network, fabric.device)
        optimiser = make_optimiser(network, config.optimiser)
        self.generator = NetworkWithOptimiser(
            fabric, network, optimiser, config.optimiser.clip_norm
        )
        self._config = config
        self._class_table = data.class_table
        self._fabric = fabric

    @staticmethod
    @abstractmethod
    def _build(config: TrainConfig, data: TrainingData) -> nn.Module:
        """Return the network to train, from torch's current seed."""

    @abstractmethod
    def step(self, number: int) -> StepResult:
        """Train on step `number`, counted from 0."""

    @abstractmethod
    def load_start(self) -> None:
        """Load what the config names to start from; by default the weights stay random.

        Raises
        ------
        C2FError
            If it cannot be read, or does not fit the config and the data.
        """

    @abstractmethod
    def validate(self, pairs: Sequence[Pair]) -> ValidationResult:
        """Score the averaged network on pairs with fine maps, each in one of the processes."""

    @abstractmethod
    def metadata(self, common: ModelMetadata) -> ModelMetadata:
        """Return the metadata of a checkpoint.

        Parameters
        ----------
        common : ModelMetadata
            What the metadata of all kinds of networks have in common.
        """

    @property
    def weights_by_class(self) -> Mapping[str, float]:
        """Weight of each class in the loss by name; empty if the classes have none."""
        return {}

    @property
    def validated_generator(self) -> nn.Module:
        """Averaged network, which is validated and saved; without decay, a copy."""
        return self.average.module

    def _optimise(self, loss: Tensor) -> float:
        norm = self.generator.optimise(loss)
        self.average.update_parameters(self.generator.module)
        return norm

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
            Class ids that the generator predicts for the pairs that this process validates.

        Returns
        -------
        float or None
            Accuracy in [0, 1]; 0.5 if no map has a pixel that counts as fake. Known in the
            first process only.
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
        """Replace the weights by those of a network of the same shape."""
        self.generator.module.load_state_dict(weights)
        self.average.module.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers only, for `torch.load(weights_only=True)`."""
        return {"generator": self.generator.state_dict(), "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
