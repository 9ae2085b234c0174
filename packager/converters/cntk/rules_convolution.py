"""Convolution, pooling and normalisation by the statistics of training.

Source of the geometry: microsoft/CNTK, Source/Math/ConvolveGeometry.h.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from packager.converters.cntk.emitter import Emitter, Value, of_rank, reshaped, sizes
from packager.converters.cntk.model import Node
from packager.converters.cntk.registry import refusal, rule
from packager.converters.cntk.rules_shapes import cut

_MAX, _AVERAGE = 0, 1


@dataclass(frozen=True, slots=True)
class Window:
    """One spatial axis of a window: its sizes, and the padding before and behind it."""

    kernel: int
    stride: int
    before: int
    behind: int
    output: int


def _listed(node: Node, values: tuple[int, ...] | list[bool], rank: int, default: int) -> list[int]:
    """One value an axis, the slowest first; a single value holds for all, none is the default."""
    given = [int(value) for value in values]
    if not given or given == [0]:
        given = [default]
    if len(given) == 1:
        return given * rank
    if len(given) < rank:
        raise refusal(node, f"it says something of {len(given)} of its {rank} axes")
    return given[len(given) - rank :]


def _spans(node: Node, kernel: list[int], inputs: list[int], *, ceil: bool = False) -> list[Window]:
    """The window on each axis, the slowest first."""
    given, rank = node.attributes, len(kernel)
    strides = _listed(node, given.shape("strides"), rank, 1)
    auto = _listed(node, given.flags("autoPadding")[::-1], rank, 0)
    lower = _listed(node, given.shape("lowerPad", (0,)), rank, 0)
    upper = _listed(node, given.shape("upperPad", (0,)), rank, 0)
    return [
        _window(node, *sizes_of_axis, ceil=ceil)
        for sizes_of_axis in zip(inputs, kernel, strides, auto, lower, upper, strict=True)
    ]


def _window(node: Node, size: int, span: int, stride: int, auto: int, low: int, high: int, *, ceil: bool) -> Window:
    if min(stride, span) < 1 or min(low, high) < 0 or (auto and (low or high)):
        raise refusal(node, f"it has a window of {span}, a stride of {stride} and pads of {low} and {high}")
    if auto:
        output = -(-size // stride)
        # The windows' centres are spread over the input: what the strides leave over is halved.
        before = (span - 1) // 2 - (size - 1 - (output - 1) * stride) // 2
    else:
        free = size + low + high - span
        if free < 0:
            raise refusal(node, f"its window of {span} is larger than its input of {size}")
        output = (-(-free // stride) if ceil else free // stride) + 1
        before = low
    return Window(span, stride, before, max(0, (output - 1) * stride + span - size - before), output)


def _begun(emitter: Emitter, images: Value, windows: list[Window]) -> tuple[Value, list[Window]]:
    """The images without the items before the first window, where it begins behind the first item."""
    made = images
    for index, window in enumerate(windows):
        if window.before < 0:
            at = len(images.shape) - len(windows) + index
            size = sizes(images)[at]
            made = cut(emitter, made, at, (-window.before, size, 1), size + window.before)
    return made, [replace(window, before=max(0, window.before)) for window in windows]


def _attributes(windows: list[Window]) -> dict[str, Any]:
    return {
        "kernel_shape": [window.kernel for window in windows],
        "strides": [window.stride for window in windows],
        "pads": [window.before for window in windows] + [window.behind for window in windows],
    }


def _images(emitter: Emitter, value: Value, shape: tuple[int, ...]) -> Value:
    """As (images, …shape), whatever the dynamic axes are."""
    if value.lead == 1 and value.shape == shape:
        return value
    return Value(emitter.node("Reshape", value.name, emitter.ints(-1, *shape)), shape, True, None, value.dtype)


def _back(emitter: Emitter, images: Value, like: Value, shape: tuple[int, ...]) -> Value:
    """What ``_images`` did, undone."""
    if like.lead == 1 and images.shape == shape:
        return like.like(images.name, shape)
    if like.lead == 0:
        return like.like(emitter.node("Reshape", images.name, emitter.ints(*shape)), shape)
    if like.lead == 1:
        return like.like(emitter.node("Reshape", images.name, emitter.ints(0, *shape)), shape)
    whole = emitter.node("Slice", emitter.node("Shape", like.name), emitter.ints(0), emitter.ints(2))
    target = emitter.node("Concat", whole, emitter.ints(*shape), axis=0)
    return like.like(emitter.node("Reshape", images.name, target), shape)


@rule(
    33,
    "Convolution",
    "1 to 3 spatial axes, strides, padding, groups, transposed without groups; not dilated (on GPUs only)",
    inputs=2,
)
def _convolution(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    kernel, value = values
    transposed, groups = _checked(node, kernel, value)
    weights, whole = sizes(kernel), sizes(value)
    if len(weights) == len(whole):
        weights = (1, *weights)
        kernel = reshaped(emitter, kernel, weights)
    if transposed:
        return _transposed(emitter, node, kernel, value, groups)
    outputs, channels = weights[0], weights[1]
    windows = _spans(node, [channels * groups, *weights[2:]], list(whole))
    first = windows[0]
    over_channels = first.output != 1 or whole[0] != channels * groups or first.before + first.behind > 0
    if over_channels and (channels != 1 or whole[0] != 1):
        raise refusal(node, "it slides over the channels as well")
    if node.attributes.shape("outputShape", (0,)) != (0,):
        raise refusal(node, "it asks for an output of a given shape")
    images, spatial = _begun(emitter, _images(emitter, value, whole), windows[1:])
    name = emitter.node("Conv", images.name, kernel.name, **_attributes(spatial), group=groups)
    shape = (outputs, *[window.output for window in spatial])
    return _back(emitter, images.like(name, shape), value, shape)


def _checked(node: Node, kernel: Value, value: Value) -> tuple[bool, int]:
    """Whether it is transposed, and its groups; refuses what there is no answer of CNTK's for."""
    given = node.attributes
    given.skip("maxTempMemSizeInSamples", "kernelShape")
    if not all(given.flags("sharing")) or given.flag("sequential", False):
        raise refusal(node, "its weights are not shared, or it runs along a sequence by itself")
    if kernel.lead:
        raise refusal(node, "its weights come from the data of each row")
    if any(step != 1 for step in given.shape("dilation", (1,))):
        raise refusal(node, "it is dilated, which CNTK computes on GPUs only: there is no answer to compare with here")
    # Without an axis of maps, one map goes out: local response normalisation is made so.
    extra = (1,) if given.flag("transpose", False) else (0, 1)
    if len(sizes(kernel)) - len(sizes(value)) not in extra or not 2 <= len(sizes(value)) <= 4:
        raise refusal(node, f"its weights have {len(kernel.shape)} axes, its input {len(value.shape)}")
    return given.flag("transpose", False), given.whole("groups", 1)


