"""The one rule by which an answer counts as right, for the self-test and the smoke test alike.

Floats: |actual - expected| <= atol + rtol * |expected|, NaN equal to NaN; everything else: equal. Where a package
declares a wider tolerance, of the whole as well: many entries that are all a little off are another model. Plain
Python, because the smoke test runs where numpy may not be. Source: the rule of ``numpy.allclose``.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from runtime.contract.dtypes import DTYPES
from runtime.contract.tensors import TensorFile

# By ``struct``, of the floats that are narrower than Python's.
_FORMS: Final = {"FP16": "<e", "FP32": "<f"}


@dataclass(frozen=True, slots=True)
class Closeness:
    """Result of one comparison.

    Attributes:
        max_abs_error: Over finite floats; None where there are none.
        problem: Why the answer is wrong, with output, place, expected and actual value; None when it is right.
        rms_error: Root of the mean squared error over finite floats.
    """

    max_abs_error: float | None
    problem: str | None
    rms_error: float | None = None


def compare_answer(
    expected: TensorFile,
    actual: Sequence[Any],
    shape: Sequence[int],
    *,
    atol: float,
    rtol: float,
    rms: float | None = None,
) -> Closeness:
    """How an answer stands to the expected tensor.

    Args:
        actual: Flat, row-major; None stands for NaN, as JSON has it; BYTES as ``str`` or ``bytes``.
        shape: The shape that came with ``actual``.
        rms: The largest root of the mean squared error; None for no such limit.
    """
    name = expected.name
    if tuple(shape) != expected.shape:
        return Closeness(None, f"output {name!r} has the shape {list(shape)}, expected {list(expected.shape)}")
    wanted = expected.to_list()
    if len(actual) != len(wanted):
        return Closeness(None, f"output {name!r} has {len(actual)} values, expected {len(wanted)}")
    if not DTYPES[expected.dtype].is_float:
        return Closeness(None, _first_unequal(name, wanted, actual, expected.shape))
    found = _worst_float(name, wanted, actual, expected.shape, atol, rtol, form=_FORMS.get(expected.dtype))
    if found.problem is None and rms is not None and (found.rms_error or 0.0) > rms:
        return replace(found, problem=f"output {name!r} is off by {found.rms_error:.3g} on the whole, at most {rms:g}")
    return found


def _first_unequal(name: str, wanted: Sequence[Any], actual: Sequence[Any], shape: tuple[int, ...]) -> str | None:
    for index, (want, got) in enumerate(zip(wanted, actual, strict=True)):
        plain = got.decode("utf-8", "replace") if isinstance(got, bytes) else got
        if want != plain or isinstance(want, bool) != isinstance(plain, bool):
            return f"output {name!r}{place(index, shape)} is {plain!r}, expected {want!r}"
    return None


def _worst_float(
    name: str,
    wanted: Sequence[float],
    actual: Sequence[Any],
    shape: tuple[int, ...],
    atol: float,
    rtol: float,
    *,
    form: str | None,
) -> Closeness:
    largest: float | None = None
    worst, problem, squares, count = 0.0, None, 0.0, 0
    for index, (want, got) in enumerate(zip(wanted, actual, strict=True)):
        number = math.nan if got is None else float(got)
        if want != number:
            number = _as_held(number, form)
        if want == number or (math.isnan(want) and math.isnan(number)):
            largest, count = max(largest or 0.0, 0.0), count + 1
            continue
        error = abs(number - want)
        if math.isfinite(error):
            largest = max(largest or 0.0, error)
            squares, count = squares + error * error, count + 1
        excess = error / (atol + rtol * abs(want)) if math.isfinite(error) and atol + rtol * abs(want) > 0 else math.inf
        if excess > 1 and excess > worst:
            worst = excess
            problem = f"output {name!r}{place(index, shape)} is {number!r}, expected {want!r} (off by {error:.3g})"
    return Closeness(largest, problem, math.sqrt(squares / count) if count else None)


def _as_held(number: float, form: str | None) -> float:
    """The number as its type holds it: JSON spells a float32 with as few digits as tell it from other float32."""
    if form is None:
        return number
    try:
        held: float = struct.unpack(form, struct.pack(form, number))[0]
    except OverflowError:  # no number of this type is near it
        return number
    return held


def place(index: int, shape: Sequence[int]) -> str:
    """`` at [row, column]`` for a flat index; empty for a scalar."""
    if not shape:
        return ""
    coordinates = []
    for size in reversed(shape):
        index, within = divmod(index, size)
        coordinates.append(within)
    return f" at {coordinates[::-1]}"
