"""Trees, forests and boosting of scikit-learn: the leaf of each tree by ONNX's trees, its values added as doubles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx.numpy_helper import from_array

from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import (
    Answer,
    Array,
    above,
    added_up,
    both,
    expit,
    greatest,
    scaled,
)
from packager.converters.sklearn.exact.bayes import inliers

_NODE = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)  # fmt: skip
_TARGET = ("target_treeids", "target_nodeids", "target_ids")


@dataclass(frozen=True, slots=True)
class Table:
    """One tree; a row goes left where ``value <= threshold``.

    Attributes:
        values: What each node answers, (nodes, width).
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    values: Array

    @property
    def leaf(self) -> Array:
        """Which nodes are leaves."""
        return np.asarray(self.left < 0)

    @property
    def is_pure(self) -> bool:
        """Whether every leaf has all of one class and nothing of the others."""
        return bool(np.isin(self.values[self.leaf], (0.0, 1.0)).all())


def emit_tree(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """Trees and forests, classifying or not: the mean of their trees' answers."""
    members = [model] if hasattr(model, "tree_") else list(model.estimators_)
    classifies = hasattr(model, "classes_")
    tables = [_native(member, classifies=classifies) for member in members]
    fed = _narrow(emitter, frame, path)
    if classifies and all(table.is_pure for table in tables):
        mean = _votes(emitter, tables, fed)
    else:
        mean = added_up(emitter, _leaf_values(emitter, tables, fed))
    if not hasattr(model, "tree_"):
        mean = scaled(emitter, "Div", mean, len(members))
    return Answer(index=greatest(emitter, mean), proba=mean) if classifies else Answer(value=mean)


def emit_gradient_boosting(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """GradientBoostingClassifier and GradientBoostingRegressor."""
    rate = float(model.learning_rate)
    tables = [_native(member, classifies=False, rate=rate) for member in model.estimators_.ravel()]
    width = model.estimators_.shape[1]
    raw = _boosted(emitter, tables, _narrow(emitter, frame, path), _start(model, width))
    if not hasattr(model, "classes_"):
        return Answer(value=raw)
    if width > 1:
        return Answer(index=greatest(emitter, raw), proba=emitter.add("Softmax", raw, axis=1), decision=raw)
    slope = 2.0 if model.loss == "exponential" else 1.0
    chance = expit(emitter, scaled(emitter, "Mul", raw, slope))
    return Answer(index=above(emitter, raw, reached=True), proba=both(emitter, chance), decision=raw)


def emit_histogram(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """HistGradientBoostingClassifier and HistGradientBoostingRegressor."""
    tables = [_binned(tree.nodes) for stage in model._predictors for tree in stage]
    start = np.asarray(model._baseline_prediction, np.float64).ravel()
    raw = _boosted(emitter, tables, emitter.matrix(frame, path), start)
    if not hasattr(model, "classes_"):
        is_log = type(model._loss.link).__name__ == "LogLink"
        return Answer(value=emitter.add("Exp", raw) if is_log else raw)
    if model.n_trees_per_iteration_ > 1:
        return Answer(index=greatest(emitter, raw), proba=emitter.add("Softmax", raw, axis=1), decision=raw)
    return Answer(index=above(emitter, raw), proba=both(emitter, expit(emitter, raw)), decision=raw)


def emit_isolation(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """IsolationForest: how deep a row lies in its trees, beside what is usual."""
    members = list(zip(model.estimators_, model.estimators_features_, strict=True))
    tables = [
        _deep(
            member, np.asarray(chosen), model._decision_path_lengths[place], model._average_path_length_per_tree[place]
        )
        for place, (member, chosen) in enumerate(members)
    ]
    depth = added_up(emitter, _leaf_values(emitter, tables, _narrow(emitter, frame, path)))
    usual = len(tables) * _usual_depth(int(model._max_samples))
    share = emitter.add("Neg", scaled(emitter, "Div", depth, usual)) if usual else scaled(emitter, "Mul", depth, 0.0)
    score = emitter.add("Neg", emitter.add("Pow", emitter.constant(np.float64(2)), share))
    return inliers(emitter, scaled(emitter, "Sub", score, float(model.offset_)))


def covers_isolation(model: Any) -> bool:
    """Whether it keeps the depths of its leaves, as scikit-learn has since 1.3."""
    return hasattr(model, "_decision_path_lengths") and hasattr(model, "_max_samples")


def _deep(member: Any, chosen: Array, lengths: Array, more: Array) -> Table:
    tree = member.tree_
    inner = np.maximum(tree.feature, 0)
    depths = np.asarray(lengths, np.float64) + np.asarray(more, np.float64) - 1.0
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Table(
        chosen[inner], tree.threshold, tree.children_left, tree.children_right, np.asarray(missing, bool),
        depths[:, None],
    )  # fmt: skip


def _usual_depth(samples: int) -> float:
    """Source: sklearn.ensemble._iforest._average_path_length."""
    if samples <= 2:
        return float(max(samples - 1, 0))
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)


def covers_forest(model: Any) -> bool:
    """Whether its answers have one form: numbers, or one label a row."""
    return not isinstance(getattr(model, "n_classes_", 0), list | np.ndarray)


def covers_gradient_boosting(model: Any) -> bool:
    """Whether what it starts from is the same for all rows."""
    constant = isinstance(model.init_, str) or type(model.init_).__name__ in {"DummyClassifier", "DummyRegressor"}
    return constant and hasattr(model, "_loss")


def covers_histogram(model: Any) -> bool:
    """Whether its trees split on numbers, under a link that is known."""
    categorical = getattr(model, "is_categorical_", None)
    links = {"IdentityLink", "LogLink", "LogitLink", "MultinomialLogit"}
    return (categorical is None or not np.any(categorical)) and type(model._loss.link).__name__ in links


def _start(model: Any, width: int) -> Array:
    if isinstance(model.init_, str):
        return np.zeros(width)
    row = np.zeros((1, int(model.n_features_in_)), np.float32)
    return np.asarray(model._raw_predict_init(row), np.float64).ravel()


def _narrow(emitter: Emitter, frame: Frame, path: str) -> str:
    """The columns as scikit-learn's trees take them: rounded to float32."""
    return emitter.cast(emitter.cast(emitter.matrix(frame, path), TensorProto.FLOAT), TensorProto.DOUBLE)


def _native(member: Any, *, classifies: bool, rate: float = 1.0) -> Table:
    tree = member.tree_
    values = np.asarray(tree.value, np.float64)[:, :, 0] * rate
    if classifies:
        values = np.asarray(tree.value, np.float64)[:, 0, :]
        totals = values.sum(axis=1, keepdims=True)
        if not np.allclose(totals, 1.0):  # counts before scikit-learn 1.3, shares since
            values = values / np.where(totals == 0, 1.0, totals)
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Table(
        tree.feature, tree.threshold, tree.children_left, tree.children_right, np.asarray(missing, bool), values
    )


def _binned(nodes: Any) -> Table:
    leaf = nodes["is_leaf"].astype(bool)
    return Table(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=nodes["value"].astype(np.float64)[:, None],
    )


def _boosted(emitter: Emitter, tables: Sequence[Table], value: str, start: Array) -> str:
    """``start`` and then the trees of each round, of which every one adds to one score."""
    width = len(start)
    found = _leaf_values(emitter, tables, value)
    by_round = emitter.add("Reshape", found, emitter.constant(np.array([-1, len(tables) // width, width])))
    first = np.zeros((1, len(tables) // width, width))
    first[0, 0] = start
    return added_up(emitter, scaled(emitter, "Add", by_round, first))


def _leaf_values(emitter: Emitter, tables: Sequence[Table], value: str) -> str:
    """What each tree answers, (rows, trees, width): looked up by the number of the leaf, which float32 holds."""
    numbers = emitter.add("TreeEnsembleRegressor", value, domain="ai.onnx.ml", **_attributes(tables))
    counts = [int(table.leaf.sum()) for table in tables]
    offsets = np.cumsum([0, *counts[:-1]])[None, :]
    places = emitter.add("Add", emitter.cast(numbers, TensorProto.INT64), emitter.constant(offsets))
    values = np.concatenate([table.values[table.leaf] for table in tables])
    return emitter.add("Gather", emitter.constant(values), places, axis=0)


def _votes(emitter: Emitter, tables: Sequence[Table], value: str) -> str:
    """How many trees choose each class, (rows, classes): whole numbers, which float32 adds exactly in any order."""
    attributes = _attributes(tables)
    classes = np.concatenate([table.values[table.leaf].argmax(axis=1) for table in tables])
    attributes["target_ids"] = classes.tolist()
    attributes["target_weights_as_tensor"] = from_array(np.ones(len(classes)), "target_weights_as_tensor")
    attributes["n_targets"] = tables[0].values.shape[1]
    counts = emitter.add("TreeEnsembleRegressor", value, domain="ai.onnx.ml", **attributes)
    return emitter.cast(counts, TensorProto.DOUBLE)


def _attributes(tables: Sequence[Table]) -> dict[str, Any]:
    """All trees as attributes of one TreeEnsembleRegressor, each with a target of its own: the number of its leaf."""
    columns: dict[str, list[Any]] = {name: [] for name in (*_NODE, *_TARGET)}
    thresholds, weights = [], []
    for number, table in enumerate(tables):
        for name, array in _columns(number, table):
            columns[name] += array.tolist()
        thresholds.append(np.where(table.leaf, 0.0, table.threshold))
        weights.append(np.arange(table.leaf.sum()))
    as_double = {"nodes_values_as_tensor": thresholds, "target_weights_as_tensor": weights}
    tensors = {name: from_array(np.concatenate(parts).astype(np.float64), name) for name, parts in as_double.items()}
    return {**columns, **tensors, "n_targets": len(tables), "aggregate_function": "SUM"}


def _columns(number: int, table: Table) -> Iterator[tuple[str, Array]]:
    leaf, places = table.leaf, np.arange(len(table.left))
    yield "nodes_treeids", np.full(len(places), number)
    yield "nodes_nodeids", places
    yield "nodes_featureids", np.where(leaf, 0, table.feature).astype(np.int64)
    yield "nodes_modes", np.where(leaf, "LEAF", "BRANCH_LEQ")
    yield "nodes_truenodeids", np.where(leaf, 0, table.left).astype(np.int64)
    yield "nodes_falsenodeids", np.where(leaf, 0, table.right).astype(np.int64)
    yield "nodes_missing_value_tracks_true", np.where(leaf, 0, table.missing_left).astype(np.int64)
    yield "target_treeids", np.full(leaf.sum(), number)
    yield "target_nodeids", places[leaf]
    yield "target_ids", np.full(leaf.sum(), number)
