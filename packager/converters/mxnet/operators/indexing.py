"""Numbers taken by their place."""

import numpy as np

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import size
from packager.converters.mxnet.values import Value

_LARGEST_EXACT = 1 << 24


@operator("Embedding", steps=True)
def embedding(call: Call) -> Values:
    """A row of the weight for every index; indices beyond are the nearest row."""
    index, weight = call.inputs
    call.floats(weight)
    if call.text("dtype") != "float32" or weight.rank != 2:
        call.refuse(f"embeds in {call.text('dtype')}")
    call.same(weight.dims[0], size(call.integer("input_dim")), "rows of")
    call.same(weight.dims[1], size(call.integer("output_dim")), "columns of")
    places = clipped(call, index, call.integer("input_dim"))
    return (call.result(call.emit("Gather", weight.name, places, axis=0), [*index.dims, weight.dims[1]]),)


def clipped(call: Call, index: Value, count: int) -> str:
    """An index as INT64 within bounds; notes what an input's numbers stand for."""
    if index.origin:
        known = call.graph.vocabularies
        known[index.origin] = min(count, known.get(index.origin, count))
    if count < 1:
        call.refuse("has nothing to take from")
    if index.dtype.kind == "f" and count > _LARGEST_EXACT:
        call.refuse(f"has {count} rows, more than float32 can number")
    last = call.constant(count - 1, index.dtype)
    if index.dtype.kind not in "fi" or index.dtype.itemsize < 4:
        wide = call.emit("Cast", index.name, to=7)
        return call.emit("Clip", wide, call.constant(0, np.int64), call.constant(count - 1, np.int64))
    return call.emit("Cast", call.emit("Clip", index.name, call.constant(0, index.dtype), last), to=7)


def _wrapped(call: Call, index: Value, count: int) -> str:
    if index.origin:
        call.graph.vocabularies.setdefault(index.origin, count)
    return call.emit("Mod", call.emit("Cast", index.name, to=7), call.constant(count, np.int64))


def _places(call: Call, index: Value, count: int) -> str:
    if call.text("mode") == "raise":
        call.refuse("has mode='raise': ONNX cannot stop at an index in the same way", "export it with mode='clip'")
    return _wrapped(call, index, count) if call.text("mode") == "wrap" else clipped(call, index, count)


@operator("take", steps=True)
def take(call: Call) -> Values:
    """Slices along an axis by index, clipped or wrapped."""
    x, index = call.inputs
    axis = call.axis()
    _apart(call, axis)
    places = _places(call, index, call.fixed(x.dims[axis], "indices need the size of their axis"))
    dims = [*x.dims[:axis], *index.dims, *x.dims[axis + 1 :]]
    return (call.result(call.emit("Gather", x.name, places, axis=axis), dims, x.dtype),)


@operator("pick")
def pick(call: Call) -> Values:
    """One number along an axis for each index."""
    x, index = call.inputs
    if call.attributes["axis"] is None:
        call.refuse("picks from all numbers, which was not verified against MXNet")
    axis = call.axis()
    places = _places(call, index, call.fixed(x.dims[axis], "indices need the size of their axis"))
    dims = [size(1) if place == axis else dim for place, dim in enumerate(x.dims)]
    at = call.constant([axis], np.int64)
    if index.rank == x.rank - 1:
        places = call.emit("Unsqueeze", places, at)
    result = call.emit("GatherElements", x.name, places, axis=axis)
    if not call.flag("keepdims"):
        result, dims = call.emit("Squeeze", result, at), [*dims[:axis], *dims[axis + 1 :]]
    return (call.result(result, dims or [size(1)], x.dtype),)


@operator("batch_take")
def batch_take(call: Call) -> Values:
    """One number of every row."""
    x, index = call.inputs
    if (x.rank, index.rank) != (2, 1):
        call.refuse(f"takes from a tensor of {x.rank} axes")
    places = clipped(call, index, call.fixed(x.dims[1], "indices need the size of their axis"))
    at = call.constant([1], np.int64)
    taken = call.emit("GatherElements", x.name, call.emit("Unsqueeze", places, at), axis=1)
    return (call.result(call.emit("Squeeze", taken, at), [x.dims[0]], x.dtype),)


@operator("gather_nd")
def gather_nd(call: Call) -> Values:
    """By whole coordinates, which MXNet keeps on the first axis."""
    x, index = call.inputs
    depth = call.fixed(index.dims[0], "the number of coordinates is needed")
    if depth > x.rank:
        call.refuse(f"has {depth} coordinates for a tensor of {x.rank} axes")
    places = call.emit("Cast", call.emit("Transpose", index.name, perm=[*range(1, index.rank), 0]), to=7)
    dims = [*index.dims[1:], *x.dims[depth:]]
    return (call.result(call.emit("GatherND", x.name, places), dims, x.dtype),)


@operator("one_hot", steps=True)
def one_hot(call: Call) -> Values:
    """A row with one number on, none where the index is beyond."""
    (index,) = call.inputs
    depth = call.integer("depth")
    if call.text("dtype") != "float32" or not 0 < depth <= _LARGEST_EXACT:
        call.refuse(f"has depth={depth} and answers in {call.text('dtype')}")
    if index.origin:
        call.graph.vocabularies.setdefault(index.origin, depth)
    # ONNX's OneHot counts negative indices from the end; MXNet has no row for them.
    spread = call.emit("Unsqueeze", call.emit("Cast", index.name, to=7), call.constant([-1], np.int64))
    hit = call.emit("Equal", spread, call.constant(np.arange(depth), np.int64))
    on, off = call.constant(call.number("on_value")), call.constant(call.number("off_value"))
    return (call.result(call.emit("Where", hit, on, off), [*index.dims, size(depth)]),)


@operator("where", steps=True)
def where(call: Call) -> Values:
    """One of two, by a condition of the same shape or of one number a row."""
    condition, x, y = call.inputs
    if x.dtype != y.dtype or x.rank != y.rank:
        call.refuse(f"chooses between {x.dtype} of {x.rank} axes and {y.dtype} of {y.rank}")
    for one, other in zip(x.dims, y.dims, strict=True):
        call.same(one, other, "a size of")
    if condition.rank not in (1, x.rank):
        call.refuse(f"has a condition of {condition.rank} axes for {x.rank}")
    for one, other in zip(condition.dims, x.dims, strict=False):
        call.same(one, other, "a size of")
    chosen = call.emit("Cast", condition.name, to=9)
    if condition.rank != x.rank:
        chosen = call.emit("Reshape", chosen, call.constant([-1] + [1] * (x.rank - 1), np.int64))
    return call.computed("Where", chosen, x.name, y.name, like=x)


def _apart(call: Call, axis: int) -> None:
    if call.graph.lengths and not call.graph.sequence.isdisjoint(call.inputs[0].dims[axis].symbols):
        call.refuse("takes steps of a sequence by number, and padding might be among them", "leave --lengths away")
