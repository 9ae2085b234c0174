"""Boosted models as ONNX nodes: exact decisions and sums in float64, then the answer as the library computes it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from packager.converters.boosting.forest import ZERO, Forest, Tree
from packager.converters.boosting.model import BoostedModel, Link

ML = "ai.onnx.ml"


class NodeWriter(Protocol):
    """Where nodes go: a graph of our own, or the one that skl2onnx is making."""

    def node(self, op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node; the name of its one output."""

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer; its name."""


def write_answers(model: BoostedModel, value: str, writer: NodeWriter, *, is_double: bool) -> Mapping[str, str]:
    """Nodes from an input matrix to the answers; names of the values by ``label``, ``probabilities``, ``prediction``.

    Args:
        value: The input, (rows, width), FP32 or FP64.
        is_double: Whether it is FP64.
    """
    raw = _raw_scores(model.forest, value, writer, is_double=is_double, round_first=model.single_precision_input)
    if model.double:
        raw = writer.node("Cast", [raw], to=TensorProto.DOUBLE)
    answers = _linked(model, raw, writer)
    if model.classes is None:
        return {"prediction": _single(answers, model, writer)}
    if model.single_score:
        one = writer.constant(np.array(1.0, _dtype(model)))
        other = writer.node("Sub", [one, answers])
        probabilities = writer.node("Concat", [other, answers], axis=1)
        # Not ArgMax: 1 - p may round, and the libraries ask for p > 0.5.
        half = writer.constant(np.array(0.5, _dtype(model)))
        flat = writer.node("Reshape", [answers, writer.constant(np.array([-1], np.int64))])
        index = writer.node("Cast", [writer.node("Greater", [flat, half])], to=TensorProto.INT64)
    else:
        probabilities = answers
        index = writer.node("ArgMax", [answers], axis=1, keepdims=0)
    return {"label": _label(model, index, writer), "probabilities": _single(probabilities, model, writer)}


def _dtype(model: BoostedModel) -> type[np.floating[Any]]:
    return np.float64 if model.double else np.float32


def _single(value: str, model: BoostedModel, writer: NodeWriter) -> str:
    return writer.node("Cast", [value], to=TensorProto.FLOAT) if model.double else value


def _label(model: BoostedModel, index: str, writer: NodeWriter) -> str:
    classes = model.classes or ()
    if all(type(name) is int for name in classes) and classes == tuple(range(len(classes))):
        return index
    return writer.node("Gather", [writer.constant(class_array(classes)), index])


def class_array(classes: tuple[Any, ...]) -> NDArray[Any]:
    """Class labels as a tensor: strings, whole numbers, or floats where one is."""
    if all(isinstance(name, str) for name in classes):
        return np.array(classes, object)
    return np.array(classes, np.float64 if any(isinstance(name, float) for name in classes) else np.int64)


def _raw_scores(forest: Forest, value: str, writer: NodeWriter, *, is_double: bool, round_first: bool) -> str:
    """Sums of the leaves, (rows, scores), FP32: added up in float64 and rounded once."""
    if is_double and round_first:
        value, is_double = writer.node("Cast", [value], to=TensorProto.FLOAT), False
    if not is_double:
        value = writer.node("Cast", [value], to=TensorProto.DOUBLE)
    value = _with_missing(forest, value, writer)
    return writer.node("TreeEnsembleRegressor", [value], domain=ML, **_attributes(forest))


def _with_missing(forest: Forest, value: str, writer: NodeWriter) -> str:
    """NaN in place of everything that counts as missing."""
    nan = np.array(np.nan, np.float64)
    if forest.missing_value is not None:
        same = writer.node("Equal", [value, writer.constant(np.array(forest.missing_value, np.float64))])
        value = writer.node("Where", [same, writer.constant(nan), value])
    if forest.zero_missing.any():
        size = writer.node("Abs", [value])
        bounds = np.where(forest.zero_missing, ZERO, -1.0)[None, :]
        zero = writer.node("LessOrEqual", [size, writer.constant(bounds)])
        value = writer.node("Where", [zero, writer.constant(nan), value])
    return value


def _linked(model: BoostedModel, raw: str, writer: NodeWriter) -> str:
    def constant(number: float) -> str:
        return writer.constant(np.array(number, _dtype(model)))

    match model.link:
        case Link.IDENTITY:
            return raw
        case Link.EXP:
            return writer.node("Exp", [raw])
        case Link.SOFTMAX:
            return writer.node("Softmax", [raw], axis=1)
        case Link.SIGMOID:
            # Written out: ONNX Runtime's Sigmoid is an approximation.
            power = writer.node("Exp", [writer.node("Mul", [raw, constant(-model.slope)])])
            return writer.node("Div", [constant(1.0), writer.node("Add", [power, constant(1.0)])])
        case Link.LOG1P_EXP:
            return writer.node("Log", [writer.node("Add", [writer.node("Exp", [raw]), constant(1.0)])])
        case Link.SIGNED_SQUARE:
            return writer.node("Mul", [raw, writer.node("Abs", [raw])])
        case Link.STEP:
            positive = writer.node("Greater", [raw, constant(0.0)])
            return writer.node("Cast", [positive], to=TensorProto.DOUBLE if model.double else TensorProto.FLOAT)


def _attributes(forest: Forest) -> dict[str, Any]:
    """Attributes of the TreeEnsembleRegressor of ai.onnx.ml 3, in float64."""
    trees = forest.trees or (_empty_tree(),)
    nodes = [tree_nodes(tree) for tree in trees]
    columns = {name: np.concatenate([tree[name] for tree in nodes]) for name in nodes[0] if name != "order"}
    weights = [
        _weights(tree, index, entry["order"]) for index, (tree, entry) in enumerate(zip(trees, nodes, strict=True))
    ]
    targets, nodeids, values, treeids = (np.concatenate(parts) for parts in zip(*weights, strict=True))
    sizes = [len(tree["nodes_featureids"]) for tree in nodes]
    modes = np.where(columns.pop("leaf"), "LEAF", "BRANCH_LEQ")
    return {
        "n_targets": len(forest.base),
        "base_values_as_tensor": _tensor(forest.base),
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_modes": modes.tolist(),
        "nodes_values_as_tensor": _tensor(columns.pop("nodes_values")),
        "target_ids": targets.tolist(),
        "target_nodeids": nodeids.tolist(),
        "target_treeids": treeids.tolist(),
        "target_weights_as_tensor": _tensor(values),
        **{name: column.tolist() for name, column in columns.items()},
    }


def tree_nodes(tree: Tree) -> dict[str, NDArray[Any]]:
    """The nodes that the root leads to, numbered from 0, the root first."""
    order = _reached(tree)
    place = np.zeros(len(tree.left), np.int64)
    place[order] = np.arange(len(order))
    leaf = tree.left[order] < 0
    return {
        "order": order,
        "leaf": leaf,
        "nodes_featureids": np.where(leaf, 0, tree.feature[order]),
        "nodes_values": np.where(leaf, 0.0, tree.threshold[order]),
        "nodes_truenodeids": np.where(leaf, 0, place[tree.left[order]]),
        "nodes_falsenodeids": np.where(leaf, 0, place[tree.right[order]]),
        "nodes_missing_value_tracks_true": (tree.missing_left[order] & ~leaf).astype(np.int64),
    }


def _reached(tree: Tree) -> NDArray[np.int64]:
    seen, waiting, order = {0}, [0], []
    while waiting:
        node = waiting.pop()
        order.append(node)
        if tree.left[node] >= 0:
            for child in (int(tree.left[node]), int(tree.right[node])):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
    return np.array(order, np.int64)


def _weights(tree: Tree, index: int, order: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """(score, node, value, tree) of everything that the tree's leaves add."""
    leaves = np.flatnonzero(tree.left[order] < 0)
    values = tree.values[order[leaves]]
    count = len(tree.outputs)
    return (
        np.tile(np.array(tree.outputs, np.int64), len(leaves)),
        np.repeat(leaves, count),
        values.ravel(),
        np.full(len(leaves) * count, index, np.int64),
    )


def _empty_tree() -> Tree:
    none = np.full(1, -1, np.int64)
    return Tree(np.zeros(1, np.int64), np.zeros(1), none, none, np.zeros(1, bool), np.zeros((1, 1)), (0,))


def _tensor(values: NDArray[Any]) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float64), "values")


class GraphWriter:
    """Nodes and initializers of a graph of our own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[TensorProto] = []

    def node(self, op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node; the name of its one output."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer; its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values, name))
        return name
