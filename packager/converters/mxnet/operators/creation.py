"""Tensors out of nothing, and of the shape of others."""

import numpy as np

from packager.converters.mxnet.operators.broadcasting import same_dims
from packager.converters.mxnet.operators.layout import reshaped
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, named, product, size
from packager.converters.mxnet.values import FLOAT, Value

_MOST = 1 << 26
UNKNOWN = "unknown"


def _numpy_type(call: Call) -> "np.dtype[np.generic]":
    kind = call.text("dtype")
    if kind not in ("float32", "int32", "int64"):
        call.refuse(f"makes {kind}, which was not verified against MXNet")
    return np.dtype(kind)


@operator("_zeros", "_ones", "_full", steps=True)
def filled(call: Call) -> Values:
    """One number everywhere; a size of 0 is whatever the graph makes of it."""
    dtype = _numpy_type(call)
    number = {"_zeros": 0.0, "_ones": 1.0}.get(call.op)
    number = call.number("value") if number is None else number
    dims = []
    for axis, given in enumerate(call.numbers("shape")):
        if given < 0:
            call.refuse(f"has the shape {list(call.numbers('shape'))}")
        symbol = f"{UNKNOWN} {call.name} {axis}"
        dims.append(size(given) if given else call.graph.bound.get(symbol, named(symbol)))
    result = _expanded(call, np.asarray(number, dtype), dims)
    return (Value(result.name, result.dims, result.dtype, zeros=number == 0),)


def _expanded(call: Call, number: "np.ndarray", dims: list[Size]) -> Value:
    _bounded(call, product(dims))
    if any(symbol.startswith(UNKNOWN) for dim in dims for symbol in dim.symbols):
        # Whatever uses it says what it must be; the graph is then translated again.
        return Value(call.graph.unique(call.name), tuple(dims), number.dtype)
    name = call.emit("Expand", call.graph.constant(number), call.graph.shape(dims, scope=call.name))
    return call.result(name, dims, number.dtype)


def _bounded(call: Call, count: Size) -> None:
    if count.fixed is not None and count.fixed > _MOST:
        call.refuse(f"makes {count} numbers")


@operator("zeros_like", "ones_like", steps=True)
def like(call: Call) -> Values:
    """One number everywhere, in the shape of another tensor."""
    (x,) = call.inputs
    return (_expanded(call, np.asarray(int(call.op == "ones_like"), x.dtype), list(x.dims)),)


@operator("_arange")
def arange(call: Call) -> Values:
    """Numbers at equal distances."""
    start, step, times = call.number("start"), call.number("step"), call.integer("repeat")
    if call.attributes["stop"] is None:
        start, stop = 0.0, start
    else:
        stop = call.number("stop")
    if call.flag("infer_range") or step == 0 or not 1 <= times <= _MOST or abs((stop - start) / step) * times > _MOST:
        call.refuse(f"counts from {start} to {stop} by {step}, {times} times each")
    count = max(0, int(np.ceil((stop - start) / step)))
    numbers = (start + step * np.arange(count)).astype(_numpy_type(call)).repeat(times)
    return (call.result(call.graph.constant(numbers), [size(len(numbers))], numbers.dtype),)


@operator("_eye")
def eye(call: Call) -> Values:
    """Ones on a diagonal."""
    rows, columns = call.integer("N"), call.integer("M") or call.integer("N")
    if not (1 <= rows <= 4096 and 1 <= columns <= 4096):
        call.refuse(f"makes {rows} x {columns} numbers")
    numbers = np.eye(rows, columns, call.integer("k"), dtype=_numpy_type(call))
    return (call.result(call.graph.constant(numbers), [size(rows), size(columns)], numbers.dtype),)


