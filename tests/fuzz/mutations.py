"""Random changes of files: of their bytes, and of the values in JSON and XML."""

import json
import random
import re
from typing import Any

from containers import SIZES, Mutation, container_mutation

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2.5, 1e308, -0.0, float("nan"), float("inf")),
    *(255, 256, 65536, 2**31, 2**63, 10**30, 10**5000),
    *("", "a", "-1", "1e9", "NaN", "\x00", "\ud800", "ä" * 300, "../../x", "/dev/zero", "C:\\x"),
    *([], {}, [5], [[]], [None], {"": None}, [[[[[]]]]], [[1, 2], [3]], [0, -1], [1e308, 1e308]),
)
NUMBERS = ("", "-1", "0", "2.5", "1e9", "1e400", "nan", "99999999999999999999", "x", "1,2", "ä")
TOKENS = (b"\x00", b"\xff\xff\xff\xff", b"{", b"}", b"[" * 3000, b'"', b"<", b">", b"&a;", b"/>")


def mutated(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Return the content of a file after one to four random changes.

    Parameters
    ----------
    content : bytes
        Content to change.
    rng : Random
        Source of randomness.
    others : list of bytes
        Contents of similar files, parts of which are copied.
    """
    structured = _structured(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if structured is not None and rng.random() < 0.7:
            content = structured(content, rng)
        elif rng.random() < 0.15:
            content = _spliced(content, rng.choice(others), rng)
        else:
            content = rng.choice(_BYTES)(content, rng)
    return content


def _structured(content: bytes) -> Mutation | None:
    """Return the mutation that knows the structure of a file, if there is one."""
    container = container_mutation(content, _changed_part)
    if container is not None:
        return container
    start = content.lstrip(b"\xef\xbb\xbf \n\t")[:1]
    if start in (b"{", b"["):
        return _with_other_json_value
    if start == b"<":
        return _with_other_attribute
    return _with_other_header if content[8:9] == b"{" else None


def _changed_part(content: bytes, rng: random.Random) -> bytes:
    """Change a part of a container, by its structure if it has one."""
    structured = _structured(content)
    if structured is not None and rng.random() < 0.7:
        return structured(content, rng)
    return rng.choice(_BYTES)(content, rng)


def _place(content: bytes, rng: random.Random) -> int:
    """Return a random place, more often near the beginning, where headers are."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 512)
    return rng.randrange(end + 1)


def _spliced(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = sorted(_place(other, rng) for _ in range(2))
    place = _place(content, rng)
    return content[:place] + other[start:end] + content[place:]


def _with_flipped_bit(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"\x00")
    changed[min(_place(content, rng), len(changed) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _with_other_bytes(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    new = rng.randbytes(rng.choice((1, 2, 4, 16)))
    return content[:place] + new + content[place + len(new) :]


def _with_other_size(content: bytes, rng: random.Random) -> bytes:
    place, length = _place(content, rng), rng.choice((1, 2, 4, 8))
    value = rng.choice(SIZES) % 256**length
    new = value.to_bytes(length, rng.choice(("big", "little")))
    return content[:place] + new + content[place + length :]


def _without_part(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + content[place + rng.choice((1, 4, 64, 1024)) :]


def _with_repeated_part(content: bytes, rng: random.Random) -> bytes:
    place, length = _place(content, rng), rng.choice((1, 8, 64))
    part = content[place : place + length]
    return content[:place] + part * rng.choice((2, 3, 100)) + content[place + length :]


def _with_token(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.choice(TOKENS) + content[place:]


def _truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: _place(content, rng)]


_BYTES: tuple[Mutation, ...] = (
    _with_flipped_bit, _with_other_bytes, _with_other_size, _without_part, _with_repeated_part,
    _with_token, _truncated,
)  # fmt: skip


def _with_other_json_value(content: bytes, rng: random.Random) -> bytes:
    try:
        document = json.loads(content)
        _change_value(document, rng)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return _with_flipped_bit(content, rng)


def _change_value(document: Any, rng: random.Random) -> None:
    """Replace, remove, move or repeat a value at a random place of a document, if it has any."""
    if not isinstance(document, (dict, list)):
        return
    here = document
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = here[key]
        if not (isinstance(inner, (dict, list)) and inner) or rng.random() < 0.25:
            break
        here = inner
    change = rng.random()
    if change < 0.6:
        here[key] = rng.choice(VALUES)
    elif change < 0.75:
        del here[key]
    elif change < 0.9 and isinstance(here, list):
        here.append(here[key])
    else:
        here[rng.choice(keys)] = inner


def _with_other_attribute(content: bytes, rng: random.Random) -> bytes:
    """Replace or remove an attribute or text of an XML file."""
    found = list(re.finditer(rb'[\w:]+="[^"]*"|>[^<>]+<', content))
    if not found:
        return _with_flipped_bit(content, rng)
    start, end = rng.choice(found).span()
    old = content[start:end]
    value = rng.choice(NUMBERS).encode()
    if old.startswith(b">"):
        new = b">" + value + b"<"
    else:
        new = b"" if rng.random() < 0.3 else old.partition(b"=")[0] + b'="' + value + b'"'
    return content[:start] + new + content[end:]


def _with_other_header(content: bytes, rng: random.Random) -> bytes:
    """Change a value in the JSON header of a safetensors file, or in the JSON within it."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        inner = header["__metadata__"]
        key = rng.choice(list(inner))
        if rng.random() < 0.7:
            inner[key] = _with_other_json_value(inner[key].encode(), rng).decode()
        else:
            _change_value(header, rng)
        changed = json.dumps(header).encode()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return _with_flipped_bit(content, rng)
    return len(changed).to_bytes(8, "little") + changed + content[8 + length :]
