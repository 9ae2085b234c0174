"""Operators on padded sequences, whose lengths are a second input."""

import numpy as np

from packager.converters.mxnet.operators.slicing import gather_last
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.values import Value


def _operands(call: Call) -> tuple[Value, int, Value | None]:
    call.floats(call.inputs[0])
    x, *lengths = call.inputs
    if len(lengths) != call.flag("use_sequence_length"):
        call.refuse(f"has {len(call.inputs)} inputs and use_sequence_length={call.flag('use_sequence_length')}")
    axis = call.axis()
    if axis > 1 or x.rank < 2:
        call.refuse(f"has axis {axis} of a tensor with {x.rank} axes")
    for item in lengths:
        call.same(item.dims[0], x.dims[1 - axis], "as many lengths as")
    return x, axis, lengths[0] if lengths else None


def _steps_padded(call: Call, axis: int) -> bool:
    dim = call.inputs[0].dims[axis]
    return bool(call.graph.lengths) and not call.graph.sequence.isdisjoint(dim.symbols)


@operator("SequenceLast", least=1, most=2, steps=True)
def sequence_last(call: Call) -> Values:
    """The last step of every row."""
    x, axis, lengths = _operands(call)
    dims = [dim for place, dim in enumerate(x.dims) if place != axis]
    if lengths is not None:
        turned = x.name if axis == 1 else call.emit("Transpose", x.name, perm=[1, 0, *range(2, x.rank)])
        last = call.emit("Sub", call.emit("Cast", lengths.name, to=7), call.constant(1, np.int64))
        index = call.emit("Unsqueeze", last, call.constant([1], np.int64))
        return (call.result(call.emit("GatherND", turned, index, batch_dims=1), dims),)
    if _steps_padded(call, axis):
        return gather_last(call, x, axis, call.graph.lengths, keep=False)
    return (call.result(call.emit("Gather", x.name, call.constant(-1, np.int64), axis=axis), dims),)


@operator("SequenceMask", least=1, most=2, steps=True)
def sequence_mask(call: Call) -> Values:
    """A number in place of all steps beyond the length."""
    x, axis, lengths = _operands(call)
    if lengths is None:
        return (x,)
    count = call.emit("Squeeze", call.graph.size(x.dims[axis], scope=call.name), call.constant([0], np.int64))
    places = call.emit("Range", call.constant(0, np.int64), count, call.constant(1, np.int64))
    limits = call.emit("Cast", lengths.name, to=7)
    rest = [1] * (x.rank - 2)
    steps = call.emit("Reshape", places, call.constant([-1, 1, *rest] if axis == 0 else [1, -1, *rest], np.int64))
    rows = call.emit("Reshape", limits, call.constant([1, -1, *rest] if axis == 0 else [-1, 1, *rest], np.int64))
    inside = call.emit("Less", steps, rows)
    return call.computed("Where", inside, x.name, call.constant(call.number("value")), like=x)


@operator("SequenceReverse", least=1, most=2, steps=True)
def sequence_reverse(call: Call) -> Values:
    """The steps backwards, padding left in its place."""
    x, axis, lengths = _operands(call)
    if axis != 0:
        call.refuse("reverses along axis 1, MXNet along 0 only")
    if lengths is not None:
        limits = call.emit("Cast", lengths.name, to=7)
    elif _steps_padded(call, axis):
        limits = call.emit("Cast", call.graph.lengths, to=7)
    else:
        one = call.graph.size(x.dims[0], scope=call.name)
        limits = call.emit("Expand", one, call.graph.size(x.dims[1], scope=call.name))
    return call.computed("ReverseSequence", x.name, limits, like=x, batch_axis=1, time_axis=0)
