"""What a support vector classifier makes of its kernel: a score a pair of classes, votes, and what decides."""

from itertools import combinations
from typing import Any

import numpy as np

from packager.converters.sklearn.node_writer import Writer, places_above


def voted(writer: Writer, model: Any, kernel: str) -> tuple[str, str]:
    """The places of the labels, (rows,), and the decision, (rows, 1) for two classes.

    Args:
        kernel: Between each row and each support vector.
    """
    pairs = writer.add("MatMul", kernel, writer.constant(_weights(model)))
    pairs = writer.add("Add", pairs, writer.constant(np.asarray(model._intercept_, np.float64)[None, :]))
    zero = writer.constant(0.0)
    if len(model.classes_) == 2:
        scores = writer.add("Neg", pairs)
        return places_above(writer, scores), scores
    votes = _votes(writer, pairs, zero, len(model.classes_))
    rated = _rated(writer, pairs, votes, len(model.classes_))
    decisive = rated if model.break_ties else votes
    index = writer.add("ArgMax", decisive, axis=1, keepdims=0)
    return index, pairs if model.decision_function_shape == "ovo" else rated


def _weights(model: Any) -> Any:
    """Coefficients by support vector and pair of classes. Source: libsvm's svm_predict_values."""
    duals = model._dual_coef_
    duals = np.asarray(duals.toarray() if hasattr(duals, "toarray") else duals, np.float64)
    ends = np.cumsum([0, *model._n_support])
    pairs = list(combinations(range(len(model.classes_)), 2))
    weights = np.zeros((duals.shape[1], len(pairs)))
    for number, (first, second) in enumerate(pairs):
        weights[ends[first] : ends[first + 1], number] = duals[second - 1, ends[first] : ends[first + 1]]
        weights[ends[second] : ends[second + 1], number] = duals[first, ends[second] : ends[second + 1]]
    return weights


def _members(classes: int) -> tuple[Any, Any]:
    """For each pair, which class is its first, and which its second."""
    pairs = list(combinations(range(classes), 2))
    first, second = np.zeros((len(pairs), classes)), np.zeros((len(pairs), classes))
    for number, (one, other) in enumerate(pairs):
        first[number, one] = second[number, other] = 1.0
    return first, second


def _votes(writer: Writer, pairs: str, zero: str, classes: int) -> str:
    from onnx import TensorProto

    first, second = _members(classes)
    wins = writer.add("Cast", writer.add("Greater", pairs, zero), to=TensorProto.DOUBLE)
    losses = writer.add("Sub", writer.constant(1.0), wins)
    for_first = writer.add("MatMul", wins, writer.constant(first))
    return writer.add("Add", for_first, writer.add("MatMul", losses, writer.constant(second)))


def _rated(writer: Writer, pairs: str, votes: str, classes: int) -> str:
    """Votes and a share of the confidences. Source: sklearn.utils.multiclass._ovr_decision_function."""
    first, second = _members(classes)
    sums = writer.add("MatMul", pairs, writer.constant(first - second))
    size = writer.add("Add", writer.add("Abs", sums), writer.constant(1.0))
    return writer.add("Add", votes, writer.add("Div", sums, writer.add("Mul", size, writer.constant(3.0))))
