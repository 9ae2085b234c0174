"""The protobuf wire format, read strictly: every size is checked against the bytes that are there."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.core.errors import ModelInvalid

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
AGAIN = "save the model again with model.save('model.model'), or copy the file again"


def damaged(what: str) -> ModelInvalid:
    """The error for a file that breaks its own format."""
    return ModelInvalid(f"the CNTK model is damaged or cut off: {what}", hint=AGAIN)


def fields(message: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) of every field: a whole number, or the bytes of a longer one.

    Raises:
        ModelInvalid: A size goes beyond the message, or a field has a wire type that the format does not use.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise damaged("a field has the number 0")
        if kind == VARINT:
            value: Any
            value, at = varint(message, at)
        elif kind == BYTES:
            size, at = varint(message, at)
            value, at = _cut(message, at, size)
        elif kind in (FIXED32, FIXED64):
            value, at = _cut(message, at, 4 if kind == FIXED32 else 8)
        else:
            raise damaged(f"field {number} has the wire type {kind}")
        yield number, kind, value


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number of variable length, and where it ends."""
    if at < len(message) and message[at] < 0x80:
        return message[at], at + 1
    value = shift = 0
    for index in range(at, min(at + _MAX_VARINT_BYTES, len(message))):
        byte = message[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, index + 1
        shift += 7
    raise damaged("a number has no end")


def _cut(message: memoryview, at: int, size: int) -> tuple[memoryview, int]:
    if size > len(message) - at:
        raise damaged(f"a field of {size} bytes has {len(message) - at}")
    return message[at : at + size], at + size


def signed32(value: int) -> int:
    """An int32, which the format writes as 64 bits of two's complement."""
    low = value & 0xFFFF_FFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def zigzag(value: int) -> int:
    """A sint32."""
    return (value >> 1) ^ -(value & 1)


def real(value: memoryview) -> float:
    """A float or a double, by its size."""
    number: float = struct.unpack("<f" if len(value) == 4 else "<d", value)[0]
    return number


def packed_reals(message: memoryview, dtype: str) -> NDArray[Any]:
    """A message whose field 1 is a packed list of floats or doubles; a view of the file, not a copy."""
    size = np.dtype(dtype).itemsize
    parts = []
    for number, _, value in fields(message):
        if number != 1 or isinstance(value, int) or len(value) % size:
            raise damaged("a tensor's values do not fit its type")
        parts.append(np.frombuffer(value, dtype))
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def packed_varints(value: Any) -> list[int]:
    """A packed list of whole numbers, or one that stands alone."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        numbers.append(number)
    return numbers
