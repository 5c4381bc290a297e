"""Keep Python alive with a PySide6 that gives up references which it does not own."""

import ctypes
import sys
from importlib.util import find_spec

MANY = 1 << 40
"""References that no program gives up."""


def keep_constants() -> None:
    """Give None, True and False so many references that they are never deleted.

    Each call of PySide6 6.12.0 that returns one of them takes a reference away from it. Python 3.12
    and newer do not count them; older ones abort after some thousand calls ("deallocating None").
    """
    if sys.version_info < (3, 12) and find_spec("PySide6") is not None:
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += MANY
