"""Ensembles that vote, in doubles and in the order in which scikit-learn adds: their ties are its ties.

Votes of trees are few distinct numbers, so that two classes often get the same, or the same but for the last bit of a
float64. That bit then decides, and a sum in float32 or in another order decides otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from packager.converters.sklearn.node_writer import NodeWriter
from packager.converters.sklearn.precision import floored

Convert = Callable[..., None]
_TREES = {"DecisionTreeClassifier", "ExtraTreeClassifier"}
_FORESTS = {"ExtraTreesClassifier", "RandomForestClassifier"}


def ensemble_converters() -> dict[type, Convert]:
    """Conversion functions by class."""
    from sklearn.ensemble import (
        AdaBoostRegressor,
        BaggingClassifier,
        ExtraTreesClassifier,
        RandomForestClassifier,
        VotingClassifier,
    )

    return {
        AdaBoostRegressor: _convert_median,
        BaggingClassifier: _convert_voters,
        ExtraTreesClassifier: _convert_forest,
        RandomForestClassifier: _convert_forest,
        VotingClassifier: _convert_voters,
    }


def ensemble_shapes() -> dict[type, Convert]:
    """The shape calculators that belong to them."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common._registration import get_shape_calculator

    return {kind: get_shape_calculator(sklearn_operator_name_map[kind]) for kind in ensemble_converters()}


