"""Trees in ONNX that answer as scikit-learn's do, where skl2onnx by itself does not."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from packager.converters.sklearn.precision import floored

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

Attributes = dict[str, list[Any]]
_TREE_CONVERTERS = ("decision_tree", "gradient_boosting", "isolation_forest", "random_forest")
# Of skl2onnx.common.tree_ensemble.add_tree_to_attribute_pairs, after attributes, classifies and tree.
_TREE_ID, _TREE_WEIGHT, _LEAVES_HOLD_VOTES = 0, 1, 3


class FaithfulTrees:
    """Corrections to skl2onnx 1.20, for the length of one conversion.

    * Missing values go where the tree sends them; skl2onnx keeps that for histogram trees only.
    * Every threshold is rounded down; skl2onnx rounds to the nearest where it converts trees one by one.
    * A forest adds its trees' votes first and divides once, as scikit-learn does: votes that are equal stay equal, and
      the first class wins. skl2onnx divides every vote, and of two classes adds up only one.
    """

    def __init__(self) -> None:
        self._members: dict[str, int] = {}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """skl2onnx with the corrections."""
        from skl2onnx.common import tree_ensemble
        from skl2onnx.operator_converters import decision_tree

        modules = [importlib.import_module(f"skl2onnx.operator_converters.{name}") for name in _TREE_CONVERTERS]
        add = self._adding(tree_ensemble.add_tree_to_attribute_pairs)
        populate = _populating(decision_tree.populate_tree_attributes)
        with (
            _replaced(modules, "add_tree_to_attribute_pairs", add),
            _replaced([decision_tree], "populate_tree_attributes", populate),
        ):
            yield

    def divide(self, model: "ModelProto") -> None:
        """Divide the added votes of each forest in the graph by the number of its trees."""
        nodes = []
        for node in model.graph.node:
            nodes.append(node)
            if members := self._members.get(node.name):
                nodes += _mean_of_votes(model.graph, node, members)
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(copies)

    def _adding(self, add_tree: Callable[..., None]) -> Callable[..., None]:
        def add(attributes: Attributes, classifies: bool, tree: Any, *args: Any, **named: Any) -> None:
            votes_before = len(attributes["class_weights"]) if classifies else 0
            add_tree(attributes, classifies, tree, *args, **named)
            _send_missing(attributes, tree)
            if classifies and args[_LEAVES_HOLD_VOTES] and args[_TREE_WEIGHT] < 1:
                self._members[str(attributes["name"])] = round(1 / args[_TREE_WEIGHT])
                _whole_votes(attributes, tree, args[_TREE_ID], votes_before)

        return add


def _mean_of_votes(graph: "GraphProto", node: "NodeProto", members: int) -> "list[NodeProto]":
    """What follows a forest that gives the sum of its votes: the mean, and for two classes the label.

    Of two classes with a vote each, ONNX Runtime 1.32 takes the second wherever its sum is above 0.
    """
    from onnx import TensorProto, helper

    label, mean = node.output
    total, count = f"{mean}_total", f"{mean}_members"
    node.output[1] = total
    graph.initializer.append(helper.make_tensor(count, TensorProto.FLOAT, (), [float(members)]))
    added = [helper.make_node("Div", [total, count], [mean], name=f"{node.name}_mean")]
    kind, classes = next(
        (attribute.name, helper.get_attribute_value(attribute))
        for attribute in node.attribute
        if attribute.name.startswith("classlabels_") and helper.get_attribute_value(attribute)
    )
    if len(classes) != 2:
        return added
    index, names = f"{label}_index", f"{label}_classes"
    node.output[0] = f"{label}_unused"
    elem = TensorProto.STRING if kind == "classlabels_strings" else TensorProto.INT64
    graph.initializer.append(helper.make_tensor(names, elem, (len(classes),), classes))
    added.append(helper.make_node("ArgMax", [total], [index], name=f"{node.name}_first", axis=1, keepdims=0))
    added.append(helper.make_node("Gather", [names, index], [label], name=f"{node.name}_label"))
    return added


def _send_missing(attributes: Attributes, tree: Any) -> None:
    goes_left = getattr(tree, "missing_go_to_left", None)  # since scikit-learn 1.3
    if goes_left is not None:
        attributes["nodes_missing_value_tracks_true"][-tree.node_count :] = [int(left) for left in goes_left]


def _whole_votes(attributes: Attributes, tree: Any, tree_id: int, start: int) -> None:
    """Replace the votes that were added since ``start`` by undivided ones, for every class."""
    leaves = np.flatnonzero(tree.children_left < 0)
    votes = tree.value[leaves, 0, :]
    votes = votes / votes.sum(axis=1, keepdims=True)  # counts before scikit-learn 1.3, shares since
    columns = {
        "class_treeids": [tree_id] * votes.size,
        "class_nodeids": np.repeat(leaves, votes.shape[1]).tolist(),
        "class_ids": np.tile(np.arange(votes.shape[1]), len(leaves)).tolist(),
        "class_weights": votes.ravel().tolist(),
    }
    for name, values in columns.items():
        attributes[name][start:] = values


def _populating(populate: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def populate_wholly(model: Any, name: str, dtype: Any) -> dict[str, Any]:
        attributes = populate(model, name, dtype)
        attributes["nodes_values"] = floored(np.array(attributes["nodes_values"], np.float64)).tolist()
        _send_missing(attributes, model.tree_)
        return attributes

    return populate_wholly


@contextmanager
def _replaced(modules: Sequence[ModuleType], name: str, function: Callable[..., Any]) -> Iterator[None]:
    """A function of a library replaced for the length of the block, in every module that imported it."""
    before = {module: vars(module)[name] for module in modules if name in vars(module)}
    for module in before:
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, function_before in before.items():
            setattr(module, name, function_before)
