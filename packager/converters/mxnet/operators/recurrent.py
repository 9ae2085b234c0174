"""MXNet's fused recurrent layers, as ONNX's LSTM, GRU and RNN."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.values import Value

Array = NDArray[Any]
# MXNet's gates in ONNX's order: LSTM i,f,c,o as i,o,f,c; GRU r,z,n as z,r,n.
_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}
_OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One layer in one direction."""

    weight: Array
    recurrent: Array
    bias: Array


@operator("RNN", least=3, most=4, steps=True)
def rnn(call: Call) -> Values:
    """All layers and directions; answers, and the last states where asked for."""
    call.floats()
    _check(call)
    x, flat = call.inputs[:2]
    directions, layers, hidden = 1 + call.flag("bidirectional"), call.integer("num_layers"), call.integer("state_size")
    steps, rows, width = x.dims
    _note_axes(call, steps, rows)
    features = _features(call, flat, directions, layers, hidden)
    call.same(width, size(features), "features of")
    cells = list(_cells(call, flat, directions, layers, features))
    states = [_initial(call, state, directions, layers, rows, hidden) for state in call.inputs[2:]]
    name, lasts = x.name, []
    for layer in range(layers):
        own = cells[layer * directions : (layer + 1) * directions]
        initial = [state[layer] for state in states]
        name, last = _layer(call, name, own, initial)
        lasts.append(last)
    answers = call.result(name, [steps, rows, size(directions * hidden)])
    if not call.flag("state_outputs"):
        return (answers,)
    return answers, *(_joined(call, part, directions, rows, hidden) for part in zip(*lasts, strict=True))


def _check(call: Call) -> None:
    if call.inputs[0].rank != 3 or call.inputs[1].rank != 1:
        call.refuse(f"gets an input of {call.inputs[0].rank} axes, it takes (steps, rows, features)")
    if call.flag("use_sequence_length"):
        call.refuse(
            "has use_sequence_length, which MXNet computes on GPUs only",
            "export it without, and give dray --lengths for padded sequences",
        )
    limits = ("projection_size", "lstm_state_clip_min", "lstm_state_clip_max")
    for name in limits:
        if call.attributes[name] is not None:
            call.refuse(f"has {name}={call.attributes[name]!r}, which was not verified against MXNet")
    if len(call.inputs) != 3 + (call.text("mode") == "lstm"):
        call.refuse(f"has {len(call.inputs)} inputs for mode={call.text('mode')!r}")
    if not (1 <= call.integer("num_layers") <= 64 and 1 <= call.integer("state_size") <= 1 << 16):
        call.refuse(f"has {call.integer('num_layers')} layers of {call.integer('state_size')}")


def _note_axes(call: Call, steps: Size, rows: Size) -> None:
    """What the axes stand for."""
    if steps.symbol is not None:
        call.graph.sequence.add(steps.symbol)
    if rows.symbol is not None:
        call.graph.rows.add(rows.symbol)


def _features(call: Call, flat: Value, directions: int, layers: int, hidden: int) -> int:
    """The input's width, from the number of parameters."""
    gates = len(_GATES[call.text("mode")]) * hidden
    later = (layers - 1) * directions * gates * (directions * hidden + hidden + 2)
    total = call.fixed(flat.dims[0], "the number of parameters is needed")
    width, rest = divmod(total - later - directions * gates * (hidden + 2), directions * gates)
    if rest or width < 1:
        call.refuse(f"has {total} parameters, which fit no width of its input")
    return width


def _cells(call: Call, flat: Value, directions: int, layers: int, features: int) -> Iterator[_Cell]:
    """Layers in order, directions in order: all weights come before all biases."""
    numbers = call.numbers_of(flat, "has parameters that depend on an input").astype(np.float32, copy=False)
    hidden, order = call.integer("state_size"), _GATES[call.text("mode")]
    gates = len(order) * hidden
    biases = numbers[len(numbers) - 2 * layers * directions * gates :].reshape(-1, 2, gates)
    at = 0
    for index in range(layers * directions):
        width = features if index < directions else directions * hidden
        weight = numbers[at : at + gates * width].reshape(gates, width)
        at += gates * width
        recurrent = numbers[at : at + gates * hidden].reshape(gates, hidden)
        at += gates * hidden
        bias = np.concatenate([_ordered(part, order) for part in biases[index]])
        yield _Cell(_ordered(weight, order), _ordered(recurrent, order), bias)


def _ordered(array: Array, order: tuple[int, ...]) -> Array:
    parts = np.split(array, len(order))
    return np.concatenate([parts[place] for place in order])


def _initial(call: Call, state: Value, directions: int, layers: int, rows: Size, hidden: int) -> list[str]:
    """The first state of every layer; empty names where it is zeros."""
    if state.zeros:
        return [""] * layers
    if state.rank != 3:
        call.refuse(f"has a state of {state.rank} axes, it takes 3")
    for dim, wanted in zip(state.dims, (size(layers * directions), rows, size(hidden)), strict=True):
        call.same(dim, wanted, "a state of")
    if layers == 1:
        return [state.name]
    sizes = call.constant([directions] * layers, np.int64)
    return call.graph.emit("Split", [state.name, sizes], scope=call.name, outputs=layers, axis=0)


def _layer(call: Call, x: str, cells: list[_Cell], initial: list[str]) -> tuple[str, list[str]]:
    """The answers of a layer as (steps, rows, features), and its last states."""
    mode, hidden = call.text("mode"), call.integer("state_size")
    both = len(cells) == 2
    lengths = call.emit("Cast", call.graph.lengths, to=6) if _padded(call) else ""
    stacked = [
        call.constant(np.stack([getattr(cell, part) for cell in cells])) for part in ("weight", "recurrent", "bias")
    ]
    given = [x, *stacked, lengths, *initial]
    while not given[-1]:
        given.pop()
    special: dict[str, Any] = {"gru": {"linear_before_reset": 1}}.get(mode, {})
    if mode.startswith("rnn_"):
        special = {"activations": ["Relu" if mode == "rnn_relu" else "Tanh"] * len(cells)}
    outputs = call.graph.emit(
        _OPERATORS[mode],
        given,
        scope=call.name,
        outputs=3 if mode == "lstm" else 2,
        hidden_size=hidden,
        direction="bidirectional" if both else "forward",
        **special,
    )
    turned = call.emit("Transpose", outputs[0], perm=[0, 2, 1, 3])
    return call.emit("Reshape", turned, call.constant([0, 0, len(cells) * hidden], np.int64)), outputs[1:]


def _padded(call: Call) -> bool:
    return bool(call.graph.lengths) and call.inputs[0].dims[0].symbol in call.graph.sequence


def _joined(call: Call, parts: tuple[str, ...], directions: int, rows: Size, hidden: int) -> Value:
    name = parts[0] if len(parts) == 1 else call.emit("Concat", *parts, axis=0)
    return call.result(name, [size(len(parts) * directions), rows, size(hidden)])
