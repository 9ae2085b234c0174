"""What each ONNX operator is in the operations of a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from packager.core.errors import CircuitRefused
from packager.transform.circuit import windows
from packager.transform.circuit.network import (
    Affine,
    Curve,
    Floats,
    Join,
    Layer,
    Maximum,
    Operation,
    Relu,
    Select,
    Trees,
)


@dataclass(slots=True)
class Assembly:
    """A network in the making: its layers, the tensors they hold, and the shapes of those."""

    constants: dict[str, NDArray[np.generic]]
    consumers: dict[str, int]
    # By the name of what they answer.
    forests: Mapping[str, Trees] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    # Layers whose weights may still take in a constant factor or sum, and which axis of the tensor their outputs are.
    open: dict[str, tuple[int, int]] = field(default_factory=dict)

    def layer(self, operation: Operation, sources: tuple[int, ...], name: str) -> int:
        """Number of a new layer's result."""
        self.layers.append(Layer(operation, sources, f"{name} {len(self.layers) + 1}"))
        return len(self.layers)

    def result(self, node: onnx.NodeProto, tensor: int, shape: tuple[int, ...]) -> None:
        """What the node's first output is."""
        self.tensors[node.output[0]] = tensor
        self.shapes[node.output[0]] = shape

    def constant(self, node: onnx.NodeProto, place: int) -> Floats:
        """A constant operand as float64.

        Raises:
            CircuitRefused: It is computed, or no number at all places.
        """
        name = node.input[place] if place < len(node.input) else ""
        if name not in self.constants:
            raise refused(node, f"its operand {name!r} is no constant")
        value = np.asarray(self.constants[name], np.float64)
        if not np.isfinite(value).all():
            raise refused(node, f"its constant {name!r} holds {value[~np.isfinite(value)].flat[0]}")
        return value


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """An attribute's value, or what it is where the node does not say."""
    for one in node.attribute:
        if one.name == name:
            return onnx.helper.get_attribute_value(one)
    return default


