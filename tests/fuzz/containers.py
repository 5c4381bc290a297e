"""Random changes inside PNG, TIFF and ZIP files that keep their checksums and tables valid."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

SIZES = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**32 - 1)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNKS = (b"IDAT", b"PLTE", b"tRNS", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"sBIT", b"acTL", b"fdAT")
Mutation = Callable[[bytes, random.Random], bytes]


def container_mutation(content: bytes, inner: Mutation) -> Mutation | None:
    """Return the mutation for the container that a file is; None if it is none.

    Parameters
    ----------
    content : bytes
        Content of the file.
    inner : callable
        Mutation of the bytes of a part.
    """
    if content.startswith(PNG_SIGNATURE):
        return lambda content, rng: _with_other_chunk(content, rng, inner)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _with_other_tag
    if content.startswith(b"PK\x03\x04"):
        return lambda content, rng: _with_other_member(content, rng, inner)
    return None


def _with_other_chunk(content: bytes, rng: random.Random, inner: Mutation) -> bytes:
    chunks = list(_chunks(content))
    if not chunks:
        return content
    number = rng.randrange(len(chunks))
    kind, data = chunks[number]
    change = rng.random()
    if change < 0.6:
        chunks[number] = kind, _changed_chunk(kind, data, rng, inner)
    elif change < 0.7:
        del chunks[number]
    elif change < 0.8:
        chunks.insert(rng.randrange(len(chunks)), (kind, data))
    elif change < 0.9:
        chunks[number] = rng.choice(CHUNKS), data
    else:
        rng.shuffle(chunks)
    return PNG_SIGNATURE + b"".join(_chunk(*each) for each in chunks)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], len(PNG_SIGNATURE)
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + checksum.to_bytes(4, "big")


def _changed_chunk(kind: bytes, data: bytes, rng: random.Random, inner: Mutation) -> bytes:
    if kind != b"IDAT":
        return inner(data, rng)
    try:
        return zlib.compress(inner(zlib.decompress(data), rng), 1)
    except zlib.error:
        return inner(data, rng)


def _with_other_tag(content: bytes, rng: random.Random) -> bytes:
    """Change the tag, type, count or value of an entry of the first page of a TIFF."""
    order = "<" if content.startswith(b"II") else ">"
    changed = bytearray(content)
    try:
        (place,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, place)
        entry = place + 2 + 12 * rng.randrange(max(count, 1))
        form, offset = rng.choice((("H", 0), ("H", 2), ("I", 4), ("I", 8), ("I", 8), ("H", 8)))
        (old,) = struct.unpack_from(f"{order}{form}", content, entry + offset)
        near = (old + 1, old - 1, 2 * old, old // 2, old ^ 1 << rng.randrange(16), place, entry)
        value = rng.choice((*near, *SIZES)) % 256 ** struct.calcsize(form)
        struct.pack_into(f"{order}{form}", changed, entry + offset, value)
    except struct.error:
        return content
    return bytes(changed)


def _with_other_member(content: bytes, rng: random.Random, inner: Mutation) -> bytes:
    """Change, remove or repeat a file in an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, zlib.error, NotImplementedError, EOFError, ValueError):
        return content
    except (RuntimeError, struct.error, LookupError):
        return content
    if not members:
        return content
    name, change = rng.choice(list(members)), rng.random()
    if change < 0.8:
        members[name] = _changed_member(members[name], rng, inner)
    elif change < 0.9:
        del members[name]
    else:
        members[rng.choice(list(members))] = members[name]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return written.getvalue()


def _changed_member(data: bytes, rng: random.Random, inner: Mutation) -> bytes:
    """Change a file in an archive; a text that numpy stores is changed as text."""
    start = data.find(b"\n") + 1
    if not (data.startswith(b"\x93NUMPY") and b"'<U" in data[:start]) or rng.random() < 0.2:
        return inner(data, rng)
    text = inner(data[start:].decode("utf-32-le", "ignore").encode(), rng).decode("utf-8", "ignore")
    about = {"descr": f"<U{max(len(text), 1)}", "fortran_order": False, "shape": ()}
    head = f"{about!r}".ljust(117) + "\n"
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(head))
        + head.encode()
        + text.encode("utf-32-le", "surrogatepass")
    )
