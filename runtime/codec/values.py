"""JSON values ↔ one numpy tensor of a given type and shape: what every JSON dialect shares.

Checks run over whole lists in C (``set(map(type, values))``); a Python loop runs only to name the culprit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import NoneType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.contract.cells import show
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.manifest import TensorSpec
from runtime.errors import InvalidInput, NonFiniteOutput

Array = NDArray[Any]
# The error about a value: its index, what was expected, and what is there.
Blame = Callable[[int, str, str], Exception]

# An empty tensor costs the sender nothing, so its other axes must not make the model allocate an answer of their size.
_MAX_EMPTY_AXIS: Final = 1 << 16
# Up to so many values a look at Python's own numbers takes less time than a call of numpy.
_FEW: Final = 32
_SHOWN_AXES: Final = 8


def wrong_input(spec: TensorSpec, expected: str, actual: str) -> InvalidInput:
    """The error that names a tensor, what it needs and what came."""
    return InvalidInput(
        f"input {spec.name!r} needs {expected}, got {actual}",
        detail={"tensor": spec.name, "expected": expected, "actual": actual},
    )


def check_shape(spec: TensorSpec, shape: Sequence[int], bound: dict[str, int]) -> None:
    """Refuse a shape that does not fit.

    Args:
        bound: Size of each free axis that an earlier input has fixed; filled by this one.
    """
    if len(shape) != len(spec.shape):
        raise wrong_input(spec, f"the shape {_spelt(spec)}", _shown(shape))
    for dim, size in zip(spec.shape, shape, strict=True):
        if isinstance(dim, int):
            if size != dim:
                raise wrong_input(spec, f"the shape {_spelt(spec)}", _shown(shape))
        elif bound.setdefault(dim, size) != size:
            other = f"the axis {dim!r} to be {bound[dim]}, as in another input"
            raise wrong_input(spec, other, f"{size} in the shape {_shown(shape)}")
    if 0 in shape and max(shape) > _MAX_EMPTY_AXIS:
        raise wrong_input(spec, f"axes of at most {_MAX_EMPTY_AXIS} where one is 0", f"the shape {list(shape)}")


def tensor_from_json(spec: TensorSpec, shape: Sequence[int], data: Sequence[Any]) -> Array:
    """The tensor that ``data`` (flat in row-major order, or nested as ``shape`` says) stands for.

    Args:
        shape: Has passed ``check_shape``.

    Raises:
        InvalidInput: Nesting, count, type or range of the values does not fit.
    """
    kinds = set(map(type, data))
    if list in kinds or len(data) != math.prod(shape):
        data = flatten(spec, shape, data)
        kinds = set(map(type, data))
    if not kinds <= _ALLOWED[spec.dtype]:
        raise _wrong_type(spec, data)
    return array_of(spec.dtype, data, position_of(spec)).reshape(shape)


def flatten(spec: TensorSpec, shape: Sequence[int], data: Sequence[Any]) -> Sequence[Any]:
    """The values of ``data`` in row-major order, as many as ``shape`` has; their types are not looked at.

    Raises:
        InvalidInput: Nesting or count does not fit.
    """
    flat = _flatten(spec, shape, data)
    count = math.prod(shape)
    if len(flat) != count:
        raise wrong_input(spec, f"{count} values for the shape {list(shape)}", f"{len(flat)} values")
    return flat


def array_of(dtype: Datatype, flat: Sequence[Any], blame: Blame) -> Array:
    """A flat array of values whose types fit.

    Raises:
        Exception: What ``blame`` makes of the first value that is out of range.
    """
    if dtype == "BYTES":
        array: Array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array
    return _floats(dtype, flat, blame) if DTYPES[dtype].is_float else _exact(dtype, flat, blame)


def position_of(spec: TensorSpec) -> Blame:
    """Errors about a value of ``spec`` that name its position in the flat tensor."""
    return lambda index, expected, actual: wrong_input(spec, expected, f"{actual} at position {index}")


def json_values(name: str, array: Array) -> Array | list[Any]:
    """The values of an output, flat, in the form that orjson writes; NaN becomes ``null``.

    Raises:
        NonFiniteOutput: The output holds infinity.
    """
    flat = array.reshape(-1)
    kind = flat.dtype.kind
    if kind == "O":
        return [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in flat.tolist()]
    if kind == "f" and _has_infinity(flat):
        first = np.unravel_index(int(np.argmax(np.isinf(flat))), array.shape or (1,))
        place = [int(index) for index in first] if array.shape else []
        raise NonFiniteOutput(
            f"output {name!r} holds {float(array[tuple(place)])} at {place}, and JSON cannot carry infinity",
            hint="ask for the binary form of the Open Inference Protocol, which carries infinity and NaN",
            detail={"tensor": name, "place": place},
        )
    return flat if flat.flags.c_contiguous else np.ascontiguousarray(flat)


def _has_infinity(flat: Array) -> bool:
    if flat.size <= _FEW:
        values = flat.tolist()
        return math.inf in values or -math.inf in values
    return bool(np.isinf(flat).any())


def _flatten(spec: TensorSpec, shape: Sequence[int], data: Sequence[Any]) -> Sequence[Any]:
    if list not in set(map(type, data)):
        return data
    level: Sequence[Any] = data
    for depth, size in enumerate(shape):
        if len(level) != math.prod(shape[:depth]) * size:
            break
        if depth == len(shape) - 1:
            return level
        if not (set(map(type, level)) <= {list} and set(map(len, level)) <= {shape[depth + 1]}):
            break
        level = list(chain.from_iterable(level))
    raise wrong_input(spec, f"data flat or nested as the shape {list(shape)} says", "data nested otherwise")


def _wrong_type(spec: TensorSpec, flat: Sequence[Any]) -> InvalidInput:
    at = next(index for index, value in enumerate(flat) if type(value) not in _ALLOWED[spec.dtype])
    return wrong_input(spec, f"{_WORDS[spec.dtype]} ({spec.dtype})", f"{_kind(flat[at])} at position {at}")


def _floats(dtype: Datatype, flat: Sequence[Any], blame: Blame) -> Array:
    try:
        wide = np.array(flat, dtype=np.float64)  # None becomes NaN
    except OverflowError:
        at = next(index for index, value in enumerate(flat) if _too_large_for_float(value))
        raise _out_of_range(dtype, flat, at, blame) from None
    if dtype == "FP64":
        return wide
    with np.errstate(over="ignore"):
        narrow: Array = wide.astype(DTYPES[dtype].numpy)
    overflowed = np.isinf(narrow) & np.isfinite(wide)
    if overflowed.any():
        raise _out_of_range(dtype, flat, int(np.argmax(overflowed)), blame)
    return narrow


def _exact(dtype: Datatype, flat: Sequence[Any], blame: Blame) -> Array:
    numpy_type = np.dtype(DTYPES[dtype].numpy)
    try:
        return np.array(flat, dtype=numpy_type)
    except OverflowError:
        limits = np.iinfo(numpy_type)
        at = next(index for index, value in enumerate(flat) if not limits.min <= value <= limits.max)
        raise _out_of_range(dtype, flat, at, blame) from None


def _out_of_range(dtype: Datatype, flat: Sequence[Any], at: int, blame: Blame) -> Exception:
    return blame(at, f"values in the range of {dtype}", show(flat[at]))


def _too_large_for_float(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        return True
    except TypeError:
        return False
    return False


def _kind(value: object) -> str:
    word = _JSON_WORDS.get(type(value))
    return f"{word} {show(value)}" if word else show(value)


def _shown(shape: Sequence[int]) -> str:
    text = str(list(shape[:_SHOWN_AXES]))
    return text if len(shape) <= _SHOWN_AXES else f"{text[:-1]}, … of {len(shape)} axes]"


def _spelt(spec: TensorSpec) -> str:
    return "[" + ", ".join(str(dim) for dim in spec.shape) + "]"


_JSON_WORDS: Final[Mapping[type, str]] = {
    bool: "the boolean",
    int: "the number",
    float: "the number",
    str: "the string",
}


def _allowed(dtype: Datatype) -> frozenset[type]:
    if dtype == "BYTES":
        return frozenset({str})
    if dtype == "BOOL":
        return frozenset({bool})
    return frozenset({int, float, NoneType}) if DTYPES[dtype].is_float else frozenset({int})


def _words(dtype: Datatype) -> str:
    if dtype == "BYTES":
        return "strings"
    if dtype == "BOOL":
        return "booleans"
    return "numbers or null" if DTYPES[dtype].is_float else "whole numbers"


_ALLOWED: Final[Mapping[Datatype, frozenset[type]]] = {dtype: _allowed(dtype) for dtype in DTYPES}
_WORDS: Final[Mapping[Datatype, str]] = {dtype: _words(dtype) for dtype in DTYPES}
