"""Reading ``.params`` files: named arrays, every size checked against the file before anything is allocated."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.core.errors import ConversionError, ModelInvalid

Array = NDArray[Any]
# Source: MXNet 1.9.1, src/ndarray/ndarray.cc, kMXAPINDArrayListMagic and NDARRAY_V{1,2,3}_MAGIC.
LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_SPARSE = {1: "row_sparse", 2: "csr"}
# Source: mshadow/base.h, TypeFlag; 12 is bfloat16, which numpy lacks.
_TYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2", "<u4", "<u8")
_BFLOAT16 = 12
_MAX_AXES = 32
_SMALLEST_ARRAY_BYTES = 8
_SMALLEST_NAME_BYTES = 8
_SAVE_AGAIN = "export the model again, or copy the file again: it is cut off or damaged"


@dataclass(frozen=True, slots=True)
class Parameters:
    """Arrays by name, without the prefixes.

    Attributes:
        auxiliary: Names that the file marks as auxiliary states.
    """

    arrays: dict[str, Array]
    auxiliary: frozenset[str]


def read_params(path: Path) -> Parameters:
    """All arrays of a ``.params`` file.

    Raises:
        ModelInvalid: No such file, truncated, or with sizes that the file cannot hold.
        ConversionError: An array is sparse or of a type that numpy lacks.
    """
    cursor = _Cursor(path.name, path.read_bytes())
    if cursor.take("<Q") != LIST_MAGIC:
        raise ModelInvalid(
            f"{path.name!r} does not start as MXNet's parameters do", hint="give the .params file that MXNet wrote"
        )
    cursor.take("<Q")
    arrays = [cursor.array(index) for index in range(cursor.count("arrays", _SMALLEST_ARRAY_BYTES))]
    names = [cursor.text() for _ in range(cursor.count("names", _SMALLEST_NAME_BYTES))]
    if len(names) != len(arrays):
        raise ModelInvalid(
            f"{path.name!r} names {len(names)} of its {len(arrays)} arrays",
            hint="save the parameters by name, with export or save_checkpoint",
        )
    return _by_name(path.name, names, arrays)


def _by_name(file: str, names: list[str], arrays: list[Array | str]) -> Parameters:
    found: dict[str, Array] = {}
    auxiliary = set()
    for whole, array in zip(names, arrays, strict=True):
        prefix, colon, rest = whole.partition(":")
        name = rest if colon and prefix in ("arg", "aux") else whole
        if isinstance(array, str):
            raise ConversionError(
                f"the parameter {name!r} of {file!r} is {array}, which dray does not read",
                hint="save it dense and in a type that numpy has: array.tostype('default').astype('float32')",
            )
        if name in found:
            raise ModelInvalid(f"{file!r} holds two parameters named {name!r}", hint="export the model again")
        found[name] = array
        if prefix == "aux" and colon:
            auxiliary.add(name)
    return Parameters(found, frozenset(auxiliary))


class _Cursor:
    """A place in the file's bytes that never runs past their end."""

    def __init__(self, file: str, content: bytes) -> None:
        self._file = file
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def take(self, form: str) -> int:
        size = struct.calcsize(form)
        if size > self.left:
            raise self._damaged(f"ends at byte {len(self._content)}, in the middle of a number")
        value: int = struct.unpack_from(form, self._content, self._at)[0]
        self._at += size
        return value

    def count(self, what: str, smallest: int) -> int:
        value = self.take("<Q")
        if value > self.left // smallest:
            raise self._damaged(f"claims {value} {what}, more than its {len(self._content)} bytes can hold")
        return value

    def text(self) -> str:
        raw = self._bytes(self.count("bytes of a name", 1))
        try:
            return raw.tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._damaged(f"has a name that is not text: {error.reason}") from error

    def array(self, index: int) -> "Array | str":
        """The next array; the reason where it is of a kind that cannot be used."""
        magic = self.take("<I")
        if magic in (_V2, _V3) and (storage := self.take("<i")) != 0:
            if storage in _SPARSE:
                raise ConversionError(
                    f"array {index} of {self._file!r} has {_SPARSE[storage]} storage, which dray does not read",
                    hint="save it dense: array.tostype('default')",
                )
            raise self._damaged(f"has an unknown storage type {storage} in array {index}")
        shape = self._shape(magic, index)
        if shape is None:
            return np.empty((0,), np.float32)
        self.take("<i")  # device type and number: where the array was
        self.take("<i")
        return self._values(self.take("<i"), shape, index)

    def _shape(self, magic: int, index: int) -> tuple[int, ...] | None:
        """None where the array is empty."""
        wide = magic in (_V1, _V2, _V3)
        axes = self.take("<i") if wide else magic
        if magic == _V3 and axes == -1:
            return None
        if not 0 <= axes <= _MAX_AXES:
            raise self._damaged(f"has an array of {axes} axes (array {index})")
        shape = tuple(self.take("<q" if wide else "<I") for _ in range(axes))
        if any(size < 0 for size in shape):
            raise self._damaged(f"has a negative size in the shape {list(shape)} of array {index}")
        return None if axes == 0 and magic != _V3 else shape

    def _values(self, kind: int, shape: tuple[int, ...], index: int) -> "Array | str":
        if kind == _BFLOAT16:
            self._bytes(2 * math.prod(shape))
            return "of type bfloat16"
        if not 0 <= kind < len(_TYPES):
            raise self._damaged(f"has an unknown number type {kind} in array {index}")
        dtype = np.dtype(_TYPES[kind])
        size = math.prod(shape) * dtype.itemsize
        if size > self.left:
            raise self._damaged(f"claims {size} bytes for array {index} of shape {list(shape)}, {self.left} are left")
        raw = self._bytes(size)
        # Any byte but 0 and 1 is no bool, and numpy would believe it.
        values = raw.astype(np.bool_) if kind == 7 else raw.view(dtype)
        return values.reshape(shape)

    def _bytes(self, size: int) -> NDArray[np.uint8]:
        if size > self.left:
            raise self._damaged(f"ends {size - self.left} bytes early")
        taken = np.frombuffer(self._content, np.uint8, size, self._at)
        self._at += size
        return taken

    def _damaged(self, what: str) -> ModelInvalid:
        return ModelInvalid(f"{self._file!r} {what}", hint=_SAVE_AGAIN)
