"""Histogram-based gradient boosting in ONNX, which compares doubles as scikit-learn does.

skl2onnx 1.20 rounds the thresholds to float32: a value such as 0.15 that lies on a threshold then goes the other way.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

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


class _Writer:
    """Adds nodes to skl2onnx's graph."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name: str = output or self._scope.get_unique_variable_name(f"histogram_{op_type}")
        self._container.add_node(
            op_type, list(inputs), name, name=self._scope.get_unique_operator_name(op_type), **attributes
        )
        return name

    def constant(self, value: Any) -> str:
        from onnx import TensorProto

        array = np.asarray(value)
        types = {"f": TensorProto.DOUBLE, "i": TensorProto.INT64, "U": TensorProto.STRING}
        name: str = self._scope.get_unique_variable_name("histogram")
        content = [str(text).encode() for text in array.ravel()] if array.dtype.kind == "U" else array.ravel().tolist()
        self._container.add_initializer(name, types[array.dtype.kind], list(array.shape), content)
        return name

    def scores(self, operator: Any) -> str:
        """The raw predictions, (rows, trees an iteration), as doubles."""
        from onnx import TensorProto

        model = operator.raw_operator
        fed = self.add("Cast", operator.inputs[0].full_name, to=TensorProto.DOUBLE)
        sums = self.add("TreeEnsembleRegressor", fed, op_domain="ai.onnx.ml", op_version=3, **_attributes(model))
        # Added as doubles: the baseline may be far greater than what the trees add to it.
        baseline = self.constant(np.asarray(model._baseline_prediction, np.float64).reshape(1, -1))
        return self.add("Add", self.add("Cast", sums, to=TensorProto.DOUBLE), baseline)

    def finish(self, value: str, variable: Any) -> None:
        """End in one of the operator's outputs, of the type that it declares."""
        from skl2onnx.common.data_types import guess_proto_type

        self.add("Cast", value, output=variable.full_name, to=guess_proto_type(variable.type))


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    writer, model = _Writer(scope, container), operator.raw_operator
    scores = writer.scores(operator)
    link = type(model._loss.link).__name__
    if link not in {"IdentityLink", "LogLink"}:
        raise ConverterMissing(
            f"there is no ONNX form for the loss {model.loss!r} of {type(model).__name__}",
            hint="train with loss='squared_error'",
        )
    writer.finish(writer.add("Exp", scores) if link == "LogLink" else scores, operator.outputs[0])


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    from onnx import TensorProto

    writer, model = _Writer(scope, container), operator.raw_operator
    scores = writer.scores(operator)
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if model.n_trees_per_iteration_ == 1:
        both = writer.add("Concat", writer.add("Neg", scores), scores, axis=1)
        chance = writer.add("Sigmoid", both)
        above = writer.add("Cast", writer.add("Greater", scores, writer.constant(0.0)), to=TensorProto.INT64)
        index = writer.add("Reshape", above, writer.constant(np.array([-1])))
    else:
        both, chance = scores, writer.add("Softmax", scores, axis=1)
        index = writer.add("ArgMax", scores, axis=1, keepdims=0)
    classes = np.asarray(model.classes_)
    known = classes.astype(str if classes.dtype.kind in "OUS" else np.int64)
    writer.add("Gather", writer.constant(known), index, output=operator.outputs[0].full_name, axis=0)
    writer.finish(both if raw else chance, operator.outputs[1])


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