def _value(node: onnx.NodeProto) -> NDArray[np.generic]:
    value = onnx.helper.get_attribute_value(node.attribute[0])
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def constants_of(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Initializers and what Constant nodes give, by name."""
    found = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    return found | {node.output[0]: _value(node) for node in graph.node if node.op_type == "Constant"}


def refused(node: onnx.NodeProto, why: str) -> CircuitRefused:
    """The refusal of a node by its operator and name."""
    return CircuitRefused(
        f"{node.op_type} ({node.name or node.output[0]!r}) has no circuit: {why}",
        hint="docs/circuits.md lists what becomes a circuit; deploy the model with another target, or with mode=ep",
        detail={"operator": node.op_type},
    )


def _gemm(at: Assembly, node: onnx.NodeProto) -> None:
    if attribute(node, "transA", 0) or node.input[1] not in at.constants:
        raise refused(node, "only a constant second matrix is taken")
    weight = at.constant(node, 1) * float(str(attribute(node, "alpha", 1.0)))
    weight = weight.T if attribute(node, "transB", 0) else weight
    bias = np.zeros(weight.shape[1])
    if len(node.input) > 2 and node.input[2]:
        added = at.constant(node, 2)
        if added.ndim > 1 and added.shape[0] != 1:
            raise refused(node, f"its C, of shape {added.shape}, differs from row to row")
        bias = bias + added.ravel() * float(str(attribute(node, "beta", 1.0)))
    _affine(at, node, weight, bias)


def _matmul(at: Assembly, node: onnx.NodeProto) -> None:
    if node.input[1] not in at.constants or at.constants[node.input[1]].ndim != 2:
        raise refused(node, "only a constant second matrix is taken")
    weight = at.constant(node, 1)
    _affine(at, node, weight, np.zeros(weight.shape[1]))


def _affine(at: Assembly, node: onnx.NodeProto, weight: Floats, bias: Floats) -> None:
    shape = at.shapes[node.input[0]]
    number = at.layer(Affine(weight, bias), (at.tensors[node.input[0]],), node.op_type)
    at.result(node, number, (*shape[:-1], weight.shape[1]))
    at.open[node.output[0]] = number, -1


def _conv(at: Assembly, node: onnx.NodeProto) -> None:
    shape = at.shapes[node.input[0]]
    if len(shape) != 3 or node.input[1] not in at.constants:
        raise refused(node, "only two dimensions and constant kernels are taken")
    kernel = windows.dense_kernel(at.constant(node, 1), windows.integer(attribute(node, "group", 1)))
    outputs = kernel.shape[0]
    window = windows.of_node(node, shape, (kernel.shape[2], kernel.shape[3]))
    has_bias = len(node.input) > 2 and node.input[2]
    bias = at.constant(node, 2) if has_bias else np.zeros(outputs)
    patches = at.layer(Select(windows.patches(window)), (at.tensors[node.input[0]],), f"{node.op_type} patches")
    number = at.layer(Affine(kernel.reshape(outputs, -1).T, bias), (patches,), node.op_type)
    result = (outputs, *window.result)
    turned = np.arange(int(np.prod(result)), dtype=np.int32).reshape(-1, outputs).T.reshape(result)
    at.result(node, at.layer(Select(turned), (number,), f"{node.op_type} order"), result)
    at.open[node.output[0]] = number, 0


def _pool(at: Assembly, node: onnx.NodeProto) -> None:
    shape = at.shapes[node.input[0]]
    if len(shape) != 3 or len(node.output) > 1 or attribute(node, "ceil_mode", 0):
        raise refused(node, "only two dimensions, one output and no ceil_mode are taken")
    kernel = tuple(windows.integers(attribute(node, "kernel_shape", ())))
    if node.op_type == "GlobalAveragePool":
        window = windows.Window(shape, (shape[1], shape[2]), (1, 1), (0, 0, 0, 0), (1, 1))
    else:
        window = windows.of_node(node, shape, (kernel[0], kernel[1]))
    average = node.op_type != "MaxPool"
    if average and any(window.pads):
        raise refused(node, "padded averages are not taken")
    index = windows.by_channel(window)
    if (index < 0).any():
        raise refused(node, "one of its windows lies in the padding alone")
    source = at.layer(Select(index), (at.tensors[node.input[0]],), f"{node.op_type} windows")
    operation: Operation = Maximum()
    if average:
        operation = Affine(np.full((index.shape[-1], 1), 1.0 / index.shape[-1]), np.zeros(1))
    number = at.layer(operation, (source,), node.op_type)
    result = (shape[0], *window.result)
    if average:
        order = np.arange(int(np.prod(result)), dtype=np.int32).reshape(result)
        number = at.layer(Select(order), (number,), f"{node.op_type} order")
    at.result(node, number, result)


def _reshape(at: Assembly, node: onnx.NodeProto) -> None:
    shape = at.shapes[node.input[0]]
    order = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    if node.op_type == "Transpose":
        axes = list(windows.integers(attribute(node, "perm", ())))
        if not axes or axes[0] != 0:
            raise refused(node, "it moves the batch")
        order = order.transpose([axis - 1 for axis in axes[1:]])
    elif node.op_type == "Flatten":
        if attribute(node, "axis", 1) != 1:
            raise refused(node, "it moves the batch")
        order = order.reshape(-1)
    else:
        order = order.reshape(_wanted(at, node, shape))
    at.result(node, at.layer(Select(order), (at.tensors[node.input[0]],), node.op_type), order.shape)


def _wanted(at: Assembly, node: onnx.NodeProto, shape: tuple[int, ...]) -> list[int]:
    """What a Reshape makes of a row's shape."""
    first, *others = (int(one) for one in at.constant(node, 1).ravel())
    zeros = [place for place, one in enumerate(others) if one == 0]
    if zeros and (attribute(node, "allowzero", 0) or zeros[-1] >= len(shape)):
        raise refused(node, f"its shape {[first, *others]} is not one of {shape}")
    whole = [shape[place] if one == 0 else one for place, one in enumerate(others)]
    known = int(np.prod([one for one in whole if one > 0]))
    fits = int(np.prod(shape)) % known == 0 if -1 in whole else known == int(np.prod(shape))
    if not others or first not in (-1, 0, 1) or not fits:
        raise refused(node, "it moves the batch")
    return whole


def _elementwise(at: Assembly, node: onnx.NodeProto) -> None:
    """A factor or a sum: of two tensors, or a constant that goes into the weights before it."""
    inner = [name for name in node.input if name in at.tensors]
    if len(inner) == 2:
        if node.op_type != "Add" or at.shapes[inner[0]] != at.shapes[inner[1]]:
            raise refused(node, "of two tensors only sums of one shape are taken")
        number = at.layer(Join(), (at.tensors[inner[0]], at.tensors[inner[1]]), node.op_type)
        at.result(node, number, at.shapes[inner[0]])
        return
    place = next(place for place, name in enumerate(node.input) if name not in at.tensors)
    if node.input[place] not in at.constants or (node.op_type in ("Sub", "Div") and place == 0):
        raise refused(node, "only a constant second operand is taken")
    _scale(at, node, inner[0], *_as_scale(node, at.constant(node, place)))


def _as_scale(node: onnx.NodeProto, value: Floats) -> tuple[Floats, Floats]:
    """What a constant second operand multiplies by, and what it adds."""
    one, zero = np.ones_like(value), np.zeros_like(value)
    match node.op_type:
        case "Add":
            return one, value
        case "Sub":
            return one, -value
        case "Mul":
            return value, zero
    if not value.all():
        raise refused(node, "it divides by zero")
    return 1.0 / value, zero


def _normalise(at: Assembly, node: onnx.NodeProto) -> None:
    if attribute(node, "training_mode", 0):
        raise refused(node, "it is in training mode, and normalises by the rows of a call")
    scale, bias, mean, variance = (at.constant(node, place) for place in range(1, 5))
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + float(str(attribute(node, "epsilon", 1e-5))))
    extra = (1,) * (len(at.shapes[node.input[0]]) - 1)
    _scale(at, node, node.input[0], factor.reshape(-1, *extra), (bias - mean * factor).reshape(-1, *extra))


