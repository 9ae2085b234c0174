"""ONNX for curves over a column: splines, and the inverse of the normal distribution."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame, is_exact, numbers, picked
from packager.core.errors import ConverterMissing

# Wichura's AS 241 (PPND16), highest power first: numerator and denominator near the middle, further out, at the ends.
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_OUTER = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_ENDS = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip


def emit_splines(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """SplineTransformer: each basis function as a polynomial between two knots.

    Raises:
        ConverterMissing: Its continuation beyond the knots, or its missing values, have no form here.
    """
    if step.extrapolation not in {"constant", "linear", "continue"} or step.degree < 1:
        raise ConverterMissing(
            f"{path} with extrapolation={step.extrapolation!r} and degree={step.degree} has no ONNX form",
            hint="use extrapolation='constant', 'linear' or 'continue', and a degree of at least 1",
        )
    if getattr(step, "handle_missing", "error") != "error":
        raise ConverterMissing(
            f"{path} with handle_missing={step.handle_missing!r} has no ONNX form", hint="impute before it"
        )
    columns, width = [], 0
    for index, spline in enumerate(step.bsplines_):
        value = emitter.matrix(picked(emitter, frame, [index]), path)
        kept = spline.c.shape[1] - (0 if step.include_bias else 1)
        # scikit-learn 1.9 takes inner knots for the ends from the second column on.
        first = 2 if step.extrapolation == "linear" and step.degree == 1 and index > 0 else int(step.degree)
        columns.append(_basis(emitter, spline, value, kept, step.extrapolation, first))
        width += kept
    exact = is_exact(frame)
    joined = columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1)
    return numbers(joined, width, exact=exact)


def _basis(emitter: Emitter, spline: Any, value: str, kept: int, beyond: str, first: int) -> str:
    """The first basis functions of one column, (rows, kept), and how they go on beyond the knots."""
    curve = _boor(emitter, spline, value, kept)
    if beyond == "continue":
        return curve
    low, high = float(spline.t[first]), float(spline.t[-first - 1])
    below = emitter.add("Less", value, emitter.constant(np.float64(low)))
    above = emitter.add("Greater", value, emitter.constant(np.float64(high)))
    result = emitter.add("Where", emitter.add("Or", below, above), emitter.constant(np.zeros((1, kept))), curve)
    lines = [_line(emitter, spline, value, end, kept, rises=beyond == "linear") for end in (low, high)]
    count = spline.c.shape[1]
    for place in range(max(int(spline.k), 2 if beyond == "linear" else 1)):
        for outside, line, column in ((below, lines[0], place), (above, lines[1], count - 1 - place)):
            mine = emitter.constant((np.arange(kept) == column)[None, :])
            result = emitter.add("Where", emitter.add("And", outside, mine), line, result)
    return result


def _line(emitter: Emitter, spline: Any, value: str, end: float, kept: int, *, rises: bool) -> str:
    """The tangents of all basis functions at one end, or their height there."""
    height = emitter.constant(spline(end)[None, :kept])
    if not rises:
        return height
    over = emitter.add("Sub", value, emitter.constant(np.float64(end)))
    return emitter.add("Add", height, emitter.add("Mul", over, emitter.constant(spline(end, nu=1)[None, :kept])))


def _boor(emitter: Emitter, spline: Any, value: str, kept: int) -> str:
    """All basis functions by de Boor's recursion, in the order in which scipy computes it, to the last bit."""
    knots, degree = np.asarray(spline.t, np.float64), int(spline.k)
    inner = knots[degree + 1 : len(knots) - degree - 1]
    bounds = inner if len(inner) else np.array([np.inf])
    reached = emitter.add("GreaterOrEqual", value, emitter.constant(bounds[None, :]))
    count = emitter.add("ReduceSum", emitter.cast(reached, TensorProto.INT64), emitter.constant(np.array([1])))

    def knot(offset: int) -> str:
        moved = emitter.add("Add", count, emitter.constant(np.int64(degree + offset)))
        return emitter.add("Gather", emitter.constant(knots), moved)

    near = {offset: knot(offset) for offset in range(1 - degree, degree + 1)}
    parts = [emitter.constant(np.array([[1.0]]))]
    for order in range(1, degree + 1):
        parts = _raised(emitter, parts, value, near, order)
    columns = emitter.constant(np.arange(kept)[None, :])
    total = ""
    for offset, part in enumerate(parts):
        place = emitter.add("Add", count, emitter.constant(np.int64(offset)))
        here = emitter.add("Where", emitter.add("Equal", columns, place), part, emitter.constant(np.float64(0)))
        total = emitter.add("Add", total, here) if total else here
    return total


def _raised(emitter: Emitter, before: list[str], value: str, near: dict[int, str], order: int) -> list[str]:
    """The functions of one degree from those of the degree below. Source: _deBoor_D of scipy.interpolate."""
    zero = emitter.constant(np.float64(0))
    made = [zero] * (order + 1)
    for place in range(1, order + 1):
        right, left = near[place], near[place - order]
        gap = emitter.add("Sub", right, left)
        none = emitter.add("Equal", gap, zero)
        share = emitter.add("Div", before[place - 1], emitter.add("Where", none, emitter.constant(np.float64(1)), gap))
        share = emitter.add("Where", none, zero, share)
        falling = emitter.add("Mul", share, emitter.add("Sub", right, value))
        made[place - 1] = falling if place == 1 else emitter.add("Add", made[place - 1], falling)
        made[place] = emitter.add("Mul", share, emitter.add("Sub", value, left))
    return made


def normal_quantile(emitter: Emitter, chance: str) -> str:
    """scipy.stats.norm.ppf of chances above 0 and below 1. Source: M. J. Wichura, algorithm AS 241."""

    def number(value: float) -> str:
        return emitter.constant(np.float64(value))

    away = emitter.add("Sub", chance, number(0.5))
    near = emitter.add("LessOrEqual", emitter.add("Abs", away), number(0.425))
    square = emitter.add("Sub", number(0.180625), emitter.add("Mul", away, away))
    middle = emitter.add("Mul", _ratio(emitter, _MIDDLE, square), away)
    tail = emitter.add("Min", chance, emitter.add("Sub", number(1.0), chance))
    root = emitter.add("Sqrt", emitter.add("Neg", emitter.add("Log", tail)))
    outer = _ratio(emitter, _OUTER, emitter.add("Sub", root, number(1.6)))
    ends = _ratio(emitter, _ENDS, emitter.add("Sub", root, number(5.0)))
    far = emitter.add("Where", emitter.add("LessOrEqual", root, number(5.0)), outer, ends)
    far = emitter.add("Mul", far, emitter.add("Sign", away))
    return emitter.add("Where", near, middle, far)


def _ratio(emitter: Emitter, factors: tuple[tuple[float, ...], tuple[float, ...]], value: str) -> str:
    above, below = (_polynomial(emitter, side, value) for side in factors)
    return emitter.add("Div", above, below)


def _polynomial(emitter: Emitter, factors: tuple[float, ...], value: str) -> str:
    result = emitter.constant(np.float64(factors[0]))
    for factor in factors[1:]:
        result = emitter.add("Add", emitter.add("Mul", result, value), emitter.constant(np.float64(factor)))
    return result
