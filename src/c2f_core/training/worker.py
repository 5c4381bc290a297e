"""One of several processes of a run that `launch` has started."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from multiprocessing.connection import Connection
from typing import Any

from c2f_core.errors import C2FError
from c2f_core.training.launch import Failure, Job


def main(descriptor: int) -> None:
    """Train, and send events and errors to the process that started this one.

    Parameters
    ----------
    descriptor : int
        File descriptor of the connection to it. The run stops when a message comes, or when
        that process has ended.
    """
    connection: Connection[Any, Any] = Connection(descriptor)
    job = connection.recv()
    assert isinstance(job, Job)
    try:
        _train(job, connection)
    except Exception as error:  # noqa: BLE001 - raised by the process that receives it.
        _send(connection, Failure(_portable(error)))
        _leave(1)
    _leave(0)


def _train(job: Job, connection: "Connection[Any, Any]") -> None:
    # Imported lazily, so that an error of an import is sent, too.
    import cv2

    from c2f_core.training.run_folder import RunFolder
    from c2f_core.training.trainer import train_in

    cv2.setNumThreads(int(os.environ["OMP_NUM_THREADS"]))
    events = train_in(
        RunFolder(job.config.run_folder),
        job.config,
        resume=job.resume,
        accept_changes=job.accept_changes,
        should_stop=connection.poll,
    )
    for event in events:
        _send(connection, event)


def _send(connection: "Connection[Any, Any]", message: object) -> None:
    with _without_listener():
        connection.send(message)


@contextmanager
def _without_listener() -> Iterator[None]:
    """Continue without the process that started this one: the run stops after the step."""
    try:
        yield
    except OSError:
        return


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent; the traceback of an unexpected one goes with it."""
    if isinstance(error, C2FError):
        with suppress(TypeError):  # Those with more than a message cannot be copied.
            copied: C2FError = copy(error)
            return copied
        return C2FError(str(error))
    unexpected = RuntimeError(str(error))
    unexpected.add_note("".join(traceback.format_exception(error)))
    return unexpected


def _leave(status: int) -> None:
    """End the process at once: closing connections to lost processes could take forever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
