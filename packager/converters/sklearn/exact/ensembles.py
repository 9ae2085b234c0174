"""Estimators made of others: votes, means, medians and stacks, each in the order and arithmetic of scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from packager.converters.sklearn.emission import Block, Emitter, Frame, picked
from packager.converters.sklearn.exact.answer import (
    Answer,
    above,
    added_up,
    beside,
    column_of,
    greatest,
    one_hot,
    places_of,
    relabelled,
    scaled,
    spread,
    stacked,
    votes_of,
)
from packager.converters.sklearn.exact.members import answer_of
from packager.core.errors import ConverterMissing


def emit_voting_classifier(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """VotingClassifier: votes are counted and chances averaged by weight, the first of equal classes wins."""
    count = len(model.classes_)
    answers = answers_of(emitter, model, frame, path)
    weights = None if model._weights_not_none is None else np.asarray(model._weights_not_none, np.float64)
    if model.voting == "hard":
        chosen = [
            votes_of(emitter, relabelled(emitter, needed(answer.index, path), _encoded(member)), count)
            for member, answer in zip(model.estimators_, answers, strict=True)
        ]
        return Answer(index=greatest(emitter, _weighted(emitter, chosen, weights)))
    total = _weighted(emitter, [needed(answer.proba, path) for answer in answers], weights)
    mean = scaled(emitter, "Div", total, len(answers) if weights is None else weights.sum())
    return Answer(index=greatest(emitter, mean), proba=mean)


def emit_voting_regressor(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """VotingRegressor."""
    answers = answers_of(emitter, model, frame, path)
    weights = None if model._weights_not_none is None else np.asarray(model._weights_not_none, np.float64)
    total = _weighted(emitter, [needed(answer.value, path) for answer in answers], weights)
    return Answer(value=scaled(emitter, "Div", total, len(answers) if weights is None else weights.sum()))


def emit_bagging(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """BaggingClassifier and BaggingRegressor, whose members see some of the columns."""
    found = []
    for number, (member, chosen) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        answer = answer_of(emitter, member, picked(emitter, frame, chosen), f"{path}.[{number}]")
        if not hasattr(model, "classes_"):
            found.append(needed(answer.value, path))
        elif answer.proba is not None:
            found.append(spread(emitter, answer.proba, _encoded(member), int(model.n_classes_)))
        else:
            index = relabelled(emitter, needed(answer.index, path), _encoded(member))
            found.append(votes_of(emitter, index, int(model.n_classes_)))
    mean = scaled(emitter, "Div", added_up(emitter, stacked(emitter, found)), len(found))
    return Answer(index=greatest(emitter, mean), proba=mean) if hasattr(model, "classes_") else Answer(value=mean)


def emit_stacking(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """StackingClassifier and StackingRegressor."""
    answers = answers_of(emitter, model, frame, path)
    blocks = []
    for member, answer, method in zip(model.estimators_, answers, model.stack_method_, strict=True):
        if method == "predict_proba":
            value, width = needed(answer.proba, path), len(member.classes_)
            if width == 2:
                value, width = column_of(emitter, value, 1), 1
        elif method == "decision_function":
            value = needed(answer.decision, path)
            width = 1 if len(member.classes_) == 2 else len(member.classes_)
        elif answer.value is not None:
            value, width = answer.value, 1
        else:
            value, width = _as_column(emitter, relabelled(emitter, needed(answer.index, path), _encoded(member))), 1
        blocks.append(Block(value, width))
    behind = (*blocks, *frame) if model.passthrough else tuple(blocks)
    answer = answer_of(emitter, model.final_estimator_, behind, f"{path}.final_estimator_")
    if answer.index is None:
        return answer
    index = relabelled(emitter, answer.index, _encoded(model.final_estimator_))
    return Answer(index=index, proba=answer.proba, decision=answer.decision)


def emit_ada_regressor(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """AdaBoostRegressor: of its members' answers, the one at half of their weight."""
    answers = answers_of(emitter, model, frame, path)
    together = beside(emitter, [needed(answer.value, path) for answer in answers])
    count = len(answers)
    values, order = emitter.fresh("TopK_values"), emitter.fresh("TopK_order")
    size = emitter.constant(np.array([count]))
    emitter.nodes.append(
        helper.make_node("TopK", [together, size], [values, order], name=order, axis=1, largest=0, sorted=1)
    )
    weights = emitter.constant(np.asarray(model.estimator_weights_[:count], np.float64))
    sums = emitter.add("CumSum", emitter.add("Gather", weights, order, axis=0), emitter.constant(np.int64(1)))
    half = scaled(emitter, "Mul", column_of(emitter, sums, -1), 0.5)
    reached = emitter.cast(emitter.add("GreaterOrEqual", sums, half), TensorProto.INT64)
    first = emitter.add("ArgMax", reached, axis=1, keepdims=1)
    return Answer(value=emitter.add("GatherElements", values, first, axis=1))


