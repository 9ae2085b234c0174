"""ONNX for numpy's functions, in double precision."""

import math
import warnings
from itertools import product
from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Block, Emitter, Frame, Half, is_exact, numbers, width_of
from packager.core.errors import ConverterMissing

# More booleans than this have too many combinations to be looked up.
MOST_FLAGS = 8
# The error function is 1 to the last bit from 6 on.
_ERF_END, _ERF_STEPS, _ERF_DEGREE = 6.0, 16.0, 10


def _erf_tables() -> list[Any]:
    """Taylor's factors at each known place, of the highest power first."""
    places = np.arange(-_ERF_END, _ERF_END + 0.5 / _ERF_STEPS, 1 / _ERF_STEPS)
    tables = [np.array([math.erf(place) for place in places])]
    for order in range(1, _ERF_DEGREE + 1):
        hermite = np.polynomial.hermite.hermval(places, [0.0] * (order - 1) + [1.0])
        slopes = (-1.0) ** (order - 1) * hermite * np.exp(-(places**2)) * 2 / np.sqrt(np.pi)
        tables.append(slopes / math.factorial(order))
    return tables[::-1]


class Formulas:
    """Formulas of numpy functions in double precision."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def number(self, value: float) -> str:
        """A constant."""
        return self._emitter.constant(np.float64(value))

    def log1p(self, value: str) -> str:
        """log(1 + x), exact for small x. Source: W. Kahan's compensation."""
        add = self._emitter.add
        moved = add("Add", value, self.number(1))
        rest = add("Sub", moved, self.number(1))
        none = add("Equal", rest, self.number(0))
        same = add("Equal", moved, value)  # infinity: the quotient would be NaN
        safe = add("Where", none, self.number(1), rest)
        scaled = add("Div", add("Mul", add("Log", moved), value), safe)
        return add("Where", none, value, add("Where", same, add("Log", moved), scaled))

    def expm1(self, value: str) -> str:
        """exp(x) - 1."""
        return self._emitter.add("Sub", self._emitter.add("Exp", value), self.number(1))

    def arctan(self, value: str) -> str:
        """The angle of a tangent: of float32, and then one step by the tangent of what is left."""
        add, cast = self._emitter.add, self._emitter.cast
        bounded = add("Min", add("Max", value, self.number(-1e300)), self.number(1e300))
        angle = cast(add("Atan", cast(bounded, TensorProto.FLOAT)), TensorProto.DOUBLE)
        sine, cosine = add("Sin", angle), add("Cos", angle)
        over = add("Sub", add("Mul", bounded, cosine), sine)
        rest = add("Div", over, add("Add", add("Mul", bounded, sine), cosine))
        return add("Add", angle, add("Sub", rest, add("Div", add("Mul", add("Mul", rest, rest), rest), self.number(3))))

    def erf(self, value: str) -> str:
        """The error function: Taylor's polynomial around the nearest of some known places."""
        add = self._emitter.add
        bounded = add("Min", add("Max", value, self.number(-_ERF_END)), self.number(_ERF_END))
        place = add("Round", add("Mul", add("Add", bounded, self.number(_ERF_END)), self.number(_ERF_STEPS)))
        known = add("Sub", add("Div", place, self.number(_ERF_STEPS)), self.number(_ERF_END))
        over = add("Sub", bounded, known)
        index = self._emitter.cast(add("Where", add("IsNaN", value), self.number(0), place), TensorProto.INT64)
        result = ""
        for table in _erf_tables():
            factor = add("Gather", self._emitter.constant(table), index)
            result = add("Add", add("Mul", result, over), factor) if result else factor
        return result

    def cbrt(self, value: str) -> str:
        """The cube root: a power, mended by one step of Newton's method."""
        add = self._emitter.add
        size = add("Abs", value)
        none = add("Equal", size, self.number(0))
        safe = add("Where", none, self.number(1), size)
        root = add("Pow", safe, self.number(1 / 3))
        excess = add("Sub", add("Mul", add("Mul", root, root), root), safe)
        root = add("Sub", root, add("Div", excess, add("Mul", add("Mul", root, root), self.number(3))))
        return add("Mul", add("Where", none, self.number(0), root), add("Sign", value))

    def box_cox(self, value: str, power: float) -> str:
        """(x ** power - 1) / power, the logarithm for a power of 0."""
        add = self._emitter.add
        if power == 0:
            return add("Log", value)
        return add("Div", self.expm1(add("Mul", add("Log", value), self.number(power))), self.number(power))

    def yeo_johnson(self, value: str, power: float) -> str:
        """Box-Cox of 1 + x where x is not negative, and mirrored below."""
        add = self._emitter.add
        zero = self.number(0)
        negative = add("Less", value, zero)
        up = self.log1p(add("Where", negative, zero, value))
        down = self.log1p(add("Where", negative, add("Neg", value), zero))
        for_up = self._grown(up, power) if abs(power) >= np.spacing(1.0) else up
        for_down = self._grown(down, 2 - power) if abs(power - 2) > np.spacing(1.0) else down
        return add("Where", negative, add("Neg", for_down), for_up)

    def _grown(self, log: str, power: float) -> str:
        add = self._emitter.add
        return add("Div", self.expm1(add("Mul", log, self.number(power))), self.number(power))


