"""Trees that answer with the number of a leaf, whose value is looked up and added: dray's form of scikit-learn's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from packager.transform.circuit.network import Floats, Tree, Trees

Constants = Mapping[str, NDArray[Any]]
Nodes = list[onnx.NodeProto]


def looked_up(
    trees: Trees, node: onnx.NodeProto, nodes: Nodes, constants: Constants
) -> tuple[Trees, onnx.NodeProto, Nodes] | None:
    """The trees with the values themselves, the node that adds them up, and all nodes that this stands for.

    None where the graph does something else with the ensemble's answers. The order that is known here: Cast, Add
    (offsets), Gather (values), Reshape and Add (what boosting starts from) at will, CumSum, Gather (its last).
    """
    chain = _chain(node, nodes)
    kinds = [each.op_type for each in chain]
    if kinds[:3] != ["Cast", "Add", "Gather"]:
        return None
    try:
        return _followed(trees, node, chain, constants)
    except (KeyError, IndexError, ValueError):  # a constant that is none, or has another shape
        return None


def _chain(node: onnx.NodeProto, nodes: Nodes) -> Nodes:
    """Nodes that follow one another, each the only reader of the one before."""
    found: Nodes = []
    name = node.output[0]
    while len(readers := [each for each in nodes if name in each.input]) == 1 and len(found) < 7:
        found.append(readers[0])
        name = readers[0].output[0]
    return found


def _followed(
    trees: Trees, node: onnx.NodeProto, chain: Nodes, constants: Constants
) -> tuple[Trees, onnx.NodeProto, Nodes] | None:
    offsets = constants[chain[1].input[1]].ravel()
    table = np.asarray(constants[chain[2].input[0]], np.float64)
    count, width = len(trees.base), table.shape[1]
    if len(offsets) != count or trees.base.any() or _axis(chain[2], 0) != 0:
        return None
    rest, start = chain[3:], np.zeros((1, count, width))
    columns, rounds = width, count
    if rest[0].op_type == "Reshape":
        _, rounds, columns = (int(each) for each in constants[rest[0].input[1]])
        start = np.asarray(constants[rest[1].input[1]], np.float64)
        if rest[1].op_type != "Add" or start.shape != (1, rounds, columns) or rounds * columns != count * width:
            return None
        rest = rest[2:]
    if not _adds_up(rest, rounds, constants):
        return None
    grown = [_valued(tree, place, int(offsets[place]), table, columns) for place, tree in enumerate(_by_target(trees))]
    summed = replace(trees, trees=tuple(grown), base=start.sum(axis=(0, 1)))
    return summed, rest[1], [node, *chain[: chain.index(rest[1]) + 1]]


def _adds_up(rest: Nodes, rounds: int, constants: Constants) -> bool:
    """Whether these are a running sum over axis 1 and its last entry."""
    if [each.op_type for each in rest[:2]] != ["CumSum", "Gather"] or rest[0].attribute:
        return False
    last = constants[rest[1].input[1]]
    return int(constants[rest[0].input[1]]) == 1 and _axis(rest[1], 0) == 1 and int(last) in (-1, rounds - 1)


def _by_target(trees: Trees) -> list[Tree]:
    """Each output's one tree.

    Raises:
        ValueError: A tree has several outputs, or shares one.
    """
    found: dict[int, Tree] = {}
    # A tree of leaf 0 alone adds nothing anywhere, and all such trees are alike.
    alone: list[Tree] = []
    for tree in trees.trees:
        used = np.flatnonzero(tree.values.any(axis=0))
        if len(used) > 1 or (len(used) and int(used[0]) in found):
            raise ValueError("several trees add to one number of a leaf")
        if len(used):
            found[int(used[0])] = tree
        else:
            alone.append(tree)
    if len(trees.trees) != len(trees.base):
        raise ValueError("there is not one tree for each number of a leaf")
    return [found[place] if place in found else alone.pop() for place in range(len(trees.base))]


def _valued(tree: Tree, place: int, offset: int, table: Floats, columns: int) -> Tree:
    """The tree with its leaves' values, in the columns that they are added to."""
    leaf = tree.left < 0
    number = tree.values[:, place].astype(np.int64)
    values = np.zeros((len(leaf), columns))
    width = table.shape[1]
    for at in range(width):
        values[leaf, (place * width + at) % columns] += table[offset + number[leaf], at]
    return replace(tree, values=values)


def _axis(node: onnx.NodeProto, default: int) -> int:
    return next((int(each.i) for each in node.attribute if each.name == "axis"), default)
