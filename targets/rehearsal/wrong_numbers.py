"""Answers of the runtime with other numbers in them, still of the right shape and type."""

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

# By the name that the Open Inference Protocol gives a type: how Python packs one.
_FORMS: Final = {
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "FP16": "e", "FP32": "f", "FP64": "d", "BOOL": "?",
}  # fmt: skip
_ROWS: Final = frozenset({"data", "outputs", "predictions", "result"})


def tampered(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The same answer, with wrong numbers; one that is no answer of a model stays as it is."""
    length = int(headers.get("inference-header-content-length", len(body)))
    try:
        document = json.loads(body[:length])
    except ValueError:
        return body
    rest = body[length:]
    if rest:
        # The header must keep its length, so only what follows it changes.
        return body[:length] + _binary(document, rest)
    return json.dumps(_changed(document, inside=isinstance(document, list))).encode()


def _changed(value: Any, *, inside: bool) -> Any:
    if isinstance(value, dict):
        # Open Inference Protocol tensors have their own "data"; columns of other dialects are the rows themselves.
        tensor = "data" in value and "name" in value
        return {
            key: _changed(each, inside=(inside and not tensor) or key in _ROWS) if not tensor or key == "data" else each
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_changed(each, inside=inside) for each in value]
    if not inside or value is None:
        return value
    return _wrong(value)


def _wrong(value: Any) -> Any:
    """Another value of the same type, whatever its size."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.5 + 1.0
    return f"not {value}"


def _binary(document: Any, content: bytes) -> bytes:
    parts, at = [], 0
    for output in document.get("outputs", ()):
        size = output.get("parameters", {}).get("binary_data_size", 0)
        part, at = content[at : at + size], at + size
        form = _FORMS.get(output.get("datatype", ""))
        parts.append(part if form is None else _shifted(part, form))
    return b"".join(parts) + content[at:]


def _shifted(content: bytes, form: str) -> bytes:
    """Each number another one; one that would not fit stays."""
    packed = struct.Struct(f"<{form}")
    changed = bytearray(content)
    for at in range(0, len(content) - packed.size + 1, packed.size):
        (value,) = packed.unpack_from(content, at)
        try:
            changed[at : at + packed.size] = packed.pack(_wrong(value))
        except (struct.error, OverflowError):
            continue
    return bytes(changed)
