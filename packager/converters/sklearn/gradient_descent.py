"""SGDClassifier in ONNX: the label is that of the greatest score, as in scikit-learn.

skl2onnx 1.20 takes the label of the greatest probability; where several probabilities are 1, that is another one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from packager.converters.sklearn.node_writer import NodeWriter


def descent_converters() -> dict[type, Callable[..., None]]:
    """Conversion functions by class."""
    from sklearn.linear_model import SGDClassifier

    return {SGDClassifier: _convert}


def descent_shapes() -> dict[type, Callable[..., None]]:
    """The shape calculators that belong to them."""
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    return dict.fromkeys(descent_converters(), calculate_linear_classifier_output_shapes)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    writer, model = NodeWriter(scope, container), operator.raw_operator
    weights = np.asarray(model.coef_, np.float64).T
    offsets = np.asarray(model.intercept_, np.float64).reshape(1, -1)
    product = writer.add("MatMul", writer.doubles(operator.inputs[0]), writer.constant(weights))
    scores = writer.add("Add", product, writer.constant(offsets))
    binary = len(model.classes_) == 2
    index = writer.places_above(scores) if binary else writer.add("ArgMax", scores, axis=1, keepdims=0)
    writer.labels(index, model.classes_, operator.outputs[0])
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if raw or model.loss not in {"log_loss", "modified_huber"}:
        both = writer.add("Concat", writer.add("Neg", scores), scores, axis=1) if binary else scores
        writer.finish(both, operator.outputs[1])
        return
    writer.finish(_chances(writer, scores, model.loss, binary=binary), operator.outputs[1])


def _chances(writer: NodeWriter, scores: str, loss: str, *, binary: bool) -> str:
    one = writer.constant(1.0)
    if loss == "log_loss":
        each = writer.add("Sigmoid", scores)
    else:
        cut = writer.add("Clip", scores, writer.constant(-1.0), one)
        each = writer.add("Div", writer.add("Add", cut, one), writer.constant(2.0))
    if binary:
        return writer.add("Concat", writer.add("Sub", one, each), each, axis=1)
    total = writer.add("ReduceSum", each, writer.constant(np.array([1])))
    if loss == "log_loss":
        return writer.add("Div", each, total)
    # Where no class has any chance, all have the same.
    none = writer.add("Equal", total, writer.constant(0.0))
    equal = writer.add("Div", writer.add("Add", each, one), writer.add("ReduceSum", writer.add("Add", each, one), writer.constant(np.array([1]))))
    return writer.add("Where", none, equal, writer.add("Div", each, writer.add("Where", none, one, total)))
