"""What the processes of a run exchange, each of which trains on its part of every batch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, distributed

from c2f_core.data.batches import AnyBatch, AnyCrop, CropSource, prefetched

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Item = TypeVar("Item")


class ProcessGroup:
    """The processes that train together; most runs have only one.

    All of them have to call the methods in the same order.

    Parameters
    ----------
    fabric : Fabric
        Launched training engine.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and number of processes.
    """

    def __init__(self, fabric: "Fabric") -> None:
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self._device = fabric.device

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there are no other processes."""
        return self.count == 1

    def mean(self, numbers: Tensor) -> Tensor:
        """Return the mean over the processes, without a gradient."""
        return numbers if self.is_alone else self.sum(numbers) / self.count

    def sum(self, numbers: Tensor) -> Tensor:
        """Return the sum over the processes, without a gradient."""
        if self.is_alone:
            return numbers
        total = numbers.detach().clone()
        distributed.all_reduce(total)
        return total

    def means(self, numbers: Sequence[float]) -> list[float]:
        """Return the mean of each number over the processes."""
        means: list[float] = self.mean(torch.tensor(numbers, dtype=torch.float64)).tolist()
        return means

    def any(self, flag: bool) -> bool:
        """Return whether the flag of any process is set; wait for all."""
        return bool(flag if self.is_alone else self.sum(torch.tensor(int(flag))).item())

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def part(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items that this process takes care of."""
        return items[self.rank :: self.count]

    def gathered(self, items: Sequence[Item]) -> list[Item]:
        """Collect what the processes made of their parts.

        Parameters
        ----------
        items : sequence
            Results for the items of `part`; they can be pickled.

        Returns
        -------
        list
            Results of all processes in the order of all items; empty unless this is the first
            process.
        """
        if self.is_alone:
            return list(items)
        parts: list[Any] = [None] * self.count
        distributed.gather_object(list(items), parts if self.is_first else None)
        if not self.is_first:
            return []
        longest = len(parts[0])
        return [part[place] for place in range(longest) for part in parts if place < len(part)]

    def from_first(self, make: Callable[[], Item]) -> Item:
        """Return what a function returns in the first process, the only one to call it."""
        if self.is_alone:
            return make()
        made: list[Any] = [make() if self.is_first else None]
        distributed.broadcast_object_list(made)
        return made[0]  # type: ignore[no-any-return]

    def exchanged(self, parts: Sequence[Item]) -> list[Item]:
        """Send a part to each process; return the parts from each of them."""
        received: list[Item] = []
        for sender in range(self.count):
            part: list[Any] = [None]
            sent: list[Any] | None = list(parts) if sender == self.rank else None
            distributed.scatter_object_list(part, sent, sender)
            received += part
        return received

    def predecessors(self, crops: Tensor) -> Tensor:
        """Return the crop before each crop in the batch of all processes.

        Parameters
        ----------
        crops : (N, ...) tensor
            Crops of this process.

        Returns
        -------
        (N, ...) tensor
            The crop before each of them; the predecessor of the first crop is the last one.
        """
        if self.is_alone:
            return crops.roll(1, 0)
        last = crops[-1:].float().contiguous()
        lasts = [torch.empty_like(last) for _ in range(self.count)]
        distributed.all_gather(lasts, last)
        return torch.cat([lasts[self.rank - 1].to(crops.dtype), crops[:-1]])

    def batches(
        self, source: CropSource[AnyCrop, AnyBatch], device: torch.device
    ) -> Callable[[int], AnyBatch]:
        """Return a function from step to the part of the batch that this process trains on.

        Parameters
        ----------
        source : CropSource
            Source of the batches of all processes.
        device : torch.device
            Device that trains; for a GPU the next batch is prefetched.
        """
        return prefetched(source, device) if self.is_alone else _Parts(self, source, device)


class _Parts(Generic[AnyCrop, AnyBatch]):
    """Part of each batch; the processes make the batches together, each of them once.

    The crops of a step are drawn one after the other, so one process has to make all of
    them. In turn, each process makes those of another step, and then they exchange parts.
    """

    def __init__(
        self,
        group: ProcessGroup,
        source: CropSource[AnyCrop, AnyBatch],
        device: torch.device,
    ) -> None:
        self._group = group
        self._source = source
        self._made_here = prefetched(self._crops_of_round, device)
        self._round = -1
        self._parts: list[list[AnyCrop]] = []

    def _crops_of_round(self, number: int) -> list[AnyCrop]:
        """Make the crops of this process's step in a round of as many steps as processes."""
        return self._source.crops(number * self._group.count + self._group.rank)

    def __call__(self, step: int) -> AnyBatch:
        """Return this process's part of the batch of a step."""
        count = self._group.count
        number, place = divmod(step, count)
        if number != self._round:
            crops = self._made_here(number)
            size = len(crops) // count
            parts = [crops[first : first + size] for first in range(0, len(crops), size)]
            self._parts, self._round = self._group.exchanged(parts), number
        return self._source.batch(self._parts[place])
