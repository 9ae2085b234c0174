"""From the flat graph of primitives to ONNX nodes: in order, loops as one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from packager.converters.cntk import (  # noqa: F401 - importing the rules registers them
    rules_convolution,
    rules_elementwise,
    rules_products,
    rules_sequence,
    rules_shapes,
)
from packager.converters.cntk.emitter import BATCH, Emitter, Sequence, Value
from packager.converters.cntk.model import CONSTANT, INPUT, PARAMETER, Model, Node, Variable, numpy_type
from packager.converters.cntk.registry import primitive, refusal
from packager.converters.cntk.wire import damaged
from packager.core.errors import ConverterMissing

# Of one row of an input.
_MAX_VALUES = 1 << 28
BATCH_AXIS = "defaultBatchAxis"
SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the ONNX model.

    Attributes:
        shape: Numbers, and names of free axes.
    """

    name: str
    variable: Variable
    shape: tuple[int | str, ...]
    dtype: str


def components(model: Model) -> list[list[Node]]:
    """Nodes in the order in which they can be computed; those of a loop together.

    Tarjan's algorithm, without recursion: a deep network is a long path.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[Node] = []
    waiting: set[str] = set()
    found: list[list[Node]] = []
    for output in model.outputs:
        first = model.nodes.get(output.uid)
        path = [(first, 0)] if first is not None and first.uid not in index else []
        while path:
            node, step = path.pop()
            if step == 0:
                index[node.uid] = low[node.uid] = len(index)
                stack.append(node)
                waiting.add(node.uid)
            else:
                below = model.nodes.get(node.inputs[step - 1])
                if below is not None and below.uid in waiting:
                    low[node.uid] = min(low[node.uid], low[below.uid])
            while step < len(node.inputs):
                following = model.nodes.get(node.inputs[step])
                step += 1
                if following is None:
                    continue
                if following.uid not in index:
                    path.append((node, step))
                    path.append((following, 0))
                    break
                if following.uid in waiting:
                    low[node.uid] = min(low[node.uid], index[following.uid])
            else:
                if low[node.uid] == index[node.uid]:
                    found.append(_popped(stack, waiting, node))
    return found


def _popped(stack: list[Node], waiting: set[str], root: Node) -> list[Node]:
    part = []
    while True:
        node = stack.pop()
        waiting.discard(node.uid)
        part.append(node)
        if node.uid == root.uid:
            return part


class Lowering:
    """Writes one model; values by uid."""

    def __init__(self, model: Model, emitter: Emitter, inputs: Mapping[str, Input], lengths: str | None) -> None:
        self.model = model
        self.emitter = emitter
        self.values: dict[str, Value] = {}
        self._inputs = inputs
        self._lengths = lengths

    def run(self) -> list[Value]:
        """Values of the model's outputs."""
        from packager.converters.cntk.loops import lower_loop

        for part in components(self.model):
            if len(part) == 1 and not any(self.model.nodes.get(uid) is part[0] for uid in part[0].inputs):
                self.store(part[0], apply(self.emitter, part[0], [self.value(uid) for uid in part[0].inputs]))
            else:
                lower_loop(self, part)
        return [self.value(output.uid) for output in self.model.outputs]

    def store(self, node: Node, made: list[Value]) -> None:
        """Keep a node's outputs."""
        for number, value in enumerate(made):
            self.values[f"{node.uid}_Output_{number}"] = value

    def value(self, uid: str) -> Value:
        """What an output or a variable is in the graph."""
        if uid not in self.values:
            self.values[uid] = self._variable(uid)
        return self.values[uid]

    def _variable(self, uid: str) -> Value:
        variable = self.model.variables.get(uid)
        if variable is None:
            raise damaged(f"{uid!r} is used and not there")
        what = f"{variable.name or uid!r}"
        if variable.kind in (PARAMETER, CONSTANT) and variable.value is not None:
            dtype = numpy_type(variable.data_type, what)
            return self.emitter.constant(np.asarray(variable.value.array(), dtype))
        if variable.kind == INPUT:
            given = self._inputs[uid]
            sequence = _sequence(variable)
            return Value(
                given.name,
                variable.shape,
                BATCH in given.shape[:1],
                Sequence(sequence, self._lengths) if sequence else None,
                given.dtype,
            )
        raise ConverterMissing(
            f"the CNTK model has an open end: {what} is a placeholder that stands for nothing",
            hint="apply the model to an input variable before it is saved: z = model(C.input_variable(…)); z.save(…)",
            detail={"node": uid},
        )