_UNARY = {
    "log": "Log", "exp": "Exp", "sqrt": "Sqrt", "absolute": "Abs", "fabs": "Abs", "negative": "Neg", "sign": "Sign",
    "floor": "Floor", "ceil": "Ceil", "rint": "Round", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos",
    "tanh": "Tanh", "positive": "Identity",
}  # fmt: skip
# Those whose last bit no library decides.
_ROUNDED_ONCE = frozenset(
    {"absolute", "ceil", "clip", "fabs", "floor", "negative", "positive", "rint", "sign", "sqrt", "square"}
)
_SCALED_LOGS = {"log2": np.log(2.0), "log10": np.log(10.0)}


def emit_function(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """FunctionTransformer over nothing, or over a numpy function whose formula is known.

    Raises:
        ConverterMissing: Any other function; names it.
    """
    if step.func is None:
        return frame
    if any(block.flags for block in frame):
        return _of_flags(emitter, step, frame, path)
    value = emitter.matrix(frame, path)
    result = applied(emitter, step.func, dict(step.kw_args or {}), value)
    if result is None:
        raise ConverterMissing(
            f"there is no ONNX converter for {path}: FunctionTransformer over {_named(step)}",
            hint="use one of numpy's log, log1p, log2, log10, exp, expm1, sqrt, square, abs, sign, clip, or register a"
            " converter for a transformer of your own and pass it with --plugin",
            detail={"function": _named(step)},
        )
    exact = is_exact(frame) and getattr(step.func, "__name__", "") in _ROUNDED_ONCE
    return numbers(result, width_of(frame), exact=exact)


def is_halved(step: Any) -> bool:
    """Whether a step is a numpy function that answers booleans in float16."""
    function = getattr(step, "func", None) if type(step).__name__ == "FunctionTransformer" else None
    if not isinstance(function, np.ufunc) or function.nin != 1:
        return False
    try:
        with np.errstate(all="ignore"):
            return bool(np.asarray(function(np.array([True]))).dtype == np.float16)
    except TypeError:
        return False


def _of_flags(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """A function of booleans: what numpy makes of the two, which is float16 for a logarithm.

    Raises:
        ConverterMissing: Booleans together with numbers, or a function that does not take them.
    """
    function = getattr(np, str(getattr(step.func, "__name__", "")), None)
    if not all(block.flags for block in frame) or function is None or function is not step.func:
        raise ConverterMissing(
            f"{path} computes {_named(step)} of booleans, which numpy does in a type of its own",
            hint="make the column a number before training: frame.astype(float)",
        )
    width = width_of(frame)
    if width > MOST_FLAGS:
        raise ConverterMissing(
            f"{path} computes {_named(step)} of {width} booleans at once, and at most {MOST_FLAGS} have an ONNX form",
            hint="make the columns numbers before training: frame.astype(float)",
        )
    flags = np.array(list(product((False, True), repeat=width)))
    place = emitter.add("MatMul", emitter.matrix(frame, path), emitter.constant(2.0 ** np.arange(width)[::-1]))
    with np.errstate(all="ignore"):
        table = np.asarray(function(flags, **dict(step.kw_args or {})))
    return (looked_up(emitter, emitter.cast(place, TensorProto.INT64), table),)


def of_half(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """Any transformer of what booleans became in float16: its own answers, looked up.

    Raises:
        ConverterMissing: Other columns stand beside them.
    """
    half = frame[0].half
    if len(frame) != 1 or half is None:
        raise ConverterMissing(
            f"{path} is given functions of booleans, which numpy leaves as float16, beside others",
            hint="make the column a number before training: frame.astype(float)",
        )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = step.transform(half.table)
    return (looked_up(emitter, half.place, np.asarray(made.toarray() if hasattr(made, "toarray") else made)),)


def looked_up(emitter: Emitter, place: str, table: Any) -> Block:
    """The rows of a table at some places."""
    value = emitter.add("Gather", emitter.constant(table.astype(np.float64)), place, axis=0)
    half = Half(place, table) if table.dtype == np.float16 else None
    return Block(value, table.shape[1], exact=True, flags=table.dtype == np.bool_, half=half)


def applied(emitter: Emitter, function: Any, options: dict[str, Any], value: str) -> str | None:
    """A numpy function of doubles; None where its formula is not known."""
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is not function:
        return None
    if name == "clip":
        return _clipped(emitter, value, options)
    if options:
        return None
    formulas = Formulas(emitter)
    match name:
        case "log1p":
            return formulas.log1p(value)
        case "expm1":
            return formulas.expm1(value)
        case "cbrt":
            return formulas.cbrt(value)
        case "arctan" | "atan":
            return formulas.arctan(value)
        case "square":
            return emitter.add("Mul", value, value)
        case "log2" | "log10":
            return emitter.add("Div", emitter.add("Log", value), formulas.number(_SCALED_LOGS[name]))
    return emitter.add(_UNARY[name], value) if name in _UNARY else None


def _clipped(emitter: Emitter, value: str, options: dict[str, Any]) -> str | None:
    names = {"a_min": "low", "min": "low", "a_max": "high", "max": "high"}
    if any(name not in names for name in options):
        return None
    bounds = {names[name]: bound for name, bound in options.items() if bound is not None}
    # Not Clip: numpy keeps NaN, and takes the upper bound where the two are the wrong way round.
    for side, op_type in (("low", "Less"), ("high", "Greater")):
        if side in bounds:
            bound = emitter.constant(np.asarray(bounds[side], np.float64))
            value = emitter.add("Where", emitter.add(op_type, value, bound), bound, value)
    return value


def _named(step: Any) -> str:
    name = getattr(step.func, "__qualname__", repr(step.func))
    return f"{getattr(step.func, '__module__', None) or 'numpy'}.{name}"
