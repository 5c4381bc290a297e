"""Stage 2 of Model 2: training on images with coarse maps only.

Recipe "report": the generator is trained by the discriminator alone. It tells whether
a map looks real, not whether it is right, and a frozen discriminator is soon fooled:
accuracy falls.

Recipe "default": three sources, each with its weight in `Stage2Config`.

1. Replay: stage 1 continues on the pairs with fine maps (Hung et al., BMVC 2018, keep
   the supervised loss in every step), so the discriminator keeps learning, too.
2. Pseudo-labels: the averaged generator (mean teacher, Tarvainen and Valpola,
   NeurIPS 2017) predicts class probabilities on a weakly changed crop; the generator
   learns them on a strongly changed one (FixMatch, Sohn et al., NeurIPS 2020) into
   which a box of another crop is pasted (CutMix, French et al., BMVC 2020). The colours
   of the classes in the crop correct the boundaries of the averaged generator (see
   `c2f_core.networks.colour_prior`): the image itself may show what the fine maps do not.
   Pixels count where the teacher's map looks real to the discriminator (Hung et al.).
3. The adversarial loss, with a small weight.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from c2f_core.config.settings import AugmentationConfig, TrainConfig
from c2f_core.data.batches import (
    AugmentedBatches,
    Batch,
    CropSampling,
    CropSource,
    ReportBatches,
)
from c2f_core.losses.semi_supervised import cut_mix, draw_boxes, soft_cross_entropy
from c2f_core.networks.colour_prior import with_colour_models
from c2f_core.networks.encoding import most_likely, one_hot
from c2f_core.networks.unet import generator_input
from c2f_core.training.initial import latest_stage, load_stage1
from c2f_core.training.learner import StepResult
from c2f_core.training.loading import TrainingData, check_coarse_only
from c2f_core.training.stage1 import Stage1Learner

if TYPE_CHECKING:
    from lightning_fabric import Fabric


COARSE_ONLY_SEED = 1_000_003
"""Added to the seed so that fine and coarse-only crops are drawn independently."""


def make_coarse_only_batches(
    config: TrainConfig, data: TrainingData, processes: int = 1
) -> CropSource[Any, Batch]:
    """Return the source of batches of the coarse-only pairs, for all processes together."""
    classes = data.class_table.number_of_classes
    size, seed = config.stage2.coarse_only_batch_size * processes, config.seed + COARSE_ONLY_SEED
    if config.preprocessing == "report" and config.stage2.recipe == "report":
        return ReportBatches(data.coarse_only, classes, size, seed)
    # The default recipe needs strong views, which only random crops have.
    return AugmentedBatches(
        data.coarse_only,
        data.class_table,
        config.augmentation,
        CropSampling(config.crop, size, seed),
        strong=AugmentationConfig(colour=config.stage2.strong_colour),
    )


class Stage2Learner(Stage1Learner):
    """Continues the training of stage 1 with coarse-only pairs.

    Parameters
    ----------
    config, fabric, data
        See `Learner`.

    Raises
    ------
    DataError
        If there is no coarse-only pair.
    """

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        super().__init__(config, fabric, data)
        check_coarse_only(data.coarse_only)
        source = make_coarse_only_batches(config, data, self.processes.count)
        self._coarse_only = self.processes.batches(source, fabric.device)
        self._coarse_only_weight = min(1.0, config.stage2.few_fine_maps / len(data.train))

    def load_start(self) -> None:
        """Load generator and discriminator of the run of stage 1 that the config names."""
        start = self._config.stage2.start
        assert start is not None, "checked by TrainConfig"
        state = load_stage1(start, self._config, self._class_table)
        with latest_stage(start).fitting_state():
            self.start_from(state)

    def start_from(self, state: dict[str, Any]) -> None:
        """Start from the state of stage 1: its averaged generator and its discriminator."""
        self.average.load_state_dict(state["average"])
        self.generator.module.load_state_dict(self.average.module.state_dict())
        self.discriminator.load_state_dict(state["discriminator"])
        self.discriminator.set_learning_rate(self._config.stage1.discriminator_learning_rate)

    def step(self, number: int) -> StepResult:
        """Train on step `number`, counted from 0."""
        config = self._config.stage2
        if config.recipe == "default" and not self._learns_from_coarse_only:
            # Nothing to learn: skip the optimiser step so that weight decay is not applied.
            return super().step(number) if config.replay else StepResult(0.0, 0.0)
        batch = self._coarse_only(number).to(self._fabric.device)
        if config.recipe == "report":
            return self._report_step(batch)
        return self._default_step(number, batch)

    @property
    def _learns_from_coarse_only(self) -> bool:
        config = self._config.stage2
        return bool(config.pseudo_label_weight or config.adversarial_weight)

    def _report_step(self, batch: Batch) -> StepResult:
        """Minimise L_G(D(x, G(x))) alone; the discriminator is frozen."""
        logits = self._logits(batch.images, batch.coarse)
        with self.discriminator.frozen():
            maps = self._fake_maps(logits, most_likely(logits.detach()))
            loss = self._adversarial_loss(batch.images, maps, None)
            return StepResult(loss.item(), self._optimise(loss), {"adversarial loss": loss.item()})

    def _default_step(self, number: int, batch: Batch) -> StepResult:
        """Take a step down the sum of replay, pseudo-label and adversarial losses."""
        crops, values = self._prepare(number, batch)
        fine_batch = self._fine_batch(number)
        fine_logits, logits = self._joint_logits(fine_batch, crops)
        loss = torch.zeros((), device=logits.device)
        if self._config.stage2.replay:
            values |= self._train_discriminator(fine_batch, fine_logits)
            loss, parts = self._stage1_loss(fine_batch, fine_logits)
            values |= parts
        for weight, name, part in self._coarse_only_losses(crops, logits):
            loss = loss + self._coarse_only_weight * weight * part
            values[name] = part.item()
        return StepResult(loss.item(), self._optimise(loss), values)

    def _prepare(self, number: int, batch: Batch) -> tuple["_CoarseOnlyCrops", dict[str, float]]:
        """Add pseudo-labels to a batch and paste boxes; also return the values to log."""
        assert batch.strong_images is not None
        targets, trusted, values = self._pseudo_labels(batch)
        crops = _CoarseOnlyCrops(batch.images, batch.strong_images, batch.coarse, targets, trusted)
        return self._cut_mixed(number, crops), values

    def _cut_mixed(self, number: int, crops: "_CoarseOnlyCrops") -> "_CoarseOnlyCrops":
        if not self._config.stage2.cut_mix:
            return crops
        rng = np.random.default_rng([self._config.seed, COARSE_ONLY_SEED, number])
        count, _, height, width = crops.weak.shape
        processes = self.processes
        rng.random(count * processes.count)  # Skipped: the boxes are those of the published runs.
        boxes = draw_boxes(count * processes.count, (height, width), rng).to(crops.weak.device)
        mine = boxes[count * processes.rank : count * (processes.rank + 1)]
        return crops.mixed(mine, processes.predecessors)

    def _joint_logits(self, fine_batch: Batch, crops: "_CoarseOnlyCrops") -> tuple[Tensor, Tensor]:
        """Compute both logits in one pass, so that they share batch statistics."""
        logits = self._logits(
            torch.cat([fine_batch.images, crops.strong]),
            torch.cat([fine_batch.coarse, crops.coarse]),
        )
        size = len(fine_batch.images)
        return logits[:size], logits[size:]

    def _coarse_only_losses(
        self, crops: "_CoarseOnlyCrops", logits: Tensor
    ) -> Iterator[tuple[float, str, Tensor]]:
        """Yield weight, name and value of each loss."""
        config = self._config.stage2
        if config.pseudo_label_weight:
            loss = soft_cross_entropy(logits, crops.targets, crops.trusted, self.class_weights)
            yield config.pseudo_label_weight, "pseudo-label loss", loss
        if config.adversarial_weight:
            with self.discriminator.frozen():
                maps = self._fake_maps(logits, most_likely(logits.detach()))
                loss = self._adversarial_loss(crops.weak, maps, None)
            yield config.adversarial_weight, "coarse-only adversarial loss", loss

    @torch.no_grad()
    def _pseudo_labels(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return class probabilities (N, C, Y, X), where they count, and the values to log."""
        targets = self._teacher_probabilities(batch)
        trusted = torch.ones_like(targets[:, 0], dtype=torch.bool)
        values = {}
        if self._config.stage2.discriminator_threshold:
            maps = one_hot(most_likely(targets), targets.shape[1])
            score = self._realism(batch.images, maps)
            trusted = score >= self._config.stage2.discriminator_threshold
            values["discriminator score"] = score.mean().item()
        values["pseudo-label rate"] = trusted.float().mean().item()
        values |= self._class_shares("pseudo-label", targets * trusted[:, None])
        values |= self._class_shares("coarse", batch.coarse)
        return targets, trusted, values

    def _teacher_probabilities(self, batch: Batch) -> Tensor:
        """Class probabilities of the averaged generator, corrected by the colours of the crop."""
        self.average.eval()
        with self._fabric.autocast():
            logits = self.average(generator_input(batch.images, batch.coarse, conditional=True))
        weight = self._config.stage2.colour_weight
        return with_colour_models(logits.float(), batch.images, weight).softmax(dim=1)

    def _class_shares(self, kind: str, maps: Tensor) -> dict[str, float]:
        sums = self.processes.sum(maps.sum(dim=(0, 2, 3)))
        shares = (sums / sums.sum().clamp(min=1)).tolist()
        named = zip(self._class_table.names, shares, strict=True)
        return {f"{kind} share {name}": share for name, share in named}


@dataclass(frozen=True)
class _CoarseOnlyCrops:
    """Crops of coarse-only pairs.

    Attributes
    ----------
    weak, strong : (N, 3, Y, X) float tensor in [-1, 1]
        Images with weak and with strong colour changes.
    coarse : (N, C, Y, X) float tensor
        One-hot coarse maps.
    targets : (N, C, Y, X) float tensor
        Class probabilities of the averaged generator.
    trusted : (N, Y, X) boolean tensor
        Pixels whose targets count.
    """

    weak: Tensor
    strong: Tensor
    coarse: Tensor
    targets: Tensor
    trusted: Tensor

    def mixed(self, boxes: Tensor, predecessors: Callable[[Tensor], Tensor]) -> "_CoarseOnlyCrops":
        """Paste boxes (N, Y, X) of each crop's predecessor into it, with all that belongs to it."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        mixed = {name: cut_mix(part, boxes, predecessors(part)) for name, part in parts.items()}
        return _CoarseOnlyCrops(**mixed)
