"""Model 1 and the plain U-Net: one supervised step, and its schedule."""

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from c2f_core.config import OptimiserConfig
from c2f_core.data.transforms import Batch
from c2f_core.losses import PixelLoss
from c2f_core.networks.unet import UNet, generator_input


@dataclass(frozen=True)
class StepResult:
    """Loss and gradient norm (before clipping) of one step."""

    loss: float
    gradient_norm: float


def make_optimiser(generator: UNet, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the optimiser of the generator's parameters."""
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(generator.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Learning rate of a step: linear warm-up, then cosine decay (Loshchilov 2017) or constant.

    Parameters
    ----------
    step : int
        Steps already done, from 0.
    steps : int
        Steps of the whole run.
    config : OptimiserConfig

    Returns
    -------
    float
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    if config.schedule == "constant":
        return config.learning_rate * warmup
    progress = max(0, step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.learning_rate * warmup * (1 + math.cos(math.pi * progress)) / 2


def supervised_step(
    fabric: Fabric,
    generator: UNet,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    pixel_loss: PixelLoss,
    class_weights: Tensor,
    clip_norm: float | None,
) -> StepResult:
    """Descend once on the pixel-wise loss.

    Parameters
    ----------
    fabric : Fabric
    generator : UNet
        Set up by `fabric`, in training mode.
    optimiser : torch.optim.Optimizer
        Set up by `fabric`.
    batch : Batch
    pixel_loss : callable
        One of `c2f_core.losses.PIXEL_LOSSES`.
    class_weights : (C,) float tensor
    clip_norm : float or None
        Largest norm of the gradient.

    Returns
    -------
    StepResult
    """
    logits = generator(generator_input(batch.images, batch.coarse, generator.conditional))
    loss = pixel_loss(logits.float(), batch.fine, class_weights)
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(
        generator.parameters(), math.inf if clip_norm is None else clip_norm
    )
    optimiser.step()
    return StepResult(loss.item(), norm.item())
