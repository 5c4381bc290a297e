"""Start the processes of a run on this machine, watch them, and pass on their events."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from time import monotonic
from typing import Any

from c2f_core.config.settings import TrainConfig
from c2f_core.errors import C2FError, ConfigError
from c2f_core.training.events import Event
from c2f_core.training.loading import ShouldStop
from c2f_core.training.lost_process import LostProcessError
from c2f_core.training.processes import processes_per_node
from c2f_core.training.run_folder import RunFolder

POLL = 0.2
"""Seconds between two looks at whether the run should stop."""
GRACE = 60.0
"""Seconds in which the processes save and end after one of them was lost."""
STARTED_BY = "c2f_core.training.launch"
"""What the processes find in their environment, where torchrun writes the name of its run."""


@dataclass(frozen=True)
class Job:
    """What a process of a run is to do."""

    config: TrainConfig
    resume: bool
    accept_changes: bool


@dataclass(frozen=True)
class Failure:
    """The error with which a process of a run has ended."""

    error: Exception


def events_of_processes(
    config: TrainConfig, resume: bool, accept_changes: bool, should_stop: ShouldStop
) -> Generator[Event, None, None]:
    """Train in several processes of this machine; parameters are those of `train`.

    Yields
    ------
    Event
        Events of the first process.

    Raises
    ------
    C2FError
        If a process raises one, or ends without an error, as when it is killed.
    """
    if sys.platform == "win32":
        raise ConfigError("Training in several processes does not work on Windows; use one device.")
    processes = _Processes(Job(config, resume, accept_changes), processes_per_node(config))
    try:
        yield from processes.events(should_stop)
        processes.check()
    finally:
        processes.end()


class _Processes:
    """The processes of a run, each with a connection for events, errors and the wish to stop."""

    def __init__(self, job: Job, count: int) -> None:
        self._folder = RunFolder(job.config.run_folder)
        self._connections: list[Connection[Any, Any]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._failures: dict[int, Exception] = {}
        port = _free_port()
        for rank in range(count):
            here, there = Pipe()
            self._connections.append(here)
            self._processes.append(_start(there, _environment(rank, count, port)))
            there.close()
            here.send(job)

    def events(self, should_stop: ShouldStop) -> Iterator[Event]:
        """Yield events until all processes have ended; pass on the wish to stop."""
        is_asked, open_ones, deadline = False, list(self._connections), float("inf")
        while open_ones:
            if not is_asked and should_stop():
                is_asked = True
                self._ask_to_stop()
            for connection in wait(open_ones, POLL):
                assert isinstance(connection, Connection)
                message = _received(connection)
                if message is None:
                    open_ones.remove(connection)
                    if self._processes[self._connections.index(connection)].wait():
                        deadline = min(deadline, monotonic() + GRACE)
                elif isinstance(message, Failure):
                    self._failures[self._connections.index(connection)] = message.error
                elif connection is self._connections[0]:
                    yield message
            if monotonic() > deadline:
                return

    def _ask_to_stop(self) -> None:
        for connection in self._connections:
            try:
                connection.send(None)
            except OSError:  # The process has ended; `check` reports it.
                continue

    def check(self) -> None:
        """Raise the error that ended the run, if one did; a process that hangs ends here."""
        self.end()
        statuses = [process.wait() for process in self._processes]
        own = [each for each in self._failures.values() if not isinstance(each, LostProcessError)]
        for error in own:
            raise error
        for rank, status in enumerate(statuses):
            if status and rank not in self._failures:
                raise C2FError(self._loss(rank, status))
        for error in self._failures.values():
            raise error

    def _loss(self, rank: int, status: int) -> str:
        """Describe the end of a process that had no time to send an error."""
        lost = [each for each in self._failures.values() if isinstance(each, LostProcessError)]
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        message = f"Process {rank} of {len(self._processes)} of this run ended {how}"
        if lost:
            return f"{message}, {lost[0].consequence}"
        if self._folder.has_checkpoint:
            return f"{message}; resume the run from its last checkpoint in {self._folder.root}."
        return f"{message} before the first checkpoint; start the run again."

    def end(self) -> None:
        """End all processes that are left."""
        for process in self._processes:
            process.kill()
            process.wait()
        for connection in self._connections:
            connection.close()


def _received(connection: "Connection[Any, Any]") -> Any:
    """Return the next message; None after the last one."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _start(connection: "Connection[Any, Any]", environment: dict[str, str]) -> Any:
    """Start a process in a group of its own, so that Ctrl-C reaches this process alone."""
    script = f"from c2f_core.training.worker import main; main({connection.fileno()})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        env=environment,
        pass_fds=[connection.fileno()],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """Return the environment of a process, with the variables that torchrun sets."""
    threads = max(1, (os.cpu_count() or 1) // count)
    return {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": STARTED_BY,
    }


def _free_port() -> int:
    """Return a port of this machine that nothing uses."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port
