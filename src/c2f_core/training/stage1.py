"""Stage 1 of Model 2: generator and discriminator compete on pairs with fine maps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.config.settings import TrainConfig
from c2f_core.data.batches import Batch
from c2f_core.data.pairs import Pair
from c2f_core.device import memory_format
from c2f_core.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    discriminator_accuracy,
    realness,
)
from c2f_core.networks.discriminators import (
    Discriminator,
    build_discriminator,
    harden,
    mask_unlabelled,
)
from c2f_core.networks.encoding import at_pixels, image_to_tensor, most_likely, one_hot
from c2f_core.training.learner import StepResult
from c2f_core.training.loading import TrainingData
from c2f_core.training.optimisation import NetworkWithOptimiser
from c2f_core.training.supervised import SupervisedLearner

if TYPE_CHECKING:
    from lightning_fabric import Fabric


ADAM_BETAS = (0.5, 0.999)
"""Betas of the discriminator's Adam, as in DCGAN (Radford et al., ICLR 2016)."""


class Stage1Learner(SupervisedLearner):
    """Trains generator and discriminator alternately.

    Parameters
    ----------
    config, fabric, data
        See `Learner`.

    Attributes
    ----------
    discriminator : NetworkWithOptimiser
        Discriminator of image and map.
    """

    def __init__(self, config: TrainConfig, fabric: "Fabric", data: TrainingData) -> None:
        super().__init__(config, fabric, data)
        discriminator = build_discriminator(
            config.discriminator, data.class_table.number_of_classes
        ).to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        rate = config.stage1.discriminator_learning_rate
        optimiser = torch.optim.Adam(discriminator.parameters(), lr=rate, betas=ADAM_BETAS)
        self.discriminator = NetworkWithOptimiser(fabric, discriminator, optimiser)
        self._adversarial = ADVERSARIAL_LOSSES[config.stage1.loss]

    def step(self, number: int) -> StepResult:
        """Train on step `number`, counted from 0: the discriminator first, then the generator."""
        batch = self._fine_batch(number)
        logits = self._logits(batch.images, batch.coarse)
        values = self._train_discriminator(batch, logits)
        loss, parts = self._stage1_loss(batch, logits)
        return StepResult(loss.item(), self._optimise(loss), values | parts)

    def _train_discriminator(self, batch: Batch, logits: Tensor) -> dict[str, float]:
        """Minimise L_D(D(x, y), D(x, G(x))), with coarse maps as further fake maps if wanted."""
        fine = self._fine_maps(batch)
        fakes = [self._fake_maps(logits.detach(), batch.fine)]
        if self._config.stage1.coarse_as_fake:
            # Holes would give coarse maps away, so they are filled from the fine maps.
            drawn = batch.coarse.any(dim=1, keepdim=True)
            fakes.append(mask_unlabelled(batch.coarse.where(drawn, fine), batch.fine))
        # One pass for all maps: spectral normalisation refines its estimate with every pass.
        images = torch.cat([batch.images] * (1 + len(fakes)))
        logits_of_maps = self.discriminator.network(images, torch.cat([fine, *fakes])).float()
        real, fake = logits_of_maps[: len(fine)], logits_of_maps[len(fine) :]
        labelled = _labelled(batch.fine)
        weights = torch.cat([self.fake_weights(maps, batch.fine) for maps in fakes])
        mean = self.processes.mean
        loss = self._adversarial.discriminator(real, fake, labelled, weights, mean)
        self.discriminator.optimise(loss)
        return {
            "discriminator loss": loss.item(),
            "discriminator accuracy": discriminator_accuracy(
                real, fake, labelled, weights, self._adversarial.threshold, mean
            ),
        }

    def fake_weights(self, maps: Tensor, fine: Tensor) -> Tensor:
        """Return the weights with which the pixels of fake maps count as fake.

        A pixel discriminator that has to call every pixel of a fake map fake can only
        guess, as most of them are right; trained on the wrong pixels alone, it tells
        right from wrong (Mendel et al., ECCV 2020, correct errors likewise).

        Parameters
        ----------
        maps : (N, C, Y, X) float tensor
            Fake maps as class scores.
        fine : (N, Y, X) integer tensor
            Class ids of the fine maps, 255 where unlabelled.

        Returns
        -------
        (N, 1, Y, X) float tensor
            1 for labelled pixels, or only for those that are wrong, as configured; else 0.
        """
        config, labelled = self._config, _labelled(fine)
        if config.discriminator.kind != "pixel" or not config.stage1.wrong_pixels_only:
            return labelled
        return labelled * (most_likely(maps.detach()) != fine)[:, None]

    def _stage1_loss(self, batch: Batch, logits: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the pixel-wise loss + weight x L_G(D(x, G(x))), and the parts to log."""
        weight = self._config.stage1.adversarial_weight
        loss = self._pixel_loss(logits, batch.fine, self.class_weights)
        values = {"pixel loss": loss.item()}
        if weight:
            with self.discriminator.frozen():
                maps = self._fake_maps(logits, batch.fine)
                adversarial = self._adversarial_loss(batch.images, maps, _labelled(batch.fine))
            loss = loss + weight * adversarial
            values["adversarial loss"] = adversarial.item()
        return loss, values

    def _adversarial_loss(self, images: Tensor, maps: Tensor, labelled: Tensor | None) -> Tensor:
        """Return L_G(D(x, G(x))) of the current discriminator, which is frozen."""
        fake = self.discriminator.frozen_pass(images, maps).float()
        return self._adversarial.generator(fake, labelled, self.processes.mean)

    def _fine_maps(self, batch: Batch) -> Tensor:
        return one_hot(batch.fine, batch.coarse.shape[1])

    def _fake_maps(self, logits: Tensor, fine: Tensor) -> Tensor:
        maps = harden(logits) if self._config.stage1.harden else logits.softmax(dim=1)
        return mask_unlabelled(maps, fine)

    @property
    def bare_discriminator(self) -> Discriminator:
        """Discriminator without the engine."""
        module = self.discriminator.module
        assert isinstance(module, Discriminator)
        return module

    @torch.inference_mode()
    def discriminator_accuracy_on(
        self, pairs: Sequence[Pair], predictions: Sequence[NDArray[np.uint8]]
    ) -> float:
        """Return the accuracy of the discriminator on held-out pairs; see `Learner`."""
        mine = zip(self.processes.part(pairs), predictions, strict=True)
        with self._evaluating():
            scored = self.processes.gathered([self._accuracy_on(*each) for each in mine])
        known = [accuracy for accuracy in scored if accuracy is not None]
        return float(np.mean(known)) if known else 0.5

    def _accuracy_on(self, pair: Pair, prediction: NDArray[np.uint8]) -> float | None:
        """Accuracy on one pair; None if no pixel counts as fake."""
        assert pair.fine is not None, "held-out pairs have fine maps"
        class_ids = torch.from_numpy(np.stack([pair.fine, prediction])).to(self._fabric.device)
        truth = class_ids[:1]
        maps = one_hot(class_ids, self.bare_discriminator.number_of_classes)
        fine, fake = (mask_unlabelled(each[None], truth) for each in maps)
        weights = self.fake_weights(fake, truth)
        if not weights.any():
            return None
        image = image_to_tensor(pair.image).to(self._fabric.device)
        real, fake = (self.discriminator.frozen_pass(image, each).float() for each in (fine, fake))
        return discriminator_accuracy(
            real, fake, _labelled(truth), weights, self._adversarial.threshold
        )

    @torch.inference_mode()
    def realism_map(
        self, image: NDArray[np.uint8], class_ids: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Score how real each pixel of a map looks; see `Learner`."""
        images = image_to_tensor(image).to(self._fabric.device)
        known = torch.from_numpy(class_ids)[None].to(images.device)
        maps = one_hot(known, self.bare_discriminator.number_of_classes)
        with self._evaluating():
            return cast(NDArray[np.float32], self._realism(images, maps)[0].cpu().numpy())

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the discriminator into evaluation mode."""
        self.bare_discriminator.eval()
        try:
            yield
        finally:
            self.bare_discriminator.train()

    def _realism(self, images: Tensor, maps: Tensor) -> Tensor:
        """Score how real each pixel of maps looks to the discriminator, (N, Y, X) in [0, 1]."""
        logits = self.discriminator.frozen_pass(images, maps).float()
        score = realness(logits, self._config.stage1.loss)
        return at_pixels(score, (images.shape[-2], images.shape[-1]))

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers only, for `torch.load(weights_only=True)`."""
        return super().state_dict() | {"discriminator": self.discriminator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        super().load_state_dict(state)
        self.discriminator.load_state_dict(state["discriminator"])


def _labelled(fine: Tensor) -> Tensor:
    """Return weights (N, 1, Y, X): 1 where labelled, else 0."""
    return (fine != UNLABELLED_ID)[:, None].float()
