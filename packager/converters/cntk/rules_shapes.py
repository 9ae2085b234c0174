"""Primitives that move values."""

from collections.abc import Callable
from typing import Any

import numpy as np

from packager.converters.cntk.dictionary import Axis
from packager.converters.cntk.emitter import END, Emitter, Size, Value, expanded, of_rank, reshaped, sizes
from packager.converters.cntk.model import Node
from packager.converters.cntk.registry import refusal, rule

# How many places may be written out one by one.
_MAX_LIST = 1 << 24
# CNTK's numbers for axes that are none. Source: API/CNTKLibrary.h, Axis::Sentinel*.
DYNAMIC, ALL_STATIC, ALL_AXES, END_STATIC = 2**31 - 1, 2**31 - 2, 2**31 - 5, 2**31 - 4


def place(node: Node, axis: Axis, rank: int, *, end: bool = False) -> int:
    """Where a static axis lies among ``rank``, counted from the slowest; with ``end`` also one behind the last.

    CNTK counts from the fastest axis, and from the slowest where the number is negative.
    """
    index = axis.index
    if index == END_STATIC and end:
        index = rank
    if abs(index) >= END_STATIC:
        raise refusal(node, f"it works along the axis {axis.name!r}, which is none of an item's own")
    if index < 0:
        index += rank
    if not 0 <= index < rank + int(end):
        raise refusal(node, f"it names the axis {axis.index}, of {rank}")
    return rank - 1 - index


