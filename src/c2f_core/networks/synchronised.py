"""Batch normalisation over the parts of a batch that several processes share."""

from typing import Any

import torch
from torch import Tensor, distributed, nn


def synchronised(network: nn.Module, device: torch.device) -> nn.Module:
    """Let the batch normalisation of a network use the statistics of all processes.

    In evaluation mode nothing changes, nor do the names of the weights.

    Parameters
    ----------
    network : nn.Module
        Network whose layers `BatchNorm2d` are replaced.
    device : torch.device
        Device that the network is going to compute on.

    Returns
    -------
    nn.Module
        The same network with other layers, which share its parameters.
    """
    if device.type != "cpu":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SynchronisedBatchNorm.of(child))
    return network


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """`torch.nn.SyncBatchNorm` for CPUs, which torch's own does not support."""

    @classmethod
    def of(cls, layer: nn.BatchNorm2d) -> "SynchronisedBatchNorm":
        """Return a layer with the parameters and statistics of another."""
        new = cls(layer.num_features, eps=layer.eps, momentum=layer.momentum)
        new.weight, new.bias = layer.weight, layer.bias
        new.load_state_dict(layer.state_dict())
        return new.train(layer.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (N, C, Y, X) with the statistics of all processes in training mode."""
        if not self.training:
            return super().forward(inputs)
        values = inputs.float()
        count, mean, variance = _statistics_of_all(values)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (values * scale[:, None, None] + shift[:, None, None]).to(inputs.dtype)


def _statistics_of_all(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of values of a channel, and mean and variance of each, (C,) tensors."""
    own_count = values.new_full((values.shape[1],), values.numel() // values.shape[1])
    variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
    # Each process fills its row; in the sum over the processes, every row is filled.
    rows = values.new_zeros(distributed.get_world_size())
    rows[distributed.get_rank()] = 1
    own = torch.stack([own_count, mean, variance])
    counts, means, variances = _sum_over_processes(rows[:, None, None] * own).unbind(1)
    shares = counts / counts.sum(dim=0)
    whole_mean = (shares * means).sum(dim=0)
    whole_variance = (shares * (variances + (means - whole_mean).square())).sum(dim=0)
    return counts[:, 0].sum(), whole_mean, whole_variance


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """Sum over the processes, through which gradients of all processes flow."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
