"""ONNX ``TensorProto`` files (``input_0.pb``) without the onnx package, which the container does not carry.

Reads every way in which onnx.proto lets a tensor hold its values, writes ``raw_data`` (``string_data`` for BYTES).
Source: onnx/onnx.proto, message TensorProto; Protocol Buffers encoding (varint, fixed32/64, length-delimited).
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from runtime.contract.dtypes import BY_ONNX, DTYPES, Datatype
from runtime.contract.errors import PackageInvalid


class _Field(IntEnum):
    """Field numbers of TensorProto."""

    DIMS = 1
    TYPE = 2
    FLOATS = 4
    INT32S = 5
    STRINGS = 6
    INT64S = 7
    NAME = 8
    RAW = 9
    DOUBLES = 10
    UINT64S = 11
    EXTERNAL = 13
    LOCATION = 14


_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_RANK: Final = 32
_STRUCT: Final[dict[Datatype, str]] = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A named tensor.

    Attributes:
        values: Little-endian elements in row-major order; for BYTES one ``bytes`` an element.
    """

    name: str
    dtype: Datatype
    shape: tuple[int, ...]
    values: bytes | tuple[bytes, ...]

    def to_list(self) -> list[Any]:
        """The values as Python has them, flat, row-major; BYTES as ``str``."""
        if isinstance(self.values, tuple):
            return [item.decode("utf-8", "replace") for item in self.values]
        return list(struct.unpack(f"<{math.prod(self.shape)}{_STRUCT[self.dtype]}", self.values))


def dump_tensor(tensor: TensorFile) -> bytes:
    """The bytes of a serialised TensorProto, equal on every machine."""
    out = bytearray()
    for dim in tensor.shape:
        out += _key(_Field.DIMS, _VARINT) + _varint(dim)
    out += _key(_Field.TYPE, _VARINT) + _varint(DTYPES[tensor.dtype].onnx)
    if isinstance(tensor.values, tuple):
        for item in tensor.values:
            out += _key(_Field.STRINGS, _BYTES) + _varint(len(item)) + item
    name = tensor.name.encode()
    out += _key(_Field.NAME, _BYTES) + _varint(len(name)) + name
    if isinstance(tensor.values, bytes):
        out += _key(_Field.RAW, _BYTES) + _varint(len(tensor.values)) + tensor.values
    return bytes(out)


def load_tensor(data: bytes) -> TensorFile:
    """The tensor of a serialised TensorProto.

    Raises:
        PackageInvalid: Truncated, of a type the protocol does not have, external, or not as many values as its shape.
    """
    try:
        return _assemble(data)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise PackageInvalid(f"not a serialised tensor: {error}") from error


def _assemble(data: bytes) -> TensorFile:
    dims: list[int] = []
    strings: list[bytes] = []
    packed: dict[int, bytearray] = {}
    raw: bytes | None = None
    onnx_type, name = 0, ""
    for field, wire, value in _fields(data):
        match field, value:
            case (_Field.DIMS, int()):
                dims.append(value)
            case (_Field.DIMS, bytes()):
                dims.extend(_varints(value))
            case (_Field.TYPE, int()):
                onnx_type = value
            case (_Field.STRINGS, bytes()):
                strings.append(value)
            case (_Field.NAME, bytes()):
                name = value.decode()
            case (_Field.RAW, bytes()):
                raw = value
            case (_Field.EXTERNAL, _) | (_Field.LOCATION, 1):
                raise PackageInvalid(f"tensor {name!r} keeps its values in another file; test data must be whole")
            case (_Field.FLOATS | _Field.INT32S | _Field.INT64S | _Field.DOUBLES | _Field.UINT64S, _):
                packed.setdefault(field, bytearray()).extend(_as_packed(wire, value))
    if onnx_type not in BY_ONNX:
        raise PackageInvalid(f"tensor {name!r} has the ONNX type {onnx_type}, which the protocol does not have")
    dtype = BY_ONNX[onnx_type]
    shape = tuple(_signed(dim) for dim in dims)
    values = tuple(strings) if dtype == "BYTES" else raw if raw is not None else _repack(dtype, packed)
    _check_size(name, dtype, shape, values)
    return TensorFile(name, dtype, shape, values)


def _check_size(name: str, dtype: Datatype, shape: tuple[int, ...], values: bytes | tuple[bytes, ...]) -> None:
    if len(shape) > _MAX_RANK or any(dim < 0 for dim in shape):
        raise PackageInvalid(f"tensor {name!r} has the shape {shape}")
    expected = math.prod(shape) * (DTYPES[dtype].itemsize or 1)
    if len(values) != expected:
        unit = "values" if dtype == "BYTES" else "bytes"
        raise PackageInvalid(f"tensor {name!r} of shape {shape} needs {expected} {unit}, it holds {len(values)}")


def _repack(dtype: Datatype, packed: dict[int, bytearray]) -> bytes:
    """Little-endian elements from the typed fields, where there is no raw_data."""
    if dtype == "FP32":
        return bytes(packed.get(_Field.FLOATS, b""))
    if dtype == "FP64":
        return bytes(packed.get(_Field.DOUBLES, b""))
    field = _Field.INT64S if dtype == "INT64" else _Field.UINT64S if dtype in ("UINT32", "UINT64") else _Field.INT32S
    size = DTYPES[dtype].itemsize
    mask = (1 << (8 * size)) - 1
    return b"".join((value & mask).to_bytes(size, "little") for value in _varints(bytes(packed.get(field, b""))))


def _as_packed(wire: int, value: int | bytes) -> bytes:
    """Repeated scalars may come one at a time or packed; both end as packed."""
    if isinstance(value, bytes):
        return value
    return _varint(value) if wire == _VARINT else value.to_bytes(8 if wire == _FIXED64 else 4, "little")


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        field, wire = key >> 3, key & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, at = int.from_bytes(_take(data, at, size), "little"), at + size
        elif wire == _BYTES:
            size, at = _read_varint(data, at)
            value, at = _take(data, at, size), at + size
        else:
            raise PackageInvalid(f"not a serialised tensor: wire type {wire} at byte {at}")
        yield field, wire, value


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise PackageInvalid(f"not a serialised tensor: {size} bytes wanted at {at}, {len(data) - at} are there")
    return data[at : at + size]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise PackageInvalid(f"not a serialised tensor: a number of over 10 bytes at {at}")


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
