"""CNTK's ``Dictionary``: the tree of values that a V2 model is saved as.

Source: microsoft/CNTK, Source/CNTKv2LibraryDll/proto/CNTK.proto and Serialization.cpp.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.cntk.wire import (
    AGAIN,
    BYTES,
    damaged,
    fields,
    packed_reals,
    packed_varints,
    real,
    signed32,
    zigzag,
)
from packager.core.errors import ModelInvalid

# Files over 2 GiB keep the tensors' values behind the message. Source: Serialization.cpp, MAGIC_NUMBER.
LARGE_MAGIC = (0x636E746B).to_bytes(4, "little")
# Five containers a block in a block; CNTK's own layers nest about six blocks.
MAX_DEPTH = 120
# Bounds what a file of tiny values becomes: a network of a thousand layers has some hundred thousand.
MAX_VALUES = 1_000_000
_FLOAT, _DOUBLE, _FLOAT16, _INT8, _INT16 = 1, 2, 4, 5, 6
_DENSE = 0
_DTYPES = {_FLOAT: "<f4", _DOUBLE: "<f8", _FLOAT16: "<f2", _INT8: "<i1", _INT16: "<i2"}


@dataclass(frozen=True, slots=True)
class Shape:
    """An NDShape as it is saved: the fastest axis first; -1 stands for a free axis, -2 for one not inferred."""

    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A static axis by its number from the fastest, or a dynamic one by its name."""

    index: int
    name: str
    ordered: bool


class Tensor:
    """An NDArrayView: its values arrive with it, or behind the message in a large file."""

    def __init__(self, dims: tuple[int, ...], dtype: str, values: "NDArray[Any] | None") -> None:
        self.dims = dims
        self.dtype = dtype
        self.values = values

    def array(self) -> "NDArray[Any]":
        """The values, the slowest axis first."""
        if self.values is None:
            raise damaged("a tensor's values are not there")
        return self.values.reshape(self.dims[::-1])


def read_dictionary(path: Path) -> dict[str, Any]:
    """The whole tree of a file; tensors are views of its bytes.

    Raises:
        ModelInvalid: It does not follow the format, or is larger or deeper than any model.
    """
    content = memoryview(path.read_bytes())
    reader = _Reader(len(content))
    if bytes(content[:4]) != LARGE_MAGIC:
        tree = reader.dictionary(content, 0)
        if missing := reader.waiting:
            raise damaged(f"{len(missing)} tensors have fewer values than their shape says")
        return tree
    size = int.from_bytes(content[4:8], "little")
    if size > len(content) - 8:
        raise damaged(f"its description has {len(content) - 8} of {size} bytes")
    tree = reader.dictionary(content[8 : 8 + size], 0)
    _fill(reader.waiting, content[8 + size :])
    return tree


def _fill(tensors: list[Tensor], payload: memoryview) -> None:
    at = 0
    for tensor in tensors:
        size = math.prod(tensor.dims) * np.dtype(tensor.dtype).itemsize
        if size > len(payload) - at:
            raise damaged("the values of its tensors end too early")
        tensor.values = np.frombuffer(payload[at : at + size], tensor.dtype)
        at += size
    if at != len(payload):
        raise damaged(f"{len(payload) - at} bytes follow the last tensor")


