"""How console commands end: one sentence instead of a traceback."""

import sys
from collections.abc import Callable

from c2f_core.errors import C2FError


def run_command(command: Callable[[], None]) -> int:
    """Run a command and return its exit status.

    Returns
    -------
    int
        0, 2 after a `C2FError` (its sentence goes to standard error), 130 after Ctrl-C.
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
