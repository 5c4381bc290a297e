"""Networks with their optimisers, the learning rate, and the training engine."""

import inspect
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from c2f_core.config.settings import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

from c2f_core.device import computes_in_bfloat16
from c2f_core.errors import ConfigError
from c2f_core.training.processes import processes_per_node

BACKWARD = threading.Lock()
"""Held in backward passes: Fabric marks them by one flag that runs in two threads share."""


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine decay or constant.

    The cosine decay is that of Loshchilov and Hutter (ICLR 2017), without restarts.

    Parameters
    ----------
    step : int
        Number of steps already done.
    config : TrainConfig
        Settings of the run.

    Returns
    -------
    float
        Learning rate of the generator.
    """
    warmup_steps, peak = config.optimiser.warmup_steps, config.peak_learning_rate
    warmup = min(1.0, (step + 1) / (warmup_steps + 1))
    if config.schedule == "constant":
        return peak * warmup
    progress = max(0, step - warmup_steps) / max(1, config.total_steps - warmup_steps)
    return peak * warmup * (1 + math.cos(math.pi * progress)) / 2


class NetworkWithOptimiser:
    """A network and its optimiser, set up on the device.

    Parameters
    ----------
    fabric : Fabric
        Launched training engine.
    network : nn.Module
        Network to train.
    optimiser : torch.optim.Optimizer
        Optimiser of the network's parameters.
    clip_norm : float or None
        Largest norm of the gradient; None does not clip.

    Attributes
    ----------
    module : nn.Module
        The bare network, whose weights are saved.
    network : callable
        The network as the engine runs it, on its device and in its precision.
    """

    def __init__(
        self,
        fabric: "Fabric",
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        clip_norm: float | None = None,
    ) -> None:
        self.module = network
        self.network, self._optimiser = fabric.setup(network, optimiser)
        self._fabric = fabric
        self._clip_norm = math.inf if clip_norm is None else clip_norm

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate

    def optimise(self, loss: Tensor) -> float:
        """Take one optimiser step on a loss.

        Parameters
        ----------
        loss : () float tensor
            Loss with a gradient.

        Returns
        -------
        float
            Norm of the gradient before clipping.
        """
        self._optimiser.zero_grad(set_to_none=True)
        with BACKWARD:
            self._fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), self._clip_norm)
        self._optimiser.step()
        return norm.item()

    def frozen_pass(self, *inputs: Tensor) -> Any:
        """Run the network, in the engine's precision, in a pass that does not train it.

        Gradients flow to the inputs only if the weights are `frozen`. The engine would expect
        a backward pass to follow.
        """
        with self._fabric.autocast():
            return self.module(*inputs)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the weights while the other network is trained."""
        self.module.requires_grad_(False)
        try:
            yield
        finally:
            self.module.requires_grad_(True)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the state of the optimiser."""
        return {"network": self.module.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.module.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])


def make_fabric(config: TrainConfig) -> "Fabric":
    """Make the training engine for this process: its device, its precision and its group.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run, of which device, number of processes and precision matter.

    Returns
    -------
    Fabric
        Engine, not launched yet.

    Raises
    ------
    ConfigError
        If the device is not available.
    """
    # Imported lazily: Lightning takes seconds, which only training is worth.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    # Its notes on the precision would break into the progress bar.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    half = config.precision == "bfloat16" or (
        config.precision == "auto" and computes_in_bfloat16(config.device)
    )
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if half else "32-true"
    devices = processes_per_node(config)
    try:
        if devices * config.nodes == 1:
            return Fabric(accelerator=config.device, devices=1, precision=precision)
        return Fabric(
            accelerator=config.device,
            devices=devices,
            num_nodes=config.nodes,
            strategy=DDPStrategy(process_group_backend=_backend(), **_buffers_stay()),
            precision=precision,
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The device '{config.device}' cannot be used ({error}); choose device auto or cpu."
        ) from error
    except Exception as error:
        # Lightning's MisconfigurationException derives from Exception alone.
        if type(error).__name__ != "MisconfigurationException":
            raise
        raise ConfigError(
            f"The device '{config.device}' is not available ({error}); choose device auto or cpu."
        ) from error


def _buffers_stay() -> dict[str, Any]:
    """Return the option not to send buffers in each step: they follow from weights and sums."""
    options = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    newer, older = "forward_sync_buffers", "broadcast_buffers"
    return {newer if newer in options else older: False}


def _backend() -> str:
    """Return what carries tensors between processes: gloo those of the host, NCCL of GPUs."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
