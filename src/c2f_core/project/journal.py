"""The journal of a project: what happened, one JSON record a line, only ever appended to."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from c2f_core.errors import DataError


class Journal:
    """A file of JSON lines.

    Parameters
    ----------
    path : Path
        Made at the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **details: Any) -> None:
        """Append a record with the time (UTC, ISO 8601); it is on the disk on return.

        Parameters
        ----------
        event : str
            What happened, such as "saved".
        **details
            What JSON can hold.

        Raises
        ------
        DataError
            The file cannot be written.
        """
        record = {"time": datetime.now(tz=UTC).isoformat(timespec="seconds"), "event": event}
        line = json.dumps(record | details).encode() + b"\n"
        try:
            with self.path.open("ab+") as file:
                if self._is_torn(file):
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror or error}); free space or mend "
                "its permissions."
            ) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records in order; a line torn by a crash is passed over."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            yield record

    @staticmethod
    def _is_torn(file: Any) -> bool:
        """Tell whether a crash cut the last line short."""
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) != b"\n")
