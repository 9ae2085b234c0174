"""Large JSON requests of the Open Inference Protocol: their numbers never become Python's own.

An accelerator and nothing more: whatever it does not take as a plain array of numbers is left to ``json_body``, which
makes the answer or the error.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import TensorSpec

# Where it begins to pay.
LARGE: Final = 16 << 10
# A thread keeps the memory of requests up to this size.
_MOST_KEPT: Final = 8 << 20
_OWN: Final = threading.local()


class NotNumbers(Exception):
    """An array holds something else, or not what its tensor needs."""


class Numbers:
    """A JSON array of numbers, still as the parser has it."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def tensor(self, spec: TensorSpec, shape: Sequence[int]) -> NDArray[Any]:
        """The tensor that they are, of the spec's type.

        Raises:
            NotNumbers: They do not fit in type, number or range.
        """
        facts = DTYPES[spec.dtype]
        kind = {"f": "d", "i": "i", "u": "u"}.get(facts.numpy[1:2])
        if kind is None:
            raise NotNumbers
        try:
            wide = np.frombuffer(self._array.as_buffer(of_type=kind), {"d": "<f8", "i": "<i8", "u": "<u8"}[kind])
        except (TypeError, ValueError, RuntimeError) as error:
            raise NotNumbers from error
        with np.errstate(over="ignore"):
            narrow = wide.astype(facts.numpy, copy=False)
        lost = np.isinf(narrow).any() if kind == "d" else not np.array_equal(narrow, wide)
        if len(wide) != math.prod(shape) or lost:
            raise NotNumbers
        return narrow.reshape(shape)


def parse_large(body: bytes) -> dict[str, Any]:
    """The document of a request, with ``Numbers`` under ``data`` of its inputs.

    Raises:
        NotNumbers: It is to be read in the usual way.
    """
    try:
        import simdjson
    except ImportError as error:  # not on every platform
        raise NotNumbers from error
    try:
        document = _parsed(simdjson, body)
    except (ValueError, RuntimeError) as error:
        raise NotNumbers from error
    if not isinstance(document, simdjson.Object):
        raise NotNumbers
    found = _members(document)
    inputs = found.get("inputs")
    if not isinstance(inputs, simdjson.Array) or not all(isinstance(entry, simdjson.Object) for entry in inputs):
        raise NotNumbers
    plain: dict[str, Any] = {key: _plain(value) for key, value in found.items() if key != "inputs"}
    plain["inputs"] = [
        {
            key: Numbers(value) if key == "data" and isinstance(value, simdjson.Array) else _plain(value)
            for key, value in _members(entry).items()
        }
        for entry in inputs
    ]
    # The parser flattens what is nested, right or wrong: an array in an array is none of its numbers.
    if body.count(b"[") != _arrays(plain):
        raise NotNumbers
    return plain


def _parsed(simdjson: Any, body: bytes) -> Any:
    """The document, by this thread's parser: a new one takes fresh memory each time, which the kernel clears."""
    if len(body) > _MOST_KEPT:
        return simdjson.Parser().parse(body)
    parser = getattr(_OWN, "parser", None)
    if parser is None:
        parser = _OWN.parser = simdjson.Parser()
    try:
        return parser.parse(body)
    except RuntimeError:  # too deep; or it is still held by another document, as in a test
        return simdjson.Parser().parse(body)


def _members(value: Any) -> Mapping[str, Any]:
    names = list(value.keys())
    if len(set(names)) != len(names):  # which one counts, is the usual reader's to say
        raise NotNumbers
    return {name: value[name] for name in names}


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return value.as_list() if hasattr(value, "as_list") else value


def _arrays(value: Any) -> int:
    if isinstance(value, Numbers):
        return 1
    if isinstance(value, dict):
        return sum(map(_arrays, value.values()))
    return 1 + sum(map(_arrays, value)) if isinstance(value, list) else 0
