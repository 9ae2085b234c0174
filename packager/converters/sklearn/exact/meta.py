"""Calibration, one model a class or a pair of classes, several targets, and transformed targets."""

from itertools import combinations
from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn import emit_functions, emit_numbers
from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import (
    Answer,
    above,
    added_up,
    beside,
    both,
    column_of,
    expit,
    greatest,
    places_of,
    scaled,
    spread,
    stacked,
)
from packager.converters.sklearn.exact.ensembles import answers_of, needed
from packager.converters.sklearn.exact.members import answer_of
from packager.core.errors import ConverterMissing


def emit_calibrated(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """CalibratedClassifierCV: the mean of what each member's calibrators make of its scores."""
    found = []
    for number, calibrated in enumerate(model.calibrated_classifiers_):
        inner = getattr(calibrated.estimator, "estimator", None) if _frozen(calibrated.estimator) else None
        member = calibrated.estimator if inner is None else inner
        answer = answer_of(emitter, member, frame, f"{path}.[{number}]")
        found.append(_calibrated(emitter, calibrated, member, answer, path))
    mean = scaled(emitter, "Div", added_up(emitter, stacked(emitter, found)), len(found))
    return Answer(index=greatest(emitter, mean), proba=mean)


def covers_calibrated(model: Any) -> bool:
    """Whether its calibrators' formulas are known."""
    return all(item.method in {"sigmoid", "isotonic"} for item in model.calibrated_classifiers_)


def _frozen(model: Any) -> bool:
    return type(model).__name__ == "FrozenEstimator"


def _calibrated(emitter: Emitter, calibrated: Any, member: Any, answer: Answer, path: str) -> str:
    count = len(calibrated.classes)
    binary = count == 2
    if hasattr(member, "decision_function"):
        scores = needed(answer.decision, path)
    else:
        proba = needed(answer.proba, path)
        scores = column_of(emitter, proba, 1) if len(member.classes_) == 2 else proba
    columns = [
        _curve(emitter, calibrator, column_of(emitter, scores, place))
        for place, calibrator in enumerate(calibrated.calibrators)
    ]
    if binary:
        chances = both(emitter, columns[0])
    else:
        places = places_of(member, calibrated.classes)
        chances = _shares(emitter, spread(emitter, beside(emitter, columns), places, count), count)
    one = emitter.constant(np.float64(1))
    over = emitter.add("Greater", chances, one)
    slightly = emitter.add("LessOrEqual", chances, emitter.constant(np.float64(1.0 + 1e-5)))
    return emitter.add("Where", emitter.add("And", over, slightly), one, chances)


def _shares(emitter: Emitter, chances: str, count: int) -> str:
    total = emitter.add("ReduceSum", chances, emitter.constant(np.array([1])))
    none = emitter.add("Equal", total, emitter.constant(np.float64(0)))
    safe = emitter.add("Where", none, emitter.constant(np.float64(1)), total)
    equal = emitter.constant(np.full((1, count), 1 / count))
    return emitter.add("Where", none, equal, emitter.add("Div", chances, safe))


def _curve(emitter: Emitter, calibrator: Any, score: str) -> str:
    if hasattr(calibrator, "a_"):
        moved = scaled(emitter, "Add", scaled(emitter, "Mul", score, calibrator.a_), calibrator.b_)
        return expit(emitter, emitter.add("Neg", moved))
    return isotonic(emitter, calibrator, score)


def emit_isotonic(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """IsotonicRegression of one column."""
    return Answer(value=isotonic(emitter, model, emitter.matrix(frame, path)))


def isotonic(emitter: Emitter, model: Any, value: str) -> str:
    """IsotonicRegression of one column, which keeps to its ends.

    Raises:
        ConverterMissing: Beyond its ends it refuses.
    """
    if model.out_of_bounds not in {"clip", "nan"}:
        raise ConverterMissing(
            f"IsotonicRegression with out_of_bounds={model.out_of_bounds!r} has no ONNX form",
            hint="train with out_of_bounds='clip' or 'nan'",
        )
    known = np.asarray(model.X_thresholds_)
    if known.dtype == np.float32:
        value = emitter.cast(emitter.cast(value, TensorProto.FLOAT), TensorProto.DOUBLE)
    known, heights = known.astype(np.float64), np.asarray(model.y_thresholds_, np.float64)
    low, high = emitter.constant(np.float64(model.X_min_)), emitter.constant(np.float64(model.X_max_))
    inside = emitter.add("Clip", value, low, high) if model.out_of_bounds == "clip" else value
    if len(known) == 1:
        return scaled(emitter, "Add", scaled(emitter, "Mul", inside, 0.0), heights[0])
    found = emit_numbers.interpolated(emitter, inside, known, heights)
    if model.out_of_bounds == "clip":
        return found
    beyond = emitter.add("Or", emitter.add("Less", value, low), emitter.add("Greater", value, high))
    return emitter.add("Where", beyond, emitter.constant(np.float64(np.nan)), found)


def emit_one_vs_rest(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """OneVsRestClassifier over classes."""
    answers = answers_of(emitter, model, frame, path)
    scores = beside(
        emitter, [_score(emitter, item, it, path) for item, it in zip(model.estimators_, answers, strict=True)]
    )
    binary = len(answers) == 1
    index = above(emitter, scores, _bound(model.estimators_[0])) if binary else greatest(emitter, scores)
    proba = decision = None
    if all(answer.proba is not None for answer in answers):
        chances = beside(emitter, [column_of(emitter, needed(answer.proba, path), 1) for answer in answers])
        chances = both(emitter, chances) if binary else chances
        total = emitter.add("ReduceSum", chances, emitter.constant(np.array([1])))
        none = emitter.add("Equal", total, emitter.constant(np.float64(0)))
        proba = emitter.add("Div", chances, emitter.add("Where", none, emitter.constant(np.float64(1)), total))
    if all(answer.decision is not None for answer in answers):
        decision = scores
    return Answer(index=index, proba=proba, decision=decision)


def covers_one_vs_rest(model: Any) -> bool:
    """Whether it answers one label a row, by models that were fitted on both classes."""
    known = all(hasattr(member, "get_params") and _is_own(member) for member in model.estimators_)
    return known and not model.multilabel_


def covers_one_vs_one(model: Any) -> bool:
    """Whether every pair has a fitted model and sees all columns."""
    known = all(_is_own(member) for member in model.estimators_)
    return known and getattr(model, "pairwise_indices_", None) is None


def _is_own(member: Any) -> bool:
    return type(member).__name__ != "_ConstantPredictor" and hasattr(member, "classes_")


def emit_one_vs_one(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """OneVsOneClassifier: votes of the pairs, and a share of their confidences."""
    answers = answers_of(emitter, model, frame, path)
    count = len(model.classes_)
    pairs = list(combinations(range(count), 2))
    first, second = np.zeros((len(pairs), count)), np.zeros((len(pairs), count))
    for number, (one, other) in enumerate(pairs):
        first[number, one] = second[number, other] = 1.0
    members = list(zip(model.estimators_, answers, strict=True))
    scores = stacked(emitter, [_score(emitter, member, answer, path) for member, answer in members])
    sums = added_up(emitter, scaled(emitter, "Mul", scores, (second - first)[None]))
    wins = beside(emitter, [_won(emitter, needed(answer.index, path)) for answer in answers])
    losses = emitter.add("Sub", emitter.constant(np.float64(1)), wins)
    for_second = emitter.add("MatMul", wins, emitter.constant(second))
    votes = emitter.add("Add", for_second, emitter.add("MatMul", losses, emitter.constant(first)))
    size = scaled(emitter, "Mul", scaled(emitter, "Add", emitter.add("Abs", sums), 1.0), 3.0)
    rated = emitter.add("Add", votes, emitter.add("Div", sums, size))
    if count == 2:
        score = column_of(emitter, rated, 1)
        return Answer(index=above(emitter, score, _bound(model.estimators_[0])), decision=score)
    return Answer(index=greatest(emitter, rated), decision=rated)


def _won(emitter: Emitter, index: str) -> str:
    return emitter.cast(emitter.add("Reshape", index, emitter.constant(np.array([-1, 1]))), TensorProto.DOUBLE)


def _score(emitter: Emitter, member: Any, answer: Answer, path: str) -> str:
    """Source: sklearn.multiclass._predict_binary."""
    if hasattr(member, "decision_function"):
        return needed(answer.decision, path)
    return column_of(emitter, needed(answer.proba, path), 1)


def _bound(member: Any) -> float:
    """Source: sklearn.multiclass._threshold_for_binary_predict."""
    return 0.0 if hasattr(member, "decision_function") else 0.5


def emit_multi_output(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """MultiOutputRegressor."""
    answers = answers_of(emitter, model, frame, path)
    return Answer(value=beside(emitter, [needed(answer.value, path) for answer in answers]))


def emit_transformed_target(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """TransformedTargetRegressor.

    Raises:
        ConverterMissing: The inverse of its transformation has no ONNX form.
    """
    value = needed(answer_of(emitter, model.regressor_, frame, f"{path}.regressor_").value, path)
    step = model.transformer_
    match type(step).__name__:
        case "FunctionTransformer" if step.inverse_func is None:
            return Answer(value=value)
        case "FunctionTransformer":
            found = emit_functions.applied(emitter, step.inverse_func, dict(step.inv_kw_args or {}), value)
            if found is not None:
                return Answer(value=found)
        case "StandardScaler":
            value = value if step.scale_ is None else scaled(emitter, "Mul", value, step.scale_)
            return Answer(value=value if not step.with_mean else scaled(emitter, "Add", value, step.mean_))
        case "MinMaxScaler" if not step.clip:
            return Answer(value=scaled(emitter, "Div", scaled(emitter, "Sub", value, step.min_), step.scale_))
        case "RobustScaler":
            value = value if step.scale_ is None else scaled(emitter, "Mul", value, step.scale_)
            return Answer(value=value if step.center_ is None else scaled(emitter, "Add", value, step.center_))
        case "MaxAbsScaler":
            return Answer(value=scaled(emitter, "Mul", value, step.scale_))
        case "QuantileTransformer" if step.quantiles_.shape[1] == 1:
            return Answer(value=emit_numbers.quantiles_undone(emitter, step, value))
    name = getattr(getattr(step, "inverse_func", None), "__name__", "inverse_transform")
    raise ConverterMissing(
        f"there is no ONNX form of {name} of {type(step).__name__} in {path or 'TransformedTargetRegressor'}",
        hint="use one of numpy's functions, or a StandardScaler, MinMaxScaler, RobustScaler or MaxAbsScaler",
    )
