"""ONNX for transformers of numbers, computed in double precision as scikit-learn computes them."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame, is_exact, numbers, picked, width_of
from packager.converters.sklearn.emit_curves import normal_quantile
from packager.converters.sklearn.emit_functions import Formulas
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
    return numbers(value, width_of(frame), exact=is_exact(frame))


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
    return numbers(emitter.cast(above, TensorProto.DOUBLE), width_of(frame), exact=is_exact(frame))


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
        slack = np.where(np.isfinite(padded), _slack(np.where(np.isfinite(padded), padded, 0.0), frame), 0.0)
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
    one = Formulas(emitter)
    columns = []
    for index, power in enumerate(np.asarray(step.lambdas_, np.float64)):
        value = emitter.matrix(picked(emitter, frame, [index]), path)
        columns.append(one.yeo_johnson(value, power) if step.method == "yeo-johnson" else one.box_cox(value, power))
    joined = columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1)
    behind = numbers(joined, len(columns))
    return emit_scaler(emitter, step._scaler, behind, path) if step.standardize else behind


def emit_quantiles(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """QuantileTransformer: the mean of two interpolations, as equal quantiles need, and the normal distribution."""
    columns = [
        _quantile_column(emitter, step, picked(emitter, frame, [index]), index, path)
        for index in range(width_of(frame))
    ]
    return numbers(columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1), len(columns))


def _quantile_column(emitter: Emitter, step: Any, frame: Frame, index: int, path: str) -> str:
    value = emitter.matrix(frame, path)
    known, places = np.asarray(step.quantiles_[:, index], np.float64), np.asarray(step.references_, np.float64)
    slack = _slack(known, frame)
    upper = interpolated(emitter, value, known, places, slack)
    lower = interpolated(emitter, emitter.add("Neg", value), -known[::-1], -places[::-1], slack[::-1])
    half = emitter.add("Mul", emitter.add("Sub", upper, lower), emitter.constant(np.float64(0.5)))
    normal = step.output_distribution == "normal"
    at_end = (_beyond if normal else _near)(emitter, value, known[-1], slack[-1])
    half = emitter.add("Where", at_end, emitter.constant(np.float64(1)), half)
    at_start = (_beneath if normal else _near)(emitter, value, known[0], slack[0])
    half = emitter.add("Where", at_start, emitter.constant(np.float64(0)), half)
    if normal:
        edge = _EDGE - np.spacing(1)
        half = emitter.add("Clip", half, emitter.constant(np.float64(edge)), emitter.constant(np.float64(1 - edge)))
        half = normal_quantile(emitter, half)
    return emitter.add("Where", emitter.add("IsNaN", value), value, half)


def quantiles_undone(emitter: Emitter, step: Any, value: str) -> str:
    """The inverse of a QuantileTransformer of one column."""
    known, places = np.asarray(step.quantiles_[:, 0], np.float64), np.asarray(step.references_, np.float64)
    normal = step.output_distribution == "normal"
    if normal:
        moved = emitter.add("Mul", value, emitter.constant(np.sqrt(0.5)))
        value = emitter.add("Add", Formulas(emitter).erf(moved), emitter.constant(np.float64(1)))
        value = emitter.add("Mul", value, emitter.constant(np.float64(0.5)))
    result = interpolated(emitter, value, places, known)
    at_end = (_beyond if normal else _near)(emitter, value, 1.0, 0.0)
    result = emitter.add("Where", at_end, emitter.constant(known[-1]), result)
    at_start = (_beneath if normal else _near)(emitter, value, 0.0, 0.0)
    return emitter.add("Where", at_start, emitter.constant(known[0]), result)


# Source: BOUNDS_THRESHOLD in sklearn.preprocessing._data.
_EDGE = 1e-7


def _beyond(emitter: Emitter, value: str, bound: float, _slack: float) -> str:
    moved = emitter.add("Add", value, emitter.constant(np.float64(_EDGE)))
    return emitter.add("Greater", moved, emitter.constant(np.float64(bound)))


def _beneath(emitter: Emitter, value: str, bound: float, _slack: float) -> str:
    moved = emitter.add("Sub", value, emitter.constant(np.float64(_EDGE)))
    return emitter.add("Less", moved, emitter.constant(np.float64(bound)))


def _slack(bounds: Any, frame: Frame) -> Any:
    """How far a computed value may be from the one in scikit-learn that lies exactly on a bound: some last bits."""
    return (0.0 if is_exact(frame) else 1e-13) * np.maximum(np.abs(bounds), 1.0)


def _near(emitter: Emitter, value: str, bound: float, slack: float) -> str:
    distance = emitter.add("Abs", emitter.add("Sub", value, emitter.constant(np.float64(bound))))
    return emitter.add("LessOrEqual", distance, emitter.constant(np.float64(slack)))


def interpolated(emitter: Emitter, value: str, known: Any, places: Any, slack: Any = 0.0) -> str:
    """numpy.interp(value, known, places), in its arithmetic; of equal entries, the last one counts."""
    bounds = (known - slack)[None, :]
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
