"""Where the nodes of a graph ran, read from ONNX Runtime's profile: a session that has a provider need not use it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runtime.contract.circuit import PLATFORM

CPU: Final = "CPUExecutionProvider"
# Shapes are reckoned on the CPU by every provider that does not compile whole graphs, and cost nothing there.
_OF_SHAPES: Final = frozenset(
    {
        "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Gather", "Identity", "Max", "Min",
        "Mod", "Mul", "Range", "ReduceProd", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze",
        "Where",
    }
)  # fmt: skip
_ANY_INPUT: Final = frozenset({"Shape", "Size"})
_COPIES: Final = ("MemcpyToHost", "MemcpyFromHost")
# A shape has no more numbers than a tensor has axes.
_MOST_AXES: Final = 8
_WHOLE: Final = frozenset({"int64", "int32", "bool"})
_MOST_NAMED: Final = 10
_SUFFIX: Final = "_kernel_time"


@dataclass(frozen=True, slots=True)
class Placement:
    """What was asked of a model's execution providers, and what came of it.

    Attributes:
        asked: Providers that should do the work, best first; never the CPU's.
        fallback: ``forbid``, ``allow``, or None where nobody said.
        nodes: How many nodes that compute ran on each provider; one that a provider compiled of many counts once.
        elsewhere: Those that ran on a provider that was not asked for, with their operators.
        shapes: Nodes on the CPU that reckon shapes only.
        why: Why a provider is not used at all, where that is known.
    """

    asked: tuple[str, ...]
    fallback: str | None = None
    nodes: Mapping[str, int] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    why: str = ""

    @property
    def providers(self) -> tuple[str, ...]:
        """Where nodes ran that compute: those that were asked for, and the CPU's, in this order."""
        return tuple(name for name in (*self.asked, CPU) if self.nodes.get(name)) or (CPU,)

    @property
    def fell_back(self) -> bool:
        """Whether anything was computed on the CPU that should have been elsewhere."""
        return bool(self.elsewhere) or not any(self.nodes.get(name) for name in self.asked)

    def in_words(self) -> str:
        """One line for people: how much ran where, and what not where it should have."""
        asked = ", ".join(self.asked)
        if not self.fell_back:
            return f"all nodes that compute ({sum(self.nodes.values())}) ran on {', '.join(self.providers)}"
        where = ", ".join(f"{count} on {name}" for name, count in self.nodes.items()) or f"all on {CPU}"
        named = ", ".join(self.elsewhere[:_MOST_NAMED])
        more = len(self.elsewhere) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        not_there = f"; not on {asked}: {named}{rest}" if named else ""
        return f"{asked} was asked for; nodes that compute: {where}{not_there}{f' ({self.why})' if self.why else ''}"

    def report(self) -> dict[str, Any]:
        """For metadata and readiness, JSON values."""
        return {
            "asked": list(self.asked),
            "active": ", ".join(self.providers),
            "fallback": self.fallback,
            "fell_back": self.fell_back,
            "nodes": dict(self.nodes),
            "elsewhere": list(self.elsewhere[:_MOST_NAMED]),
            "shape_arithmetic_on_cpu": len(self.shapes),
            "summary": self.in_words(),
        }


class Simulated(Placement):
    """Where a circuit is computed: nowhere but on the CPU, by a simulation of it."""

    __slots__ = ()

    def in_words(self) -> str:
        """One line for people."""
        return "the circuit's Verilog, simulated by Verilator on the CPU; no FPGA"


def simulated() -> Placement:
    """That of a package with a circuit."""
    return Simulated((PLATFORM,), nodes={PLATFORM: 1})


def read_profile(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The events of a profile that are runs of nodes."""
    events = json.loads(path.read_text(encoding="utf-8"))
    return tuple(event for event in events if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX))


def placed(
    events: Sequence[Mapping[str, Any]], asked: Sequence[str], *, fallback: str | None = None, why: str = ""
) -> Placement:
    """Where each node of a profile ran; a node that ran several times counts once, where it ran at any time."""
    nodes: Counter[str] = Counter()
    elsewhere: dict[str, None] = {}
    shapes: dict[str, None] = {}
    seen = set[tuple[str, str]]()
    for event in events:
        name, facts = event["name"].removesuffix(_SUFFIX), event["args"]
        provider = facts.get("provider") or CPU
        if (name, provider) in seen:
            continue
        seen.add((name, provider))
        if _reckons_shapes(facts):
            if provider == CPU:
                shapes[name] = None
            continue
        nodes[provider] += 1
        if provider not in asked:
            elsewhere[f"{name} ({facts.get('op_name', '?')})"] = None
    return Placement(tuple(asked), fallback, dict(nodes), tuple(elsewhere), tuple(shapes), why)


def _reckons_shapes(facts: Mapping[str, Any]) -> bool:
    operator = str(facts.get("op_name", ""))
    if operator in _COPIES:
        return True
    outputs = facts.get("output_type_shape") or ()
    if operator not in _OF_SHAPES or not outputs or not all(_is_shape(tensor) for tensor in outputs):
        return False
    return operator in _ANY_INPUT or all(_is_shape(tensor) for tensor in facts.get("input_type_shape") or ())


def _is_shape(tensor: Mapping[str, Sequence[int]]) -> bool:
    """Whether whole numbers, as many as a shape has."""
    return all(
        kind in _WHOLE and len(dims) <= 1 and (dims[0] if dims else 1) <= _MOST_AXES for kind, dims in tensor.items()
    )
