"""Products of matrices."""

import numpy as np

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import product, size
from packager.converters.mxnet.values import Value


@operator("FullyConnected", least=2, most=3, steps=True)
def fully_connected(call: Call) -> Values:
    """A dense layer, over all of a row or over the last axis."""
    call.floats()
    x, weight, *bias = call.inputs
    if len(bias) != 1 - call.flag("no_bias") or weight.rank != 2:
        call.refuse(f"has {len(call.inputs)} inputs and a weight of {weight.rank} axes")
    hidden = size(call.integer("num_hidden"))
    call.same(weight.dims[0], hidden, "a weight of")
    if call.flag("flatten"):
        call.same(product(x.dims[1:]), weight.dims[1], "a row of")
        rows = x.name if x.rank == 2 else call.emit("Flatten", x.name, axis=1)
        result = call.emit("Gemm", rows, weight.name, *(item.name for item in bias), transB=1)
        return (call.result(result, [x.dims[0], hidden]),)
    call.same(x.dims[-1], weight.dims[1], "a last axis of")
    result = call.emit("MatMul", x.name, call.emit("Transpose", weight.name, perm=[1, 0]))
    if bias:
        result = call.emit("Add", result, bias[0].name)
    return (call.result(result, [*x.dims[:-1], hidden]),)


@operator("dot")
def dot(call: Call) -> Values:
    """The last axis of the first with the first axis of the second."""
    call.floats()
    left, right = call.inputs
    if right.rank != 2 or left.rank < 2 or (call.flag("transpose_a") and left.rank != 2):
        call.refuse(f"multiplies tensors of {left.rank} and {right.rank} axes, which was not verified against MXNet")
    return _product(call, left, right, call.flag("transpose_a"), call.flag("transpose_b"))


@operator("batch_dot")
def batch_dot(call: Call) -> Values:
    """A product of matrices for every row."""
    call.floats()
    left, right = call.inputs
    if (left.rank, right.rank) != (3, 3):
        call.refuse(f"multiplies tensors of {left.rank} and {right.rank} axes, it takes 3")
    call.same(left.dims[0], right.dims[0], "as many matrices as")
    return _product(call, left, right, call.flag("transpose_a"), call.flag("transpose_b"))


@operator("_linalg_gemm2", "_linalg_gemm", least=2, most=3)
def gemm(call: Call) -> Values:
    """A product times a number, with a third matrix times a number added."""
    call.floats()
    left, right, *added = call.inputs
    if call.integer("axis") != -2 or left.rank != right.rank or left.rank < 2 or len(added) != (call.op[-1] != "2"):
        call.refuse("multiplies along other axes than the last two")
    for one, other in zip(left.dims[:-2], right.dims[:-2], strict=True):
        call.same(one, other, "as many matrices as")
    (result,) = _product(call, left, right, call.flag("transpose_a"), call.flag("transpose_b"))
    name = call.emit("Mul", result.name, call.constant(call.number("alpha")))
    if added:
        name = call.emit("Add", name, call.emit("Mul", added[0].name, call.constant(call.number("beta"))))
    return (call.result(name, result.dims),)


@operator("_linalg_syrk")
def syrk(call: Call) -> Values:
    """A matrix times its transpose, times a number."""
    call.floats()
    (x,) = call.inputs
    (result,) = _product(call, x, x, call.flag("transpose"), not call.flag("transpose"))
    return call.computed("Mul", result.name, call.constant(call.number("alpha")), like=result)


def _product(call: Call, left: Value, right: Value, turn_left: bool, turn_right: bool) -> Values:
    first, second = _turned(call, left, turn_left), _turned(call, right, turn_right)
    call.same(first.dims[-1], second.dims[-2], "a last axis of")
    return (call.result(call.emit("MatMul", first.name, second.name), [*first.dims[:-1], second.dims[-1]]),)


def _turned(call: Call, value: Value, turn: bool) -> Value:
    if not turn:
        return value
    order = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
    return call.result(call.emit("Transpose", value.name, perm=order), [value.dims[axis] for axis in order])


@operator("_contrib_div_sqrt_dim", steps=True)
def div_sqrt_dim(call: Call) -> Values:
    """Divided by the root of the last axis' size."""
    call.floats()
    (x,) = call.inputs
    width = call.fixed(x.dims[-1], "the root of its last axis' size is needed")
    return call.computed("Div", x.name, call.constant(np.sqrt(np.float32(width))), like=x)
