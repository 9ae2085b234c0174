"""Sums, means, extremes and norms over axes."""

import numpy as np

from packager.converters.mxnet.operators.activations import apart
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size

_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}


@operator(*_REDUCTIONS, steps=True)
def reduce(call: Call) -> Values:
    """Over the axes named, over all others (``exclude``), or over all."""
    call.floats()
    return _reduced(call, _REDUCTIONS[call.op], exclude=call.flag("exclude"))


@operator("norm", steps=True)
def norm(call: Call) -> Values:
    """The sum of sizes, or the root of the sum of squares."""
    call.floats()
    order = call.integer("ord")
    if order not in (1, 2) or call.attributes["out_dtype"] not in (None, "None", "float32"):
        call.refuse(f"has ord={order} and out_dtype={call.attributes['out_dtype']!r}")
    return _reduced(call, f"ReduceL{order}", exclude=False)


def _reduced(call: Call, op: str, *, exclude: bool) -> Values:
    (x,) = call.inputs
    named = {call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axis")}
    axes = sorted(set(range(x.rank)) - named) if exclude and named else sorted(named) or list(range(x.rank))
    for axis in axes:
        apart(call, axis)
    keep = call.flag("keepdims")
    kept = [size(1) if axis in axes else dim for axis, dim in enumerate(x.dims)]
    if not axes:
        return (x.computed(),)
    dims: list[Size] = kept if keep else [dim for axis, dim in enumerate(x.dims) if axis not in axes]
    result = call.emit(op, x.name, call.constant(axes, np.int64), keepdims=int(keep))
    if not dims:
        result, dims = call.emit("Reshape", result, call.constant([1], np.int64)), [size(1)]
    return (call.result(result, dims),)


@operator("_np_cumsum")
def cumsum(call: Call) -> Values:
    """Running sums along an axis."""
    call.floats()
    (x,) = call.inputs
    if call.attributes["axis"] is None or call.attributes["dtype"] not in (None, "None", "float32"):
        call.refuse("sums along no axis, or in another type")
    return call.computed("CumSum", x.name, call.constant(call.axis(), np.int64), like=x)
