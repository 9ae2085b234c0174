"""Linear models, neural networks and boosting libraries, as doubles."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from packager.converters.boosting.estimators import boosted_model
from packager.converters.boosting.graph import write_answers
from packager.converters.sklearn import linear
from packager.converters.sklearn.emission import Emitter, Frame, width_of
from packager.converters.sklearn.exact.answer import Answer, above, both, expit, greatest, scaled
from packager.converters.sklearn.exact.bayes import inliers
from packager.core.errors import ConverterMissing

# How far rounding alone may move a score.
_MOST_LOST = 1e-6
_MULTINOMIAL = {"auto", "deprecated", "warn", "multinomial"}


def emit_linear_classifier(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """What takes the label of the greatest linear score.

    Raises:
        ConverterMissing: Its scores are the small rests of numbers so great that float64 keeps nothing of them.
    """
    lost = float(np.max(np.abs(_offset(model)))) * float(np.finfo(np.float64).eps)
    if lost > _MOST_LOST:
        raise ConverterMissing(
            f"{path or type(model).__name__} has an intercept of {float(np.max(np.abs(_offset(model)))):.1e}, beside"
            " which the rounding of each processor decides",
            hint="scale the columns before it, and leave out those that are constant",
        )
    scores = _linear(emitter, model, frame, path)
    binary = len(model.classes_) == 2
    index = above(emitter, scores) if binary else greatest(emitter, scores)
    proba = None
    if hasattr(model, "predict_proba"):
        loss = getattr(model, "loss", "softmax")
        proba = linear.chances(emitter, scores, loss, binary=binary)
    return Answer(index=index, proba=proba, decision=scores)


def emit_linear_regressor(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """A linear prediction, through the exponential function where that is the link."""
    value = _linear(emitter, model, frame, path)
    link = getattr(getattr(model, "_base_loss", None), "link", None)
    return Answer(value=emitter.add("Exp", value) if type(link).__name__ == "LogLink" else value)


def emit_linear_outliers(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """SGDOneClassSVM."""
    return inliers(emitter, _linear(emitter, model, frame, path))


def emit_latent(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """PLSRegression, PLSCanonical and CCA: centred first, as their weights are not great beside the means."""
    moved = scaled(emitter, "Sub", emitter.matrix(frame, path), np.asarray(model._x_mean).reshape(1, -1))
    weights = emitter.constant(np.asarray(model.coef_, np.float64).T)
    value = emitter.add("MatMul", moved, weights)
    return Answer(value=scaled(emitter, "Add", value, np.asarray(model.intercept_).reshape(1, -1)))


def covers_latent(model: Any) -> bool:
    """Whether its weights are of the form that scikit-learn has had since 1.3: targets by features."""
    return hasattr(model, "intercept_") and np.shape(model.coef_)[-1] == int(model.n_features_in_)


def covers_linear_classifier(model: Any) -> bool:
    """Whether it has one score a class, and chances whose formula is known."""
    if np.ndim(model.classes_) != 1 or len(model.classes_) < 2:
        return False
    scores = np.atleast_2d(model.coef_).shape[0]
    if scores != (1 if len(model.classes_) == 2 else len(model.classes_)):
        return False
    if not type(model).__name__.startswith("LogisticRegression"):
        return True
    several = len(model.classes_) > 2
    known = getattr(model, "multi_class", "auto") in (_MULTINOMIAL if several else {"auto", "deprecated", "ovr"})
    return known and not (several and model.solver == "liblinear")


def emit_network(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """MLPClassifier and MLPRegressor."""
    value = emitter.matrix(frame, path)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for number, (weights, offsets) in enumerate(layers):
        product = emitter.add("MatMul", value, emitter.constant(np.asarray(weights, np.float64)))
        value = scaled(emitter, "Add", product, np.asarray(offsets)[None, :])
        if number < len(layers) - 1:
            value = _activated(emitter, model.activation, value)
    if not hasattr(model, "classes_"):
        return Answer(value=emitter.add("Exp", value) if model.out_activation_ == "exp" else value)
    if model.out_activation_ == "logistic":
        chance = expit(emitter, value)
        return Answer(index=above(emitter, chance, 0.5), proba=both(emitter, chance))
    chances = emitter.add("Softmax", value, axis=1)
    return Answer(index=greatest(emitter, chances), proba=chances)


def covers_network(model: Any) -> bool:
    """Whether it answers one label a row, or numbers through an activation that is known."""
    if not hasattr(model, "classes_"):
        return model.out_activation_ in {"identity", "exp"}
    single = np.ndim(model.classes_) == 1 and model._label_binarizer.y_type_ != "multilabel-indicator"
    return single and model.out_activation_ in {"logistic", "softmax"}


def emit_boosted(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """The wrappers of XGBoost, LightGBM and CatBoost."""
    boosted = boosted_model(model)
    if boosted.classes is not None:
        boosted = replace(boosted, classes=tuple(range(len(boosted.classes))))
    rows = emitter.matrix(frame, path)
    if id(model) in emitter.sparse:
        zero = emitter.add("Equal", rows, emitter.constant(np.float64(0)))
        rows = emitter.add("Where", zero, emitter.constant(np.float64(np.nan)), rows)
    found = write_answers(boosted, rows, _Writer(emitter), is_double=True)
    if boosted.classes is None:
        value = emitter.cast(found["prediction"], TensorProto.DOUBLE)
        width = len(boosted.forest.base)
        return Answer(value=emitter.add("Reshape", value, emitter.constant(np.array([-1, width]))))
    return Answer(index=found["label"], proba=emitter.cast(found["probabilities"], TensorProto.DOUBLE))


def emit_dummy(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """DummyClassifier and DummyRegressor that answer the same to every row."""
    rows = emitter.add("Shape", emitter.matrix(frame, path), start=0, end=1)

    def repeated(row: Any) -> str:
        table = emitter.constant(np.atleast_2d(np.asarray(row, np.float64)))
        width = emitter.constant(np.array([np.size(row)]))
        return emitter.add("Expand", table, emitter.add("Concat", rows, width, axis=0))

    if not hasattr(model, "classes_"):
        return Answer(value=repeated(np.ravel(model.constant_)))
    given = np.zeros((1, int(model.n_features_in_) if hasattr(model, "n_features_in_") else width_of(frame)))
    proba = repeated(model.predict_proba(given)[0])
    chosen = int(np.flatnonzero(model.classes_ == model.predict(given)[0])[0])
    index = emitter.add("Expand", emitter.constant(np.array([chosen])), rows)
    return Answer(index=index, proba=proba)


def covers_dummy(model: Any) -> bool:
    """Whether it answers the same to every row, with one label."""
    if not hasattr(model, "classes_"):
        return True
    return np.ndim(model.classes_) == 1 and model.strategy in {"prior", "most_frequent", "constant"}


class _Writer:
    """An emitter as the boosting libraries' converters write to it."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def node(self, op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node; the name of its one output."""
        return self._emitter.add(op_type, *inputs, domain=domain, **attributes)

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant of its own type; its name."""
        name = self._emitter.constant(values)
        return self._emitter.cast(name, TensorProto.FLOAT) if values.dtype == np.float32 else name


def _linear(emitter: Emitter, model: Any, frame: Frame, path: str) -> str:
    weights = model.coef_
    weights = np.atleast_2d(np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float64))
    product = emitter.add("MatMul", emitter.matrix(frame, path), emitter.constant(weights.T))
    return scaled(emitter, "Add", product, np.asarray(_offset(model), np.float64).reshape(1, -1))


def _offset(model: Any) -> Any:
    return model.intercept_ if hasattr(model, "intercept_") else -model.offset_


def _activated(emitter: Emitter, name: str, value: str) -> str:
    match name:
        case "relu":
            return emitter.add("Max", value, emitter.constant(np.float64(0)))
        case "tanh":
            return emitter.add("Tanh", value)
        case "logistic":
            return expit(emitter, value)
    return value
