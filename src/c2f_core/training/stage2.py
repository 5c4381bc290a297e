"""Stage 2 of Model 2: learning from images with coarse maps only.

Recipe "report": the generator descends on the discriminator's verdict alone. The
verdict says whether a map looks real, not whether it is right, and a frozen judge
is soon outwitted: accuracy falls.

Recipe "default": four sources, each with its weight in `Stage2Config`.

1. Replay: stage 1 goes on with the fine pairs (Hung et al., BMVC 2018, keep the
   supervised loss in every step), so the discriminator goes on learning too.
2. Pseudo-labels: the averaged generator (mean teacher, Tarvainen and Valpola,
   NeurIPS 2017) labels a weakly changed crop, the generator learns that on a
   strongly changed one (FixMatch, Sohn et al., NeurIPS 2020). Pixels count where
   teacher (FlexMatch's classwise thresholds, Zhang et al., NeurIPS 2021) and
   discriminator (Hung et al.) are confident.
3. Evidence: the coarse map is hidden from the generator, whose guess from the image
   alone must make the coarse map likely, by a model of how coarse maps deviate from
   fine ones that is learned on the fine pairs (see `c2f_core.training.evidence`).
   The teacher's labels join both: what it sees with the coarse map, and what it sees
   without times the evidence (Bayes).
4. The adversarial loss, with a small weight.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from c2f_core.classes import UNLABELLED_POSITION
from c2f_core.config import AugmentationConfig, TrainConfig
from c2f_core.data.transforms import AugmentedBatches, Batch, ReportBatches, most_likely, one_hot
from c2f_core.errors import DataError
from c2f_core.networks.unet import generator_input
from c2f_core.semi_supervised import (
    class_thresholds,
    evidence_loss,
    join_evidence,
    pseudo_labels,
)
from c2f_core.training.evidence import coarse_codes, evidence_of, likelihoods
from c2f_core.training.loading import TrainingData
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.supervised import StepResult

COARSE_ONLY_SEED = 1_000_003
"""Added to the seed, so that fine and coarse-only crops are drawn independently."""


def make_coarse_only_batches(config: TrainConfig, data: TrainingData) -> Callable[[int], Batch]:
    """Return the function from step to batch of the coarse-only pairs."""
    classes = data.class_table.number_of_classes
    size, seed = config.stage2.coarse_only_batch_size, config.seed + COARSE_ONLY_SEED
    if config.preprocessing == "report" and config.stage2.recipe == "report":
        return ReportBatches(data.coarse_only, classes, size, seed)
    # The default recipe needs evidence and strong views, which random crops alone have.
    return AugmentedBatches(
        data.coarse_only,
        data.class_table,
        config.augmentation,
        config.crop,
        size,
        seed,
        evidence=[coarse_codes(pair.coarse, classes) for pair in data.coarse_only],
        strong=AugmentationConfig(colour=config.stage2.strong_colour),
    )


class Stage2Learner(Stage1Learner):
    """Trains on with coarse-only pairs, the discriminator being the teacher.

    Parameters
    ----------
    config, fabric, data
        As of `SupervisedLearner`.

    Raises
    ------
    DataError
        There is no coarse-only pair.
    """

    def __init__(self, config: TrainConfig, fabric: Fabric, data: TrainingData) -> None:
        super().__init__(config, fabric, data)
        if not data.coarse_only:
            raise DataError(
                "Stage 2 learns from pairs without fine maps and there are none; add images "
                "with coarse maps only, or set data.fine_maps."
            )
        classes = data.class_table.number_of_classes
        self._coarse_only = make_coarse_only_batches(config, data)
        table = torch.from_numpy(likelihoods(data.train, classes))
        self._likelihoods = table.to(fabric.device)
        self._names = data.class_table.names

    def start_from(self, state: dict[str, Any]) -> None:
        """Go on from the state of stage 1: its averaged generator, and its discriminator."""
        self.average.load_state_dict(state["average"])
        averaged = self._config.optimiser.average_decay > 0
        start = self.average.module.state_dict() if averaged else state["generator"]["network"]
        self.generator.module.load_state_dict(start)
        self.discriminator.load_state_dict(state["discriminator"])

    def step(self, number: int) -> StepResult:
        """Do step `number`, counted from 0."""
        config = self._config.stage2
        if config.recipe == "default" and not self._learns_from_coarse_only:
            # Without replay nothing is learned, and weights must not even decay.
            return super().step(number) if config.replay else StepResult(0.0, 0.0)
        batch = self._coarse_only(self._stream(number)).to(self._fabric.device)
        if config.recipe == "report":
            return self._report_step(batch)
        return self._default_step(number, batch)

    @property
    def _learns_from_coarse_only(self) -> bool:
        config = self._config.stage2
        return any((config.pseudo_label_weight, config.evidence_weight, config.adversarial_weight))

    def _report_step(self, batch: Batch) -> StepResult:
        """Descend on L_G(D(x, G(x))) and nothing else; the discriminator stands still."""
        logits = self._logits(batch.images, batch.coarse)
        with self.discriminator.frozen():
            maps = self._fake_maps(logits, most_likely(logits.detach()))
            loss = self._adversarial_loss(batch.images, maps, None)
            return StepResult(loss.item(), self._descend(loss), {"adversarial loss": loss.item()})

    def _default_step(self, number: int, batch: Batch) -> StepResult:
        """Descend on the sum of replay, pseudo-labels, evidence and adversarial loss."""
        crops = self._hide(number, batch)
        fine_batch = self._fine_batch(number)
        fine_logits, logits = self._joint_logits(fine_batch, crops)
        values: dict[str, float] = {}
        loss = torch.zeros((), device=logits.device)
        if self._config.stage2.replay:
            values = self._discriminator_turn(fine_batch, fine_logits)
            loss, parts = self._stage1_loss(fine_batch, fine_logits)
            values |= parts
        for weight, name, part in self._coarse_only_losses(crops, logits, values):
            loss = loss + weight * part
            values[name] = part.item()
        return StepResult(loss.item(), self._descend(loss), values)

    def _hide(self, number: int, batch: Batch) -> "_CoarseOnlyCrops":
        """Choose the crops whose coarse map the generator does not get."""
        rng = np.random.default_rng([self._config.seed, COARSE_ONLY_SEED, self._stream(number)])
        drawn = rng.random(len(batch.images)) < self._config.stage2.hidden_share
        hidden = torch.from_numpy(drawn).to(batch.images.device)
        return _CoarseOnlyCrops(
            weak=batch.images,
            strong=cast(Tensor, batch.strong_images),
            coarse=batch.coarse,
            evidence=evidence_of(cast(Tensor, batch.evidence), self._likelihoods),
            hidden=hidden,
        )

    def _joint_logits(self, fine_batch: Batch, crops: "_CoarseOnlyCrops") -> tuple[Tensor, Tensor]:
        """One pass for both batches, so that they share the statistics of the normalisation."""
        logits = self._logits(
            torch.cat([fine_batch.images, crops.strong]),
            torch.cat([fine_batch.coarse, crops.coarse * ~crops.hidden[:, None, None, None]]),
        )
        size = len(fine_batch.images)
        return logits[:size], logits[size:]

    def _coarse_only_losses(
        self, crops: "_CoarseOnlyCrops", logits: Tensor, values: dict[str, float]
    ) -> Iterator[tuple[float, str, Tensor]]:
        """Weight, name and value of each loss; rates and shares go into `values`."""
        config = self._config.stage2
        if config.pseudo_label_weight:
            labels = self._pseudo_labels(crops, values)
            yield (
                config.pseudo_label_weight,
                "pseudo-label loss",
                self._pixel_loss(logits, labels, self.class_weights),
            )
        if config.evidence_weight:
            loss = evidence_loss(logits, crops.evidence, crops.hidden)
            yield config.evidence_weight, "evidence loss", loss
        if config.adversarial_weight:
            with self.discriminator.frozen():
                maps = self._fake_maps(logits, most_likely(logits.detach()))
                loss = self._adversarial_loss(crops.weak, maps, None)
            yield config.adversarial_weight, "coarse-only adversarial loss", loss

    @torch.no_grad()
    def _pseudo_labels(self, crops: "_CoarseOnlyCrops", values: dict[str, float]) -> Tensor:
        """Labels (N, Y, X) of the averaged generator, 255 where not trusted."""
        config = self._config.stage2
        probabilities = self._teacher(crops)
        confidence, labels = probabilities.max(dim=1)
        classes = probabilities.shape[1]
        threshold = config.confidence_threshold
        thresholds = (
            class_thresholds(confidence, labels, classes, threshold)
            if config.classwise
            else confidence.new_full((classes,), threshold)
        )
        trusted = torch.ones_like(labels, dtype=torch.bool)
        if config.discriminator_threshold:
            score = self._score(crops.weak, one_hot(labels, classes))
            trusted = score >= config.discriminator_threshold
            values["discriminator score"] = score.mean().item()
        chosen = pseudo_labels(probabilities, thresholds, trusted)
        self._log_pseudo_labels(chosen, crops.coarse, values)
        return chosen

    def _teacher(self, crops: "_CoarseOnlyCrops") -> Tensor:
        """Class probabilities (N, C, Y, X) by the averaged generator on the weak view."""
        self.average.eval()
        probabilities = self._average_probabilities(crops.weak, crops.coarse)
        if not self._config.stage2.evidence_teacher:
            return probabilities
        unseen = self._average_probabilities(crops.weak, torch.zeros_like(crops.coarse))
        return (probabilities + join_evidence(unseen, crops.evidence)) / 2

    def _average_probabilities(self, images: Tensor, coarse: Tensor) -> Tensor:
        with self._fabric.autocast():
            logits = self.average(generator_input(images, coarse, conditional=True))
        return cast(Tensor, logits.float().softmax(dim=1))

    def _log_pseudo_labels(self, labels: Tensor, coarse: Tensor, values: dict[str, float]) -> None:
        """Share of pixels with a pseudo-label; class shares there and in the coarse map."""
        kept = labels != UNLABELLED_POSITION
        values["pseudo-label rate"] = kept.float().mean().item()
        shares = torch.bincount(labels[kept], minlength=coarse.shape[1]) / kept.sum().clamp(min=1)
        coarse_shares = coarse.mean(dim=(0, 2, 3)) / coarse.mean(dim=(0, 2, 3)).sum().clamp(
            min=1e-9
        )
        for name, share, coarse_share in zip(
            self._names, shares.tolist(), coarse_shares.tolist(), strict=True
        ):
            values[f"pseudo-label share {name}"] = share
            values[f"coarse share {name}"] = coarse_share


@dataclass(frozen=True)
class _CoarseOnlyCrops:
    """Crops of coarse-only pairs.

    Attributes
    ----------
    weak, strong : (N, 3, Y, X) float tensor in [-1, 1]
    coarse : (N, C, Y, X) float tensor, one-hot
    evidence : (N, C, Y, X) float tensor
        Likelihood of the coarse map by fine class.
    hidden : (N,) boolean tensor
        Crops whose coarse map the generator does not get.
    """

    weak: Tensor
    strong: Tensor
    coarse: Tensor
    evidence: Tensor
    hidden: Tensor
