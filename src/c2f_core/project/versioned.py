"""Files of settings with a format number: what a newer program wrote is told from damage."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from c2f_core.config import Settings
from c2f_core.errors import DataError


class Versioned(Settings):
    """Settings in a file of their own, with the number of their format as default."""

    format_version: int


class _Number(BaseModel):
    format_version: int | None = None


Read = TypeVar("Read", bound=Versioned)


def read_versioned(kind: type[Read], path: Path) -> Read:
    """Read a file of settings.

    Raises
    ------
    OSError, ValueError
        It lacks, or is damaged.
    DataError
        Its format is another.
    """
    text = path.read_text(encoding="utf-8")
    # A newer program may have put in what this one does not know.
    found = _Number.model_validate_json(text).format_version
    known = kind.model_fields["format_version"].default
    if found not in (None, known):
        raise DataError(
            f"{path} has format {found}, this version reads {known}; update napari-c2f."
        )
    return kind.model_validate_json(text)