def _transposed(emitter: Emitter, node: Node, kernel: Value, value: Value, groups: int) -> Value:
    given, weights, whole = node.attributes, sizes(kernel), sizes(value)
    rank = len(whole) - 1
    if groups != 1 or weights[0] != whole[0]:
        raise refusal(node, "it is transposed with groups, or has other channels than its input")
    strides = _listed(node, given.shape("strides"), rank + 1, 1)[1:]
    auto = _listed(node, given.flags("autoPadding")[::-1], rank + 1, 0)[1:]
    lower = _listed(node, given.shape("lowerPad", (0,)), rank + 1, 0)[1:]
    upper = _listed(node, given.shape("upperPad", (0,)), rank + 1, 0)[1:]
    asked = given.shape("outputShape", (0,))
    before, behind, extra, output = [], [], [], []
    for index in range(rank):
        span, stride = weights[2 + index], strides[index]
        full = (whole[1 + index] - 1) * stride + span
        fixed = len(asked) == rank + 1
        cells = (whole[1 + index] - 1) * stride + 1
        size = asked[1 + index] if fixed else cells if auto[index] else full - lower[index] - upper[index]
        start = (span - 1) // 2 - (size - cells) // 2 if auto[index] else lower[index]
        if start < 0 or size < cells - span:
            raise refusal(node, f"it asks for an output of {size} from {whole[1 + index]}")
        end = full - start - size
        before.append(start)
        behind.append(max(0, end))
        extra.append(max(0, -end))
        output.append(size)
    images = _images(emitter, value, whole)
    name = emitter.node(
        "ConvTranspose", images.name, kernel.name, kernel_shape=list(weights[2:]), strides=strides,
        pads=[*before, *behind], output_padding=extra,
    )  # fmt: skip
    shape = (weights[1], *output)
    return _back(emitter, images.like(name, shape), value, shape)


