"""Primitives along a sequence: delays, choosing items, broadcasting, unpacking."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from packager.converters.cntk.emitter import (
    END,
    Emitter,
    Free,
    Sequence,
    Value,
    expanded,
    of_rank,
    with_axes_of,
)
from packager.converters.cntk.model import Node
from packager.converters.cntk.registry import refusal, rule

PAST, FUTURE = 37, 38
_BATCH_AXIS = "defaultBatchAxis"
# Conditions are tried on sequences of these lengths; where a delay reaches further, it is refused.
_TRIED = (5000, 5001, 5017)
_MAX_OFFSET = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """Items that a condition chooses, the same of every sequence: from ``begin`` to ``end``.

    Attributes:
        begin, end: Counted from the first item; from behind the last where ``…_last`` says so.
        axis: Name of the new sequence axis; None where one item is chosen and the axis goes.
    """

    begin: int
    begin_last: bool
    end: int
    end_last: bool
    axis: str | None


def mask(emitter: Emitter, sequence: Sequence, like: Value) -> str:
    """BOOL (batch, sequence): which items are of the sequence and not padding."""
    key = f"{sequence.name}/{sequence.lengths}"
    if key not in emitter.masks:
        size = emitter.node("Gather", emitter.node("Shape", like.name), emitter.array(1, "int64"), axis=0)
        steps = emitter.node("Range", emitter.array(0, "int64"), size, emitter.array(1, "int64"))
        lengths = emitter.node("Unsqueeze", str(sequence.lengths), emitter.ints(1))
        emitter.masks[key] = emitter.node("Less", steps, lengths)
    return emitter.masks[key]


def masked(emitter: Emitter, value: Value, filler: float | Value) -> Value:
    """The value with ``filler`` in place of padding; itself where nothing is padded."""
    if value.sequence is None or value.sequence.lengths is None:
        return value
    known = mask(emitter, value.sequence, value)
    if value.shape:
        known = emitter.node("Unsqueeze", known, emitter.ints(*range(2, 2 + len(value.shape))))
    other = filler.name if isinstance(filler, Value) else emitter.array(np.array(filler), value.dtype)
    return value.like(emitter.node("Where", known, value.name, other))


def _sequence_of(node: Node, value: Value) -> Sequence:
    if value.sequence is None:
        raise refusal(node, "its input is no sequence here")
    return value.sequence


@rule(PAST, "PastValue", "any delay; initial state constant, of each row, or inside recurrences", inputs=2)
def _past(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return _delayed(emitter, node, values, past=True)


@rule(FUTURE, "FutureValue", "any delay; initial state constant, of each row, or inside recurrences", inputs=2)
def _future(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return _delayed(emitter, node, values, past=False)


def offset_of(node: Node) -> int:
    """By how many items a delay shifts."""
    offset = node.attributes.whole("offset")
    if not 0 < offset <= 4096:
        raise refusal(node, f"it shifts by {offset} items")
    return offset


def _delayed(emitter: Emitter, node: Node, values: list[Value], *, past: bool) -> Value:
    value, initial = values
    offset = offset_of(node)
    _sequence_of(node, value)
    if initial.sequence is not None:
        initial = end_of(emitter, node, initial, offset, last=past)
    shape = value.shape
    filler = expanded(emitter, initial, _first_items(emitter, value, offset), _joined(node, shape, initial.shape))
    if past:
        joined = emitter.node("Concat", filler.name, value.name, axis=1)
        name = emitter.node("Slice", joined, emitter.ints(0), emitter.ints(-offset), emitter.ints(1))
    else:
        clean = masked(emitter, value, _over_items(emitter, initial, value))
        joined = emitter.node("Concat", clean.name, filler.name, axis=1)
        name = emitter.node("Slice", joined, emitter.ints(offset), emitter.ints(END), emitter.ints(1))
    return replace(value.like(name), probe=_delayed_probe(node, value, initial, offset, past=past))


def end_of(emitter: Emitter, node: Node, initial: Value, offset: int, *, last: bool) -> Value:
    """The item of a sequence that CNTK starts from: its last where values come from the past, else its first."""
    if offset != 1:
        raise refusal(node, "its initial state is a sequence, and it shifts by several items")
    place = -1 if last else 0
    return one_item(emitter, initial, _sequence_of(node, initial), Selection(place, last, place + 1, last, None))


def _joined(node: Node, shape: Any, initial: Any) -> Any:
    if len(initial) > len(shape) or any(
        one not in (1, size) for one, size in zip(initial[::-1], shape[::-1], strict=False)
    ):
        # CNTK keeps a vector of one number as the initial state of a scalar.
        if all(size == 1 for size in initial):
            return shape
        raise refusal(node, f"its initial state is of shape {list(initial)}, its items of {list(shape)}")
    return shape


def _over_items(emitter: Emitter, initial: Value, value: Value) -> Value:
    flat = _scalar(emitter, initial) if len(initial.shape) > len(value.shape) else initial
    return of_rank(emitter, with_axes_of(emitter, flat, value), len(value.shape))


def _scalar(emitter: Emitter, value: Value) -> Value:
    from packager.converters.cntk.emitter import reshaped

    return reshaped(emitter, value, ())


def _first_items(emitter: Emitter, value: Value, count: int) -> Value:
    """(batch, count, …) of any values, for its shape."""
    lone = emitter.node("Slice", value.name, emitter.ints(0), emitter.ints(1), emitter.ints(1))
    if count == 1:
        return value.like(lone)
    tile = emitter.ints(1, count, *[1] * len(value.shape))
    return value.like(emitter.node("Tile", lone, tile))


def _delayed_probe(node: Node, value: Value, initial: Value, offset: int, *, past: bool) -> Any:
    inner = value.probe
    if inner is None or initial.constant is None or initial.constant.size != 1 or offset > _MAX_OFFSET:
        return None
    filler = np.full(offset, initial.constant.reshape(()))

    def probe(length: int) -> Any:
        whole = np.broadcast_to(inner(length), (length,))
        return np.concatenate([filler, whole[:-offset]] if past else [whole[offset:], filler])

    return probe


@rule(50, "ReconcileDynamicAxis", "`broadcast_as` over a sequence; the same axis under another name", inputs=2)
def _reconcile(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, like = values
    if value.lead > like.lead:
        raise refusal(node, "it takes the sequence axis from its input")
    if value.lead == like.lead:
        return replace(value, sequence=like.sequence)
    made = expanded(emitter, value, like)
    number = value.constant
    if number is None or number.size != 1 or like.sequence is None:
        return made
    return replace(made, probe=lambda length: np.full(length, number.reshape(())))


@rule(13, "Where", "conditions that depend on places in a sequence alone: `first`, `last`, `slice`, `is_first`, …")
def _where(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    given = node.attributes
    given.skip("newSequenceAxisLengthScalingFactor", "newSequenceAxisLengthAdditiveFactor")
    names = [axis.name for axis in given.axes("newDynamicAxes") if axis.name != _BATCH_AXIS]
    probe = values[0].probe
    if probe is None or len(names) > 1:
        raise refusal(node, "which items it chooses depends on the data")
    chosen = _selected(node, probe)
    if not names and (chosen.begin_last != chosen.end_last or chosen.end - chosen.begin != 1):
        raise refusal(node, "it chooses several items where one is expected")
    name = emitter.names.next("selection")
    emitter.selections[name] = replace(chosen, axis=names[0] if names else None)
    return replace(values[0], name=name, probe=None)


def _selected(node: Node, probe: Any) -> Selection:
    """The range that a condition chooses, from what it says of sequences of several lengths."""
    found = []
    for length in _TRIED:
        places = np.flatnonzero(np.broadcast_to(probe(length), (length,)))
        if not len(places) or places[-1] - places[0] + 1 != len(places):
            raise refusal(node, "it chooses no items, or items that do not stand side by side")
        found.append((int(places[0]), int(places[-1]) + 1))
    ends = []
    for index in range(2):
        at = [pair[index] for pair in found]
        last = [place - length for place, length in zip(at, _TRIED, strict=True)]
        if len(set(at)) > 1 and len(set(last)) > 1:
            raise refusal(node, "it chooses items by a rule that is not counted from either end")
        ends.append((at[0], False) if len(set(at)) == 1 else (last[0], True))
    (begin, begin_last), (end, end_last) = ends
    return Selection(begin, begin_last, end, end_last, None)


@rule(28, "PackedIndex", "together with `Where`", inputs=2)
def _packed_index(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    if values[1].name not in emitter.selections:
        raise refusal(node, "its items are not chosen by their places in a sequence")
    return values[1]


@rule(29, "GatherPacked", "items chosen by their places: `sequence.first`, `last`, `slice`, `gather`", inputs=2)
def _gather_packed(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    chosen = emitter.selections.get(values[1].name)
    sequence = _sequence_of(node, value)
    if chosen is None:
        raise refusal(node, "its items are not chosen by their places in a sequence")
    if chosen.axis is None:
        return one_item(emitter, value, sequence, chosen)
    return _items(emitter, value, sequence, chosen, chosen.axis)


def one_item(emitter: Emitter, value: Value, sequence: Sequence, chosen: Selection) -> Value:
    """The one item that is chosen, without the sequence axis; ONNX Runtime stops where a sequence has none such."""
    if sequence.lengths is None:
        name = emitter.node("Gather", value.name, emitter.array(chosen.begin, "int64"), axis=1)
        return Value(name, value.shape, True, None, value.dtype)
    place = _place(emitter, sequence.lengths, chosen.begin, chosen.begin_last)
    inside = emitter.node(
        "And",
        emitter.node("GreaterOrEqual", place, emitter.ints(0)),
        emitter.node("Less", place, sequence.lengths),
    )
    beyond = emitter.ints(END)
    index = emitter.node("Unsqueeze", emitter.node("Where", inside, place, beyond), emitter.ints(1))
    return Value(emitter.node("GatherND", value.name, index, batch_dims=1), value.shape, True, None, value.dtype)


def _place(emitter: Emitter, lengths: str, number: int, from_last: bool) -> str:
    """INT64 (batch,): a place in each sequence."""
    if from_last:
        return emitter.node("Add", lengths, emitter.ints(number))
    return emitter.node("Expand", emitter.ints(number), emitter.node("Shape", lengths))


def _items(emitter: Emitter, value: Value, sequence: Sequence, chosen: Selection, axis: str) -> Value:
    if sequence.lengths is None:
        end = END if chosen.end_last and not chosen.end else chosen.end
        name = emitter.node("Slice", value.name, emitter.ints(chosen.begin), emitter.ints(end), emitter.ints(1))
        return Value(name, value.shape, True, Sequence(axis), value.dtype)
    none = emitter.ints(0)
    start = emitter.node("Max", _place(emitter, sequence.lengths, chosen.begin, chosen.begin_last), none)
    stop = emitter.node("Min", _place(emitter, sequence.lengths, chosen.end, chosen.end_last), sequence.lengths)
    left = emitter.node("Max", emitter.node("Sub", stop, start), none)
    if not chosen.begin_last:
        # Padding stays behind the items: only the start is cut off, and the end where it is counted from the first.
        end = END if chosen.end_last else chosen.end
        name = emitter.node("Slice", value.name, emitter.ints(chosen.begin), emitter.ints(end), emitter.ints(1))
        return Value(name, value.shape, True, Sequence(axis, left), value.dtype)
    steps = emitter.array(np.arange(chosen.end - chosen.begin)[None], "int64")
    places = emitter.node("Add", emitter.node("Unsqueeze", start, emitter.ints(1)), steps)
    last = emitter.node("Sub", sequence.lengths, emitter.ints(1))
    places = emitter.node("Min", places, emitter.node("Unsqueeze", last, emitter.ints(1)))
    name = emitter.node("GatherND", value.name, emitter.node("Unsqueeze", places, emitter.ints(2)), batch_dims=1)
    return Value(name, value.shape, True, Sequence(axis, left), value.dtype)


@rule(72, "UnpackSequence", "to a static axis of free size: `sequence.reduce_*`, `softmax`, attention")
def _unpack(emitter: Emitter, node: Node, values: list[Value]) -> list[Value]:
    value, given = values[0], node.attributes
    sequence = _sequence_of(node, value)
    filler, bare = given.real("sequenceUnpackPaddingValue"), given.flag("sequenceUnpackSuppressMaskOutput", False)
    free = Free(sequence.name)
    if free in value.shape:
        raise refusal(node, "it unpacks a sequence twice")
    clean = masked(emitter, value, filler)
    unpacked = Value(clean.name, (free, *value.shape), True, None, value.dtype)
    if bare:
        return [unpacked]
    one = emitter.constant(np.array(1, value.dtype))
    whole = Value("", (), True, sequence, value.dtype)
    if sequence.lengths:
        valid = emitter.cast(mask(emitter, sequence, value), value.dtype)
    else:
        head = emitter.node("Slice", emitter.node("Shape", value.name), emitter.ints(0), emitter.ints(2))
        valid = emitter.node("Expand", one.name, head)
    return [unpacked, Value(valid, (free,), whole.batch, None, value.dtype)]


@rule(70, "ToSequence", "a static axis as a sequence of its length; lengths of its own are refused", inputs=None)
def _to_sequence(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    if len(values) != 1:
        raise refusal(node, "the lengths of its sequences come from another value")
    value, given = values[0], node.attributes
    given.skip("sequenceAxis")
    names = [axis.name for axis in given.axes("newDynamicAxes") if axis.name != _BATCH_AXIS]
    if value.sequence is not None or not value.shape or not value.batch or len(names) != 1:
        raise refusal(node, "its input has no axis that could become a sequence")
    return Value(value.name, value.shape[1:], True, Sequence(names[0]), value.dtype)


@rule(71, "ToSequenceLike", "back from an unpacked sequence of the same lengths", inputs=2)
def _to_sequence_like(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, like = values
    sequence = _sequence_of(node, like)
    if value.sequence is not None or not value.shape or value.shape[0] != Free(sequence.name):
        raise refusal(node, "its input is not that sequence, unpacked")
    return Value(value.name, value.shape[1:], True, sequence, value.dtype)
