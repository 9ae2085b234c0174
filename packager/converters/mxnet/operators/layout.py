"""Operators that move numbers without changing them."""

import numpy as np

from packager.converters.mxnet.operators.broadcasting import same_dims
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, product, size
from packager.converters.mxnet.values import Value


def moved(call: Call, name: str, dims: list[Size]) -> Values:
    """The first input's numbers under another shape."""
    source = call.inputs[0]
    result = call.result(name, dims, source.dtype)
    return (Value(result.name, result.dims, result.dtype, origin=source.origin, zeros=source.zeros),)


def reshaped(call: Call, dims: list[Size]) -> Values:
    """The first input in another shape of as many numbers."""
    free = [place for place, dim in enumerate(dims) if dim.fixed is None]
    if len(free) == 1:
        written = [-1 if dim.fixed is None else dim.fixed for dim in dims]
        target = call.constant(written, np.int64)
    else:
        target = call.graph.shape(dims, scope=call.name)
    return moved(call, call.emit("Reshape", call.inputs[0].name, target), dims)


@operator("Reshape", steps=True)
def reshape(call: Call) -> Values:
    """MXNet's codes: 0 keeps, -1 infers, -2 keeps the rest, -3 merges two, -4 splits one."""
    (x,) = call.inputs
    codes = call.numbers("shape")
    if not codes:
        codes = call.numbers("target_shape")
        if not codes or call.flag("keep_highest"):
            call.refuse("has no shape, or the retired target_shape with keep_highest")
    if call.flag("reverse"):
        if -4 in codes:
            call.refuse("splits an axis in reverse, which MXNet itself refuses")
        dims = _decoded(call, list(x.dims[::-1]), list(codes[::-1]))[::-1]
    else:
        dims = _decoded(call, list(x.dims), list(codes))
    return reshaped(call, dims)


def _decoded(call: Call, source: list[Size], codes: list[int]) -> list[Size]:
    dims: list[Size | None] = []
    at, place = 0, 0
    while place < len(codes):
        code = codes[place]
        needed = {0: 1, -3: 2, -4: 1}.get(code, 0)
        if (needed and at + needed > len(source)) or code < -4 or (code == -4 and place + 2 >= len(codes)):
            call.refuse(f"has the shape {codes} for a tensor of {len(source)} axes")
        match code:
            case -1:
                dims.append(None)
                at += 1
            case -2:
                dims += source[at:]
                at = len(source)
            case -3:
                dims.append(source[at] * source[at + 1])
            case -4:
                dims += _split(call, source[at], codes[place + 1 : place + 3])
                place += 2
            case 0:
                dims.append(source[at])
            case _:
                dims.append(size(code))
                at += 1
        at += needed
        place += 1
    return _inferred(call, source, dims)


def _split(call: Call, dim: Size, parts: list[int]) -> list[Size]:
    first, second = parts
    if (first, second) == (-1, -1) or min(first, second) < -1 or 0 in parts:
        call.refuse(f"splits an axis into {parts}")
    known = size(first if second == -1 else second)
    other = dim.over(known)
    if other is None:
        call.fixed(dim, f"an axis of {dim} is split into {parts}")
        call.refuse(f"splits an axis of {dim} into {parts}")
    if -1 not in parts:
        call.same(size(first * second), dim, "parts of")
        return [size(first), size(second)]
    return [other, known] if first == -1 else [known, other]


def _inferred(call: Call, source: list[Size], dims: list[Size | None]) -> list[Size]:
    unknown = [place for place, dim in enumerate(dims) if dim is None]
    known = product(dim for dim in dims if dim is not None)
    if len(unknown) > 1:
        call.refuse("infers more than one axis")
    if not unknown:
        call.same(product(source), known, "numbers of")
        return [dim for dim in dims if dim is not None]
    rest = product(source).over(known)
    if rest is None:
        if product(source).fixed is not None and known.fixed is not None:
            call.refuse(f"cannot cut {product(source)} numbers into rows of {known}")
        rest = call.graph.opaque("rows", product(source), known)
    return [rest if dim is None else dim for dim in dims]


@operator("Flatten")
def flatten(call: Call) -> Values:
    """A row of all numbers for every row."""
    (x,) = call.inputs
    return moved(call, call.emit("Flatten", x.name, axis=1), [x.dims[0], product(x.dims[1:])])


