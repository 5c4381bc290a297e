"""What a run does when one of its processes ends without warning: save the last whole step."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed

from c2f_core.errors import C2FError

MESSAGES = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe")
"""Parts of messages of torch when a process cannot be reached any more."""


class LostProcessError(C2FError):
    """Another process of the run cannot be reached any more.

    Parameters
    ----------
    consequence : str
        Rest of the sentence: what has become of the run.
    """

    def __init__(self, consequence: str) -> None:
        super().__init__(consequence)
        self.consequence = consequence

    def __str__(self) -> str:
        return f"Another process of this run has ended, {self.consequence}"


def is_lost_process(error: BaseException) -> bool:
    """Return whether an error means that another process of the run cannot be reached."""
    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MESSAGES)


class LastStep:
    """Copy of the tensors of a state from before the current step.

    A process may be lost in the middle of a step, when some networks are trained already.
    """

    def __init__(self) -> None:
        self._kept: list[Tensor] = []

    def keep(self, state: Any) -> None:
        """Copy all tensors of a nested state."""
        tensors = list(_tensors(state))
        if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in self._kept]:
            self._kept = [tensor.detach().clone() for tensor in tensors]
            return
        for kept, tensor in zip(self._kept, tensors, strict=True):
            kept.copy_(tensor)

    @torch.no_grad()
    def restore(self, state: Any) -> None:
        """Copy the tensors back into the same state; others appeared in the first step."""
        for kept, tensor in zip(self._kept, _tensors(state), strict=False):
            tensor.copy_(kept)


def _tensors(state: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested dictionaries."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _tensors(part)
