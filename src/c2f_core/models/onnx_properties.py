"""Properties of an ONNX model, read without its network and without any optional package.

An ONNX file is a message of Protocol Buffers: a sequence of numbered fields, of which most begin
with their length (https://protobuf.dev/programming-guides/encoding). Skipping the field of the
network makes reading the rest instant, so that lists of models can describe many files.
"""

from collections.abc import Iterator
from io import SEEK_CUR, BytesIO
from typing import IO

PROPERTIES, KEY, VALUE = 14, 1, 2
"""Numbers of fields: the properties of a model, and key and text of a property."""
LARGEST_PROPERTY = 1 << 24
"""Size in bytes of the largest property that is read."""
MOST_FIELDS = 10_000
"""Largest number of fields that are looked at; a model has a few dozen."""
LONGEST_NUMBER = 10
"""Length in bytes of the longest number in a message."""
VARIABLE, EIGHT_BYTES, WITH_LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Types of fields."""


def read_property(stream: IO[bytes], size: int, key: str) -> str | None:
    """Read a property of an ONNX model.

    Parameters
    ----------
    stream : binary file
        ONNX model, at its beginning; it can be sought in.
    size : int
        Size of the model in bytes.
    key : str
        Name of the property.

    Returns
    -------
    str or None
        Text of the property; None if the model does not have it.

    Raises
    ------
    ValueError
        If this is not an ONNX model, or it ends too early.
    """
    for number, content in _fields(stream, size):
        if number == PROPERTIES:
            entry = dict(_fields(BytesIO(content), len(content)))
            if entry.get(KEY) == key.encode():
                return entry.get(VALUE, b"").decode()
    return None


def _fields(stream: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the fields that a property can be or have; skip all others."""
    left = size
    for _ in range(MOST_FIELDS):
        if left == 0:
            return
        tag, used = _number(stream)
        length, used_by_length = _length(stream, kind=tag & 7)
        left -= used + used_by_length + length
        if left < 0:
            raise ValueError("it ends too early")
        if tag & 7 != WITH_LENGTH or tag >> 3 not in (PROPERTIES, KEY, VALUE):
            stream.seek(length, SEEK_CUR)
        elif length > LARGEST_PROPERTY:
            raise ValueError("its description is too long")
        else:
            yield tag >> 3, stream.read(length)
    raise ValueError("it is no ONNX model")


def _length(stream: IO[bytes], kind: int) -> tuple[int, int]:
    """Return how many bytes follow in a field of this type, and how many said so."""
    if kind == WITH_LENGTH:
        return _number(stream)
    if kind == VARIABLE:
        return 0, _number(stream)[1]
    if kind in (EIGHT_BYTES, FOUR_BYTES):
        return 8 if kind == EIGHT_BYTES else 4, 0
    raise ValueError("it is no ONNX model")


def _number(stream: IO[bytes]) -> tuple[int, int]:
    """Return a number of variable length, seven bits to a byte, and its length in bytes."""
    value = 0
    for position in range(LONGEST_NUMBER):
        byte = stream.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << (7 * position)
        if byte[0] < 128:
            return value, position + 1
    raise ValueError("it is no ONNX model")