@operator("expand_dims", steps=True)
def expand_dims(call: Call) -> Values:
    """A new axis of size 1."""
    (x,) = call.inputs
    axis = call.axis(rank=x.rank + 1)
    dims = [*x.dims[:axis], size(1), *x.dims[axis:]]
    return moved(call, call.emit("Unsqueeze", x.name, call.constant([axis], np.int64)), dims)


@operator("squeeze", steps=True)
def squeeze(call: Call) -> Values:
    """Without axes of size 1."""
    (x,) = call.inputs
    axes = sorted({call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axis")})
    if not axes:
        if any(dim.fixed is None and place for place, dim in enumerate(x.dims)):
            call.refuse("drops whatever axes have size 1, where some sizes are free", "name the axes")
        axes = [place for place, dim in enumerate(x.dims) if dim.fixed == 1]
    for axis in axes:
        call.same(x.dims[axis], size(1), "a size of")
    dims = [dim for place, dim in enumerate(x.dims) if place not in axes]
    if not axes:
        return (x,)
    if not dims:
        return reshaped(call, [size(1)])
    return moved(call, call.emit("Squeeze", x.name, call.constant(axes, np.int64)), dims)


@operator("SwapAxis", "transpose", steps=True)
def transpose(call: Call) -> Values:
    """Axes in another order."""
    (x,) = call.inputs
    if call.op != "SwapAxis":
        order = [call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axes")] or list(range(x.rank))[::-1]
    else:
        order = list(range(x.rank))
        first, second = call.axis("dim1"), call.axis("dim2")
        order[first], order[second] = second, first
    if sorted(order) != list(range(x.rank)):
        call.refuse(f"has axes={order} for a tensor of {x.rank} axes")
    return moved(call, call.emit("Transpose", x.name, perm=order), [x.dims[axis] for axis in order])


@operator("Concat", "_rnn_param_concat", steps=True)
def concat(call: Call) -> Values:
    """One after another along an axis."""
    first = call.inputs[0]
    axis = call.axis("dim" if "dim" in call.attributes else "axis")
    for other in call.inputs[1:]:
        if other.rank != first.rank or other.dtype != first.dtype:
            call.refuse(f"joins {first.dtype} of {first.rank} axes and {other.dtype} of {other.rank}")
        for place in range(first.rank):
            if place != axis:
                call.same(first.dims[place], other.dims[place], f"a size on axis {place} of")
    _whole_sequence(call, axis)
    total = size(0)
    for item in call.inputs:
        total += item.dims[axis]
    name = call.emit("Concat", *(item.name for item in call.inputs), axis=axis)
    return (call.result(name, [*first.dims[:axis], total, *first.dims[axis + 1 :]], first.dtype),)


@operator("stack", steps=True)
def stack(call: Call) -> Values:
    """Side by side along a new axis."""
    first = call.inputs[0]
    axis = call.axis(rank=first.rank + 1)
    for other in call.inputs[1:]:
        same_dims(call, first, other)
    at = call.constant([axis], np.int64)
    parts = [call.emit("Unsqueeze", item.name, at) for item in call.inputs]
    dims = [*first.dims[:axis], size(len(parts)), *first.dims[axis:]]
    return (call.result(call.emit("Concat", *parts, axis=axis), dims, first.dtype),)


@operator("Cast", "amp_cast", steps=True)
def cast(call: Call) -> Values:
    """Another number type."""
    (x,) = call.inputs
    types = {"float32": 1, "float64": 11, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9}
    kind = call.text("dtype")
    if kind not in types:
        call.refuse(f"casts to {kind}, in which dray does not compute", "cast the model: net.cast('float32')")
    result = call.result(call.emit("Cast", x.name, to=types[kind]), x.dims, np.dtype(kind))
    return (Value(result.name, result.dims, result.dtype, origin=x.origin),)


def _whole_sequence(call: Call, axis: int) -> None:
    dims = [item.dims[axis] for item in call.inputs]
    if call.graph.lengths and any(not call.graph.sequence.isdisjoint(dim.symbols) for dim in dims):
        call.refuse("joins sequences end to end, after their padding", "leave --lengths away")
