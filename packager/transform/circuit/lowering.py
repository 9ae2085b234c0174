"""Ensembles of trees in a graph: each becomes a node of raw sums, and after it what the host makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from packager.transform.circuit.ensembles import ENSEMBLES, attributes_of, trees_of
from packager.transform.circuit.leaf_numbers import looked_up
from packager.transform.circuit.network import Trees
from packager.transform.circuit.operators import constants_of, refused

_ML = "ai.onnx.ml"
_OPSET = 18
Nodes = list[onnx.NodeProto]


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Trees, and whether the graph goes on in FP64 after them."""

    trees: Trees
    double: bool


@dataclass(slots=True)
class _Tail:
    """Nodes of the host's, after an ensemble."""

    prefix: str
    nodes: Nodes

    def add(self, op_type: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        name = output or f"{self.prefix}/{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        return self.add("Constant", [], value=numpy_helper.from_array(value))


def lowered(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Mapping[str, Ensemble]]:
    """The model with raw sums in place of its ensembles, and these by the name of what they answer.

    Raises:
        CircuitRefused: An ensemble decides, or answers, in a way that has no circuit; names it.
    """
    nodes = list(model.graph.node)
    if not any(node.op_type in ENSEMBLES for node in nodes):
        return model, {}
    constants = constants_of(model.graph)
    found: dict[str, Ensemble] = {}
    for node in [each for each in nodes if each.op_type in ENSEMBLES]:
        place = nodes.index(node)
        gone, made, ensemble = _replaced(model.graph, node, nodes, constants)
        found[made[0].output[0]] = ensemble
        rest = [each for each in nodes if not any(each is one for one in gone)]
        nodes = [*rest[:place], *made, *rest[place:]]
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    if not any(one.domain == "" for one in changed.opset_import):
        changed.opset_import.append(helper.make_opsetid("", _OPSET))
    return changed, found


def _replaced(
    graph: onnx.GraphProto, node: onnx.NodeProto, nodes: Nodes, constants: Mapping[str, NDArray[Any]]
) -> tuple[Nodes, Nodes, Ensemble]:
    """The nodes that go, those that come (the raw sums first), and the trees."""
    attributes = attributes_of(node)
    trees = trees_of(node, attributes, double=kind_of(graph, node.input[0]) == TensorProto.DOUBLE)
    tail = _Tail(node.output[0], [])
    if node.op_type == "TreeEnsembleClassifier":
        raw = f"{node.output[0]}/sums"
        _classified(tail, node, attributes, trees, raw)
        return [node], [_sums(node, raw), *tail.nodes], Ensemble(trees, double=False)
    transform = _transform(node, attributes)
    if transform != "NONE":
        raw = f"{node.output[0]}/sums"
        _transformed(tail, transform, raw, node.output[0])
        return [node], [_sums(node, raw), *tail.nodes], Ensemble(trees, double=False)
    if (known := looked_up(trees, node, nodes, constants)) is not None:
        summed, last, gone = known
        return gone, [_sums(node, last.output[0])], Ensemble(summed, double=True)
    return [node], [_sums(node, node.output[0])], Ensemble(trees, double=False)


def _sums(node: onnx.NodeProto, output: str) -> onnx.NodeProto:
    return helper.make_node("TreeEnsembleRegressor", [node.input[0]], [output], name=node.name, domain=_ML)


def kind_of(graph: onnx.GraphProto, name: str) -> int:
    """ONNX's type of a tensor, FP32 where the graph does not say."""
    known = {one.name: one.type.tensor_type.elem_type for one in [*graph.input, *graph.value_info]}
    return known.get(name, 0) or TensorProto.FLOAT


def _transform(node: onnx.NodeProto, attributes: Mapping[str, Any]) -> str:
    name: str = attributes.get("post_transform", b"NONE").decode()
    if name not in ("NONE", "LOGISTIC", "SOFTMAX"):
        raise refused(node, f"its post_transform is {name}")
    return name


def _transformed(tail: _Tail, transform: str, raw: str, output: str) -> None:
    match transform:
        case "LOGISTIC":
            tail.add("Sigmoid", [raw], output)
        case "SOFTMAX":
            tail.add("Softmax", [raw], output, axis=1)
        case _:
            tail.add("Identity", [raw], output)


def _classified(tail: _Tail, node: onnx.NodeProto, attributes: Mapping[str, Any], trees: Trees, raw: str) -> None:
    """The label and the scores of a TreeEnsembleClassifier, as ONNX Runtime makes them of its sums."""
    transform = _transform(node, attributes)
    whole = attributes.get("classlabels_int64s")
    names = (
        np.array(whole, np.int64) if whole else np.array([one.decode() for one in attributes["classlabels_strings"]])
    )
    labels = tail.constant(names if whole else names.astype(object))
    label = node.output[0]
    scores = node.output[1] if len(node.output) > 1 and node.output[1] else f"{raw}/scores"
    if len(trees.base) > 1:
        tail.add("Gather", [labels, tail.add("ArgMax", [raw], axis=1, keepdims=0)], label)
        _transformed(tail, transform, raw, scores)
        return
    # One sum for two classes: weights without a sign are shares of the second class, others are its margin.
    shares = all(weight >= 0 for weight in attributes["class_weights"])
    if transform == "SOFTMAX":
        _transform(node, {"post_transform": b"SOFTMAX of one sum"})
    flat = tail.add("Reshape", [raw, tail.constant(np.array([-1], np.int64))])
    above = tail.add("Greater", [flat, tail.constant(np.array(0.5 if shares else 0.0, np.float32))])
    tail.add("Gather", [labels, tail.add("Cast", [above], to=TensorProto.INT64)], label)
    if shares and transform == "NONE":
        other = tail.add("Sub", [tail.constant(np.array(1.0, np.float32)), raw])
        tail.add("Concat", [other, raw], scores, axis=1)
        return
    both = tail.add("Concat", [tail.add("Neg", [raw]), raw], axis=1)
    _transformed(tail, transform, both, scores)
