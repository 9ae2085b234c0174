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
    # Layers whose weights may still take in a constant factor or sum: those whose result goes to one place.
    open: dict[str, int] = field(default_factory=dict)

    def layer(self, operation: Operation, sources: tuple[int, ...], name: str) -> int:
        """Number of a new layer's result."""
        self.layers.append(Layer(operation, sources, f"{name} {len(self.layers) + 1}"))
        return len(self.layers)

    def result(self, node: onnx.NodeProto, tensor: int, shape: tuple[int, ...]) -> None:
        """What the node's first output is."""
        self.tensors[node.output[0]] = tensor
        self.shapes[node.output[0]] = shape

    def constant(self, name: str) -> Floats:
        """A constant as float64."""
        return np.asarray(self.constants[name], np.float64)


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """An attribute's value, or what it is where the node does not say."""
    for one in node.attribute:
        if one.name == name:
            return onnx.helper.get_attribute_value(one)
    return default


def constant_of(node: onnx.NodeProto) -> NDArray[np.generic]:
    """The value of a Constant node."""
    value = onnx.helper.get_attribute_value(node.attribute[0])
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


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
    weight = at.constant(node.input[1]) * float(str(attribute(node, "alpha", 1.0)))
    weight = weight.T if attribute(node, "transB", 0) else weight
    bias = np.zeros(weight.shape[1])
    if len(node.input) > 2 and node.input[2]:
        bias = bias + at.constant(node.input[2]).ravel() * float(str(attribute(node, "beta", 1.0)))
    _affine(at, node, weight, bias)


def _matmul(at: Assembly, node: onnx.NodeProto) -> None:
    if node.input[1] not in at.constants or at.constants[node.input[1]].ndim != 2:
        raise refused(node, "only a constant second matrix is taken")
    weight = at.constant(node.input[1])
    _affine(at, node, weight, np.zeros(weight.shape[1]))


def _affine(at: Assembly, node: onnx.NodeProto, weight: Floats, bias: Floats) -> None:
    shape = at.shapes[node.input[0]]
    number = at.layer(Affine(weight, bias), (at.tensors[node.input[0]],), node.op_type)
    at.result(node, number, (*shape[:-1], weight.shape[1]))
    at.open[node.output[0]] = number


def _conv(at: Assembly, node: onnx.NodeProto) -> None:
    shape = at.shapes[node.input[0]]
    if len(shape) != 3 or node.input[1] not in at.constants:
        raise refused(node, "only two dimensions and constant kernels are taken")
    kernel = windows.dense_kernel(at.constant(node.input[1]), windows.integer(attribute(node, "group", 1)))
    outputs = kernel.shape[0]
    window = windows.of_node(node, shape, (kernel.shape[2], kernel.shape[3]))
    has_bias = len(node.input) > 2 and node.input[2]
    bias = at.constant(node.input[2]) if has_bias else np.zeros(outputs)
    patches = at.layer(Select(windows.patches(window)), (at.tensors[node.input[0]],), f"{node.op_type} patches")
    number = at.layer(Affine(kernel.reshape(outputs, -1).T, bias), (patches,), node.op_type)
    result = (outputs, *window.result)
    turned = np.arange(int(np.prod(result)), dtype=np.int32).reshape(-1, outputs).T.reshape(result)
    at.result(node, at.layer(Select(turned), (number,), f"{node.op_type} order"), result)
    at.open[node.output[0]] = number


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
        wanted = [int(one) for one in at.constants[node.input[1]].ravel()]
        if len(wanted) < 2 or wanted[0] not in (-1, 0, 1):
            raise refused(node, "it moves the batch")
        order = order.reshape([shape[at] if one == 0 else one for at, one in enumerate(wanted[1:])])
    at.result(node, at.layer(Select(order), (at.tensors[node.input[0]],), node.op_type), order.shape)


def _elementwise(at: Assembly, node: onnx.NodeProto) -> None:
    """A factor or a sum: of two tensors, or a constant that goes into the weights before it."""
    inner = [name for name in node.input if name in at.tensors]
    if len(inner) == 2:
        if node.op_type != "Add" or at.shapes[inner[0]] != at.shapes[inner[1]]:
            raise refused(node, "of two tensors only sums of one shape are taken")
        number = at.layer(Join(), (at.tensors[inner[0]], at.tensors[inner[1]]), node.op_type)
        at.result(node, number, at.shapes[inner[0]])
        return
    other = next((name for name in node.input if name not in at.tensors), "")
    if other not in at.constants or (node.op_type in ("Sub", "Div") and node.input[0] == other):
        raise refused(node, "only a constant second operand is taken")
    _scale(at, node, inner[0], *_as_scale(node, at.constant(other)))


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
    scale, bias, mean, variance = (at.constant(name) for name in node.input[1:5])
    factor = scale / np.sqrt(variance + float(str(attribute(node, "epsilon", 1e-5))))
    extra = (1,) * (len(at.shapes[node.input[0]]) - 1)
    _scale(at, node, node.input[0], factor.reshape(-1, *extra), (bias - mean * factor).reshape(-1, *extra))


def _scale(at: Assembly, node: onnx.NodeProto, name: str, factor: Floats, added: Floats) -> None:
    """Fold into the layer that made the tensor; else, for a flat tensor, a layer of its own."""
    shape = at.shapes[name]
    try:
        per_channel = [_per_channel(one, shape) for one in (factor, added)]
    except ValueError:
        raise refused(node, f"a constant of shape {factor.shape} does not go with channels of {shape}") from None
    if name in at.open and at.consumers[name] == 1:
        number = at.open[name]
        before = at.layers[number - 1]
        if isinstance(before.operation, Affine):
            weight, bias = before.operation.weight * per_channel[0], before.operation.bias * per_channel[0]
            at.layers[number - 1] = replace(before, operation=Affine(weight, bias + per_channel[1]))
        at.result(node, at.tensors[name], shape)
        at.open[node.output[0]] = number
        return
    if len(shape) != 1:
        raise refused(node, "it follows no layer whose weights could take it in")
    _affine(at, replace_input(node, name), np.diag(per_channel[0]), per_channel[1])


def replace_input(node: onnx.NodeProto, name: str) -> onnx.NodeProto:
    """The node with the tensor as its first input."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[0] = name
    return copy


def _per_channel(value: Floats, shape: tuple[int, ...]) -> Floats:
    """A constant as one number a channel: an element of a flat tensor, a place on the first axis of others."""
    if len(shape) == 1:
        return np.array(np.broadcast_to(value.ravel(), shape))
    aligned = value.reshape(value.shape[-3:]) if value.ndim > 3 else value
    whole = np.broadcast_to(aligned, (shape[0], *(1,) * (len(shape) - 1)))
    return np.array(whole.reshape(-1))


def _relu(at: Assembly, node: onnx.NodeProto) -> None:
    at.result(node, at.layer(Relu(), (at.tensors[node.input[0]],), node.op_type), at.shapes[node.input[0]])


def _curve(at: Assembly, node: onnx.NodeProto) -> None:
    operation = Curve("tanh" if node.op_type == "Tanh" else "sigmoid")
    at.result(node, at.layer(operation, (at.tensors[node.input[0]],), node.op_type), at.shapes[node.input[0]])


def _same(at: Assembly, node: onnx.NodeProto) -> None:
    name = node.input[0]
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
