"""Convolutions over one to three axes, and their transposes."""

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.values import Value

_LAYOUTS = (None, "None", "NCW", "NCHW", "NCDHW")


@operator("Convolution", "Convolution_v1", least=2, most=3)
def convolution(call: Call) -> Values:
    """Grouped, dilated, padded alike on both sides."""
    x, weight, bias = _operands(call)
    kernel, stride, dilate, pad = windows(call, x.rank - 2)
    groups, filters = call.integer("num_group"), call.integer("num_filter")
    call.same(x.dims[1], weight.dims[1] * groups, "channels of")
    call.same(weight.dims[0], size(filters), "filters of")
    dims = [
        call.graph.floored(dim + (2 * pad[i] - dilate[i] * (kernel[i] - 1) - 1), stride[i]) + 1
        for i, dim in enumerate(x.dims[2:])
    ]
    positive(call, dims)
    result = call.emit(
        "Conv",
        x.name,
        weight.name,
        *(item.name for item in bias),
        kernel_shape=kernel,
        strides=stride,
        dilations=dilate,
        pads=[*pad, *pad],
        group=groups,
    )
    return (call.result(result, [x.dims[0], size(filters), *dims]),)


@operator("Deconvolution", least=2, most=3)
def deconvolution(call: Call) -> Values:
    """A transposed convolution; ``target_shape`` says the pads."""
    x, weight, bias = _operands(call)
    kernel, stride, dilate, pad = windows(call, x.rank - 2)
    groups, filters = call.integer("num_group"), call.integer("num_filter")
    call.same(x.dims[1], weight.dims[0], "channels of")
    call.same(weight.dims[1] * groups, size(filters), "filters of")
    more = per_axis(call, "adj", x.rank - 2, default=0)
    target = call.numbers("target_shape")
    if any(target):
        pad, more = _aimed(call, x, target)
    dims = [
        (dim - 1) * stride[i] + (dilate[i] * (kernel[i] - 1) + 1 - 2 * pad[i] + more[i])
        for i, dim in enumerate(x.dims[2:])
    ]
    positive(call, dims)
    result = call.emit(
        "ConvTranspose",
        x.name,
        weight.name,
        *(item.name for item in bias),
        kernel_shape=kernel,
        strides=stride,
        dilations=dilate,
        pads=[*pad, *pad],
        output_padding=more,
        group=groups,
    )
    return (call.result(result, [x.dims[0], size(filters), *dims]),)


def _aimed(call: Call, x: Value, target: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Pads and additions with which the result has the target's size. Source: MXNet, DeconvolutionParam::InferPad."""
    kernel, stride, dilate, _ = windows(call, x.rank - 2)
    pads, more = [], []
    for i, dim in enumerate(x.dims[2:]):
        whole = (
            stride[i] * (call.fixed(dim, "target_shape needs its input's size") - 1) + dilate[i] * (kernel[i] - 1) + 1
        )
        if len(target) != x.rank - 2 or target[i] > whole:
            call.refuse(f"aims at the size {list(target)}, beyond what its input gives")
        pads.append((whole - target[i] + 1) // 2)
        more.append((whole - target[i]) % 2)
    return pads, more


def _operands(call: Call) -> tuple[Value, Value, tuple[Value, ...]]:
    call.floats()
    x, weight, *bias = call.inputs
    if call.attributes["layout"] not in _LAYOUTS:
        call.refuse(f"has the layout {call.text('layout')}, which MXNet computes on GPUs only")
    if len(bias) != 1 - call.flag("no_bias"):
        call.refuse(f"has {len(call.inputs)} inputs and no_bias={call.flag('no_bias')}")
    axes = len(call.numbers("kernel"))
    if not 1 <= axes <= 3 or x.rank != axes + 2 or weight.rank != axes + 2:
        call.refuse(f"has a kernel of {axes} axes, an input of {x.rank} and a weight of {weight.rank}")
    for mine, asked in zip(weight.dims[2:], call.numbers("kernel"), strict=True):
        call.same(mine, size(asked), "a kernel of")
    if call.integer("num_group") < 1:
        call.refuse(f"has {call.integer('num_group')} groups")
    return x, weight, tuple(bias)


def windows(call: Call, axes: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, stride, dilation and pad of every axis."""
    return (
        per_axis(call, "kernel", axes, default=1, least=1),
        per_axis(call, "stride", axes, default=1, least=1),
        per_axis(call, "dilate", axes, default=1, least=1) if "dilate" in call.attributes else [1] * axes,
        per_axis(call, "pad", axes, default=0),
    )


def per_axis(call: Call, name: str, axes: int, *, default: int, least: int = 0) -> list[int]:
    """An attribute with one number an axis, or none."""
    given = call.numbers(name) or (default,) * axes
    if len(given) != axes or min(given) < least or max(given) > 1 << 20:
        call.refuse(f"has {name}={list(given)} for {axes} axes")
    return list(given)


def positive(call: Call, dims: list[Size]) -> None:
    """Something is left of every axis."""
    if any(dim.fixed is not None and dim.fixed < 1 for dim in dims):
        call.refuse(
            f"would leave a size of {', '.join(map(str, dims))}", "its input is too small: check the shape in --input"
        )
