"""Check PNG files, and read those that Pillow would reduce to 8 bits."""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from c2f_core.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES_OF_SAMPLES = (2, 4, 6)
"""Numbers of the colour types RGB, grey with alpha, and RGBA."""
CHUNK_PART = 2**20
"""Bytes that are checked at once."""


def is_png(path: Path) -> bool:
    """Return whether a file is a PNG file by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def is_deep_colour(path: Path) -> bool:
    """Return whether a PNG file has several channels of 16 bits, which Pillow reduces to 8."""
    with path.open("rb") as file:
        header = file.read(26)
    return len(header) == 26 and header[24] == 16 and header[25] in COLOUR_TYPES_OF_SAMPLES


def check_png(path: Path) -> None:
    """Check the checksums of a PNG file: decoders read on with changed pixels.

    Raises
    ------
    DataError
        If the file is truncated, or a part of it has changed since it was written.
    """
    with path.open("rb") as file:
        file.seek(len(SIGNATURE))
        while _check_chunk(file, path) != b"IEND":
            pass


def _check_chunk(file: BinaryIO, path: Path) -> bytes:
    """Check the next chunk, and return its type."""
    position = file.tell()
    header = file.read(8)
    if len(header) < 8:
        raise _truncated(path)
    left, kind = struct.unpack(">I4s", header)
    checksum = zlib.crc32(kind)
    while left:
        part = file.read(min(left, CHUNK_PART))
        if not part:
            raise _truncated(path)
        checksum, left = zlib.crc32(part, checksum), left - len(part)
    stored = file.read(4)
    if len(stored) < 4:
        raise _truncated(path)
    if struct.unpack(">I", stored)[0] != checksum:
        raise DataError(
            f"{path} is damaged: the checksum of its part {kind.decode('ascii', 'replace')!r} at "
            f"byte {position} is wrong; restore the file from a backup, or save it again."
        )
    return bytes(kind)


def _truncated(path: Path) -> DataError:
    return DataError(f"{path} is truncated; check that the file is complete, or save it again.")