class _Reader:
    """Reads one file; counts what it has read."""

    def __init__(self, size: int) -> None:
        self._left = min(MAX_VALUES, size)
        self.waiting: list[Tensor] = []

    def dictionary(self, message: memoryview, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, kind, value in fields(message):
            if number == 2 and kind == BYTES:
                key, entry = self._entry(value, depth)
                if key in found:
                    raise damaged(f"the key {key!r} is there twice")
                found[key] = entry
            elif number != 1:
                raise damaged(f"a dictionary has the field {number}")
        return found

    def _entry(self, message: memoryview, depth: int) -> tuple[str, Any]:
        key, entry = "", memoryview(b"")
        for number, kind, value in fields(message):
            if kind != BYTES or number not in (1, 2):
                raise damaged(f"an entry of a dictionary has the field {number}")
            if number == 1:
                key = _text(value)
            else:
                entry = value
        return key, self.value(entry, depth)

    def value(self, message: memoryview, depth: int) -> Any:
        """What a DictionaryValue holds, by the type that it names."""
        self._left -= 1
        if self._left < 0:
            raise ModelInvalid(f"the CNTK model holds more than {MAX_VALUES} values", hint=AGAIN)
        if depth > MAX_DEPTH:
            raise ModelInvalid(f"the CNTK model is nested more than {MAX_DEPTH} deep", hint=AGAIN)
        kind, held = 0, None
        for number, wire, value in fields(message):
            if number == 2 and isinstance(value, int):
                kind = value
            elif number in _FIELD_OF_KIND.values():
                held = (number, wire, value)
            elif number != 1:
                raise damaged(f"a value has the field {number}")
        if kind == 0:
            return None
        if kind not in _FIELD_OF_KIND:
            raise damaged(f"a value has the type {kind}")
        if held is None:
            # proto3 leaves out nothing of a oneof; an older writer left out what is zero or empty.
            return self._decoded(kind, 0 if kind in (1, 2, 3) else memoryview(b""), depth)
        if held[0] != _FIELD_OF_KIND[kind] or isinstance(held[2], int) != (kind in (1, 2, 3)):
            raise damaged(f"a value of type {kind} is stored as field {held[0]}")
        return self._decoded(kind, held[2], depth)

    def _decoded(self, kind: int, value: Any, depth: int) -> Any:
        readers: dict[int, Callable[[Any], Any]] = {
            1: bool,
            2: signed32,
            3: int,
            4: lambda held: real(held) if len(held) else 0.0,
            5: lambda held: real(held) if len(held) else 0.0,
            6: _text,
            7: lambda held: Shape(_dims(held)),
            8: _axis,
            9: lambda held: self._vector(held, depth + 1),
            10: lambda held: self.dictionary(held, depth + 1),
            11: self._tensor,
        }
        return readers[kind](value)

    def _vector(self, message: memoryview, depth: int) -> list[Any]:
        values = []
        for number, kind, value in fields(message):
            if number != 1 or kind != BYTES:
                raise damaged(f"a list has the field {number}")
            values.append(self.value(value, depth))
        return values

    def _tensor(self, message: memoryview) -> Tensor:
        parts = dict[int, Any]()
        for number, _, value in fields(message):
            parts[number] = value
        data_type, storage = parts.get(1, 0), parts.get(2, _DENSE)
        if data_type not in _DTYPES:
            raise damaged(f"a tensor has the data type {data_type!r}")
        if storage != _DENSE:
            raise ModelInvalid(
                f"the CNTK model holds a sparse tensor (storage format {storage!r})",
                hint="make the parameter dense and save the model again",
            )
        dims = _dims(parts.get(3, memoryview(b"")))
        count = math.prod(dims)
        values = _values(parts, data_type)
        tensor = Tensor(dims, _DTYPES[data_type], None)
        if values is None or (not len(values) and count):
            self.waiting.append(tensor)
        elif len(values) != count:
            raise damaged(f"a tensor of shape {list(dims)} has {len(values)} values")
        else:
            tensor.values = values
        return tensor


_FIELD_OF_KIND = {kind: kind + 2 for kind in range(1, 12)}


def _values(parts: dict[int, Any], data_type: int) -> "NDArray[Any] | None":
    place = {_FLOAT: 4, _DOUBLE: 5}.get(data_type)
    for number in (4, 5, 6, 7):
        if isinstance(parts.get(number), int):
            raise damaged(f"a tensor's field {number} is a number")
    if place is not None and place in parts:
        return packed_reals(parts[place], _DTYPES[data_type])
    if data_type == _FLOAT16 and 6 in parts:
        return _bytes(parts[6], "<f2")
    if data_type in (_INT8, _INT16) and 7 in parts:
        numbers = [zigzag(item) for _, _, value in fields(parts[7]) for item in packed_varints(value)]
        limit = np.iinfo(_DTYPES[data_type])
        if any(not limit.min <= item <= limit.max for item in numbers):
            raise damaged("a tensor's value is out of its type's range")
        return np.array(numbers, _DTYPES[data_type])
    if data_type in (_INT8, _INT16) and 6 in parts:
        return _bytes(parts[6], _DTYPES[data_type])
    return None


def _bytes(message: memoryview, dtype: str) -> "NDArray[Any]":
    raw = b"".join(bytes(value) for number, kind, value in fields(message) if number == 1 and kind == BYTES)
    if len(raw) % np.dtype(dtype).itemsize:
        raise damaged("a tensor's bytes do not fit its type")
    return np.frombuffer(raw, dtype)


def _dims(message: Any) -> tuple[int, ...]:
    """Sizes of an NDShape; the two largest numbers are CNTK's marks for a free and an unknown size."""
    if isinstance(message, int):
        raise damaged("a shape is a number")
    dims: list[int] = []
    for number, _, value in fields(message):
        if number != 1:
            raise damaged(f"a shape has the field {number}")
        dims.extend(packed_varints(value) if isinstance(value, int) or len(value) else [])
    if len(dims) > 64:
        raise damaged(f"a shape has {len(dims)} axes")
    signed = tuple(size - (1 << 64) if size >= 1 << 63 else size for size in dims)
    if any(size < -3 or size > 1 << 40 for size in signed):
        raise damaged(f"a shape has the size {min(signed) if min(signed) < -3 else max(signed)}")
    return signed


def _axis(message: memoryview) -> Axis:
    index, name, ordered = 0, "", False
    for number, _, value in fields(message):
        if number == 1 and isinstance(value, int):
            index = signed32(value)
        elif number == 2 and not isinstance(value, int):
            name = _text(value)
        elif number == 3:
            ordered = bool(value)
        else:
            raise damaged(f"an axis has the field {number}")
    return Axis(index, name, ordered)


def _text(value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise damaged("a text is not UTF-8") from error
