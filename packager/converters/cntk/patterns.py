"""Telling whether a part of a graph is exactly a known computation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from packager.converters.cntk.model import Node

TANH, RELU, SLICE, PLUS, MINUS, TIMES_EACH, TIMES = 2, 3, 14, 19, 20, 21, 31
SIGMOIDS = (1, 75)
ACTIVATIONS = {TANH: "Tanh", RELU: "Relu", 1: "Sigmoid", 75: "Sigmoid"}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A function of one of ``ops`` whose inputs match; a text stands for any value, the same wherever it stands.

    Attributes:
        part: For a Slice: which of ``parts`` equal ones it takes, as (place, parts).
        called: Under which name its operator is kept: two of one name must be alike.
    """

    ops: tuple[int, ...]
    inputs: tuple["Pattern | str", ...]
    part: int | None = None
    called: str = ""
    result: str = ""


@dataclass(slots=True)
class Match:
    """What was found.

    Attributes:
        values: Uids by the names of a pattern. ``ops``: operators by ``called``. ``nodes``: all that matched.
        width: The size of one part, as the slices say it.
    """

    values: dict[str, str] = field(default_factory=dict)
    ops: dict[str, int] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    width: int | None = None


def matched(pattern: Pattern | str, uid: str, nodes: Mapping[str, Node], found: Match) -> bool:
    """Whether a value is what the pattern says; fills ``found``."""
    if isinstance(pattern, str):
        return found.values.setdefault(pattern, uid) == uid
    node = nodes.get(uid)
    if node is None or node.op not in pattern.ops or len(node.inputs) != len(pattern.inputs):
        return False
    if pattern.called and found.ops.setdefault(pattern.called, node.op) != node.op:
        return False
    if pattern.result and found.values.setdefault(pattern.result, uid) != uid:
        return False
    if not _attributes_fit(pattern, node, found):
        return False
    found.nodes.add(node.uid)
    return all(matched(inner, name, nodes, found) for inner, name in zip(pattern.inputs, node.inputs, strict=True))


def _attributes_fit(pattern: Pattern, node: Node, found: Match) -> bool:
    given = node.attributes
    if node.op == TIMES:
        return bool(given.peek("outputRank") == 1 and given.peek("inferInputRankToMap") != -2)
    if node.op != SLICE or pattern.part is None:
        return node.op != SLICE
    axis, begin, end = given.peek("axis"), given.peek("beginIndex"), given.peek("endIndex")
    if not isinstance(begin, int) or not isinstance(end, int) or given.peek("sliceStrides") not in (None, 1):
        return False
    width = end - begin
    if getattr(axis, "index", None) not in (0, -1) or width <= 0 or begin != pattern.part * width:
        return False
    found.width = found.width or width
    return found.width == width


def cell(ops: int | tuple[int, ...], *inputs: Pattern | str, called: str = "", result: str = "") -> Pattern:
    """A pattern of one operator, or of any of several."""
    return Pattern(ops if isinstance(ops, tuple) else (ops,), inputs, called=called, result=result)


def piece(place: int, source: Pattern | str) -> Pattern:
    """The ``place``-th of equal parts of a vector."""
    return Pattern((SLICE,), (source,), part=place)