def _sequence(variable: Variable) -> str | None:
    names = [name for name in variable.dynamic if name != BATCH_AXIS]
    return names[0] if names else None


def apply(emitter: Emitter, node: Node, values: list[Value]) -> list[Value]:
    """The values of one node's outputs.

    Raises:
        ConverterMissing: The primitive, an attribute or a value is not known; names the node.
    """
    known = primitive(node)
    if known.rule is None:
        raise refusal(node, "it stands where no such function can")
    if known.inputs not in (None, len(values)):
        raise refusal(node, f"it has {len(values)} inputs instead of {known.inputs}")
    try:
        made = known.rule(emitter, node, values)
    except (IndexError, ValueError) as error:
        if isinstance(error, ValueError) and "unpack" not in str(error):
            raise refusal(node, f"its {len(values)} inputs or its attributes do not fit: {error}") from error
        raise refusal(node, f"it has {len(values)} inputs") from error
    except ConverterMissing as error:
        if node.uid in error.message:
            raise
        raise refusal(node, error.message) from error
    if unknown := node.attributes.unasked():
        raise refusal(node, f"it has the attribute {unknown[0]!r}, which dray does not know")
    return made if isinstance(made, list) else [made]


def inputs_of(model: Model, reached: list[str]) -> dict[str, Input]:
    """The inputs that outputs depend on, by uid, in the order of the file; names are unique.

    Raises:
        ConverterMissing: An input has an axis whose size is not known, or more than one sequence axis.
    """
    used = set(reached)
    found: dict[str, Input] = {}
    names: set[str] = set()
    axes: dict[str, str] = {}
    for variable in model.variables.values():
        if variable.kind == INPUT and variable.uid in used:
            name = unique(variable.name or "input", names)
            found[variable.uid] = Input(name, variable, _shape(variable, axes), numpy_type(variable.data_type, name))
    return found


def unique(wanted: str, taken: set[str]) -> str:
    """A name that is valid over HTTP and not taken yet; it is added to those taken."""
    plain = "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in wanted) or "output"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}_{number}"
    taken.add(name)
    return name


def _shape(variable: Variable, axes: dict[str, str]) -> tuple[int | str, ...]:
    if 0 in variable.shape or math.prod(variable.shape) > _MAX_VALUES:
        raise damaged(f"the input {variable.name or variable.uid!r} has the shape {list(variable.shape)}")
    if any(size < 0 for size in variable.shape):
        raise ConverterMissing(
            f"the input {variable.name or variable.uid!r} has a static axis of free size",
            hint="give the input a fixed shape, or make that axis a sequence axis",
            detail={"node": variable.uid},
        )
    dynamic = [name for name in variable.dynamic if name != BATCH_AXIS]
    if len(dynamic) > 1 or (dynamic and len(variable.dynamic) == 1):
        raise ConverterMissing(
            f"the input {variable.name or variable.uid!r} has the dynamic axes {', '.join(variable.dynamic)}",
            hint="one batch axis and one sequence axis are converted",
            detail={"node": variable.uid},
        )
    for name in dynamic:
        axes.setdefault(name, SEQUENCE if not axes else f"{SEQUENCE}_{len(axes) + 1}")
    lead = [BATCH] * bool(variable.dynamic) + [axes[name] for name in dynamic]
    return (*lead, *variable.shape)