def emit_ada_classifier(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """AdaBoostClassifier as of SAMME: each member weighs for its class, and a little against all others."""
    count = int(model.n_classes_)
    answers = answers_of(emitter, model, frame, path)
    weights = np.asarray(model.estimator_weights_[: len(answers)], np.float64)
    parts = []
    for member, answer, weight in zip(model.estimators_, answers, weights, strict=True):
        index = relabelled(emitter, needed(answer.index, path), places_of(member, model.classes_))
        mine = one_hot(emitter, index, range(count))
        against = emitter.constant(np.float64(-1 / (count - 1) * weight))
        parts.append(emitter.add("Where", mine, emitter.constant(np.float64(weight)), against))
    total = added_up(emitter, stacked(emitter, parts))
    scores = scaled(emitter, "Div", total, np.asarray(model.estimator_weights_, np.float64).sum())
    if count > 2:
        proba = emitter.add("Softmax", scaled(emitter, "Div", scores, count - 1), axis=1)
        return Answer(index=greatest(emitter, scores), proba=proba, decision=scores)
    score = emitter.add("Sub", column_of(emitter, scores, 1), column_of(emitter, scores, 0))
    two = scaled(emitter, "Div", beside(emitter, [emitter.add("Neg", score), score]), 2.0)
    return Answer(index=above(emitter, score), proba=emitter.add("Softmax", two, axis=1), decision=score)


def covers_ada_classifier(model: Any) -> bool:
    """Whether it weighs labels; SAMME.R of older versions weighs chances."""
    return getattr(model, "algorithm", "SAMME") != "SAMME.R" and int(model.n_classes_) > 1


def covers_single_target(model: Any) -> bool:
    """Whether it answers one label a row."""
    classes = getattr(model, "classes_", None)
    return classes is None or (isinstance(classes, np.ndarray) and classes.ndim == 1)


def answers_of(emitter: Emitter, model: Any, frame: Frame, path: str) -> list[Answer]:
    """What each fitted member answers to the whole's own columns."""
    return [answer_of(emitter, member, frame, f"{path}.[{number}]") for number, member in enumerate(model.estimators_)]


def needed(value: str | None, path: str) -> str:
    """A value that the source uses, and that its member must therefore have.

    Raises:
        ConverterMissing: The member's converter does not give it.
    """
    if value is None:
        raise ConverterMissing(
            f"a member of {path or 'the model'} has no ONNX form of the answer that is used",
            hint="use members that have predict_proba",
        )
    return value


def _encoded(member: Any) -> list[int]:
    """The classes of a member that was trained on places among the classes of the whole."""
    return [int(value) for value in member.classes_]


def _weighted(emitter: Emitter, values: Sequence[str], weights: Any) -> str:
    together = stacked(emitter, values)
    return added_up(emitter, together if weights is None else scaled(emitter, "Mul", together, weights[None, :, None]))


def _as_column(emitter: Emitter, index: str) -> str:
    return emitter.cast(emitter.add("Reshape", index, emitter.constant(np.array([-1, 1]))), TensorProto.DOUBLE)
