"""Read TOML and JSON files, and describe in one sentence what is wrong with them."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.errors import C2FError


def read_document(path: Path, kind: str, error: type[C2FError], advice: str) -> Any:
    """Read a TOML file (by its suffix) or else a JSON file.

    Parameters
    ----------
    path : Path
        Path of the file; the suffix .toml means TOML.
    kind : str
        Kind of file for the error message, such as "class table".
    error : type of C2FError
        Type of the error to raise.
    advice : str
        Advice to the user for the error message.

    Raises
    ------
    C2FError
        If the file is missing, unreadable or not valid TOML or JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as reason:
        raise error(f"The {kind} {path} cannot be read ({reason}); {advice}.") from reason
    except RecursionError as reason:
        raise error(
            f"The {kind} {path} cannot be read (it is nested too deeply); {advice}."
        ) from reason


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return the dotted name of the first invalid entry, "" for the whole, and the reason."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return name, first["msg"].removeprefix("Value error, ").rstrip(".")