@operator("_contrib_arange_like")
def arange_like(call: Call) -> Values:
    """As many numbers at equal distances as another tensor has, along an axis or in all."""
    (x,) = call.inputs
    if call.integer("repeat") != 1 or x.dtype != FLOAT:
        call.refuse("repeats its numbers, which was not verified against MXNet")
    dims = list(x.dims) if call.attributes["axis"] is None else [x.dims[call.axis()]]
    count = call.emit("Squeeze", call.graph.size(product(dims), scope=call.name), call.constant([0], np.int64))
    places = call.emit("Range", call.constant(0, np.int64), count, call.constant(1, np.int64))
    numbers = call.emit("Mul", call.emit("Cast", places, to=1), call.constant(call.number("step")))
    numbers = call.emit("Add", numbers, call.constant(call.number("start")))
    if len(dims) > 1:
        numbers = call.emit("Reshape", numbers, call.graph.shape(dims, scope=call.name))
    return (call.result(numbers, dims),)


@operator("shape_array", "size_array")
def measures(call: Call) -> Values:
    """Sizes as numbers."""
    (x,) = call.inputs
    if call.op == "shape_array":
        return (call.result(call.emit("Shape", x.name), [size(x.rank)], np.int64),)
    one = call.constant([1], np.int64)
    return (call.result(call.emit("Reshape", call.emit("Size", x.name), one), [size(1)], np.int64),)


@operator("broadcast_to", "broadcast_axis", "broadcast_like")
def broadcast(call: Call) -> Values:
    """Axes of size 1 as long as asked for."""
    x = call.inputs[0]
    dims = list(x.dims)
    if call.op == "broadcast_to":
        asked = [size(number) if number else None for number in call.numbers("shape")]
        pairs = list(enumerate(asked))
    elif call.op == "broadcast_axis":
        axes = [call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axis")]
        pairs = list(zip(axes, map(size, call.numbers("size")), strict=False))
        if len(axes) != len(call.numbers("size")):
            call.refuse("has other numbers of axes and sizes")
    else:
        pairs = _pairs_like(call)
    if call.op != "broadcast_axis" and not call.attributes.get("lhs_axes") and len(pairs) != x.rank:
        call.refuse(f"gets tensors of {x.rank} and {len(pairs)} axes")
    for axis, wanted in pairs:
        if wanted is not None:
            dims[axis] = call.meet(dims[axis], wanted)
    _bounded(call, product(dims))
    name = call.emit("Expand", x.name, call.graph.shape(dims, scope=call.name))
    return (call.result(name, dims, x.dtype),)


def _pairs_like(call: Call) -> list[tuple[int, Size | None]]:
    x, other = call.inputs
    if call.attributes["lhs_axes"] is None and call.attributes["rhs_axes"] is None:
        return [*enumerate(other.dims)]
    mine = [call.nonnegative_axis(axis, x.rank) for axis in call.numbers("lhs_axes")]
    theirs = [call.nonnegative_axis(axis, other.rank) for axis in call.numbers("rhs_axes")]
    if len(mine) != len(theirs):
        call.refuse("has other numbers of axes on both sides")
    return [(axis, other.dims[place]) for axis, place in zip(mine, theirs, strict=True)]


@operator("reshape_like")
def reshape_like(call: Call) -> Values:
    """In the shape of another tensor, or with some axes in the shape of some of its axes."""
    x, other = call.inputs
    begin, end = _span(call, "lhs", x.rank)
    begin_other, end_other = _span(call, "rhs", other.rank)
    dims = [*x.dims[:begin], *other.dims[begin_other:end_other], *x.dims[end:]]
    call.same(product(dims), product(x.dims), "numbers of")
    return reshaped(call, dims)


def _span(call: Call, side: str, rank: int) -> tuple[int, int]:
    begin, end = call.maybe(f"{side}_begin"), call.maybe(f"{side}_end")
    first, last = begin or 0, rank if end is None else end
    first, last = (place + rank if place < 0 else place for place in (first, last))
    if not 0 <= first <= last <= rank:
        call.refuse(f"has axes from {begin} to {end} of {rank}")
    return first, last


@operator("_identity_with_attr_like_rhs")
def identity_like(call: Call) -> Values:
    """The first of two of one shape."""
    same_dims(call, *call.inputs)
    return (call.inputs[0],)
