"""Distances between rows and the points that a model keeps, from differences: no sum of squares cancels out."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from packager.converters.sklearn.emission import Emitter
from packager.converters.sklearn.exact.answer import Array, scaled
from packager.core.errors import ConverterMissing

# More features than this are added up in a loop over the points instead of one node a feature.
_UNROLLED = 48
# A difference of so little beside the numbers is one of 0, of which some last bits were lost.
_LAST_BITS = 1e-13
_METRICS = {"l1": "manhattan", "cityblock": "manhattan", "l2": "euclidean", "p": "minkowski"}


def squared(emitter: Emitter, rows: str, points: Array) -> str:
    """Squared euclidean distances, (rows, points), each added up from the first feature to the last."""
    return _accumulated(emitter, rows, points, "euclidean", 2.0)


def distances(
    emitter: Emitter, rows: str, points: Array, metric: str, p: float = 2.0, *, exact: bool = True, path: str = ""
) -> str:
    """Distances, (rows, points).

    Args:
        exact: The rows are the source's to the last bit; else a difference of some last bits is none.

    Raises:
        ConverterMissing: A metric without a form here.
    """
    metric = _METRICS.get(metric, metric)
    if metric == "minkowski" and p in (1, 2):
        metric = {1: "manhattan", 2: "euclidean"}[int(p)]
    if metric == "cosine":
        return scaled(emitter, "Add", emitter.add("Neg", cosine(emitter, rows, points)), 1.0)
    if metric not in {"euclidean", "manhattan", "chebyshev", "minkowski"}:
        raise ConverterMissing(
            f"there is no ONNX form of the metric {metric!r} of {path or 'the model'}",
            hint="use metric='minkowski', 'euclidean', 'manhattan', 'chebyshev' or 'cosine'",
        )
    sums = _accumulated(emitter, rows, points, metric, float(p), exact=exact)
    if metric == "euclidean":
        return emitter.add("Sqrt", sums)
    return scaled(emitter, "Pow", sums, 1 / float(p)) if metric == "minkowski" else sums


def cosine(emitter: Emitter, rows: str, points: Array) -> str:
    """The cosine of the angle between each row and each point; 0 for rows of zeros."""
    lengths = np.sqrt((points**2).sum(axis=1, keepdims=True))
    units = points / np.where(lengths == 0, 1.0, lengths)
    size = emitter.add(
        "Sqrt", emitter.add("ReduceSum", emitter.add("Mul", rows, rows), emitter.constant(np.array([1])))
    )
    none = emitter.add("Equal", size, emitter.constant(np.float64(0)))
    safe = emitter.add("Where", none, emitter.constant(np.float64(1)), size)
    return emitter.add("MatMul", emitter.add("Div", rows, safe), emitter.constant(units.T))


def nearest(emitter: Emitter, rows: str, points: Array, metric: str = "euclidean") -> str:
    """The place of the nearest point, the first of equal ones, (rows,)."""
    points = np.asarray(points, np.float64)
    away = squared(emitter, rows, points) if metric == "euclidean" else distances(emitter, rows, points, metric)
    return emitter.add("ArgMin", away, axis=1, keepdims=0)


def _accumulated(emitter: Emitter, rows: str, points: Array, metric: str, p: float, *, exact: bool = True) -> str:
    points = np.asarray(points, np.float64)
    least = None if exact else _LAST_BITS * np.abs(points).max(axis=0)
    if points.shape[1] > _UNROLLED:
        return _looped(emitter, rows, points, metric, p, least)
    total = ""
    for feature in range(points.shape[1]):
        column = emitter.add("Gather", rows, emitter.constant(np.array([feature])), axis=1)
        away = emitter.add("Sub", column, emitter.constant(points[None, :, feature]))
        part = _part(emitter, away, metric, p, None if least is None else least[feature])
        total = emitter.add("Max" if metric == "chebyshev" else "Add", total, part) if total else part
    return total


def _part(emitter: Emitter, difference: str, metric: str, p: float, least: Any) -> str:
    if least is not None:
        is_none = emitter.add("LessOrEqual", emitter.add("Abs", difference), emitter.constant(np.asarray(least)))
        difference = emitter.add("Where", is_none, emitter.constant(np.float64(0)), difference)
    if metric == "euclidean":
        return emitter.add("Mul", difference, difference)
    size = emitter.add("Abs", difference)
    return scaled(emitter, "Pow", size, p) if metric == "minkowski" else size


def _looped(emitter: Emitter, rows: str, points: Array, metric: str, p: float, least: Any) -> str:
    """One point at a time, all features at once."""
    kept, emitter.nodes = emitter.nodes, []
    point, axis = emitter.fresh("point"), emitter.constant(np.array([1]))
    part = _part(emitter, emitter.add("Sub", rows, point), metric, p, least)
    end = emitter.add("ReduceMax" if metric == "chebyshev" else "ReduceSum", part, axis, keepdims=0)
    inner, emitter.nodes = emitter.nodes, kept
    body = helper.make_graph(
        inner,
        emitter.fresh("body"),
        [helper.make_tensor_value_info(point, TensorProto.DOUBLE, [points.shape[1]])],
        [helper.make_tensor_value_info(end, TensorProto.DOUBLE, ["rows"])],
    )
    found = emitter.add("Scan", emitter.constant(points), body=body, num_scan_inputs=1)
    return emitter.add("Transpose", found, perm=[1, 0])
