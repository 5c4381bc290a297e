"""JSON files with a format version: projects and sidecars."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from c2f_core.config.settings import Settings
from c2f_core.errors import DataError


class Versioned(Settings):
    """Content of a JSON file; the default of `format_version` is the version that is written."""

    format_version: int


class _Number(BaseModel):
    format_version: int | None = None


Read = TypeVar("Read", bound=Versioned)


def read_content(kind: type[Versioned], path: Path) -> Any:
    """Read a versioned JSON file, and check its version but nothing else.

    Raises
    ------
    OSError, ValueError
        If the file is missing or damaged.
    DataError
        If the file has an unknown format version.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    content = from_json(path.read_bytes())
    # Check the version first: a newer format may contain keys that are unknown here.
    found = _Number.model_validate(content).format_version
    known = kind.model_fields["format_version"].default
    if found is not None and found not in range(1, known + 1):
        advice = "update napari-c2f" if found > known else "restore it from a backup"
        raise DataError(f"{path} has format {found}, this version reads 1 to {known}; {advice}.")
    return content


def read_versioned(kind: type[Read], path: Path) -> Read:
    """Read a versioned JSON file; content of an older format is converted to the current one.

    Parameters
    ----------
    kind : type of Versioned
        Model of the content.
    path : Path
        File to read.

    Returns
    -------
    Versioned
        Validated content.

    Raises
    ------
    OSError, ValueError
        If the file is missing or damaged.
    DataError
        If the file has an unknown format version.
    """
    return current(kind.model_validate(read_content(kind, path)))


def current(content: Read) -> Read:
    """Return content marked with the format version that is written."""
    known = type(content).model_fields["format_version"].default
    return content.model_copy(update={"format_version": known})