@rule(17, "Pooling", "largest and average, 1 to 3 axes, padding, `ceil_out_dim`, `include_pad`, over the whole input")
def _pooling(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    kind, include, ceil = given.whole("poolingType"), given.flag("includePad", False), given.flag("ceilOutDim", False)
    if kind not in (_MAX, _AVERAGE):
        raise refusal(node, f"it pools by {kind}")
    windows, channels, inputs = _pool_windows(node, value, ceil)
    shape = (*channels, *[window.output for window in windows])
    images, windows = _begun(
        emitter, _images(emitter, value, (int(np.prod(channels, dtype=np.int64)), *inputs)), windows
    )
    if kind == _MAX:
        name = emitter.node("MaxPool", images.name, **_attributes(windows))
    else:
        name = emitter.node("AveragePool", images.name, **_attributes(windows), count_include_pad=int(include))
    made = images.like(name, (images.shape[0], *[window.output for window in windows]))
    return _back(emitter, made, value, shape)


def _pool_windows(node: Node, value: Value, ceil: bool) -> tuple[list[Window], tuple[int, ...], tuple[int, ...]]:
    """Windows of the axes that are pooled, and the sizes of those before and of their own."""
    whole = sizes(value)
    kernel = list(node.attributes.shape("poolingWindowShape"))
    if not kernel or min(kernel) < 1 or len(kernel) > len(whole):
        raise refusal(node, f"its window {kernel} does not fit its input {list(whole)}")
    inputs = list(whole[len(whole) - len(kernel) :])
    windows = _spans(node, kernel, inputs, ceil=ceil)
    while len(windows) > 1 and (windows[0].kernel, windows[0].stride) == (1, 1):
        windows, inputs = windows[1:], inputs[1:]
    if len(windows) > 3:
        raise refusal(node, f"it pools over {len(windows)} axes")
    return windows, whole[: len(whole) - len(windows)], tuple(inputs)


@rule(58, "Unpooling", "by the largest, of windows that do not overlap and need no padding", inputs=2)
def _unpooling(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, pooled = values
    given = node.attributes
    if given.whole("poolingType") != _MAX:
        raise refusal(node, "it spreads averages")
    whole = sizes(pooled)
    kernel = list(given.shape("unpoolingWindowShape"))
    inputs = list(whole[len(whole) - len(kernel) :])
    windows = _spans(node, kernel, inputs)
    exact = all(
        window.kernel == window.stride and window.before == window.behind == 0 and size == window.output * window.kernel
        for window, size in zip(windows, inputs, strict=True)
    )
    channels = whole[: len(whole) - len(windows)]
    if not exact or value.lead != pooled.lead or sizes(value) != (*channels, *[window.output for window in windows]):
        raise refusal(node, "its windows overlap, need padding, or leave items out")
    count = int(np.prod(channels, dtype=np.int64))
    source = _images(emitter, pooled, (count, *inputs))
    small = _images(emitter, value, (count, *[window.output for window in windows]))
    indices = emitter.nodes_outputs("MaxPool", source.name, outputs=2, **_attributes(windows))[1]
    attributes = _attributes(windows)
    name = emitter.node(
        "MaxUnpool", small.name, indices, kernel_shape=attributes["kernel_shape"], strides=attributes["strides"]
    )
    return _back(emitter, small.like(name, (count, *inputs)), value, whole)


@rule(40, "BatchNormalization", "with the statistics of training, spatial or of each value", inputs=None)
def _batch_normalization(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    given = node.attributes
    given.skip("normalizationTimeConstant", "blendTimeConstant", "disableRegularization", "useCuDNNEngine",
               "runningCount")  # fmt: skip
    epsilon, spatial = given.real("epsilon"), given.flag("spatial")
    value = values[0]
    if any(part.lead for part in values[1:5]):
        raise refusal(node, "its statistics come from the data of each row")
    whole = sizes(value)
    channels = whole[0] if spatial and whole else int(np.prod(whole, dtype=np.int64))
    if any(int(np.prod(sizes(part), dtype=np.int64)) != channels for part in values[1:5]):
        raise refusal(node, f"it has {sizes(values[1])} statistics for {channels} channels")
    parts = [reshaped(emitter, of_rank(emitter, part, 1), (channels,)).name for part in values[1:5]]
    shape = (channels, *whole[1:]) if spatial else (channels,)
    images = _images(emitter, value, shape)
    name = emitter.node("BatchNormalization", images.name, *parts, epsilon=epsilon)
    return _back(emitter, images.like(name), value, whole)
