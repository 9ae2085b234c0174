"""MXNet's numpy interface (``mx.np``, ``mx.npx``), where its operators differ from the older ones."""

import numpy as np

from packager.converters.mxnet.operators.activations import apart
from packager.converters.mxnet.operators.layout import concat, reshaped, squeeze, stack, transpose
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import product, size

_UNARY = {
    "_npi_absolute": "Abs", "_npi_cos": "Cos", "_npi_exp": "Exp", "_npi_log": "Log", "_npi_negative": "Neg",
    "_npi_reciprocal": "Reciprocal", "_npi_sin": "Sin", "_npi_sqrt": "Sqrt", "_npi_tanh": "Tanh", "_npx_relu": "Relu",
    "_npx_sigmoid": "Sigmoid",
}  # fmt: skip
_BINARY = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "true_divide": "Div", "power": "Pow"}
_REDUCTIONS = {"_npi_mean": "ReduceMean", "_np_sum": "ReduceSum", "_np_max": "ReduceMax", "_np_min": "ReduceMin"}


@operator(*_UNARY, steps=True)
def unary(call: Call) -> Values:
    """One ONNX operator of the same meaning."""
    call.floats()
    return call.computed(_UNARY[call.op], call.inputs[0].name, like=call.inputs[0])


@operator("_npi_square", steps=True)
def square(call: Call) -> Values:
    """A number times itself."""
    call.floats()
    return call.computed("Mul", call.inputs[0].name, call.inputs[0].name, like=call.inputs[0])


@operator("_np_copy", steps=True)
def copy(call: Call) -> Values:
    """The same."""
    return (call.inputs[0],)


@operator(*(f"_npi_{name}" for name in _BINARY), steps=True)
def binary(call: Call) -> Values:
    """Two tensors, the shorter shape filled up with ones from the left."""
    call.floats()
    left, right = call.inputs
    rank = max(left.rank, right.rank)
    sides = [[size(1)] * (rank - item.rank) + list(item.dims) for item in (left, right)]
    dims = [call.meet(one, other) for one, other in zip(*sides, strict=True)]
    return (call.result(call.emit(_BINARY[call.op.removeprefix("_npi_")], left.name, right.name), dims),)


@operator(*(f"_npi_{name}_scalar" for name in (*_BINARY, "rsubtract", "rtrue_divide")), steps=True)
def scalar(call: Call) -> Values:
    """A tensor and a number; names with ``r`` have the number first."""
    call.floats()
    name = call.op.removeprefix("_npi_").removesuffix("_scalar")
    pair = [call.inputs[0].name, call.constant(call.number("scalar"))]
    reverse = name not in _BINARY
    return call.computed(_BINARY[name[reverse:]], *(pair[::-1] if reverse else pair), like=call.inputs[0])


@operator(*_REDUCTIONS, steps=True)
def reduce(call: Call) -> Values:
    """Over the axes named."""
    call.floats()
    (x,) = call.inputs
    axes = sorted({call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axis")})
    if not axes or call.attributes["initial"] is not None or call.attributes.get("dtype") not in (None, "float32"):
        call.refuse("reduces all axes, from a first value or in another type, which was not verified against MXNet")
    for axis in axes:
        apart(call, axis)
    keep = call.flag("keepdims")
    kept = [size(1) if axis in axes else dim for axis, dim in enumerate(x.dims)]
    dims = kept if keep else [dim for axis, dim in enumerate(x.dims) if axis not in axes]
    if not dims:
        call.refuse("reduces all axes, which was not verified against MXNet")
    given = call.constant(axes, np.int64)
    return (call.result(call.emit(_REDUCTIONS[call.op], x.name, given, keepdims=int(keep)), dims),)


@operator("_np_reshape", steps=True)
def reshape(call: Call) -> Values:
    """Another shape, with one size that follows from the others."""
    (x,) = call.inputs
    wanted = call.numbers("newshape")
    if call.text("order") != "C" or wanted.count(-1) > 1 or any(number < 1 and number != -1 for number in wanted):
        call.refuse(f"has newshape={list(wanted)} and order={call.text('order')!r}")
    known = product(size(number) for number in wanted if number != -1)
    if -1 not in wanted:
        call.same(product(x.dims), known, "numbers of")
        return reshaped(call, [size(number) for number in wanted])
    rest = product(x.dims).over(known)
    if rest is None:
        call.fixed(product(x.dims), "its numbers are cut into rows")
        call.refuse(f"cannot cut {product(x.dims)} numbers into rows of {known}")
    return reshaped(call, [rest if number == -1 else size(number) for number in wanted])


@operator("_npi_matmul")
def matmul(call: Call) -> Values:
    """Products of matrices, of as many axes on both sides."""
    call.floats()
    left, right = call.inputs
    if left.rank != right.rank or left.rank < 2:
        call.refuse(f"multiplies tensors of {left.rank} and {right.rank} axes, which was not verified against MXNet")
    call.same(left.dims[-1], right.dims[-2], "a last axis of")
    dims = [call.meet(one, other) for one, other in zip(left.dims[:-2], right.dims[:-2], strict=True)]
    return (call.result(call.emit("MatMul", left.name, right.name), [*dims, left.dims[-2], right.dims[-1]]),)


operator("_npi_concatenate", steps=True)(concat)
operator("_npi_stack", steps=True)(stack)
operator("_np_transpose", steps=True)(transpose)
operator("_np_squeeze", steps=True)(squeeze)
