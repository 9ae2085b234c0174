"""Trees of ONNX (``TreeEnsembleRegressor``, ``TreeEnsembleClassifier``) as trees of a network; what they ask beyond."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from packager.transform.circuit.network import Floats, Integers, Tree, Trees
from packager.transform.circuit.operators import refused

ENSEMBLES = frozenset({"TreeEnsembleRegressor", "TreeEnsembleClassifier"})
# x < t is x <= the number before t; the other two have their sides the other way round.
_STRICT = frozenset({"BRANCH_LT", "BRANCH_GTE"})
_TURNED = frozenset({"BRANCH_GT", "BRANCH_GTE"})
_COVERED = frozenset({"LEAF", "BRANCH_LEQ", *_STRICT, *_TURNED})


def trees_of(node: onnx.NodeProto, attributes: Mapping[str, Any], *, double: bool) -> Trees:
    """The ensemble's raw sums: what its leaves add, and its base values.

    Args:
        double: Whether its input is FP64, in which comparisons are made then.

    Raises:
        CircuitRefused: It decides, or adds up, in a way that has no circuit; names it.
    """
    modes = np.array([each.decode() for each in attributes["nodes_modes"]])
    if unknown := sorted(set(modes) - _COVERED):
        raise refused(node, f"it decides by {', '.join(unknown)}")
    how = attributes.get("aggregate_function", b"SUM").decode()
    if how not in ("SUM", "AVERAGE"):
        raise refused(node, f"its leaves are joined by {how}")
    prefix, count = _answers(node, attributes)
    numbers = _integers(attributes, "nodes_treeids")
    order = np.unique(numbers)
    added = _added(attributes, prefix, count, len(order) if how == "AVERAGE" else 1)
    columns = _columns(attributes, modes, double=double)
    trees = [_tree(node, columns, np.flatnonzero(numbers == each), added, count) for each in order]
    base = _numbers(attributes, "base_values")
    if len(base) not in (0, count):
        raise refused(node, f"it has {len(base)} base values for {count} outputs")
    # ONNX Runtime forgets the base value, and the class, of an output that no leaf of a row adds to.
    left_out = _left_out(attributes, prefix, count, modes)
    if left_out and (count > 1 if prefix == "class" else base[left_out].any() if len(base) else False):
        raise refused(node, f"to output {left_out[0]} not every row has a leaf that adds, be it zero")
    return Trees(tuple(trees), base if len(base) else np.zeros(count))


def _added(attributes: Mapping[str, Any], prefix: str, count: int, shared: int) -> dict[tuple[int, int], Floats]:
    """By tree and node, what it adds to each output."""
    columns = [_integers(attributes, f"{prefix}_{name}").tolist() for name in ("treeids", "nodeids", "ids")]
    found: dict[tuple[int, int], Floats] = {}
    for tree, node, target, weight in zip(*columns, _numbers(attributes, f"{prefix}_weights"), strict=True):
        found.setdefault((tree, node), np.zeros(count))[target] += weight / shared
    return found


def _left_out(attributes: Mapping[str, Any], prefix: str, count: int, modes: NDArray[np.str_]) -> list[int]:
    """Outputs without a tree all of whose leaves add to them."""
    trees = _integers(attributes, "nodes_treeids")
    leaves = np.bincount(trees[modes == "LEAF"], minlength=int(trees.max()) + 1)
    columns = (_integers(attributes, f"{prefix}_{name}") for name in ("ids", "treeids", "nodeids"))
    listed = np.unique(np.stack(list(columns), axis=1), axis=0)
    found = np.zeros((count, len(leaves)), np.int64)
    np.add.at(found, (listed[:, 0], listed[:, 1]), 1)
    return np.flatnonzero(~(found == leaves)[:, leaves > 0].any(axis=1)).tolist()


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes by name; what is given as a tensor lies under the name of the list that it stands for."""
    found = {}
    for one in node.attribute:
        value = onnx.helper.get_attribute_value(one)
        if isinstance(value, onnx.TensorProto):
            found[one.name.removesuffix("_as_tensor")] = numpy_helper.to_array(value)
        else:
            found[one.name] = value
    return found


def _answers(node: onnx.NodeProto, attributes: Mapping[str, Any]) -> tuple[str, int]:
    """What the names of the leaves' attributes begin with, and how many sums there are."""
    if node.op_type == "TreeEnsembleRegressor":
        return "target", int(attributes.get("n_targets", 1))
    used = set(attributes["class_ids"])
    labels = attributes.get("classlabels_int64s") or attributes.get("classlabels_strings") or ()
    if used == {0} and len(labels) == 2:
        return "class", 1
    if len(labels) < 3:
        raise refused(node, f"for {len(labels)} labels its leaves add to the classes {sorted(used)}")
    return "class", len(labels)


def _columns(attributes: Mapping[str, Any], modes: NDArray[np.str_], *, double: bool) -> dict[str, NDArray[Any]]:
    """By node: LEQ decisions alone."""
    width = np.float64 if double else np.float32
    threshold = _numbers(attributes, "nodes_values")
    before = np.nextafter(threshold.astype(width), width(-np.inf)).astype(np.float64)
    turned = np.isin(modes, sorted(_TURNED))
    yes, no = _integers(attributes, "nodes_truenodeids"), _integers(attributes, "nodes_falsenodeids")
    tracks = np.zeros(len(modes), bool)
    if len(given := _integers(attributes, "nodes_missing_value_tracks_true")):
        tracks = given.astype(bool)
    return {
        "tree": _integers(attributes, "nodes_treeids"),
        "number": _integers(attributes, "nodes_nodeids"),
        "leaf": modes == "LEAF",
        "feature": _integers(attributes, "nodes_featureids"),
        "threshold": np.where(np.isin(modes, sorted(_STRICT)), before, threshold),
        "left": np.where(turned, no, yes),
        "right": np.where(turned, yes, no),
        "missing_left": tracks != turned,
    }


def _tree(
    node: onnx.NodeProto, columns: Mapping[str, NDArray[Any]], rows: Integers,
    added: Mapping[tuple[int, int], Floats], count: int,
) -> Tree:  # fmt: skip
    """One tree, its nodes renumbered from 0; the first one given is the root."""
    mine = {name: column[rows] for name, column in columns.items()}
    number = int(mine["tree"][0])
    place = {int(each): at for at, each in enumerate(mine["number"])}
    leaf = mine["leaf"]
    try:
        left, right = (
            np.array([-1 if end else place[int(each)] for end, each in zip(leaf, mine[side], strict=True)], np.int64)
            for side in ("left", "right")
        )
    except KeyError as error:
        raise refused(node, f"tree {number} leads to node {error}, which it has not") from error
    nothing = np.zeros(count)
    values = [added.get((number, int(each)), nothing) for each in mine["number"]]
    return Tree(
        feature=np.where(leaf, 0, mine["feature"]),
        threshold=np.where(leaf, 0.0, mine["threshold"]),
        left=left,
        right=right,
        missing_left=mine["missing_left"] & ~leaf,
        values=np.array(values, np.float64).reshape(len(rows), count),
    )


def _numbers(attributes: Mapping[str, Any], name: str) -> Floats:
    return np.asarray(attributes.get(name, ()), np.float64)


def _integers(attributes: Mapping[str, Sequence[int]], name: str) -> Integers:
    return np.asarray(attributes.get(name, ()), np.int64)
