"""Nearest neighbours: exact distances, the training rows that are near, and what they make of a row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from packager.converters.sklearn.emission import Emitter, Frame, is_exact
from packager.converters.sklearn.exact.answer import Answer, Array, greatest, scaled
from packager.converters.sklearn.exact.bayes import inliers
from packager.converters.sklearn.exact.distances import distances
from packager.core.errors import ConverterMissing

_LOOKED_AT = 4000


@dataclass(frozen=True, slots=True)
class _Near:
    """The nearest training rows of each row, (rows, neighbours): how far they are, and which."""

    away: str
    places: str


def emit_neighbours(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """KNeighborsClassifier and KNeighborsRegressor.

    Raises:
        ConverterMissing: Its metric or weights have no form here, or training rows are equally near.
    """
    targets = np.asarray(model._y)
    near = _nearest(emitter, model, frame, path, targets=targets, count=int(model.n_neighbors))
    weights = _weights(emitter, near.away) if model.weights == "distance" else ""
    if not hasattr(model, "classes_"):
        return Answer(value=_mean(emitter, targets.reshape(len(targets), -1), near, weights))
    table = np.eye(len(model.classes_))[targets.ravel()]
    votes = emitter.add("Gather", emitter.constant(table), near.places, axis=0)
    if weights:
        votes = emitter.add("Mul", votes, _deep(emitter, weights))
    totals = emitter.add("ReduceSum", votes, emitter.constant(np.array([1])), keepdims=0)
    whole = emitter.add("ReduceSum", totals, emitter.constant(np.array([1])))
    return Answer(index=greatest(emitter, totals), proba=emitter.add("Div", totals, whole))


def covers_neighbours(model: Any) -> bool:
    """Whether it answers one label a row, or numbers."""
    return not (hasattr(model, "classes_") and model.outputs_2d_)


def emit_local_outliers(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """LocalOutlierFactor with novelty=True."""
    count = int(model.n_neighbors_)
    reach = np.asarray(model._distances_fit_X_, np.float64)[:, count - 1]
    density = np.asarray(model._lrd, np.float64)
    near = _nearest(emitter, model, frame, path, targets=np.stack([reach, density], axis=1), count=count)
    theirs = emitter.add("Gather", emitter.constant(reach), near.places, axis=0)
    axis = emitter.constant(np.array([1]))
    mean = emitter.add("ReduceMean", emitter.add("Max", near.away, theirs), axis)
    own = emitter.add("Div", emitter.constant(np.float64(1)), scaled(emitter, "Add", mean, 1e-10))
    ratios = emitter.add("Div", emitter.add("Gather", emitter.constant(density), near.places, axis=0), own)
    score = emitter.add("Neg", emitter.add("ReduceMean", ratios, axis))
    return inliers(emitter, scaled(emitter, "Sub", score, float(model.offset_)))


def _nearest(emitter: Emitter, model: Any, frame: Frame, path: str, *, targets: Array, count: int) -> _Near:
    known = model._fit_X
    known = np.asarray(known.toarray() if hasattr(known, "toarray") else known, np.float64)
    if getattr(model, "weights", "uniform") not in {"uniform", "distance"}:
        raise ConverterMissing(
            f"{path or type(model).__name__} weighs its neighbours by a function of yours, which has no ONNX form",
            hint="train with weights='uniform' or 'distance'",
        )
    if _has_ties(model, known, targets, count):
        raise ConverterMissing(
            f"{type(model).__name__} cannot be converted faithfully: of training rows that are equally near,"
            " scikit-learn's search decides which ones count",
            hint="train with fewer repeated rows, other n_neighbors, or features that are not whole numbers",
        )
    rows = emitter.matrix(frame, path)
    p = (model.effective_metric_params_ or {}).get("p", getattr(model, "p", 2))
    exact = is_exact(frame) or getattr(model, "weights", "uniform") == "uniform"
    away = distances(emitter, rows, known, str(model.effective_metric_), float(p), exact=exact, path=path)
    values, places = emitter.fresh("TopK_values"), emitter.fresh("TopK_places")
    size = emitter.constant(np.array([count]))
    emitter.nodes.append(
        helper.make_node("TopK", [away, size], [values, places], name=places, axis=1, largest=0, sorted=1)
    )
    return _Near(values, places)


def _weights(emitter: Emitter, away: str) -> str:
    """1 / distance; where a distance is 0, the rows at 0 alone count. Source: sklearn.neighbors._base._get_weights."""
    inverse = emitter.add("Div", emitter.constant(np.float64(1)), away)
    endless = emitter.cast(emitter.add("IsInf", inverse), TensorProto.DOUBLE)
    any_at_0 = emitter.cast(emitter.add("ReduceMax", endless, emitter.constant(np.array([1]))), TensorProto.BOOL)
    return emitter.add("Where", any_at_0, endless, inverse)


def _mean(emitter: Emitter, targets: Array, near: _Near, weights: str) -> str:
    found = emitter.add("Gather", emitter.constant(targets.astype(np.float64)), near.places, axis=0)
    axis = emitter.constant(np.array([1]))
    if not weights:
        return emitter.add("ReduceMean", found, axis, keepdims=0)
    sums = emitter.add("ReduceSum", emitter.add("Mul", found, _deep(emitter, weights)), axis, keepdims=0)
    return emitter.add("Div", sums, emitter.add("ReduceSum", weights, axis))


def _deep(emitter: Emitter, weights: str) -> str:
    return emitter.add("Unsqueeze", weights, emitter.constant(np.array([2])))


def _has_ties(model: Any, training: Array, targets: Array, count: int) -> bool:
    """Whether the last neighbour that counts and the next are equally far from a row, and differ.

    Of training rows, and of rows whose every column is that of another training row: what few values a column has,
    fresh rows will bring in other combinations.
    """
    if count >= len(training):
        return False
    rng = np.random.default_rng(0)
    chosen = training[np.linspace(0, len(training) - 1, min(len(training), _LOOKED_AT)).astype(int)]
    places = rng.integers(0, len(training), (_LOOKED_AT, training.shape[1]))
    mixed = training[places, np.arange(training.shape[1])[None, :]]
    away, nearest = model.kneighbors(np.concatenate([chosen, mixed]), n_neighbors=count + 1)
    tied = np.isclose(away[:, count - 1], away[:, count], rtol=1e-12, atol=0.0)
    rows = targets.reshape(len(training), -1)
    return bool((rows[nearest[tied, count - 1]] != rows[nearest[tied, count]]).any())
