"""Normalisations, by stored or by computed means."""

from collections.abc import Sequence

import numpy as np

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import product, size


@operator("BatchNorm", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU")
def batch_norm(call: Call) -> Values:
    """By the stored moments; ``fix_gamma`` means that gamma is 1 whatever the file says."""
    call.floats()
    _one_output(call)
    x, gamma, beta, mean, variance = call.inputs
    axis = call.axis() if "axis" in call.attributes else 1
    for part in (gamma, beta, mean, variance):
        call.same(size(part.rank), size(1), "axes of a moment")
        call.same(part.dims[0], x.dims[axis], "channels of")
    scale = gamma.name
    if call.flag("fix_gamma"):
        scale = call.constant(np.ones(call.fixed(x.dims[axis], "the number of channels is needed"), np.float32))
    if x.rank < 2:
        call.refuse("normalises a tensor of one axis")
    order = [other for other in range(x.rank) if other != axis]
    order.insert(1, axis)
    source = x.name if axis == 1 else call.emit("Transpose", x.name, perm=order)
    result = call.emit(
        "BatchNormalization", source, scale, beta.name, mean.name, variance.name, epsilon=call.number("eps")
    )
    if source != x.name:
        result = call.emit("Transpose", result, perm=[order.index(place) for place in range(x.rank)])
    if call.op.endswith("WithReLU"):
        result = call.emit("Relu", result)
    return (call.result(result, x.dims),)


@operator("LayerNorm", steps=True)
def layer_norm(call: Call) -> Values:
    """By the moments along one axis."""
    call.floats()
    _one_output(call)
    x, gamma, beta = call.inputs
    axis = call.axis()
    for part in (gamma, beta):
        call.same(part.dims[0], x.dims[axis], "numbers of")
    if axis == x.rank - 1:
        return call.computed(
            "LayerNormalization", x.name, gamma.name, beta.name, like=x, axis=-1, epsilon=call.number("eps")
        )
    if call.graph.lengths:
        call.refuse("normalises along another axis than the last, which was not verified with lengths")
    shape = call.constant([-1 if place == axis else 1 for place in range(x.rank)], np.int64)
    scale, shift = (call.emit("Reshape", part.name, shape) for part in (gamma, beta))
    return call.computed("Add", call.emit("Mul", _standard(call, x.name, [axis]), scale), shift, like=x)


@operator("InstanceNorm")
def instance_norm(call: Call) -> Values:
    """By the moments of every channel of every row."""
    call.floats()
    x, gamma, beta = call.inputs
    if x.rank < 3:
        call.refuse(f"normalises a tensor of {x.rank} axes")
    for part in (gamma, beta):
        call.same(part.dims[0], x.dims[1], "channels of")
    return call.computed("InstanceNormalization", x.name, gamma.name, beta.name, like=x, epsilon=call.number("eps"))


@operator("GroupNorm")
def group_norm(call: Call) -> Values:
    """By the moments of every group of channels of every row."""
    call.floats()
    _one_output(call)
    x, gamma, beta = call.inputs
    groups = call.integer("num_groups")
    if gamma.rank != 1 or beta.rank != 1:
        call.refuse("has a gamma or beta that is no list of numbers")
    if x.rank > 2 and x.dims[1].fixed is None:
        call.fixed(x.dims[1], "its channels are cut into groups")
    each = x.dims[1].over(size(groups)) if groups > 0 and x.rank > 2 else None
    if each is None:
        call.refuse(f"cuts {x.dims[1]} channels of a tensor with {x.rank} axes into {groups} groups")
    cut = call.graph.shape([x.dims[0], size(groups), product([each, *x.dims[2:]])], scope=call.name)
    result = _standard(call, call.emit("Reshape", x.name, cut), [2])
    by_group = gamma.dims[0].fixed == groups and gamma.dims[0] != x.dims[1]
    one_each = call.constant([1, -1, 1] if by_group else [1, -1] + [1] * (x.rank - 2), np.int64)
    whole = call.graph.shape(x.dims, scope=call.name)
    if not by_group:
        call.same(gamma.dims[0], x.dims[1], "channels of")
        result = call.emit("Reshape", result, whole)
    result = call.emit("Mul", result, call.emit("Reshape", gamma.name, one_each))
    result = call.emit("Add", result, call.emit("Reshape", beta.name, one_each))
    return call.computed("Reshape", result, whole, like=x) if by_group else (call.result(result, x.dims),)


@operator("L2Normalization")
def l2_normalisation(call: Call) -> Values:
    """Divided by the root of the sum of squares: of a row, over channels, or over places."""
    call.floats()
    (x,) = call.inputs
    if x.rank < 2 + (call.text("mode") != "instance"):
        call.refuse(f"normalises a tensor of {x.rank} axes by mode={call.text('mode')!r}")
    axes = {"instance": range(1, x.rank), "channel": [1], "spatial": range(2, x.rank)}[call.text("mode")]
    squares = call.emit("ReduceSum", call.emit("Mul", x.name, x.name), call.constant(list(axes), np.int64), keepdims=1)
    root = call.emit("Sqrt", call.emit("Add", squares, call.constant(call.number("eps"))))
    return call.computed("Div", x.name, root, like=x)


@operator("LRN")
def lrn(call: Call) -> Values:
    """Divided by a power of the squares in neighbouring channels."""
    call.floats()
    (x,) = call.inputs
    span = call.integer("nsize")
    if span % 2 == 0 or x.rank != 4:
        call.refuse(f"has nsize={span} for a tensor of {x.rank} axes")
    return call.computed(
        "LRN",
        x.name,
        like=x,
        alpha=call.number("alpha"),
        beta=call.number("beta"),
        bias=call.number("knorm"),
        size=span,
    )


@operator("moments")
def moments(call: Call) -> Values:
    """Mean and variance."""
    call.floats()
    (x,) = call.inputs
    axes = [call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axes")] or list(range(x.rank))
    given = call.constant(axes, np.int64)
    mean = call.emit("ReduceMean", x.name, given, keepdims=1)
    apart = call.emit("Sub", x.name, mean)
    variance = call.emit("ReduceMean", call.emit("Mul", apart, apart), given, keepdims=1)
    if call.flag("keepdims"):
        dims = [size(1) if place in axes else dim for place, dim in enumerate(x.dims)]
        return call.result(mean, dims), call.result(variance, dims)
    dims = [dim for place, dim in enumerate(x.dims) if place not in axes]
    if not dims:
        call.refuse("reduces all axes, which was not verified against MXNet")
    return tuple(call.result(call.emit("Squeeze", part, given), dims) for part in (mean, variance))


def _standard(call: Call, x: str, axes: Sequence[int]) -> str:
    """Minus the mean, over the root of variance plus epsilon."""
    given = call.constant(list(axes), np.int64)
    apart = call.emit("Sub", x, call.emit("ReduceMean", x, given, keepdims=1))
    variance = call.emit("ReduceMean", call.emit("Mul", apart, apart), given, keepdims=1)
    return call.emit("Div", apart, call.emit("Sqrt", call.emit("Add", variance, call.constant(call.number("eps")))))


def _one_output(call: Call) -> None:
    if call.flag("output_mean_var"):
        call.refuse("gives its moments too (output_mean_var), which was not verified against MXNet")
