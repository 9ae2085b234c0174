"""Recurrences of CNTK's own layers as ONNX LSTM, GRU and RNN.

Source of the cells: microsoft/CNTK, bindings/python/cntk/layers/blocks.py, _RecurrentBlock.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.cntk.emitter import Value, expanded, reshaped
from packager.converters.cntk.patterns import (
    ACTIVATIONS,
    MINUS,
    PLUS,
    SIGMOIDS,
    TIMES,
    TIMES_EACH,
    Match,
    Pattern,
    cell,
    matched,
    piece,
)
from packager.converters.cntk.rules_sequence import offset_of

if TYPE_CHECKING:
    from packager.converters.cntk.loops import Loop
    from packager.converters.cntk.lowering import Lowering

_ANY = tuple(ACTIVATIONS)
_FROM_INPUT = cell(PLUS, "b", cell(TIMES, "W", "x"))


def _lstm(projection: Pattern | str) -> tuple[Pattern, Pattern]:
    new = cell(
        PLUS,
        cell(TIMES_EACH, cell(SIGMOIDS, piece(2, projection)), "cell"),
        cell(TIMES_EACH, cell(SIGMOIDS, piece(0, projection)), cell(_ANY, piece(1, projection), called="activation")),
        result="new cell",
    )
    state = cell(TIMES_EACH, cell(SIGMOIDS, piece(3, projection)), cell(_ANY, new, called="activation"))
    return state, new


_LSTM, _ = _lstm(cell(PLUS, _FROM_INPUT, cell(TIMES, "H", "state")))
_STATE_PART = cell(TIMES, "H", "state")
_UPDATE = cell(SIGMOIDS, cell(PLUS, piece(0, _FROM_INPUT), piece(0, _STATE_PART)), result="update")
_RESET = cell(SIGMOIDS, cell(PLUS, piece(1, _FROM_INPUT), piece(1, _STATE_PART)))
_CANDIDATE = cell(
    _ANY,
    cell(PLUS, piece(2, _FROM_INPUT), cell(TIMES, "H1", cell(TIMES_EACH, "state", _RESET))),
    called="activation",
)
_GRU = cell(PLUS, cell(TIMES_EACH, cell(MINUS, "one", _UPDATE), _CANDIDATE), cell(TIMES_EACH, _UPDATE, "state"))
_RNN = cell(_ANY, cell(PLUS, cell(PLUS, cell(TIMES, "W", "x"), cell(TIMES, "H", "state")), "b"), called="activation")


@dataclass(frozen=True, slots=True)
class _Layer:
    """One recognised layer.

    Attributes:
        gates: Order in which ONNX wants CNTK's parts of the weights.
        states: Names of the delayed values, the one that is given out first.
    """

    op: str
    match: Match
    gates: tuple[int, ...]
    states: tuple[str, ...]
    result: str


def lower_layer(lowering: "Lowering", loop: "Loop") -> bool:
    """Write a loop as one ONNX operator where it is exactly one; whether that was so."""
    layer = _recognised(lowering, loop)
    if layer is None:
        return False
    weights = _weights(lowering, layer)
    source = lowering.value(layer.match.values["x"])
    if weights is None or source.sequence is None or not source.batch or len(source.shape) != 1:
        return False
    if source.dtype != "float32":
        return False
    delays = {f"{node.uid}_Output_0": node for node in loop.delays}
    starts = []
    for name in layer.states:
        start = lowering.value(delays[layer.match.values[name]].inputs[1])
        if start.sequence is not None or start.dtype != "float32":
            return False
        starts.append(start)
    lowering.values[layer.result] = _written(lowering, loop, layer, source, starts, weights)
    return True


def _recognised(lowering: "Lowering", loop: "Loop") -> _Layer | None:
    delays = {f"{node.uid}_Output_0": node for node in loop.delays}
    if any(offset_of(node) != 1 for node in loop.delays):
        return None
    kinds: dict[int, list[tuple[str, Pattern, tuple[int, ...], tuple[str, ...]]]] = {
        1: [("GRU", _GRU, (0, 1, 2), ("state",)), ("RNN", _RNN, (0,), ("state",))],
        2: [("LSTM", _LSTM, (0, 3, 2, 1), ("state", "cell"))],
    }
    for op, pattern, gates, states in kinds.get(len(delays), []):
        for first in loop.delays:
            found = Match()
            result = first.inputs[0]
            if matched(pattern, result, lowering.model.nodes, found) and _closed(lowering, loop, found, states, result):
                return _Layer(op, found, gates, states, result)
    return None


def _closed(lowering: "Lowering", loop: "Loop", found: Match, states: tuple[str, ...], result: str) -> bool:
    """Whether the loop is the pattern and nothing else, and only its state is used outside."""
    delays = {f"{node.uid}_Output_0": node for node in loop.delays}
    if {found.values[name] for name in states} != set(delays):
        return False
    if delays[found.values["state"]].inputs[0] != result:
        return False
    if "cell" in states and delays[found.values["cell"]].inputs[0] != found.values["new cell"]:
        return False
    steps = {node.uid for node in loop.steps}
    return steps <= found.nodes and not (wanted(lowering, steps | {node.uid for node in loop.delays}) - {result})


def wanted(lowering: "Lowering", inside: set[str]) -> set[str]:
    """Outputs of nodes of a loop that something outside it uses."""
    model = lowering.model
    used = {uid for node in model.nodes.values() if node.uid not in inside for uid in node.inputs}
    used |= {output.uid for output in model.outputs}
    return {uid for uid in used if (node := model.nodes.get(uid)) is not None and node.uid in inside}


def _weights(lowering: "Lowering", layer: _Layer) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """W, R and B as ONNX wants them; None where they are not known now, or of shapes that do not fit."""
    values = {name: lowering.value(layer.match.values[name]) for name in ("W", "H", "b")}
    parts = {name: value.constant for name, value in values.items()}
    weights, recurrent, bias = parts["W"], parts["H"], parts["b"]
    if weights is None or recurrent is None or bias is None or weights.ndim != 2 or recurrent.ndim != 2:
        return None
    size = recurrent.shape[0]
    count = len(layer.gates)
    if layer.op == "GRU":
        inner = lowering.value(layer.match.values["H1"]).constant
        one = lowering.value(layer.match.values["one"]).constant
        if inner is None or one is None or one.size != 1 or one.reshape(()) != 1 or inner.shape != (size, size):
            return None
        if recurrent.shape != (size, 2 * size):
            return None
        recurrent = np.concatenate([recurrent, inner], axis=1)
    if weights.shape[1] != count * size or recurrent.shape != (size, count * size) or bias.shape != (count * size,):
        return None
    if layer.match.width not in (None, size):
        return None

    def ordered(array: NDArray[Any]) -> NDArray[Any]:
        split = np.split(array, count, axis=-1)
        return np.concatenate([split[gate] for gate in layer.gates], axis=-1)

    biases = np.concatenate([ordered(bias), np.zeros_like(bias)])
    return ordered(weights).T[None], ordered(recurrent).T[None], biases[None]


def _written(
    lowering: "Lowering",
    loop: "Loop",
    layer: _Layer,
    source: Value,
    starts: list[Value],
    weights: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
) -> Value:
    emitter = lowering.emitter
    size = weights[1].shape[2]
    row = Value(emitter.node("Gather", source.name, emitter.array(0, "int64"), axis=1), source.shape, True)
    states = []
    for start in starts:
        flat = reshaped(emitter, start, ()) if start.constant is not None and start.constant.size == 1 else start
        states.append(emitter.node("Unsqueeze", expanded(emitter, flat, row, (size,)).name, emitter.ints(0)))
    lengths = source.sequence.lengths if source.sequence else None
    steps = emitter.node("Cast", lengths, to=6) if lengths else ""  # TensorProto.INT32
    activation = ACTIVATIONS[layer.match.ops["activation"]]
    activations = {
        "LSTM": ["Sigmoid", activation, activation],
        "GRU": ["Sigmoid", activation],
        "RNN": [activation],
    }[layer.op]
    more = {"linear_before_reset": 0} if layer.op == "GRU" else {}
    made = emitter.node(
        layer.op,
        emitter.node("Transpose", source.name, perm=[1, 0, 2]),
        *[emitter.array(array, "float32") for array in weights],
        steps,
        *states,
        hidden_size=size,
        activations=activations,
        direction="reverse" if loop.backwards else "forward",
        **more,
    )
    rows = emitter.node("Transpose", emitter.node("Squeeze", made, emitter.ints(1)), perm=[1, 0, 2])
    return Value(rows, (size,), True, source.sequence, "float32")
