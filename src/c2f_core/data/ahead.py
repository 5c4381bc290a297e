"""The next batch, made while a GPU computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from c2f_core.data.transforms import Batch

Batches = Callable[[int], Batch]
"""From step to batch."""


class MadeAhead:
    """Batches of which the next one is made in a thread of its own.

    The batch of a step is the same as without it, so that runs stay what they are.

    Parameters
    ----------
    batches : callable
        From step to batch; called from two threads.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """Return the batch of one step and begin with that of the next.

        Raises
        ------
        Exception
            Whatever making the batch raised.
        """
        made = self._next
        batch = made[1].result() if made and made[0] == step else self._batches(step)
        self._next = step + 1, self._thread.submit(self._batches, step + 1)
        return batch


def made_ahead(batches: Batches, device: torch.device) -> Batches:
    """Make batches ahead for a GPU; a CPU that trains has nothing to spare (measured: no gain)."""
    return batches if device.type == "cpu" else MadeAhead(batches)
