"""Batches made in threads while the device computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from c2f_core.data.transforms import Batch

MakeBatch = Callable[[int], Batch]


class BatchesAhead:
    """Makes the next batches in threads while the present one is used.

    A batch depends on its number alone, so what is made ahead, and what is
    thrown away where numbers jump, changes no result.

    Parameters
    ----------
    make_batch : callable
        Returns the batch of a number; is called in several threads at once.
    threads : int
        As many batches are made ahead; 0 makes each when it is asked for.
    stride : int
        From the number of a batch to that of the next.
    """

    def __init__(self, make_batch: MakeBatch, threads: int, stride: int = 1) -> None:
        self._make_batch = make_batch
        self._threads = threads
        self._stride = stride
        self._pool = ThreadPoolExecutor(max(threads, 1), "batches")
        self._pending: dict[int, Future[Batch]] = {}

    def __call__(self, number: int) -> Batch:
        """Return the batch of a number."""
        if not self._threads:
            return self._make_batch(number)
        ahead = (number + offset * self._stride for offset in range(self._threads + 1))
        kept = {each: self._pending.get(each) for each in ahead}
        self._pending = {
            each: future or self._pool.submit(self._make_batch, each)
            for each, future in kept.items()
        }
        return self._pending.pop(number).result()
