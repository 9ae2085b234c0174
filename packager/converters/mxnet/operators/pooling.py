"""Pooling over one to three axes, with MXNet's two ways to round its sizes."""

import math
from operator import le

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.operators.convolution import positive, windows
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size

_GLOBAL = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool", "lp": "GlobalLpPool"}


@operator("Pooling")
def pooling(call: Call) -> Values:
    """Largest, mean, sum or p-norm of every window."""
    call.floats()
    (x,) = call.inputs
    axes = x.rank - 2
    if call.attributes["layout"] not in (None, "None", "NCW", "NCHW", "NCDHW"):
        call.refuse(f"has the layout {call.text('layout')}, which was not verified against MXNet")
    if not 1 <= axes <= 3:
        call.refuse(f"pools a tensor of {x.rank} axes")
    if call.flag("global_pool"):
        return _global(call)
    if call.text("pooling_convention") == "same":
        call.refuse("has pooling_convention='same', which was not verified against MXNet")
    kernel, stride, _, pad = windows(call, axes)
    if any(pad[i] >= kernel[i] for i in range(axes)):
        call.refuse(f"has pad={pad} for kernel={kernel}")
    full = call.text("pooling_convention") == "full"
    dims = [
        call.graph.floored(dim + (2 * pad[i] - kernel[i] + (stride[i] - 1 if full else 0)), stride[i]) + 1
        for i, dim in enumerate(x.dims[2:])
    ]
    positive(call, dims)
    reaches = full and any(dim.fixed is None for dim in dims)
    if reaches and call.text("pool_type") == "max" and not any(pad) and all(map(le, stride, kernel)):
        # Every window then begins within the input, where ONNX's own rule is MXNet's.
        name = call.emit("MaxPool", x.name, kernel_shape=kernel, strides=stride, ceil_mode=1)
        return (call.result(name, [*x.dims[:2], *dims]),)
    beyond = [
        _beyond(call, i, x.dims[i + 2], dims[i], kernel[i], stride[i], pad[i]) if full else 0 for i in range(axes)
    ]
    result = _pooled(call, kernel, stride, pad, beyond)
    return (call.result(result, [*x.dims[:2], *dims]),)


def _beyond(call: Call, axis: int, dim: Size, out: Size, kernel: int, stride: int, pad: int) -> int:
    """How far the last window reaches over the padded end."""
    reach = (out - 1) * stride + (kernel - 2 * pad) - dim
    if reach.fixed is None:
        call.fixed(dim, f"pooling_convention='full' needs the size of axis {axis + 2}")
    return max(0, reach.fixed or 0)


def _pooled(call: Call, kernel: list[int], stride: list[int], pad: list[int], beyond: list[int]) -> str:
    (x,) = call.inputs
    kind, whole = call.text("pool_type"), math.prod(kernel)
    counted = call.attributes["count_include_pad"] is not False
    window = {"kernel_shape": kernel, "strides": stride}
    if kind == "avg" and not any(beyond):
        return call.emit("AveragePool", x.name, **window, pads=[*pad, *pad], count_include_pad=int(counted))
    source = _padded(call, pad, beyond, -math.inf if kind == "max" else 0.0)
    if kind == "max":
        return call.emit("MaxPool", source, **window)
    if kind == "lp":
        return call.emit("LpPool", source, **window, p=_power(call))
    total = call.emit("Mul", call.emit("AveragePool", source, **window), call.constant(float(whole)))
    if kind == "sum":
        return total
    counts = _counts(call, kernel, stride, pad, beyond, counted=counted)
    return call.emit("Div", total, call.constant(counts))


def _padded(call: Call, pad: list[int], beyond: list[int], filling: float) -> str:
    (x,) = call.inputs
    if not any(pad) and not any(beyond):
        return x.name
    ends = [a + b for a, b in zip(pad, beyond, strict=True)]
    return call.emit("Pad", x.name, call.constant([0, 0, *pad, 0, 0, *ends], np.int64), call.constant(filling))


def _counts(
    call: Call, kernel: list[int], stride: list[int], pad: list[int], beyond: list[int], *, counted: bool
) -> NDArray[np.float32]:
    """By how many numbers the sum of every window is divided: never by those beyond the padded end."""
    total = np.ones((1, 1), np.float32)
    for i, dim in enumerate(call.inputs[0].dims[2:]):
        length = call.fixed(dim, "averages of windows that reach over the end need its size")
        starts = np.arange((length + 2 * pad[i] + beyond[i] - kernel[i]) // stride[i] + 1) * stride[i] - pad[i]
        ends = np.minimum(starts + kernel[i], length + pad[i])
        if not counted:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, length)
        total = total[..., None] * np.maximum(ends - starts, 0).astype(np.float32)
    # A window that lies beyond the end altogether is 0 in MXNet.
    return np.maximum(total, 1)


def _power(call: Call) -> int:
    power = call.maybe("p_value")
    if power not in (1, 2, 3):
        call.refuse(f"has p_value={power}, MXNet takes 1, 2 and 3")
    return int(power or 0)


def _global(call: Call) -> Values:
    (x,) = call.inputs
    kind = call.text("pool_type")
    dims = [*x.dims[:2], *[size(1)] * (x.rank - 2)]
    if kind == "sum":
        axes = call.constant(list(range(2, x.rank)), np.int64)
        return (call.result(call.emit("ReduceSum", x.name, axes, keepdims=1), dims),)
    more = {"p": _power(call)} if kind == "lp" else {}
    return (call.result(call.emit(_GLOBAL[kind], x.name, **more), dims),)


@operator("_contrib_AdaptiveAvgPooling2D")
def adaptive(call: Call) -> Values:
    """Means of as many windows as asked for: a product with constant matrices from both sides."""
    call.floats()
    (x,) = call.inputs
    asked = call.numbers("output_size") or (1,)
    if x.rank != 4 or len(asked) > 2 or min(asked) < 1 or max(asked) > 4096:
        call.refuse(f"has output_size={list(asked)} for a tensor of {x.rank} axes")
    height, width = asked[0], asked[-1]
    if (height, width) == (1, 1):
        return (call.result(call.emit("GlobalAveragePool", x.name), [*x.dims[:2], 1, 1]),)
    tall = call.fixed(x.dims[2], "adaptive pooling needs its input's height")
    wide = call.fixed(x.dims[3], "adaptive pooling needs its input's width")
    rows, columns = _means(tall, height), _means(wide, width).T
    result = call.emit("MatMul", call.emit("MatMul", call.constant(rows), x.name), call.constant(columns))
    return (call.result(result, [*x.dims[:2], height, width]),)


def _means(length: int, parts: int) -> NDArray[np.float64]:
    matrix = np.zeros((parts, length))
    for part in range(parts):
        start, end = part * length // parts, -(-(part + 1) * length // parts)
        matrix[part, start:end] = 1 / (end - start)
    return matrix