def _scale(at: Assembly, node: onnx.NodeProto, name: str, factor: Floats, added: Floats) -> None:
    """Fold into the layer that made the tensor; else, for a flat tensor, a layer of its own."""
    if not (np.isfinite(factor).all() and np.isfinite(added).all()):
        raise refused(node, "its constants make a factor that is no number")
    shape = at.shapes[name]
    number, axis = at.open.get(name, (0, -1))
    if at.consumers[name] != 1:
        number = 0
    if not number and len(shape) != 1:
        raise refused(node, "it follows no layer whose weights could take it in")
    factors, sums = (_by_output(node, one, shape, axis) for one in (factor, added))
    if not number:
        _affine(at, replace_input(node, name), np.diag(factors), sums)
        return
    before = at.layers[number - 1]
    if isinstance(before.operation, Affine):
        weight, bias = before.operation.weight * factors, before.operation.bias * factors + sums
        at.layers[number - 1] = replace(before, operation=Affine(weight, bias))
    at.result(node, at.tensors[name], shape)
    at.open[node.output[0]] = number, axis


def replace_input(node: onnx.NodeProto, name: str) -> onnx.NodeProto:
    """The node with the tensor as its first input."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[0] = name
    return copy


def _by_output(node: onnx.NodeProto, value: Floats, shape: tuple[int, ...], axis: int) -> Floats:
    """A constant as one number for each place on this axis of a row."""
    try:
        whole = np.broadcast_to(value, (1, *shape))[0]
    except ValueError:
        raise refused(node, f"a constant of shape {value.shape} does not go with rows of {shape}") from None
    rows = np.moveaxis(whole, axis, -1).reshape(-1, shape[axis])
    if (rows != rows[0]).any():
        raise refused(node, f"a constant of shape {value.shape} differs among places of one channel of {shape}")
    return np.array(rows[0])


def _relu(at: Assembly, node: onnx.NodeProto) -> None:
    at.result(node, at.layer(Relu(), (at.tensors[node.input[0]],), node.op_type), at.shapes[node.input[0]])


def _curve(at: Assembly, node: onnx.NodeProto) -> None:
    operation = Curve("tanh" if node.op_type == "Tanh" else "sigmoid")
    at.result(node, at.layer(operation, (at.tensors[node.input[0]],), node.op_type), at.shapes[node.input[0]])


def _same(at: Assembly, node: onnx.NodeProto) -> None:
    name = node.input[0]
    if len(node.input) > 2 and node.input[2] and at.constant(node, 2).any():
        raise refused(node, "it is in training mode, and leaves numbers out at random")
    at.result(node, at.tensors[name], at.shapes[name])


def _trees(at: Assembly, node: onnx.NodeProto) -> None:
    if node.output[0] not in at.forests:
        raise refused(node, "only ensembles of trees that were read are taken")
    forest = at.forests[node.output[0]]
    at.result(node, at.layer(forest, (at.tensors[node.input[0]],), node.op_type), forest.base.shape)


# What a circuit is for: a graph without any of these stays where it is.
COMPUTING = frozenset({"Gemm", "MatMul", "Conv", "TreeEnsembleRegressor"})

CONVERT: dict[str, Callable[[Assembly, onnx.NodeProto], None]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv, "MaxPool": _pool, "AveragePool": _pool,
    "GlobalAveragePool": _pool, "Flatten": _reshape, "Reshape": _reshape, "Transpose": _reshape, "Relu": _relu,
    "Sigmoid": _curve, "Tanh": _curve, "Add": _elementwise, "Sub": _elementwise, "Mul": _elementwise,
    "Div": _elementwise, "BatchNormalization": _normalise, "Identity": _same, "Dropout": _same,
    "TreeEnsembleRegressor": _trees,
}  # fmt: skip