def _convert_forest(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    if model.n_outputs_ > 1 or _are_pure(_trees_of(model)):
        # Whole votes are counted exactly in float32, and several targets have a form of their own.
        from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier

        convert_sklearn_random_forest_classifier(scope, operator, container)
        return
    writer = NodeWriter(scope, container)
    _answer(writer, model, _tree_chances(writer, model, operator.inputs[0].full_name), operator)


def _convert_voters(scope: Any, operator: Any, container: Any) -> None:
    members = _Members(scope, operator, container)
    _answer(members.writer, operator.raw_operator, members.chances(operator.raw_operator), operator)


def _answer(writer: NodeWriter, model: Any, chances: str, operator: Any) -> None:
    index = writer.add("ArgMax", chances, axis=1, keepdims=0)
    writer.labels(index, model.classes_, operator.outputs[0])
    writer.finish(chances, operator.outputs[1])


def _convert_median(scope: Any, operator: Any, container: Any) -> None:
    """The weighted median of the members' predictions. Source: AdaBoostRegressor._get_median_predict."""
    from onnx import TensorProto

    members = _Members(scope, operator, container)
    writer, model = members.writer, operator.raw_operator
    predicted = [members.prediction(member) for member in model.estimators_]
    count = len(predicted)
    table = writer.add("Concat", *predicted, axis=1) if count > 1 else predicted[0]
    ordered, places = writer.add_all("TopK", 2, table, writer.constant(np.array([count])), axis=1, largest=0)
    weights = writer.constant(np.asarray(model.estimator_weights_[:count], np.float64))
    sums = writer.add("CumSum", writer.add("Gather", weights, places, axis=0), writer.constant(np.array(1)))
    last = writer.add("Gather", sums, writer.constant(np.array([count - 1])), axis=1)
    reached = writer.add("GreaterOrEqual", sums, writer.add("Mul", last, writer.constant(0.5)))
    first = writer.add("ArgMax", writer.add("Cast", reached, to=TensorProto.INT64), axis=1, keepdims=1)
    writer.finish(writer.add("GatherElements", ordered, first, axis=1), operator.outputs[0])


class _Members:
    """What the members of an ensemble answer: trees exactly, other estimators as skl2onnx converts them."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self.writer = NodeWriter(scope, container)
        self._scope = scope
        self._operator = operator
        self._input = operator.inputs[0]

    def chances(self, model: Any, source: Any = None) -> str:
        """Probabilities, (rows, classes), as doubles, or the shares of votes where that is what decides.

        Args:
            source: The variable that the model takes; the operator's own input where None.
        """
        source = self._input if source is None else source
        name = type(model).__name__
        own = type(model).__module__.startswith("sklearn.")
        if own and name in _TREES | _FORESTS and model.n_outputs_ == 1:
            return _tree_chances(self.writer, model, source.full_name)
        if own and name == "BaggingClassifier":
            return self._bagged(model, source)
        if own and name == "VotingClassifier":
            return self._voted(model, source)
        if own and name == "Pipeline" and all(hasattr(step, "get_support") for _, step in model.steps[:-1]):
            for _, step in model.steps[:-1]:
                source = self._columns(source, np.flatnonzero(step.get_support()))
            return self.chances(model.steps[-1][1], source)
        return self._doubles(self._converted(model, source, labelled=True)[1])

    def prediction(self, model: Any) -> str:
        """A regressor's answers, (rows, 1), as doubles."""
        if type(model).__name__ in {"DecisionTreeRegressor", "ExtraTreeRegressor"} and model.n_outputs_ == 1:
            return _leaf_values(self.writer, [model.tree_], self._input.full_name)
        flat = self._doubles(self._converted(model, self._input, labelled=False)[0])
        return self.writer.add("Reshape", flat, self.writer.constant(np.array([-1, 1])))

    def _bagged(self, model: Any, source: Any) -> str:
        """Source: sklearn.ensemble._bagging._parallel_predict_proba."""
        total = ""
        for member, features in zip(model.estimators_, model.estimators_features_, strict=True):
            every = len(features) == model.n_features_in_ and (np.asarray(features) == np.arange(len(features))).all()
            fed = source if every else self._columns(source, features)
            if hasattr(member, "predict_proba"):
                part = self._widened(self.chances(member, fed), member.classes_, len(model.classes_))
            else:
                part = self._ones(self._places(member, fed), len(model.classes_))
            total = self.writer.add("Add", total, part) if total else part
        return self.writer.add("Div", total, self.writer.constant(float(model.n_estimators)))

    def _voted(self, model: Any, source: Any) -> str:
        weights = model._weights_not_none
        total = ""
        for number, member in enumerate(model.estimators_):
            hard = model.voting == "hard"
            part = (
                self._ones(self._places(member, source), len(model.classes_)) if hard else self.chances(member, source)
            )
            if weights is not None:
                part = self.writer.add("Mul", part, self.writer.constant(float(weights[number])))
            total = self.writer.add("Add", total, part) if total else part
        count = len(model.estimators_) if weights is None else np.asarray(weights).sum()
        return self.writer.add("Div", total, self.writer.constant(float(count)))

    def _places(self, member: Any, source: Any) -> str:
        """Numbers of the classes that a member chooses, (rows,): it was trained on such numbers."""
        name = type(member).__name__
        if name in _TREES | _FORESTS | {"BaggingClassifier"} or (
            name == "VotingClassifier" and member.voting == "soft"
        ):
            index = self.writer.add("ArgMax", self.chances(member, source), axis=1, keepdims=0)
            return self.writer.add("Gather", self.writer.constant(np.asarray(member.classes_, np.int64)), index)
        label = self._converted(member, source, labelled=True)[0].full_name
        return self.writer.add("Reshape", label, self.writer.constant(np.array([-1])))

    def _ones(self, places: str, classes: int) -> str:
        """1 at the class that is chosen, (rows, classes)."""
        from onnx import TensorProto

        column = self.writer.add("Reshape", places, self.writer.constant(np.array([-1, 1])))
        same = self.writer.add("Equal", column, self.writer.constant(np.arange(classes)[None, :]))
        return self.writer.add("Cast", same, to=TensorProto.DOUBLE)

    def _widened(self, chances: str, classes: Any, total: int) -> str:
        """A column for every class, where a member saw some of them only."""
        if len(classes) == total:
            return chances
        spread = np.zeros((len(classes), total))
        spread[np.arange(len(classes)), np.asarray(classes, np.int64)] = 1.0
        return self.writer.add("MatMul", chances, self.writer.constant(spread))

    def _converted(self, model: Any, source: Any, *, labelled: bool) -> list[Any]:
        """The outputs of a member that skl2onnx converts."""
        from skl2onnx._supported_operators import sklearn_operator_name_map
        from skl2onnx.common.data_types import Int64TensorType

        inner = self._scope.declare_local_operator(sklearn_operator_name_map[type(model)], model)
        inner.inputs.append(source)
        floats = self._input.type.__class__
        kinds = (Int64TensorType, floats) if labelled else (floats,)
        for kind in kinds:
            inner.outputs.append(self._scope.declare_local_variable("member", kind()))
        return list(inner.outputs)

    def _columns(self, source: Any, features: Any) -> Any:
        chosen = self._scope.declare_local_variable("columns", source.type.__class__([None, len(features)]))
        places = self.writer.constant(np.asarray(features, np.int64))
        self.writer.add("Gather", source.full_name, places, output=chosen.full_name, axis=1)
        return chosen

    def _doubles(self, variable: Any) -> str:
        return self.writer.doubles(variable)


def _trees_of(model: Any) -> list[Any]:
    return [model.tree_] if hasattr(model, "tree_") else [member.tree_ for member in model.estimators_]


def _votes(tree: Any) -> Any:
    """What the leaves say, (leaves, classes): counts before scikit-learn 1.3, shares since."""
    votes = tree.value[tree.children_left < 0, 0, :]
    sums = votes.sum(axis=1, keepdims=True)
    return votes if np.allclose(sums, 1.0) else votes / sums


def _are_pure(trees: Sequence[Any]) -> bool:
    """Whether every leaf has one class only."""
    return all(((votes := _votes(tree)) == 0.0).sum() == votes.size - len(votes) for tree in trees)


def _tree_chances(writer: NodeWriter, model: Any, source: str) -> str:
    """The mean vote of one tree or many, (rows, classes), as doubles."""
    from onnx import TensorProto

    trees = _trees_of(model)
    if not _are_pure(trees):
        total = _leaf_values(writer, trees, source)
    else:
        # Whole numbers up to 2 ** 24 are exact in float32, in whatever order they are added.
        parts = [(tree, np.argmax(_votes(tree), axis=1), np.ones(len(_votes(tree)))) for tree in trees]
        total = writer.add("Cast", _ensemble(writer, parts, source, len(model.classes_)), to=TensorProto.DOUBLE)
    return total if len(trees) == 1 else writer.add("Div", total, writer.constant(float(len(trees))))


def _leaf_values(writer: NodeWriter, trees: Sequence[Any], source: str) -> str:
    """The values of the leaves, (rows, values a leaf), added up tree by tree as doubles."""
    from onnx import TensorProto

    classifies = trees[0].value.shape[2] > 1 or trees[0].n_classes[0] > 1
    tables = [_votes(tree) if classifies else tree.value[tree.children_left < 0, 0, :] for tree in trees]
    sizes = [len(table) for table in tables]
    parts = [
        (tree, np.full(size, number), np.arange(size))
        for number, (tree, size) in enumerate(zip(trees, sizes, strict=True))
    ]
    leaves = writer.add("Cast", _ensemble(writer, parts, source, len(trees)), to=TensorProto.INT64)
    if len(trees) == 1:
        leaf = writer.add("Reshape", leaves, writer.constant(np.array([-1])))
        return writer.add("Gather", writer.constant(np.asarray(tables[0], np.float64)), leaf, axis=0)
    starts = writer.constant(np.cumsum([0, *sizes[:-1]])[None, :])
    values = writer.add(
        "Gather", writer.constant(np.concatenate(tables).astype(np.float64)), writer.add("Add", leaves, starts), axis=0
    )
    # One after the other, as scikit-learn does; ReduceSum adds in an order of its own.
    sums = writer.add("CumSum", values, writer.constant(np.array(1)))
    return writer.add("Gather", sums, writer.constant(np.array(len(trees) - 1)), axis=1)


def _ensemble(writer: NodeWriter, parts: Sequence[tuple[Any, Any, Any]], source: str, targets: int) -> str:
    """One TreeEnsembleRegressor, (rows, targets): of each tree, the target and the weight of its leaves."""
    from onnx import TensorProto

    columns: dict[str, Any] = {}

    def extend(**values: Any) -> None:
        for name, array in values.items():
            columns.setdefault(name, []).extend(np.asarray(array).tolist())

    for number, (tree, target, weight) in enumerate(parts):
        leaf = tree.children_left < 0
        missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))  # since scikit-learn 1.3
        extend(
            nodes_treeids=np.full(tree.node_count, number),
            nodes_nodeids=np.arange(tree.node_count),
            nodes_featureids=np.where(leaf, 0, tree.feature),
            nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ"),
            nodes_values=np.where(leaf, 0.0, floored(tree.threshold)),
            nodes_truenodeids=np.where(leaf, 0, tree.children_left),
            nodes_falsenodeids=np.where(leaf, 0, tree.children_right),
            nodes_missing_value_tracks_true=np.where(leaf, 0, missing).astype(np.int64),
            target_treeids=np.full(int(leaf.sum()), number),
            target_nodeids=np.flatnonzero(leaf),
            target_ids=target,
            target_weights=np.asarray(weight, np.float64),
        )
    return writer.add(
        "TreeEnsembleRegressor",
        writer.add("Cast", source, to=TensorProto.FLOAT),  # as scikit-learn's trees do
        op_domain="ai.onnx.ml", op_version=3, n_targets=targets, aggregate_function="SUM", **columns,
    )  # fmt: skip
