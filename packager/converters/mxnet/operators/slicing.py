"""Parts of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from packager.converters.mxnet.operators.layout import moved
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.values import Value


@dataclass(frozen=True, slots=True)
class Cut:
    """A part along one axis; ends are whole numbers from either side, or free sizes."""

    axis: int
    begin: int
    end: Size
    step: int
    length: Size


def cut(call: Call, axis: int, begin: int | None, end: int | None, step: int = 1) -> Cut:
    """A part of the first input, with MXNet's defaults where None."""
    dim = call.inputs[0].dims[axis]
    if step < 1:
        return _backwards(call, axis, begin, end, step)
    start = begin or 0
    if dim.fixed is not None:
        first = min(max(start + dim.fixed if start < 0 else start, 0), dim.fixed)
        last = dim.fixed if end is None else min(max(end + dim.fixed if end < 0 else end, 0), dim.fixed)
        return Cut(axis, first, size(last), step, size(max(0, -(-(last - first) // step))))
    tail = start < 0 and (end is None or start < end < 0)
    if tail:
        span = size((0 if end is None else end) - start)
    elif end is None or end < 0:
        call.graph.floored(dim, 1)
        span = dim + ((end or 0) - start)
    else:
        if start < 0:
            call.fixed(dim, "its part begins from the end and ends from the start")
        span = size(end - start)
    length = call.graph.floored(span + (step - 1), step)
    return Cut(axis, start, size(_FAR) if end is None else size(end), step, length)


_MOST_PARTS = 1 << 14
_FAR = (1 << 31) - 1


def _backwards(call: Call, axis: int, begin: int | None, end: int | None, step: int) -> Cut:
    if step == 0:
        call.refuse("has a step of 0")
    length = call.fixed(call.inputs[0].dims[axis], "a part with a negative step needs the size of its axis")
    places = range(length)[slice(begin, end, step)]
    last = places[-1] - 1 if len(places) else 0
    return Cut(axis, places.start, size(last if last >= 0 else -_FAR), step, size(len(places)))


def sliced(call: Call, cuts: Sequence[Cut]) -> Values:
    """The first input's part."""
    x = call.inputs[0]
    dims = list(x.dims)
    for item in cuts:
        if item.length.fixed is not None and item.length.fixed < 1:
            call.refuse("takes an empty part")
        dims[item.axis] = item.length
    if not cuts:
        return (x,)
    ends = call.graph.shape([item.end for item in cuts], scope=call.name)
    name = call.emit(
        "Slice",
        x.name,
        call.constant([item.begin for item in cuts], np.int64),
        ends,
        call.constant([item.axis for item in cuts], np.int64),
        call.constant([item.step for item in cuts], np.int64),
    )
    return moved(call, name, dims)


@operator("slice", steps=True)
def slice_(call: Call) -> Values:
    """From ``begin`` to ``end`` by ``step`` on the first axes."""
    x = call.inputs[0]
    begins, ends, steps = (call.attributes[name] for name in ("begin", "end", "step"))
    if not isinstance(begins, tuple) or not isinstance(ends, tuple) or not isinstance(steps, tuple):
        call.refuse("has no begin and end")
    if len(begins) != len(ends) or len(begins) > x.rank or len(steps) not in (0, len(begins)):
        call.refuse(f"has begin={begins}, end={ends} and step={steps} for a tensor of {x.rank} axes")
    cuts = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps or (1,) * len(begins), strict=True)):
        if (begin, end, step) == (None, None, 1) or (begin, end, step) == (None, None, None):
            continue
        whole = [None if item is None else int(item) for item in (begin, end)]
        cuts.append(cut(call, axis, whole[0], whole[1], 1 if step is None else int(step)))
    for item in cuts:
        if (last := last_step(call, item)) is not None:
            return last
    return sliced(call, cuts)


@operator("slice_axis", steps=True)
def slice_axis(call: Call) -> Values:
    """From ``begin`` to ``end`` on one axis."""
    part = cut(call, call.axis(), call.integer("begin"), call.maybe("end"))
    return last_step(call, part) or sliced(call, [part])


def last_step(call: Call, part: Cut) -> Values | None:
    """With lengths, the last step of every sequence by itself; other parts along the sequence would hold padding."""
    x, graph = call.inputs[0], call.graph
    dim = x.dims[part.axis]
    if not graph.lengths or graph.sequence.isdisjoint(dim.symbols):
        return None
    if (part.begin, part.end.fixed) == (0, 1) and dim.symbol is not None:
        return sliced(call, [part])
    if part.begin != -1 or part.length.fixed != 1 or dim.symbol is None:
        call.refuse(
            "takes another part of a sequence than its first or last step, and padding might be in it",
            "leave --lengths away, and send sequences of one length together",
        )
    return gather_last(call, x, part.axis, graph.lengths, keep=True)


def gather_last(call: Call, x: Value, axis: int, lengths: str, *, keep: bool) -> Values:
    """Row i's step number ``lengths[i] - 1``."""
    rows = [place for place, dim in enumerate(x.dims) if dim.symbol == "batch"]
    if len(rows) != 1 or axis > 1 or rows[0] > 1:
        call.refuse("takes the last step of a tensor whose rows are not its first or second axis")
    source = x.name if rows[0] == 0 else call.emit("Transpose", x.name, perm=[1, 0, *range(2, x.rank)])
    last = call.emit("Sub", call.emit("Cast", lengths, to=7), call.constant(1, np.int64))
    index = call.emit("Unsqueeze", last, call.constant([1], np.int64))
    taken = call.emit("GatherND", source, index, batch_dims=1)
    dims = [x.dims[rows[0]], *x.dims[2:]]
    if keep:
        taken = call.emit("Unsqueeze", taken, call.constant([axis], np.int64))
        dims.insert(axis, size(1))
    return (call.result(taken, dims, x.dtype),)


@operator("slice_like", steps=True)
def slice_like(call: Call) -> Values:
    """As long as another tensor, on some axes or on all."""
    x, like = call.inputs
    axes = [call.nonnegative_axis(axis, x.rank) for axis in call.numbers("axes")] or list(range(min(x.rank, like.rank)))
    cuts = []
    for axis in axes:
        if axis >= like.rank:
            call.refuse(f"has axis {axis} and a tensor of {like.rank} axes to be like")
        if x.dims[axis] != like.dims[axis]:
            cuts.append(Cut(axis, 0, like.dims[axis], 1, like.dims[axis]))
    for item in cuts:
        dims = (x.dims[item.axis], item.length)
        if call.graph.lengths and any(not call.graph.sequence.isdisjoint(dim.symbols) for dim in dims):
            call.refuse("cuts a sequence, and padding might be in it", "leave --lengths away")
    return sliced(call, cuts)


@operator("SliceChannel", "_split_v2", steps=True)
def split(call: Call) -> Values:
    """Parts along an axis, of one size or between places."""
    x, axis = call.inputs[0], call.axis()
    if call.op == "SliceChannel" and call.flag("squeeze_axis"):
        call.same(x.dims[axis], size(call.integer("num_outputs")), "parts of")
    length = call.fixed(x.dims[axis], "the axis that is split needs a size")
    if call.op == "SliceChannel" or call.integer("sections") > 0:
        parts = call.integer("num_outputs" if call.op == "SliceChannel" else "sections")
        if parts < 1 or parts > min(length, _MOST_PARTS) or length % parts:
            call.refuse(f"splits {length} into {parts} parts")
        sizes = [length // parts] * parts
    else:
        places = [*call.numbers("indices"), length]
        sizes = [end - start for start, end in pairwise(places)]
    if min(sizes) < 1 or sum(sizes) != length:
        call.refuse(f"splits {length} into parts of {sizes}")
    names = [x.name]
    if len(sizes) > 1:
        given = call.constant(sizes, np.int64)
        names = call.graph.emit("Split", [x.name, given], scope=call.name, outputs=len(sizes), axis=axis)
    return tuple(_part(call, name, axis, width) for name, width in zip(names, sizes, strict=True))


def _part(call: Call, name: str, axis: int, width: int) -> Value:
    x = call.inputs[0]
    dims = [*x.dims[:axis], size(width), *x.dims[axis + 1 :]]
    if call.flag("squeeze_axis"):
        call.same(size(width), size(1), "a part of")
        name = call.emit("Squeeze", name, call.constant([axis], np.int64))
        dims = [*x.dims[:axis], *x.dims[axis + 1 :]]
    return call.result(name, dims, x.dtype)
