"""Random ensembles of trees as ONNX writes them, over inputs that lie on, beside and between their thresholds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 4
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")
# Sums of a few of them are exact in float32.
_STEP = 1 / 64


def nodes_of(random: np.random.Generator, *, trees: int, depth: int, modes: Sequence[str] = _MODES) -> dict[str, Any]:
    """Attributes of the nodes of full trees."""
    inner, count = 2**depth - 1, 2 ** (depth + 1) - 1
    places = np.arange(count)
    branch = places < inner
    found: dict[str, list[Any]] = {}
    for tree in range(trees):
        columns = {
            "nodes_treeids": np.full(count, tree),
            "nodes_nodeids": places,
            "nodes_featureids": np.where(branch, random.integers(FEATURES, size=count), 0),
            "nodes_values": np.where(branch, np.round(random.normal(size=count), 1), 0).astype(np.float32),
            "nodes_modes": np.where(branch, random.choice(modes, size=count), "LEAF"),
            "nodes_truenodeids": np.where(branch, 2 * places + 1, 0),
            "nodes_falsenodeids": np.where(branch, 2 * places + 2, 0),
            "nodes_missing_value_tracks_true": np.where(branch, random.integers(2, size=count), 0),
        }
        for name, column in columns.items():
            found.setdefault(name, []).extend(column.tolist())
    return found


def leaves_of(nodes: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Trees and numbers of the leaves."""
    every = zip(nodes["nodes_treeids"], nodes["nodes_nodeids"], nodes["nodes_modes"], strict=True)
    pairs = [(tree, node) for tree, node, mode in every if mode == "LEAF"]
    return [tree for tree, _ in pairs], [node for _, node in pairs]


def regressor(seed: int = 0, *, trees: int = 3, depth: int = 2, targets: int = 1, **extra: Any) -> onnx.ModelProto:
    """A TreeEnsembleRegressor; ``extra`` are attributes that it has besides, or instead."""
    random = np.random.default_rng(seed)
    nodes = nodes_of(random, trees=trees, depth=depth, modes=extra.pop("modes", _MODES))
    treeids, nodeids = leaves_of(nodes)
    count = len(treeids)
    attributes = {
        "n_targets": targets, "target_treeids": treeids, "target_nodeids": nodeids,
        "target_ids": (np.array(treeids) % targets).tolist(),
        "target_weights": (random.integers(-200, 200, size=count) * _STEP).tolist(),
        "base_values": [0.25] * targets,
    }  # fmt: skip
    return tree_model("TreeEnsembleRegressor", ["y"], {**nodes, **attributes, **extra})


def classifier(
    seed: int = 0, *, labels: Sequence[Any] = (0, 1), shares: bool = False, transform: str = "NONE", **extra: Any
) -> onnx.ModelProto:
    """A TreeEnsembleClassifier: one sum for two labels, a sum for each of more."""
    random = np.random.default_rng(seed)
    nodes = nodes_of(random, trees=3, depth=2)
    treeids, nodeids = leaves_of(nodes)
    count, several = len(treeids), len(labels) > 2
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    attributes = {
        "class_treeids": treeids, "class_nodeids": nodeids, kind: list(labels), "post_transform": transform,
        "class_ids": (np.array(treeids) % (len(labels) if several else 1)).tolist(),
        "class_weights": (random.integers(0 if shares else -20, 20, size=count) * _STEP).tolist(),
    }  # fmt: skip
    return tree_model("TreeEnsembleClassifier", ["label", "scores"], {**nodes, **attributes, **extra})


def tree_model(op_type: str, outputs: Sequence[str], attributes: dict[str, Any]) -> onnx.ModelProto:
    """A model of one ensemble over float32."""
    node = helper.make_node(op_type, ["x"], list(outputs), domain="ai.onnx.ml", **attributes)
    return _model([node], outputs, {})


def by_leaf_numbers(seed: int = 0, *, rounds: int = 2, width: int = 3) -> onnx.ModelProto:
    """Trees that answer with numbers of leaves, whose values are looked up and added, as dray writes scikit-learn's."""
    random = np.random.default_rng(seed)
    trees, leaves = rounds * width, 4
    nodes = nodes_of(random, trees=trees, depth=2, modes=["BRANCH_LEQ"])
    treeids, nodeids = leaves_of(nodes)
    numbers = np.tile(np.arange(leaves, dtype=np.float32), trees).tolist()
    attributes = {
        "n_targets": trees, "target_treeids": treeids, "target_nodeids": nodeids, "target_ids": treeids,
        "target_weights": numbers,
    }  # fmt: skip
    weights = {
        "offsets": np.arange(trees)[None, :] * leaves, "table": random.integers(-99, 99, (trees * leaves, 1)) * _STEP,
        "shape": np.array([-1, rounds, width]), "start": random.integers(-9, 9, (1, rounds, width)) * _STEP,
        "axis": np.array(1), "last": np.array(-1),
    }  # fmt: skip
    steps = [
        helper.make_node("TreeEnsembleRegressor", ["x"], ["numbers"], domain="ai.onnx.ml", **{**nodes, **attributes}),
        helper.make_node("Cast", ["numbers"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "offsets"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["values"], axis=0),
        helper.make_node("Reshape", ["values", "shape"], ["by_round"]),
        helper.make_node("Add", ["by_round", "start"], ["begun"]),
        helper.make_node("CumSum", ["begun", "axis"], ["sums"]),
        helper.make_node("Gather", ["sums", "last"], ["raw"], axis=1),
        helper.make_node("Cast", ["raw"], ["y"], to=TensorProto.FLOAT),
    ]
    return _model(steps, ["y"], weights)


def rows_around(model: onnx.ModelProto, count: int = 200, *, seed: int = 1) -> np.ndarray:
    """Rows of float32 on, just below, just above and far from the thresholds, and some that are missing."""
    random = np.random.default_rng(seed)
    node = next(one for one in model.graph.node if one.op_type.startswith("TreeEnsemble"))
    (values,) = (helper.get_attribute_value(one) for one in node.attribute if one.name == "nodes_values")
    at = np.array(values, np.float32)
    around = np.concatenate([at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf), random.normal(size=40), [np.nan]])
    return random.choice(around, size=(count, FEATURES)).astype(np.float32)


def _model(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
