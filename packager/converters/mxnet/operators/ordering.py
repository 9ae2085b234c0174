"""Largest, smallest, and in order. Of equal numbers, the first comes first, as in MXNet."""

import numpy as np

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, product, size
from packager.converters.mxnet.values import Value

_TYPES = {"float32": 1, "int32": 6, "int64": 7}


@operator("argmax", "argmin")
def argmax(call: Call) -> Values:
    """The place of the largest or smallest number, as float32."""
    call.floats()
    x, axis, dims = _along(call)
    place = call.emit("ArgMax" if call.op == "argmax" else "ArgMin", x, axis=axis, keepdims=1)
    result = call.emit("Cast", place, to=1)
    if call.attributes["axis"] is None:
        result = call.emit("Reshape", result, call.constant([1], np.int64))
        dims = [size(1)] * (len(call.inputs[0].dims) if call.flag("keepdims") else 1)
        return (call.result(call.emit("Reshape", result, call.constant([1] * len(dims), np.int64)), dims),)
    kept = [size(1) if index == axis else dim for index, dim in enumerate(dims)]
    if call.flag("keepdims"):
        return (call.result(result, kept),)
    left = [dim for index, dim in enumerate(dims) if index != axis] or [size(1)]
    if len(dims) > 1:
        result = call.emit("Squeeze", result, call.constant([axis], np.int64))
    return (call.result(result, left),)


@operator("argmax_channel")
def argmax_channel(call: Call) -> Values:
    """The place of the largest number along axis 1."""
    call.floats()
    (x,) = call.inputs
    if x.rank < 2:
        call.refuse(f"gets a tensor of {x.rank} axes")
    place = call.emit("Cast", call.emit("ArgMax", x.name, axis=1, keepdims=0), to=1)
    return (call.result(place, [x.dims[0], *x.dims[2:]]),)


def _along(call: Call) -> tuple[str, int, list[Size]]:
    """The tensor, the axis, and the sizes; flat where the axis is None."""
    x = call.inputs[0]
    if call.attributes["axis"] is None:
        return call.emit("Reshape", x.name, call.constant([-1], np.int64)), 0, [product(x.dims)]
    return x.name, call.axis(), list(x.dims)


@operator("topk")
def topk(call: Call) -> Values:
    """The k largest or smallest along an axis: values, places, both, or a mask."""
    call.floats()
    kind = call.text("ret_typ")
    x, axis, dims = _along(call)
    count = call.integer("k")
    if kind == "mask" and call.attributes["axis"] is None:
        call.refuse("masks a flat tensor, which was not verified against MXNet")
    width = size(count) if count > 0 else dims[axis]
    if dims[axis].fixed is not None and count > (dims[axis].fixed or 0):
        call.refuse(f"takes {count} of {dims[axis]}")
    values, places = _top(call, x, axis, width, ascending=call.flag("is_ascend"))
    dims = [width if index == axis else dim for index, dim in enumerate(dims)]
    if kind == "mask":
        source = call.inputs[0]
        shape = call.graph.shape(source.dims, scope=call.name)
        nothing = call.emit("Expand", call.constant(0.0), shape)
        ones = call.emit("Expand", call.constant(1.0), call.emit("Shape", places))
        return call.computed("ScatterElements", nothing, places, ones, axis=axis, like=source)
    numbered = _numbered(call, places, dims)
    if kind == "both":
        return call.result(values, dims), numbered
    return (call.result(values, dims) if kind == "value" else numbered,)


@operator("argsort", "sort")
def sort(call: Call) -> Values:
    """All numbers along an axis in order, or their places."""
    call.floats()
    x, axis, dims = _along(call)
    values, places = _top(call, x, axis, dims[axis], ascending=call.flag("is_ascend"))
    return (call.result(values, dims) if call.op == "sort" else _numbered(call, places, dims),)


def _top(call: Call, x: str, axis: int, width: Size, *, ascending: bool) -> list[str]:
    count = call.graph.size(width, scope=call.name)
    return call.graph.emit("TopK", [x, count], scope=call.name, outputs=2, axis=axis, largest=int(not ascending))


def _numbered(call: Call, places: str, dims: list[Size]) -> Value:
    kind = call.text("dtype")
    if kind not in _TYPES:
        call.refuse(f"numbers places in {kind}, which was not verified against MXNet")
    return call.result(call.emit("Cast", places, to=_TYPES[kind]), dims, np.dtype(kind))