@rule(12, "TransposeAxes", "two axes, or a permutation")
def _transpose(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    rank = len(value.shape)
    if node.attributes.has("axisVec"):
        listed = [rank - 1 - place(node, axis, rank) for axis in node.attributes.axes("axisVec")]
        if sorted(listed) != list(range(rank)):
            raise refusal(node, f"{listed} is no permutation of its axes")
        order = [rank - 1 - listed[rank - 1 - index] for index in range(rank)]
    else:
        pair = [node.attributes.axis("axis1"), node.attributes.axis("axis2")]
        # The operand counts as having ones behind its axes.
        rank = max(rank, *(axis.index + 1 for axis in pair if 0 <= axis.index < END_STATIC - 1), 1)
        value = of_rank(emitter, value, rank)
        first, second = (place(node, axis, rank) for axis in pair)
        order = list(range(rank))
        order[first], order[second] = order[second], order[first]
    return transposed(emitter, value, order)


def transposed(emitter: Emitter, value: Value, order: list[int]) -> Value:
    """The value with its static axes in another order."""
    shape = tuple(value.shape[index] for index in order)
    permutation = [*range(value.lead), *[value.lead + index for index in order]]
    return value.like(emitter.node("Transpose", value.name, perm=permutation), shape)


@rule(14, "Slice", "one or several static axes, with strides, also backwards")
def _slice(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    if given.has("axisVec"):
        begins, ends = given.wholes("beginIndexVec"), given.wholes("endIndexVec")
        axes = given.axes("axisVec")
        steps = given.wholes("sliceStridesVec") if given.has("sliceStridesVec") else [1] * len(axes)
    else:
        axes, begins, ends = [given.axis("axis")], [given.whole("beginIndex")], [given.whole("endIndex")]
        steps = [given.whole("sliceStrides", 1)]
    if not len(axes) == len(begins) == len(ends) == len(steps) or 0 in steps:
        raise refusal(node, "its axes, ends and strides do not match")
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        value = _sliced(emitter, node, value, place(node, axis, len(value.shape)), begin, end, step)
    return value


def _sliced(emitter: Emitter, node: Node, value: Value, at: int, begin: int, end: int, step: int) -> Value:
    size = value.shape[at]
    if not isinstance(size, int):
        raise refusal(node, "it cuts the axis of an unpacked sequence")
    first, last = (begin + size if begin < 0 else begin), (end + size if end <= 0 else end)
    if not 0 <= first < last <= size:
        raise refusal(node, f"it takes the items {begin} to {end} of {size}")
    count = -(-(last - first) // abs(step))
    start, stop = (first, last) if step > 0 else (last - 1, first - 1 if first else -END)
    return cut(emitter, value, at, (start, stop, step), count)


def cut(emitter: Emitter, value: Value, at: int, span: tuple[int, int, int], count: int) -> Value:
    """``count`` items along a static axis, from and to as ONNX says it."""
    start, stop, step = (emitter.ints(number) for number in span)
    axis = emitter.ints(value.lead + at)
    shape = (*value.shape[:at], count, *value.shape[at + 1 :])
    return value.like(emitter.node("Slice", value.name, start, stop, axis, step), shape)


@rule(16, "Reshape", "all axes or some, one size inferred; `flatten`, `expand_dims`, `squeeze` with axes")
def _reshape(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    rank = len(value.shape)
    wanted = given.shape("newShape")
    begin = rank - 1 - place(node, given.axis("beginAxis"), rank, end=True) if given.has("beginAxis") else 0
    end = rank - 1 - place(node, given.axis("endAxis"), rank, end=True) if given.has("endAxis") else rank
    if begin > end:
        raise refusal(node, f"it begins at the axis {begin} and ends before it, at {end}")
    # From the fastest axis: [0, begin) stays, [begin, end) is replaced.
    inner = value.shape[rank - end : rank - begin]
    replaced = _inferred(node, wanted, inner)
    return reshaped(emitter, value, (*value.shape[: rank - end], *replaced, *value.shape[rank - begin :]))


def _inferred(node: Node, wanted: tuple[int, ...], inner: tuple[Size, ...]) -> tuple[Size, ...]:
    free = [size for size in inner if not isinstance(size, int)]
    marks = [index for index, size in enumerate(wanted) if size < 0]
    if free and len(marks) == 1 and len(free) == 1:
        known = [size for size in inner if isinstance(size, int)]
        if np.prod(known, dtype=np.int64) == np.prod([size for size in wanted if size >= 0], dtype=np.int64):
            return tuple(free[0] if index == marks[0] else size for index, size in enumerate(wanted))
    if free or len(marks) > 1:
        raise refusal(node, f"the shape {list(wanted)} cannot be worked out for {[str(size) for size in inner]}")
    total = int(np.prod([size for size in inner if isinstance(size, int)], dtype=np.int64))
    known_total = int(np.prod([size for size in wanted if size >= 0], dtype=np.int64))
    made = tuple(total // max(known_total, 1) if size < 0 else size for size in wanted)
    if int(np.prod(made, dtype=np.int64)) != total:
        raise refusal(node, f"{total} values do not fit the shape {list(wanted)}")
    return made


@rule(88, "Squeeze", "all axes of size 1, or those named")
def _squeeze(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    rank = len(value.shape)
    if node.attributes.has("axisVec"):
        gone = {place(node, axis, rank) for axis in node.attributes.axes("axisVec")}
    else:
        gone = {index for index, size in enumerate(value.shape) if size == 1}
    if any(value.shape[index] != 1 for index in gone):
        raise refusal(node, "it drops an axis that is not of size 1")
    return reshaped(emitter, value, [size for index, size in enumerate(value.shape) if index not in gone])


@rule(43, "Splice", "a static axis, also a new one; other axes are broadcast", inputs=None)
def _splice(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    from packager.converters.cntk.rules_elementwise import aligned

    rank = max(len(value.shape) for value in values)
    axis = node.attributes.axis("axis")
    if 0 <= axis.index < END_STATIC - 1:
        rank = max(rank, axis.index + 1)
    at = place(node, axis, rank)
    made = [of_rank(emitter, value, rank) for value in values]
    # What stands beside the axis is broadcast; the axis itself is not, so it counts as one for that.
    rest = [Value(v.name, (*v.shape[:at], 1, *v.shape[at + 1 :]), v.batch, v.sequence, v.dtype) for v in made]
    _, answer = aligned(Emitter(), node, rest)
    widest = max(made, key=lambda value: value.lead)
    parts, total = [], 0
    for value in made:
        size = value.shape[at]
        if not isinstance(size, int):
            raise refusal(node, "it joins along the axis of an unpacked sequence")
        shape = (*answer.shape[:at], size, *answer.shape[at + 1 :])
        whole = value.shape == shape and value.lead == widest.lead
        parts.append(value.name if whole else expanded(emitter, value, widest, shape).name)
        total += size
    shape = (*answer.shape[:at], total, *answer.shape[at + 1 :])
    if len(parts) == 1:
        return made[0]
    return widest.like(emitter.node("Concat", *parts, axis=widest.lead + at), shape)


@rule(83, "Pad", "constant, reflecting and symmetric")
def _pad(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    heads, feet = given.wholes("paddingHead")[::-1], given.wholes("paddingFoot")[::-1]
    mode, filler = given.whole("paddingMode"), given.real("paddingConstantValue", 0.0)
    whole = sizes(value)
    if len(heads) != len(whole) or len(feet) != len(whole) or min((*heads, *feet), default=0) < 0:
        raise refusal(node, f"it pads {len(heads)} of {len(whole)} axes")
    shape = tuple(size + head + foot for size, head, foot in zip(whole, heads, feet, strict=True))
    if mode == 0:
        none = [0] * value.lead
        pads = emitter.ints(*none, *heads, *none, *feet)
        return value.like(emitter.node("Pad", value.name, pads, emitter.array(np.array(filler), value.dtype)), shape)
    if mode not in (1, 2) or max(shape, default=0) > _MAX_LIST or 0 in whole:
        raise refusal(node, f"it has the padding mode {mode}, to {list(shape)}")
    numpy_mode: Any = "reflect" if mode == 1 else "symmetric"
    name = value.name
    for at, (size, head, foot) in enumerate(zip(whole, heads, feet, strict=True)):
        if head or foot:
            items = np.pad(np.arange(size), (head, foot), mode=numpy_mode)
            name = emitter.node("Gather", name, emitter.array(items, "int64"), axis=value.lead + at)
    return value.like(name, shape)


@rule(84, "Crop", "with given offsets (`crop_manual`)", inputs=None)
def _crop(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, referent = values[0], sizes(values[1])
    if len(values) != 2 or not node.attributes.has("offset"):
        raise refusal(node, "its offsets come from the layers before it")
    offsets = node.attributes.wholes("offset")[::-1]
    whole = sizes(value)
    for index, offset in enumerate(offsets):
        at = len(whole) - len(offsets) + index
        size = referent[len(referent) - len(offsets) + index]
        if offset < 0 or offset + size > whole[at]:
            raise refusal(node, f"it crops the items {offset} to {offset + size} of {whole[at]}")
        value = cut(emitter, value, at, (offset, offset + size, 1), size)
    return value


@rule(68, "OneHotOp", "any axis; sparse or dense")
def _one_hot(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    count = given.whole("numClass")
    if not 0 < count <= _MAX_LIST:
        raise refusal(node, f"it has {count} classes")
    given.skip("oneHotOutputSparse")
    rank = len(value.shape) + 1
    at = place(node, given.axis("onehotAxis"), rank)
    index = emitter.node("Unsqueeze", emitter.cast(value.name, "int64"), emitter.ints(value.lead + at))
    ladder = np.arange(count).reshape([-1] + [1] * (rank - 1 - at))
    hot = emitter.node("Equal", index, emitter.array(ladder, "int64"))
    shape = (*value.shape[:at], count, *value.shape[at:])
    return value.like(emitter.cast(hot, value.dtype), shape)


@rule(74, "Gather", "rows of a parameter or constant by whole numbers; along another axis it is a block", inputs=2)
def _gather(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    index, reference = values
    if reference.lead:
        raise refusal(node, "it takes rows of something that is not a parameter or a constant")
    given = node.attributes
    if given.has("axis") and place(node, given.axis("axis"), len(reference.shape)) != 0:
        raise refusal(node, "it names an axis that is not the slowest")
    whole = emitter.cast(index.name, "int64")
    made = index.like(emitter.node("Gather", reference.name, whole, axis=0), (*index.shape, *reference.shape[1:]))
    return Value(made.name, made.shape, made.batch, made.sequence, reference.dtype)


@rule(87, "TopK", "values and places, the largest first")
def _top_k(emitter: Emitter, node: Node, values: list[Value]) -> list[Value]:
    value, given = values[0], node.attributes
    at = place(node, given.axis("axis"), len(value.shape))
    count = given.whole("numItems")
    size = value.shape[at]
    if not isinstance(size, int) or not 0 < count <= size:
        raise refusal(node, f"it takes the {count} largest of {size}")
    largest, places = emitter.nodes_outputs(
        "TopK", value.name, emitter.ints(count), outputs=2, axis=value.lead + at, largest=1, sorted=1
    )
    shape = (*value.shape[:at], count, *value.shape[at + 1 :])
    return [value.like(largest, shape), value.like(emitter.cast(places, value.dtype), shape)]


Reducer = Callable[[Emitter, Value, list[int], bool], str]


def _onnx_reducer(op: str) -> Reducer:
    def reduce(emitter: Emitter, value: Value, axes: list[int], keep: bool) -> str:
        return emitter.node(op, value.name, emitter.ints(*axes), keepdims=int(keep))

    return reduce


_REDUCERS: dict[str, Reducer] = {
    "Sum": _onnx_reducer("ReduceSum"),
    "Mean": _onnx_reducer("ReduceMean"),
    "Max": _onnx_reducer("ReduceMax"),
    "Min": _onnx_reducer("ReduceMin"),
    "Prod": _onnx_reducer("ReduceProd"),
    "LogSum": _onnx_reducer("ReduceLogSumExp"),
}


@rule(39, "ReduceElements", "Sum, Mean, Max, Min, Prod, LogSum, Argmax, Argmin over static axes, one, several or all")
def _reduce(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, given = values[0], node.attributes
    op = given.text("reductionOpName")
    keep = given.flag("reductionKeepDimensions", True)
    listed = given.axes("axisVec") if given.has("axisVec") else [given.axis("axis")]
    rank = len(value.shape)
    if any(axis.index in (ALL_STATIC, ALL_AXES) for axis in listed):
        if listed[0].index == ALL_AXES and value.lead:
            raise refusal(node, "it reduces over the rows of the batch as well")
        places = list(range(rank))
    else:
        places = sorted({place(node, axis, rank) for axis in listed})
    kept = [1 if index in places else size for index, size in enumerate(value.shape)]
    shape = kept if keep else [size for index, size in enumerate(value.shape) if index not in places]
    if not places:
        return value
    if op in ("Argmax", "Argmin"):
        return reshaped(emitter, _arg(emitter, node, value, places, op), shape)
    if op not in _REDUCERS:
        raise refusal(node, f"it reduces by {op!r}")
    return value.like(_REDUCERS[op](emitter, value, [value.lead + at for at in places], keep), shape)


def _arg(emitter: Emitter, node: Node, value: Value, places: list[int], op: str) -> Value:
    """The place of the first largest or smallest item along one axis, or among all."""
    onnx = {"Argmax": "ArgMax", "Argmin": "ArgMin"}[op]
    at = places[0]
    if len(places) > 1:
        if len(places) != len(value.shape):
            raise refusal(node, "it looks for a place among some axes of several")
        value = reshaped(emitter, value, (int(np.prod(sizes(value), dtype=np.int64)),))
        at = 0
    name = emitter.cast(emitter.node(onnx, value.name, axis=value.lead + at, keepdims=1), value.dtype)
    return value.like(name, [1 if index == at else size for index, size in enumerate(value.shape)])
