"""Common parts of the console commands: errors, Ctrl-C, closed pipes and tables."""

import errno
import io
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from c2f_core.documents import existing_parent
from c2f_core.errors import C2FError, DataError, is_bad_path, is_out_of_memory

if TYPE_CHECKING:
    from c2f_core.io.tables import Row

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
"""Exit statuses: an error, Ctrl-C, and a reader such as `head` that has read enough."""
LONGEST_NAME = 255
"""Longest name of a file in bytes on all usual file systems."""


def run_command(command: Callable[[], object]) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    command : callable
        Function without parameters that parses the arguments and does the work.

    Returns
    -------
    int
        0 on success or what the parser of the arguments exits with, 2 after an error that a
        user can fix (whose message is printed to standard error), 130 after Ctrl-C, 141 if
        the output is piped into a program that has ended.
    """
    for stream in (sys.stdout, sys.stderr):  # Names of files may not be valid Unicode.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _status_of(command)
        return _status_of(sys.stdout.flush) or status
    except BrokenPipeError:
        return PIPE_CLOSED
    finally:
        _discard_output()


def _status_of(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as end:  # After --help, or with arguments that the parser refuses.
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if _is_closed_pipe(error):
            raise BrokenPipeError from error
        sentence = _sentence(error)
        if not sentence:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return FAILED
    return 0


def _is_closed_pipe(error: Exception) -> bool:
    """Return whether the program that reads the output has ended."""
    if sys.platform == "win32" and isinstance(error, OSError) and error.errno == errno.EINVAL:
        return error.filename is None
    return isinstance(error, BrokenPipeError)


def _sentence(error: Exception) -> str:
    """Describe an error that the user can fix; empty for any other."""
    if isinstance(error, C2FError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return f"The output cannot be written ({error.strerror}); free some space."
    if isinstance(error, OSError) and error.filename is not None:
        path = Path(os.fsdecode(error.filename))
        if isinstance(error, PermissionError):
            path = _closed_folder(path) or path
        return f"{path} cannot be used ({error.strerror}); check the path and its permissions."
    if is_bad_path(error):
        return "A path contains a NUL character; correct it."
    if is_out_of_memory(error):
        return "There is not enough memory; use smaller images, or close other programs."
    return ""


def _closed_folder(path: Path) -> Path | None:
    """Return the outermost folder of a path that the user may not search."""
    return next(
        (each for each in reversed(path.absolute().parents) if not os.access(each, os.X_OK)), None
    )


def _discard_output() -> None:
    """Discard what cannot be written, so that Python does not try to write it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_output(path: Path) -> None:
    """Check that a file can be written, before work of which it is the result.

    Parameters
    ----------
    path : Path
        File to write; its folder may be missing.

    Raises
    ------
    DataError
        If its name is too long, or its folder cannot be created or written in.
    """
    folder = existing_parent(path)
    new = path.absolute().relative_to(folder).parts
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in new):
        raise DataError(f"{path} cannot be written, as its name is too long; choose a shorter one.")
    if not folder.is_dir():
        raise DataError(
            f"The folder {path.parent} cannot be created, as {folder} is a file; choose another."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(
            f"{path} cannot be written, as you may not write in {folder}; check its permissions "
            "or choose another folder."
        )


def command_line(*words: str | Path) -> str:
    """Return a command quoted for the user's shell, as paths may have spaces."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


class StopOnInterrupt:
    """Stop the run after the current step on Ctrl-C, and immediately on a second Ctrl-C.

    A request to end (SIGTERM), as schedulers send it before a job's time is over, counts as
    the first Ctrl-C.
    """

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> Self:
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {each: signal.signal(each, self._ask) for each in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _ask(self, received: int, _frame: FrameType | None) -> None:
        if self._asked and received == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True
        print(
            "\nStopping after this step; press Ctrl-C again to stop immediately.", file=sys.stderr
        )


PIPED_WIDTH = 240
"""Width of tables if the output is not a terminal, so that no line is wrapped."""


def show_table(title: str, rows: "Sequence[Row]") -> None:
    """Print rows with the same columns, shares as percentages."""
    # Imported lazily, as --help does not need them.
    from rich.console import Console
    from rich.table import Table

    from c2f_core.io.tables import TEXT_COLUMNS, formatted

    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in TEXT_COLUMNS else "right")
    for row in formatted(rows):
        table.add_row(*row.values())
    console.print(table)
