"""Linear classifiers that skl2onnx 1.20 gets wrong: the label is that of the greatest score, as in scikit-learn.

Of SGDClassifier, skl2onnx takes the label of the greatest probability; where several are 1, that is another one. Of
LinearDiscriminantAnalysis, it gives another form of probability for several classes. Of RidgeClassifier, it computes in
float32 whatever the input is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from packager.converters.sklearn.node_writer import NodeWriter, Writer, places_above
from packager.core.errors import ConverterMissing

_LARGEST_EXPONENT = float(np.log(np.finfo(np.float64).max))


def linear_converters() -> dict[type, Callable[..., None]]:
    """Conversion functions by class."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV, SGDClassifier

    return dict.fromkeys((LinearDiscriminantAnalysis, RidgeClassifier, RidgeClassifierCV, SGDClassifier), _convert)


def linear_shapes() -> dict[type, Callable[..., None]]:
    """The shape calculators that belong to them."""
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    return dict.fromkeys(linear_converters(), calculate_linear_classifier_output_shapes)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    writer, model = NodeWriter(scope, container), operator.raw_operator
    weights = np.atleast_2d(np.asarray(model.coef_, np.float64)).T
    if np.ndim(model.classes_) != 1 or weights.shape[1] != (1 if len(model.classes_) == 2 else len(model.classes_)):
        raise ConverterMissing(
            f"there is no ONNX form for a {type(model).__name__} with several labels a row",
            hint="train one model for each label",
        )
    offsets = np.asarray(model.intercept_, np.float64).reshape(1, -1)
    product = writer.add("MatMul", writer.doubles(operator.inputs[0]), writer.constant(weights))
    scores = writer.add("Add", product, writer.constant(offsets))
    binary = len(model.classes_) == 2
    index = places_above(writer, scores) if binary else writer.add("ArgMax", scores, axis=1, keepdims=0)
    writer.labels(index, model.classes_, operator.outputs[0])
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    loss = getattr(model, "loss", "softmax") if hasattr(model, "predict_proba") else "none"
    if raw or loss not in {"log_loss", "modified_huber", "softmax"}:
        both = writer.add("Concat", writer.add("Neg", scores), scores, axis=1) if binary else scores
        writer.finish(both, operator.outputs[1])
        return
    writer.finish(chances(writer, scores, loss, binary=binary), operator.outputs[1])


def chances(writer: Writer, scores: str, loss: str, *, binary: bool) -> str:
    """The chances of the classes from their scores, under the loss that an estimator was trained with."""
    one = writer.constant(1.0)
    if loss == "softmax" and not binary:
        return writer.add("Softmax", scores, axis=1)
    if loss in {"log_loss", "softmax"}:
        each = _sigmoid(writer, scores)
    else:
        cut = writer.add("Clip", scores, writer.constant(-1.0), one)
        each = writer.add("Div", writer.add("Add", cut, one), writer.constant(2.0))
    if binary:
        return writer.add("Concat", writer.add("Sub", one, each), each, axis=1)
    total = writer.add("ReduceSum", each, writer.constant(np.array([1])))
    # Where no class has any chance, all have the same.
    none = writer.add("Equal", total, writer.constant(0.0))
    equal = writer.add(
        "Div",
        writer.add("Add", each, one),
        writer.add("ReduceSum", writer.add("Add", each, one), writer.constant(np.array([1]))),
    )
    return writer.add("Where", none, equal, writer.add("Div", each, writer.add("Where", none, one, total)))


def _sigmoid(writer: Writer, scores: str) -> str:
    """1 / (1 + exp(-x)), exact for very negative x too, whose quotients matter; Sigmoid gives 0 there."""
    one = writer.constant(1.0)
    small = writer.add("Exp", writer.add("Neg", writer.add("Abs", scores)))
    whole = writer.add("Add", one, small)
    negative = writer.add("Less", scores, writer.constant(0.0))
    chance = writer.add("Where", negative, writer.add("Div", small, whole), writer.add("Div", one, whole))
    # scipy's expit is 0 from where exp(-x) overflows, and classes without any chance are told apart by that.
    none = writer.add("Less", scores, writer.constant(-_LARGEST_EXPONENT))
    return writer.add("Where", none, writer.constant(0.0), chance)
