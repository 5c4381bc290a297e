"""Run shards on a Dask cluster: one task per shard, submitted a few at a time."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from c2f_core.errors import DataError, WritingError
from c2f_core.extras import DASK, check_installed
from c2f_core.scale.engine import TRIES, Outcome, sentence
from c2f_core.scale.ledger import Task

Client = Any
Future = Any
AHEAD = 4
"""Number of shards per worker that are submitted, so that none waits for the next one."""
RECOUNT = 10
"""Seconds after which the workers are counted again, as a cluster grows and shrinks."""
PATIENCE = 30
"""Seconds to wait for a scheduler to answer."""


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Start worker processes on this machine, which end with this block.

    Each has one task at a time and an equal share of the cores.

    Parameters
    ----------
    workers : int
        Number of worker processes.

    Raises
    ------
    MissingPackageError
        If a package for clusters is missing.
    """
    check_installed(DASK, "--workers")
    import dask
    from distributed import Client, LocalCluster

    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS")}
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # Any free port: others may be running.
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_cluster(address: str) -> Iterator[Client]:
    """Connect to a scheduler that is running already.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as tcp://host:8786.

    Raises
    ------
    MissingPackageError
        If a package for clusters is missing.
    DataError
        If no scheduler answers there.
    """
    check_installed(DASK, "--scheduler")
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise DataError(
            f"No scheduler answers at {address}; check the address, and that it is running."
        ) from error
    with _without_log("distributed.client"), client:
        yield client


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    """Silence a log: the traceback of a lost connection does not help, and one sentence follows."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def run_on_cluster(
    client: Client, perform: Callable[..., None], *arguments: Any
) -> Callable[[Iterable[Task]], Iterator[Outcome]]:
    """Return a runner that does the shards on a cluster.

    A shard whose worker dies is done by another worker, and counts as failed if that
    happens again and again.

    Parameters
    ----------
    client : Client
        Connection to the scheduler.
    perform : callable
        Function that the workers call with the arguments and the task.
    *arguments
        Arguments of the function, which are sent with each task.
    """

    def run(tasks: Iterable[Task]) -> Iterator[Outcome]:
        return _Submission(client, perform, arguments).run(iter(tasks))

    return run


class _Submission:
    """Tasks of a stage that are submitted, and how often each of them failed."""

    def __init__(
        self, client: Client, perform: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        from distributed import as_completed

        self._client, self._perform, self._arguments = client, perform, arguments
        self._tasks: dict[str, Task] = {}
        self._failed: dict[Task, int] = {}
        self._completed: Any = as_completed()
        self._counted, self._workers = -math.inf, 0

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        self._fill(tasks)
        try:
            for future in self._completed:
                task = self._tasks.pop(future.key)
                outcome = self._outcome(future, task)
                if outcome is not None:
                    yield outcome
                self._fill(tasks)
        finally:
            self._completed.clear()

    def _fill(self, tasks: Iterator[Task]) -> None:
        if monotonic() - self._counted > RECOUNT:
            self._check_connection()
            # If the connection is lost meanwhile, the answer is empty.
            self._workers = len(self._client.scheduler_info(n_workers=-1).get("workers", ()))
            self._counted = monotonic()
        while len(self._tasks) < AHEAD * max(1, self._workers):
            task = next(tasks, None)
            if task is None:
                return
            self._submit(task)

    def _submit(self, task: Task) -> None:
        self._check_connection()
        # Of two tasks that could run, that with the lower number is done first.
        future = self._client.submit(
            self._perform, *self._arguments, task, pure=False, priority=-task.number
        )
        self._tasks[future.key] = task
        self._completed.add(future)

    def _outcome(self, future: Future, task: Task) -> Outcome | None:
        """Return what became of a task; None if it was submitted again."""
        if future.status == "finished":
            return Outcome(task)
        if future.status != "error":  # It was cancelled, as when the connection is lost.
            self._submit(task)
            return None
        error = future.exception()
        if isinstance(error, WritingError):
            raise error
        self._failed[task] = self._failed.get(task, 0) + 1
        died = type(error).__name__ == "KilledWorker"
        if not died and self._failed[task] < TRIES:
            self._submit(task)
            return None
        if died:
            return Outcome(task, "its worker process died again and again; it may need less memory")
        return Outcome(task, sentence(error))

    def _check_connection(self) -> None:
        if self._client.status != "running":
            raise DataError(
                "The scheduler is lost; start it again, and run the same command to continue."
            )
