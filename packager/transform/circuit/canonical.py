"""A graph with the nodes that a circuit is made of, where another writer has spelt them out."""

import numpy as np
import onnx
from onnx import helper

from packager.transform.circuit.frontend import ancestors
from packager.transform.circuit.operators import constants_of

_Nodes = dict[str, onnx.NodeProto]


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with Relu for ``Max(x, 0)``, and Sigmoid for a logistic curve by parts, as scikit-learn has them.

    The same function of the same tensor, not to the last bit: what a circuit makes of it is judged on rows anyway.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    constants = constants_of(model.graph)
    made = {name: node for node in model.graph.node for name in node.output}
    nodes = [_relu(node, constants) or _sigmoid(node, made, constants) or node for node in model.graph.node]
    del changed.graph.node[:]
    changed.graph.node.extend(ancestors(nodes, {one.name for one in model.graph.output}))
    return changed


def with_free_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model for any number of rows, where its file fixes one: of a circuit, each row is on its own.

    A node that counts on the number still does, and stops when it is run.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value in (*changed.graph.input, *changed.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "rows"
    del changed.graph.value_info[:]
    return changed


def _relu(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> onnx.NodeProto | None:
    if node.op_type != "Max" or len(node.input) != 2:
        return None
    # A zero with axes of its own might make more of the other.
    others = [name for name in node.input if not (_is(constants, name, 0) and constants[name].shape in ((), (1,)))]
    if len(others) != 1 or others[0] in constants:
        return None
    return helper.make_node("Relu", others, list(node.output), name=node.name)


def _sigmoid(node: onnx.NodeProto, made: _Nodes, constants: dict[str, np.ndarray]) -> onnx.NodeProto | None:
    """``where(x < 0, exp(-|x|), 1) / (exp(-|x|) + 1)``, from its last node."""
    if node.op_type != "Div":
        return None
    above, below = (made.get(name, onnx.NodeProto()) for name in node.input)
    if (above.op_type, below.op_type) != ("Where", "Add"):
        return None
    told, power, one = above.input
    less, exp = made.get(told, onnx.NodeProto()), made.get(power, onnx.NodeProto())
    summed = set(below.input) - {power}
    if (less.op_type, exp.op_type) != ("Less", "Exp") or len(summed) != 1 or power not in below.input:
        return None
    inner = made.get(exp.input[0], onnx.NodeProto())
    size = made.get(inner.input[0], onnx.NodeProto()) if inner.op_type == "Neg" else onnx.NodeProto()
    known = _is(constants, one, 1) and _is(constants, summed.pop(), 1) and _is(constants, less.input[1], 0)
    if size.op_type != "Abs" or size.input[0] != less.input[0] or not known:
        return None
    return helper.make_node("Sigmoid", [size.input[0]], list(node.output), name=node.name)


def _is(constants: dict[str, np.ndarray], name: str, value: int) -> bool:
    return name in constants and constants[name].size > 0 and bool((constants[name] == value).all())
