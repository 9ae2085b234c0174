"""Histogram-based gradient boosting in ONNX, which compares doubles as scikit-learn does.

skl2onnx 1.20 rounds the thresholds to float32: a value such as 0.15 that lies on a threshold then goes the other way.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from packager.converters.sklearn.node_writer import NodeWriter, places_above
from packager.core.errors import ConverterMissing


def histogram_converters() -> dict[type, Callable[..., None]]:
    """Conversion functions by class."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return {
        HistGradientBoostingClassifier: _convert_classifier,
        HistGradientBoostingRegressor: _convert_regressor,
    }


def histogram_shapes() -> dict[type, Callable[..., None]]:
    """The shape calculators that belong to them."""
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    classifier, regressor = histogram_converters()
    return {
        classifier: calculate_linear_classifier_output_shapes,
        regressor: calculate_linear_regressor_output_shapes,
    }


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    writer, model = NodeWriter(scope, container), operator.raw_operator
    scores = _scores(writer, operator)
    link = type(model._loss.link).__name__
    if link not in {"IdentityLink", "LogLink"}:
        raise ConverterMissing(
            f"there is no ONNX form for the loss {model.loss!r} of {type(model).__name__}",
            hint="train with loss='squared_error'",
        )
    writer.finish(writer.add("Exp", scores) if link == "LogLink" else scores, operator.outputs[0])


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    writer, model = NodeWriter(scope, container), operator.raw_operator
    scores = _scores(writer, operator)
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if model.n_trees_per_iteration_ == 1:
        both = writer.add("Concat", writer.add("Neg", scores), scores, axis=1)
        chance = writer.add("Sigmoid", both)
        index = places_above(writer, scores)
    else:
        both, chance = scores, writer.add("Softmax", scores, axis=1)
        index = writer.add("ArgMax", scores, axis=1, keepdims=0)
    writer.labels(index, model.classes_, operator.outputs[0])
    writer.finish(both if raw else chance, operator.outputs[1])


def _scores(writer: NodeWriter, operator: Any) -> str:
    """The raw predictions, (rows, trees an iteration), as doubles."""
    from onnx import TensorProto

    model = operator.raw_operator
    fed = writer.doubles(operator.inputs[0])
    sums = writer.add("TreeEnsembleRegressor", fed, op_domain="ai.onnx.ml", op_version=3, **_attributes(model))
    # Added as doubles: the baseline may be far greater than what the trees add to it.
    baseline = writer.constant(np.asarray(model._baseline_prediction, np.float64).reshape(1, -1))
    return writer.add("Add", writer.add("Cast", sums, to=TensorProto.DOUBLE), baseline)


def _attributes(model: Any) -> dict[str, Any]:
    """All trees as attributes of one TreeEnsembleRegressor, whose targets are the trees of an iteration."""
    from onnx.numpy_helper import from_array

    columns: dict[str, list[Any]] = {name: [] for name in (*_NODE, *_TARGET)}
    thresholds: list[Any] = []
    weights: list[Any] = []
    for number, (target, tree) in enumerate(_trees(model)):
        nodes = tree.nodes
        leaf = nodes["is_leaf"].astype(bool)
        places = np.arange(len(nodes))
        _extend(
            columns,
            nodes_treeids=np.full(len(nodes), number),
            nodes_nodeids=places,
            nodes_featureids=np.where(leaf, 0, nodes["feature_idx"]),
            nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ"),
            nodes_truenodeids=np.where(leaf, 0, nodes["left"]),
            nodes_falsenodeids=np.where(leaf, 0, nodes["right"]),
            nodes_missing_value_tracks_true=np.where(leaf, 0, nodes["missing_go_to_left"]),
            target_treeids=np.full(leaf.sum(), number),
            target_nodeids=places[leaf],
            target_ids=np.full(leaf.sum(), target),
        )
        thresholds.append(np.where(leaf, 0.0, nodes["num_threshold"]))
        weights.append(nodes["value"][leaf])
    as_double = {"nodes_values_as_tensor": thresholds, "target_weights_as_tensor": weights}
    tensors = {name: from_array(np.concatenate(parts).astype(np.float64), name) for name, parts in as_double.items()}
    return {**columns, **tensors, "n_targets": int(model.n_trees_per_iteration_), "aggregate_function": "SUM"}


_NODE = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)  # fmt: skip
_TARGET = ("target_treeids", "target_nodeids", "target_ids")


def _extend(columns: dict[str, list[Any]], **values: Any) -> None:
    for name, array in values.items():
        columns[name] += array.tolist() if array.dtype.kind == "U" else array.astype(np.int64).tolist()


def _trees(model: Any) -> Iterator[tuple[int, Any]]:
    for stage in model._predictors:
        yield from enumerate(stage)
