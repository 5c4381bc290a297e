"""Check PNG files, take them apart into bands of rows, and write them band by band.

A band is made a small PNG file, so that the usual decoders read it. As the rows of a file are
stored as differences from the rows above, a file of grey values, whose pixels take as many
bytes, undoes these differences first.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES_OF_SAMPLES = (2, 4, 6)
"""Numbers of the colour types RGB, grey with alpha, and RGBA."""
CHUNK_PART = 2**20
"""Bytes that are checked at once."""
BAND = 2**24
"""Approximate number of bytes of the rows that are decoded at once."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Number of channels by colour type: grey, RGB, palette, grey with alpha, RGBA."""
TYPES_OF_BYTES = {1: (8, 0), 2: (16, 0), 3: (8, 2), 4: (8, 6), 6: (16, 2), 8: (16, 6)}
"""Depth and colour type by the number of bytes of a pixel."""
GREY, RGB, PALETTE = 0, 2, 3
LEFT_OUT = (b"IHDR", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
"""Types of chunks that files of other pixels do not share; the last three are of animations."""


def is_png(path: Path) -> bool:
    """Return whether a file is a PNG file by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def is_deep_colour(content: bytes) -> bool:
    """Return whether a PNG file has several channels of 16 bits, which Pillow reduces to 8."""
    return len(content) > 25 and content[24] == 16 and content[25] in COLOUR_TYPES_OF_SAMPLES


def bits_of_grey(content: bytes) -> int:
    """Return the bits of a pixel of a grey PNG file without alpha, 0 for all others."""
    return content[24] if len(content) > 25 and content[25] == GREY else 0


@dataclass(frozen=True)
class Header:
    """First chunk of a PNG file.

    Attributes
    ----------
    width, height : int
        Size in pixels.
    depth : int
        Bits of a channel.
    colour : int
        Colour type, a key of `SAMPLES`.
    interlaced : bool
        Whether the rows are not stored from top to bottom.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool = False

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read the header of a file; it raises `struct.error` or `KeyError` if it is damaged."""
        with path.open("rb") as file:
            content = file.read(29)
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", content[16:])
        return cls(width, height, depth, colour, bool(interlace))

    @property
    def bytes_of_row(self) -> int:
        """Number of bytes of a row without its filter."""
        return (self.width * SAMPLES[self.colour] * self.depth + 7) // 8

    @property
    def bytes_of_pixel(self) -> int:
        """Distance in bytes of the values whose differences are stored."""
        return max(1, SAMPLES[self.colour] * self.depth // 8)

    def chunk(self) -> bytes:
        """Return the chunk of a file that is not interlaced."""
        fields = self.width, self.height, self.depth, self.colour, 0, 0, 0
        return _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def png_head(path: Path) -> bytes:
    """Return a PNG file with the metadata of another one, and one black pixel."""
    header = replace(Header.of(path), width=1, height=1)
    row = zlib.compress(bytes(1 + header.bytes_of_row))
    return b"".join([SIGNATURE, header.chunk(), *_others(path), _end(row)])


def png_bands(path: Path) -> Iterator[tuple[slice, bytes]]:
    """Yield bands of rows of a PNG file that is not interlaced, each as a PNG file.

    Parameters
    ----------
    path : Path
        PNG file whose checksums are right; see `check_png`.

    Yields
    ------
    rows : slice
        Rows of the band.
    content : bytes
        PNG file of these rows, with palette and metadata.

    Raises
    ------
    DataError
        If there is less data than rows.
    """
    header, others = Header.of(path), [*_others(path)]
    length = header.bytes_of_row
    step = max(1, BAND // (length + 1))
    above, data = np.zeros(length, np.uint8), _Inflated(path)
    for start in range(0, header.height, step):
        rows = slice(start, min(start + step, header.height))
        band = replace(header, height=rows.stop - rows.start)
        raw = _plain_rows(band, above, data.read(band.height * (length + 1)))
        above = raw[-1]
        yield rows, _file(band, raw, others)


def _plain_rows(band: Header, above: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    """Return the bytes (y, N) of rows that are stored as differences."""
    size = band.bytes_of_pixel
    depth, colour = TYPES_OF_BYTES[size]
    grey = Header(len(above) // size, band.height + 1, depth, colour)
    stored = zlib.compress(b"\0" + above.tobytes() + data, 0)
    content = b"".join([SIGNATURE, grey.chunk(), _end(stored)])
    decoded: NDArray[np.uint8] = imagecodecs.png_decode(content)
    if depth == 16:
        decoded = decoded.astype(">u2").view(np.uint8)
    return decoded.reshape(band.height + 1, -1)[1:]


def _file(header: Header, raw: NDArray[np.uint8], others: Iterable[bytes]) -> bytes:
    """Return a PNG file of rows that are stored as they are."""
    stored = zlib.compress(np.pad(raw, ((0, 0), (1, 0))).tobytes(), 0)
    return b"".join([SIGNATURE, header.chunk(), *others, _end(stored)])


class _Inflated:
    """Decompressed image data of a PNG file, which is read from start to end."""

    def __init__(self, path: Path) -> None:
        self._path, self._parts, self._inflate = path, _image_data(path), zlib.decompressobj()

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        found = bytearray()
        while len(found) < count:
            more = self._inflate.unconsumed_tail or next(self._parts, b"")
            inflated = self._inflate.decompress(more, count - len(found))
            if not more and not inflated:
                raise _truncated(self._path)
            found += inflated
        return bytes(found)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the type and length of each chunk, at the start of its content."""
    position = len(SIGNATURE)
    while len(header := _at(file, position).read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        yield kind, length
        position += length + 12


def _at(file: BinaryIO, position: int) -> BinaryIO:
    file.seek(position)
    return file


def _image_data(path: Path) -> Iterator[bytes]:
    """Yield the compressed image data in parts."""
    with path.open("rb") as file:
        for kind, left in _chunks(file):
            while kind == b"IDAT" and (part := file.read(min(left, CHUNK_PART))):
                yield part
                left -= len(part)


def _others(path: Path) -> Iterator[bytes]:
    """Yield the chunks that files of other pixels share: palette and metadata."""
    with path.open("rb") as file:
        for kind, length in _chunks(file):
            if kind not in LEFT_OUT:
                yield _chunk(kind, file.read(length))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _end(data: bytes) -> bytes:
    """Return the chunks of the image data and of the end."""
    return _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def write_png(
    path: Path,
    size: tuple[int, int],
    bands: Iterable[NDArray[np.uint8] | NDArray[np.uint16]],
    palette: bytes = b"",
    texts: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Write a PNG file band by band.

    Parameters
    ----------
    path : Path
        Path of the file.
    size : (int, int)
        Height and width in pixels.
    bands : iterable of (y, X) or (y, X, 3) uint8 or uint16 arrays
        Grey values, palette indices or RGB colours of bands of rows, from the top.
    palette : bytes
        Red, green and blue of 256 palette indices; empty for grey values and colours.
    texts : iterable of (bytes, bytes)
        Type and content of further chunks.
    """
    deflate, head = zlib.compressobj(), b""
    with path.open("wb") as file:
        for band in bands:
            if not head:
                head = _head_of(band, size, palette, texts)
                file.write(head)
            rows = band.astype(band.dtype.newbyteorder(">")).reshape(len(band), -1).view(np.uint8)
            data = deflate.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
            file.write(_chunk(b"IDAT", data) if data else b"")
        file.write(_end(deflate.flush()))


def _head_of(
    band: NDArray[np.unsignedinteger],
    size: tuple[int, int],
    palette: bytes,
    texts: Iterable[tuple[bytes, bytes]],
) -> bytes:
    """Return what precedes the image data of such bands."""
    colour = PALETTE if palette else RGB if band.ndim == 3 else GREY
    header = Header(size[1], size[0], 8 * band.dtype.itemsize, colour).chunk()
    before = [(b"PLTE", palette)] if palette else []
    return b"".join([SIGNATURE, header, *(_chunk(*each) for each in (*before, *texts))])


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


def check_rows(path: Path) -> None:
    """Check that a PNG file has data for all its rows: decoders take missing ones as black.

    Files that are interlaced are not checked.

    Raises
    ------
    DataError
        If there is less data than rows.
    """
    header = Header.of(path)
    if header.interlaced or header.colour not in SAMPLES:
        return
    data, left = _Inflated(path), header.height * (header.bytes_of_row + 1)
    while left > 0:
        left -= len(data.read(min(left, BAND)))


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
