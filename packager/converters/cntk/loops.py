"""Recurrences: cycles through PastValue and FutureValue become one ONNX Scan, whatever their steps do."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from onnx import TensorProto, ValueInfoProto, helper

from packager.converters.cntk.emitter import Emitter, Sequence, Value, expanded, of_rank
from packager.converters.cntk.model import Node
from packager.converters.cntk.recurrent_layers import lower_layer, wanted
from packager.converters.cntk.registry import refusal
from packager.converters.cntk.rules_sequence import FUTURE, PAST, end_of, mask, offset_of
from packager.converters.cntk.wire import damaged

if TYPE_CHECKING:
    from packager.converters.cntk.lowering import Lowering

_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "bool": TensorProto.BOOL}
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Loop:
    """One recurrence.

    Attributes:
        delays: The nodes that hand a value from step to step.
        steps: The others, in the order in which they can be computed within a step.
    """

    delays: list[Node]
    steps: list[Node]
    backwards: bool


def lower_loop(lowering: "Lowering", nodes: list[Node]) -> None:
    """Write a loop, and keep the values of its nodes.

    Raises:
        ConverterMissing: It runs both ways, or not along one sequence.
    """
    loop = _ordered(lowering, nodes)
    if lower_layer(lowering, loop):
        return
    _Scan(lowering, loop).write()


def _ordered(lowering: "Lowering", nodes: list[Node]) -> Loop:
    inside = {node.uid for node in nodes}
    delays = [node for node in nodes if node.op in (PAST, FUTURE)]
    if len({node.op for node in delays}) != 1:
        why = "it is in a loop that runs in both directions" if delays else "it depends on itself, without a delay"
        raise refusal((delays or nodes)[0], why)
    done = {node.uid for node in delays}
    waiting = {node.uid: node for node in nodes if node.uid not in done}
    needs = {
        uid: {below.uid for name in node.inputs if (below := lowering.model.nodes.get(name)) is not None}
        & inside - done
        for uid, node in waiting.items()
    }
    users: dict[str, list[str]] = {}
    for uid, needed in needs.items():
        for other in needed:
            users.setdefault(other, []).append(uid)
    ready = [uid for uid, needed in needs.items() if not needed]
    steps: list[Node] = []
    while ready:
        uid = ready.pop()
        steps.append(waiting.pop(uid))
        for user in users.get(uid, []):
            needs[user].discard(uid)
            if not needs[user]:
                ready.append(user)
    if waiting:
        raise refusal(next(iter(waiting.values())), "it depends on itself, without a delay")
    return Loop(delays, steps, backwards=delays[0].op == FUTURE)


class _Scan:
    """Writes one loop."""

    def __init__(self, lowering: "Lowering", loop: Loop) -> None:
        self._lowering = lowering
        self._loop = loop
        self._inside = {node.uid for node in (*loop.delays, *loop.steps)}
        self._outer = lowering.emitter
        first = loop.delays[0]
        if any(len(node.inputs) != 2 for node in loop.delays):
            raise damaged(f"the delay {first.uid!r} has no initial state")
        sequences = [value for value in self._from_outside() if value.sequence is not None]
        if not sequences:
            raise refusal(first, "it is in a loop that runs along no input")
        if len({value.sequence.name for value in sequences if value.sequence}) > 1:
            raise refusal(first, "it is in a loop over sequences along different axes")
        self._like = sequences[0]
        self._sequence: Sequence = sequences[0].sequence or Sequence("")

    def write(self) -> None:
        shapes = {node.uid: self._guess(node) for node in self._loop.delays}
        for _ in range(_TRIES):
            kept = len(self._outer.nodes)
            found = self._attempt(shapes)
            if found == shapes:
                return
            del self._outer.nodes[kept:]
            shapes = found
        raise refusal(self._loop.delays[0], "the shape of its items is not the same from step to step")

    def _inner(self, uid: str) -> bool:
        node = self._lowering.model.nodes.get(uid)
        return node is not None and node.uid in self._inside

    def _from_outside(self) -> list[Value]:
        for node in self._loop.delays:
            if self._inner(node.inputs[1]):
                raise refusal(node, "its initial state comes from its own loop")
        names = [uid for node in self._loop.steps for uid in node.inputs if not self._inner(uid)]
        return [self._lowering.value(uid) for uid in dict.fromkeys(names)]

    def _guess(self, node: Node) -> tuple[int, ...]:
        """The shape of a delay's items: what the file says, else that of the initial state."""
        if (known := self._lowering.model.shapes.get(node.inputs[0])) is not None:
            return known
        return tuple(size for size in self._lowering.value(node.inputs[1]).shape if isinstance(size, int))

    def _attempt(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Write the loop for items of these shapes; those that came out, equal when it is right."""
        body = Emitter(self._outer)
        states: dict[str, list[Value]] = {}
        dtype = self._like.dtype
        for node in self._loop.delays:
            names = [body.names.next("state") for _ in range(offset_of(node))]
            states[node.uid] = [Value(name, shapes[node.uid], True, None, dtype) for name in names]
        scanned: dict[str, Value] = {}
        inner: dict[str, Value] = {f"{uid}_Output_0": values[-1] for uid, values in states.items()}
        for node in self._loop.steps:
            self._step(body, node, inner, scanned)
        results = {node.uid: inner[node.inputs[0]] for node in self._loop.delays}
        found = {uid: tuple(size for size in value.shape if isinstance(size, int)) for uid, value in results.items()}
        if found != shapes:
            return found
        self._write(body, states, scanned, inner, results)
        return found

    def _step(self, body: Emitter, node: Node, inner: dict[str, Value], scanned: dict[str, Value]) -> None:
        from packager.converters.cntk.lowering import apply

        values = []
        for uid in node.inputs:
            if uid not in inner:
                value = self._lowering.value(uid)
                if value.sequence is None:
                    inner[uid] = replace(value, probe=None)
                else:
                    scanned[uid] = value
                    inner[uid] = Value(body.names.next("item"), value.shape, True, None, value.dtype)
            values.append(inner[uid])
        for number, value in enumerate(apply(body, node, values)):
            inner[f"{node.uid}_Output_{number}"] = value

    def _write(
        self,
        body: Emitter,
        states: dict[str, list[Value]],
        scanned: dict[str, Value],
        inner: dict[str, Value],
        results: dict[str, Value],
    ) -> None:
        outer = self._outer
        hold = body.names.next("valid") if self._loop.backwards and self._sequence.lengths else None
        initial, new_states = [], []
        for node in self._loop.delays:
            start = self._initial(node, states[node.uid][0])
            values = states[node.uid]
            following = [self._whole(body, results[node.uid], values[0]), *[value.name for value in values[:-1]]]
            initial += [start] * len(values)
            new_states += [_held(body, hold, name, value) for name, value in zip(following, values, strict=True)]
        old_states = [value for node in self._loop.delays for value in states[node.uid]]
        used = wanted(self._lowering, self._inside)
        kept = [uid for uid in inner if uid in used]
        outputs = [self._whole(body, inner[uid], inner[uid]) for uid in kept]
        items = [inner[uid] for uid in scanned]
        sources = [value.name for value in scanned.values()]
        if hold is not None:
            items.append(Value(hold, (), True, None, "bool"))
            sources.append(mask(outer, self._sequence, self._like))
        graph = helper.make_graph(
            body.nodes,
            outer.names.next("step"),
            [_info(value.name, value) for value in (*old_states, *items)],
            [
                *[_info(name, value) for name, value in zip(new_states, old_states, strict=True)],
                *[_info(name, inner[uid]) for name, uid in zip(outputs, kept, strict=True)],
            ],
        )
        made = self._scan(graph, initial, sources, len(kept))
        for uid, name in zip(kept, made[len(initial) :], strict=True):
            value = inner[uid]
            self._lowering.values[uid] = Value(name, value.shape, True, self._sequence, value.dtype)

    def _scan(self, graph: object, initial: list[str], sources: list[str], outputs: int) -> list[str]:
        way = int(self._loop.backwards)
        count = len(initial) + outputs
        made = self._outer.nodes_outputs(
            "Scan", *initial, *sources, outputs=count, body=graph, num_scan_inputs=len(sources),
            scan_input_axes=[1] * len(sources), scan_input_directions=[way] * len(sources),
            scan_output_axes=[1] * outputs, scan_output_directions=[way] * outputs,
        )  # fmt: skip
        return made if count > 1 else made[:1]

    def _initial(self, node: Node, state: Value) -> str:
        """The initial state, for each row."""
        value = self._lowering.value(node.inputs[1])
        outer = self._outer
        if value.sequence is not None:
            value = end_of(outer, node, value, offset_of(node), last=not self._loop.backwards)
        row = Value(
            outer.node("Gather", self._like.name, outer.array(0, "int64"), axis=1),
            self._like.shape,
            True,
            None,
            "float32",
        )
        if len(value.shape) > len(state.shape):
            from packager.converters.cntk.emitter import reshaped

            value = reshaped(outer, value, ())
        return expanded(outer, value, row, state.shape).name

    def _whole(self, body: Emitter, value: Value, like: Value) -> str:
        """A value of a step, of the rank and with the rows that a state has; a name that the step itself makes."""
        if value.lead == 0:
            raise refusal(self._loop.delays[0], "a step of its loop depends on no row")
        return body.node("Identity", of_rank(body, value, len(like.shape)).name)


def _held(body: Emitter, valid: str | None, new: str, old: Value) -> str:
    """The new state; the old one where the step is padding."""
    if valid is None:
        return body.node("Identity", new)
    known = valid
    if old.shape:
        known = body.node("Unsqueeze", valid, body.ints(*range(1, 1 + len(old.shape))))
    return body.node("Where", known, new, old.name)


def _info(name: str, value: Value) -> ValueInfoProto:
    shape = [None, *[size if isinstance(size, int) else None for size in value.shape]]
    return helper.make_tensor_value_info(name, _TYPES[value.dtype], shape)
