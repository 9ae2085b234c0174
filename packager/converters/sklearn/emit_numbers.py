"""ONNX for transformers of numbers, computed in double precision as scikit-learn computes them."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame, numbers, picked, width_of
from packager.converters.sklearn.precision import affine_steps
from packager.core.errors import ConverterMissing


def emit_scaler(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler."""
    value = emitter.matrix(frame, path)
    for op_type, constant in affine_steps(step):
        value = emitter.add(op_type, value, emitter.constant(np.asarray(constant, np.float64)))
    if getattr(step, "clip", False):
        low, high = getattr(step, "feature_range", (-1.0, 1.0))
        value = emitter.add("Clip", value, emitter.constant(np.float64(low)), emitter.constant(np.float64(high)))
    return numbers(value, width_of(frame))


def emit_normalizer(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """Normalizer."""
    value = emitter.matrix(frame, path)
    return numbers(normalized(emitter, value, step.norm), width_of(frame))


def normalized(emitter: Emitter, value: str, norm: str) -> str:
    """Rows divided by their norm; rows of nothing but zeros stay as they are."""
    axis = emitter.constant(np.array([1]))
    absolute = emitter.add("Abs", value)
    match norm:
        case "l2":
            size = emitter.add("Sqrt", emitter.add("ReduceSum", emitter.add("Mul", value, value), axis))
        case "l1":
            size = emitter.add("ReduceSum", absolute, axis)
        case _:
            size = emitter.add("ReduceMax", absolute, axis)
    # Source: sklearn.preprocessing._data._handle_zeros_in_scale.
    zero = emitter.add("Less", size, emitter.constant(10 * np.finfo(np.float64).eps))
    return emitter.add("Div", value, emitter.add("Where", zero, emitter.constant(np.float64(1)), size))


def emit_binarizer(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """Binarizer."""
    above = emitter.add("Greater", emitter.matrix(frame, path), emitter.constant(np.float64(step.threshold)))
    return numbers(emitter.cast(above, TensorProto.DOUBLE), width_of(frame))


def emit_selector(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """SelectKBest, RFE, SelectFromModel, VarianceThreshold and the like."""
    chosen = [int(index) for index in np.flatnonzero(step.get_support())]
    if not chosen:
        raise ConverterMissing(f"{path} selects no feature", hint="keep at least one feature")
    return picked(emitter, frame, chosen)


def emit_bins(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """KBinsDiscretizer: how many inner edges a value has reached, plain or one-hot."""
    columns = []
    for index, edges in enumerate(step.bin_edges_):
        column = emitter.matrix(picked(emitter, frame, [index]), path)
        inner = np.asarray(edges, np.float64)[1:-1]
        if step.dtype == np.float32:
            column = emitter.cast(emitter.cast(column, TensorProto.FLOAT), TensorProto.DOUBLE)
        padded = inner if len(inner) else np.array([np.inf])
        slack = np.where(np.isfinite(padded), _slack(np.where(np.isfinite(padded), padded, 0.0)), 0.0)
        reached = emitter.add("GreaterOrEqual", column, emitter.constant((padded - slack)[None, :]))
        bin_of = emitter.add("ReduceSum", emitter.cast(reached, TensorProto.DOUBLE), emitter.constant(np.array([1])))
        if step.encode.startswith("onehot"):
            bins = np.arange(int(step.n_bins_[index]), dtype=np.float64)
            bin_of = emitter.cast(emitter.add("Equal", bin_of, emitter.constant(bins[None, :])), TensorProto.DOUBLE)
        columns.append(bin_of)
    width = int(sum(step.n_bins_)) if step.encode.startswith("onehot") else len(columns)
    return numbers(columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1), width)


def emit_polynomial(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """PolynomialFeatures: products of up to ``degree`` columns, a column of ones standing in for fewer."""
    value, width = emitter.matrix(frame, path), width_of(frame)
    powers = np.asarray(step.powers_)
    degree = max(1, int(powers.sum(axis=1).max()))
    factors = np.full((len(powers), degree), width)
    for row, exponents in enumerate(powers):
        chosen = np.repeat(np.arange(width), exponents)
        factors[row, : len(chosen)] = chosen
    first = emitter.add("Gather", value, emitter.constant(np.array([0])), axis=1)
    # NaN * 0 would be NaN: the ones are made from a comparison instead.
    ones = emitter.cast(
        emitter.add("Equal", emitter.add("IsNaN", first), emitter.add("IsNaN", first)), TensorProto.DOUBLE
    )
    padded = emitter.add("Concat", value, ones, axis=1)
    product = emitter.add("Gather", padded, emitter.constant(factors[:, 0]), axis=1)
    for place in range(1, degree):
        product = emitter.add(
            "Mul", product, emitter.add("Gather", padded, emitter.constant(factors[:, place]), axis=1)
        )
    return numbers(product, len(powers))


def emit_power(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """PowerTransformer: Yeo-Johnson or Box-Cox, then its scaler."""
    one = _Formulas(emitter)
    columns = []
    for index, power in enumerate(np.asarray(step.lambdas_, np.float64)):
        value = emitter.matrix(picked(emitter, frame, [index]), path)
        columns.append(one.yeo_johnson(value, power) if step.method == "yeo-johnson" else one.box_cox(value, power))
    joined = columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1)
    behind = numbers(joined, len(columns))
    return emit_scaler(emitter, step._scaler, behind, path) if step.standardize else behind


def emit_quantiles(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """QuantileTransformer to the uniform distribution: the mean of two interpolations, as equal quantiles need.

    Raises:
        ConverterMissing: It goes on to the normal distribution, whose inverse ONNX does not have.
    """
    if step.output_distribution != "uniform":
        raise ConverterMissing(
            f"{path} with output_distribution='normal' has no ONNX form", hint="use output_distribution='uniform'"
        )
    columns = []
    for index in range(width_of(frame)):
        value = emitter.matrix(picked(emitter, frame, [index]), path)
        known = np.asarray(step.quantiles_[:, index], np.float64)
        places = np.asarray(step.references_, np.float64)
        upper = interpolated(emitter, value, known, places)
        lower = interpolated(emitter, emitter.add("Neg", value), -known[::-1], -places[::-1])
        half = emitter.add("Mul", emitter.add("Sub", upper, lower), emitter.constant(np.float64(0.5)))
        at_end = _near(emitter, value, known[-1])
        half = emitter.add("Where", at_end, emitter.constant(np.float64(1)), half)
        at_start = _near(emitter, value, known[0])
        half = emitter.add("Where", at_start, emitter.constant(np.float64(0)), half)
        columns.append(emitter.add("Where", emitter.add("IsNaN", value), value, half))
    return numbers(columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1), len(columns))


def _slack(bounds: Any) -> Any:
    """How far a computed value may be from the one in scikit-learn that lies exactly on a bound: some last bits."""
    return 1e-13 * np.maximum(np.abs(bounds), 1.0)


def _near(emitter: Emitter, value: str, bound: float) -> str:
    distance = emitter.add("Abs", emitter.add("Sub", value, emitter.constant(np.float64(bound))))
    return emitter.add("LessOrEqual", distance, emitter.constant(np.float64(_slack(bound))))


def interpolated(emitter: Emitter, value: str, known: Any, places: Any) -> str:
    """numpy.interp(value, known, places), in its arithmetic; of equal entries, the last one counts."""
    bounds = (known - _slack(known))[None, :]
    reached = emitter.cast(emitter.add("GreaterOrEqual", value, emitter.constant(bounds)), TensorProto.INT64)
    count = emitter.add("ReduceSum", reached, emitter.constant(np.array([1])))
    last = emitter.constant(np.int64(len(known) - 2))
    at = emitter.add("Sub", count, emitter.constant(np.int64(1)))
    at = emitter.add("Clip", at, emitter.constant(np.int64(0)), last)
    gaps = np.diff(known)
    slopes = np.divide(np.diff(places), gaps, out=np.zeros_like(gaps), where=gaps > 0)
    start = emitter.add("Gather", emitter.constant(known), at)
    moved = emitter.add("Mul", emitter.add("Sub", value, start), emitter.add("Gather", emitter.constant(slopes), at))
    inside = emitter.add("Add", emitter.add("Gather", emitter.constant(places), at), moved)
    low, high = emitter.constant(places[0]), emitter.constant(places[-1])
    below = emitter.add("Less", value, emitter.constant(known[0]))
    above = emitter.add("GreaterOrEqual", value, emitter.constant(known[-1]))
    return emitter.add("Where", below, low, emitter.add("Where", above, high, inside))


class _Formulas:
    """Formulas of numpy functions in double precision."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def number(self, value: float) -> str:
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
        return self._emitter.add("Sub", self._emitter.add("Exp", value), self.number(1))

    def box_cox(self, value: str, power: float) -> str:
        add = self._emitter.add
        if power == 0:
            return add("Log", value)
        return add("Div", self.expm1(add("Mul", add("Log", value), self.number(power))), self.number(power))

    def yeo_johnson(self, value: str, power: float) -> str:
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
_SCALED_LOGS = {"log2": np.log(2.0), "log10": np.log(10.0)}


def emit_function(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """FunctionTransformer over nothing, or over a numpy function whose formula is known.

    Raises:
        ConverterMissing: Any other function; names it.
    """
    if step.func is None:
        return frame
    value = emitter.matrix(frame, path)
    result = applied(emitter, step.func, dict(step.kw_args or {}), value)
    if result is None:
        raise ConverterMissing(
            f"there is no ONNX converter for {path}: FunctionTransformer over {_named(step)}",
            hint="use one of numpy's log, log1p, log2, log10, exp, expm1, sqrt, square, abs, sign, clip, or register a"
            " converter for a transformer of your own and pass it with --plugin",
            detail={"function": _named(step)},
        )
    return numbers(result, width_of(frame))


def applied(emitter: Emitter, function: Any, options: dict[str, Any], value: str) -> str | None:
    """A numpy function of doubles; None where its formula is not known."""
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is not function:
        return None
    if name == "clip":
        return _clipped(emitter, value, options)
    if options:
        return None
    formulas = _Formulas(emitter)
    match name:
        case "log1p":
            return formulas.log1p(value)
        case "expm1":
            return formulas.expm1(value)
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
