"""Read TOML and JSON files, and describe in one sentence what is wrong with them."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.errors import C2FError


def check_regular_file(path: Path, error: type[C2FError]) -> None:
    """Check that a path is a regular file: reading a pipe or device may never end.

    Parameters
    ----------
    path : Path
        Path to check; links are followed.
    error : type of C2FError
        Type of the error to raise.

    Raises
    ------
    C2FError
        If there is no file, or it is a folder, pipe, socket or device.
    """
    try:
        found = irregular_kind(path)
    except (OSError, ValueError) as reason:
        why = getattr(reason, "strerror", None) or reason
        raise error(f"{path} cannot be read ({why}); check the path.") from reason
    if found:
        raise error(f"{path} cannot be read, as it is {found}; give a regular file.")


def existing_parent(path: Path) -> Path:
    """Return the nearest path above another one that exists, where its folders would be created."""
    return next(each for each in path.absolute().parents if each.exists())


def irregular_kind(path: Path) -> str:
    """Return what a path is if it is not a regular file, with its article; else an empty string.

    Raises
    ------
    OSError, ValueError
        If there is nothing at the path, or it cannot be a path.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"


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
        found = irregular_kind(path)
        if found:
            raise error(f"The {kind} {path} is {found}; {advice}.")
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as reason:
        raise error(f"The {kind} {path} cannot be read ({reason}); {advice}.") from reason
    except RecursionError as reason:
        raise error(
            f"The {kind} {path} cannot be read (it is nested too deeply); {advice}."
        ) from reason


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: names of files may have any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return the dotted name of the first invalid entry, "" for the whole, and the reason."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return name, first["msg"].removeprefix("Value error, ").rstrip(".")
