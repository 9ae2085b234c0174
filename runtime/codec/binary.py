"""The binary tensor extension of the Open Inference Protocol: raw little-endian tensors behind a JSON header.

Source: Triton Inference Server, "Binary Tensor Data Extension"; elements of BYTES carry a 4-byte length each.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from runtime.codec.values import Array, wrong_input
from runtime.contract.cells import show
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import TensorSpec
from runtime.errors import InvalidInput

# A body as it came, or joined of its parts.
Body = bytes | memoryview
HEADER: Final = "inference-header-content-length"
SIZE: Final = "binary_data_size"
_LENGTH: Final = struct.Struct("<I")
_EMPTY: Final = memoryview(b"")
_ALIGNED: Final = 16  # as what numpy itself allocates, so that an answer does not depend on the form of its request


def joined(chunks: Sequence[bytes], header_length: bytes | None = None) -> Body:
    """A body of the parts in which it came.

    Where tensors follow the JSON, the first of them lies where numpy can use it in its place.
    """
    if len(chunks) == 1:
        return chunks[0]
    if header_length is None:
        return b"".join(chunks)
    return room_for(sum(map(len, chunks)), header_length, chunks)


def room_for(size: int, header_length: bytes | None, begun: Sequence[bytes]) -> memoryview:
    """Room for a body of so many bytes, in which the first tensor behind the JSON lies where numpy can use it.

    Args:
        begun: What has come of the body; it is in its place already.
    """
    length = int(header_length) if header_length is not None and re.fullmatch(b"[0-9]{1,9}", header_length) else 0
    room = np.empty(size + _ALIGNED, np.uint8)
    start = -(room.ctypes.data + length) % _ALIGNED
    body, at = room.data[start : start + size], 0
    for chunk in begun:
        body[at : at + len(chunk)] = chunk
        at += len(chunk)
    return body


def split(body: Body, header_length: str | None) -> tuple[bytes, "BinaryPart"]:
    """The JSON of a body, and what follows it.

    Args:
        header_length: Of the JSON, as the header field says; None where all of the body is JSON.

    Raises:
        InvalidInput: Not a length within the body.
    """
    if header_length is None:
        return bytes(body), BinaryPart(_EMPTY)
    length = int(header_length) if re.fullmatch("[0-9]{1,18}", header_length) else -1
    if not 0 <= length <= len(body):
        raise InvalidInput(
            f"the header field Inference-Header-Content-Length is {header_length[:40]!r}, and the body"
            f" has {len(body)} bytes",
            hint="it is the number of bytes of the JSON that comes before the binary tensors",
        )
    return bytes(body[:length]), BinaryPart(memoryview(body)[length:])


class BinaryPart:
    """The tensors behind the JSON, taken one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, spec: TensorSpec, shape: Sequence[int], size: object) -> Array:
        """The next tensor, as a view of the body where its type and place allow that.

        Args:
            spec: With the type that the client says.
            size: ``binary_data_size`` of the tensor.

        Raises:
            InvalidInput: The size is none, goes beyond the body, or does not fit type and shape.
        """
        left = len(self._data) - self._taken
        if type(size) is not int or size < 0:
            raise wrong_input(spec, f"a {SIZE!r} of whole bytes", show(size))
        if size > left:
            raise wrong_input(spec, f"{size} bytes behind the JSON", f"{left}")
        part = self._data[self._taken : self._taken + size]
        self._taken += size
        return _strings(spec, shape, part) if spec.dtype == "BYTES" else _numbers(spec, shape, part)

    def check_taken(self) -> None:
        """Refuse a body that goes on behind the last tensor."""
        if self._taken != len(self._data):
            raise InvalidInput(
                f"the body goes on for {len(self._data) - self._taken} bytes behind its last tensor",
                hint=f"every binary tensor names its {SIZE!r}, and they fill the body",
            )


def encode(array: Array) -> bytes:
    """An output as it travels."""
    if array.dtype != object:
        return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for item in array.reshape(-1).tolist():
        raw = item if isinstance(item, bytes) else str(item).encode()
        parts += [_LENGTH.pack(len(raw)), raw]
    return b"".join(parts)


def wants_binary(output: Mapping[str, Any], *, by_default: bool) -> bool:
    """Whether an entry of ``outputs`` asks for the binary form."""
    parameters = output.get("parameters")
    asked = parameters.get("binary_data") if isinstance(parameters, dict) else None
    return by_default if asked is None else asked is True


def _numbers(spec: TensorSpec, shape: Sequence[int], part: memoryview) -> Array:
    facts = DTYPES[spec.dtype]
    count = math.prod(shape)
    if len(part) != count * facts.itemsize:
        expected = f"{count * facts.itemsize} bytes for the shape {list(shape)} of {spec.dtype}"
        raise wrong_input(spec, expected, f"{len(part)}")
    if spec.dtype == "BOOL":
        # Any byte but 0 and 1 would be a boolean that is neither.
        truth: Array = np.frombuffer(part, np.uint8) != 0
        return truth.reshape(shape)
    values: Array = np.frombuffer(part, facts.numpy).reshape(shape)
    # The JSON before it may end anywhere, and code that adds several numbers at a time wants them at an even address.
    return values if values.ctypes.data % _ALIGNED == 0 else values.copy()


def _strings(spec: TensorSpec, shape: Sequence[int], part: memoryview) -> Array:
    count = math.prod(shape)
    if count * _LENGTH.size > len(part):
        raise wrong_input(spec, f"{count} strings for the shape {list(shape)}", f"{len(part)} bytes")
    texts, at = [], 0
    for index in range(count):
        end = at + _LENGTH.size
        length = _LENGTH.unpack_from(part, at)[0] if end <= len(part) else len(part)
        if end + length > len(part):
            raise wrong_input(spec, f"{count} strings with their lengths", f"a string that is cut off at {index}")
        texts.append(_text(spec, bytes(part[end : end + length]), index))
        at = end + length
    if at != len(part):
        raise wrong_input(spec, f"{count} strings for the shape {list(shape)}", f"{len(part) - at} bytes more")
    array: Array = np.empty(count, dtype=object)
    array[:] = texts
    return array.reshape(shape)


def _text(spec: TensorSpec, raw: bytes, index: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong_input(spec, "strings in UTF-8", f"other bytes at position {index}") from error
