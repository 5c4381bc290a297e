"""Training of the class-agnostic network, which corrects the instant refiner."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.config.settings import ClassAgnosticConfig, TrainConfig
from c2f_core.data.batches import CropSampling
from c2f_core.data.pairs import Pair
from c2f_core.errors import CheckpointError
from c2f_core.metrics.calibration import expected_calibration_error
from c2f_core.models.bundled import bundled_file
from c2f_core.models.checkpoint import load_class_agnostic
from c2f_core.models.metadata import ClassAgnosticMetadata, ModelMetadata, RecordedConfig
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork, class_log_probabilities
from c2f_core.refine.class_agnostic.refiner import ClassAgnosticRefiner
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.interface import SILENT
from c2f_core.training.evidence_batches import IGNORED, EvidenceBatch, EvidenceBatches
from c2f_core.training.initial import checkpoint_of
from c2f_core.training.learner import Learner, StepResult
from c2f_core.training.loading import TrainingData
from c2f_core.training.validation import Baselines, ImageCounts, ValidationResult, scores_from

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BUNDLED = "any"
"""Name of the bundled model whose image encoder all class-agnostic networks share."""
FEWEST_PIXELS = 100
"""Number of labelled pixels by which the loss of a crop is divided at least."""


class ClassAgnosticLearner(Learner):
    """Trains the class-agnostic network on pairs with fine maps.

    The classes of the pairs do not matter: of each crop, the network only sees which
    regions are one class. Confidence is not calibrated by a temperature.

    Parameters
    ----------
    config, fabric, data
        See `Learner`.
    """

    baselines: ClassVar[Baselines] = {InstantRefiner.name: InstantRefiner}

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        super().__init__(config, fabric, data)
        batches = EvidenceBatches(
            data.train,
            CropSampling(config.crop, config.batch_size * self.processes.count, config.seed),
            config.augmentation,
            config.simulation,
        )
        self._batches = self.processes.batches(batches, fabric.device)

    @staticmethod
    def _build(config: TrainConfig, _data: TrainingData) -> ClassAgnosticNetwork:
        return ClassAgnosticNetwork(config.class_agnostic)

    @property
    def validated_generator(self) -> ClassAgnosticNetwork:
        """Averaged network; see `Learner.validated_generator`."""
        module = super().validated_generator
        assert isinstance(module, ClassAgnosticNetwork)
        return module

    def step(self, number: int) -> StepResult:
        """Train on step `number`, counted from 0."""
        batch = self._batches(number).to(self._fabric.device)
        logits: Tensor = self.generator.network(batch.images, batch.evidence, batch.counts)
        loss = weighted_loss(logits.float(), batch)
        return StepResult(loss.item(), self._optimise(loss))

    def validate(self, pairs: Sequence[Pair]) -> ValidationResult:
        """Score the averaged network on whole images.

        Parameters
        ----------
        pairs : sequence of Pair
            Pairs with fine maps, and with a label in each coarse map.
        """
        refiner = self._refiner(self._class_table)
        predictions, counts, samples = [], [], []
        for pair in self.processes.part(pairs):
            class_ids, confidence = refiner.refine_ids(pair.image, pair.coarse, SILENT)
            assert pair.fine is not None, "validation pairs have fine maps"
            predictions.append(class_ids)
            counts.append(ImageCounts.of(class_ids, pair.fine, self._class_table))
            labelled = pair.fine != UNLABELLED_ID
            samples.append((confidence[labelled], (class_ids == pair.fine)[labelled]))
        all_counts = self.processes.gathered(counts)
        all_samples = self.processes.gathered(samples)
        scores = self.processes.from_first(lambda: _scores(all_counts, all_samples))
        return ValidationResult(scores, 1.0, predictions)

    def _refiner(self, class_table: ClassTable) -> ClassAgnosticRefiner:
        config = RecordedConfig(method="any", class_agnostic=self._config.class_agnostic)
        return ClassAgnosticRefiner(
            self.validated_generator,
            ClassAgnosticMetadata(config=config),
            name="any",
            class_table=class_table,
            device=str(self._fabric.device),
        )

    def metadata(self, common: ModelMetadata) -> ClassAgnosticMetadata:
        """Return the metadata of a checkpoint; see `Learner.metadata`."""
        return ClassAgnosticMetadata(**dict(common))

    def load_start(self) -> None:
        """Load the weights that the config names.

        By default, the image encoder has the weights of the bundled model, which are not
        trained further, and the network returns what the instant refiner does.

        Raises
        ------
        CheckpointError
            If they cannot be read, or are those of another network.
        """
        source = self._config.initial_weights
        if source is not None:
            self.set_weights(_initial_weights(source, self._config.class_agnostic))
            return
        bundled, _ = load_class_agnostic(bundled_file(BUNDLED))
        for network in (self.generator.module, self.average.module):
            assert isinstance(network, ClassAgnosticNetwork)
            network.encoder.load_state_dict(bundled.encoder.state_dict())


def _scores(
    counts: Sequence[ImageCounts],
    samples: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> dict[str, float]:
    """Return the scores from the counts, confidences and correctness of all pairs."""
    confidences, correct = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    error = expected_calibration_error(confidences, correct)
    return scores_from(counts) | {"calibration error": error}


def _initial_weights(source: str, shape: ClassAgnosticConfig) -> dict[str, Tensor]:
    network, metadata = load_class_agnostic(checkpoint_of(source))
    stored = metadata.config.class_agnostic
    if stored != shape:
        differing = ", ".join(
            f"class_agnostic.{name} {value}"
            for name, value in stored.model_dump().items()
            if value != getattr(shape, name)
        )
        raise CheckpointError(
            f"The model {source} is another network ({differing}); choose these settings, or "
            "start from random weights."
        )
    return network.state_dict()


def weighted_loss(logits: Tensor, batch: EvidenceBatch) -> Tensor:
    """Compute the cross-entropy over the classes of each crop, weighted by crop.

    Parameters
    ----------
    logits : (M, Y, X) float tensor
        Logits of the classes.
    batch : EvidenceBatch
        Crops with the right classes and weights.

    Returns
    -------
    () float tensor
        Mean over the crops of weight times mean cross-entropy.
    """
    losses = []
    found = class_log_probabilities(logits, batch.counts)
    for log_probabilities, fine in zip(found, batch.fine, strict=True):
        total = functional.nll_loss(
            log_probabilities[None], fine[None], ignore_index=IGNORED, reduction="sum"
        )
        losses.append(total / (fine != IGNORED).sum().clamp(min=FEWEST_PIXELS))
    return (torch.stack(losses) * batch.weights).mean()
