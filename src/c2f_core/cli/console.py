"""Common parts of the console commands: errors, Ctrl-C and tables."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Self

from rich.console import Console
from rich.table import Table

from c2f_core.errors import C2FError
from c2f_core.io.tables import TEXT_COLUMNS, Row, formatted


def run_command(command: Callable[[], None]) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    command : callable
        Function without parameters that does the work of the command.

    Returns
    -------
    int
        0 on success, 2 after a `C2FError` (whose message is printed to standard
        error), 130 after Ctrl-C.
    """
    try:
        command()
    except C2FError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


def command_line(*words: str | Path) -> str:
    """Return a command quoted for the user's shell, as paths may have spaces."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


class StopOnInterrupt:
    """Stop the run after the current step on Ctrl-C, and immediately on a second Ctrl-C."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print(
            "\nStopping after this step; press Ctrl-C again to stop immediately.", file=sys.stderr
        )


PIPED_WIDTH = 240
"""Width of tables if the output is not a terminal, so that no line is wrapped."""


def show_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows with the same columns, shares as percentages."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in TEXT_COLUMNS else "right")
    for row in formatted(rows):
        table.add_row(*row.values())
    console.print(table)
