"""Reading ``-symbol.json`` files: a graph whose nodes refer to earlier nodes only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.core.errors import ModelInvalid

NULL = "null"
_MAX_BYTES = 256 << 20
_MOST_NODES, _MOST_HEADS = 200_000, 1_000
_ATTRIBUTE_KEYS = ("param", "attr", "attrs")
_EXPORT_AGAIN = "export the model again, with HybridBlock.export or Module.save_checkpoint"


@dataclass(frozen=True, slots=True)
class Entry:
    """One output of one node."""

    node: int
    output: int


@dataclass(frozen=True, slots=True)
class SymbolNode:
    """A node as the file has it.

    Attributes:
        op: ``null`` for what the graph is given: inputs, parameters, states, labels.
        attributes: Text by name; what old versions keep apart is joined.
        nested: Whether it holds graphs of its own.
    """

    op: str
    name: str
    attributes: Mapping[str, str]
    inputs: tuple[Entry, ...]
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Symbol:
    """A graph; ``version`` is MXNet's, as text, or empty."""

    nodes: tuple[SymbolNode, ...]
    heads: tuple[Entry, ...]
    version: str


def read_symbol(path: Path) -> Symbol:
    """The graph of a ``-symbol.json`` file.

    Raises:
        ModelInvalid: Not JSON, not a symbol, or with references that point nowhere or forward.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ModelInvalid(f"{path.name!r} is larger than a symbol can be", hint=_EXPORT_AGAIN)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ModelInvalid(f"{path.name!r} is nested too deeply to be a symbol", hint=_EXPORT_AGAIN) from None
    except ValueError as error:
        raise ModelInvalid(f"{path.name!r} is not JSON, or is cut off: {error}", hint=_EXPORT_AGAIN) from error
    try:
        return _symbol(document)
    except _NotASymbol as error:
        raise ModelInvalid(f"{path.name!r} is not an MXNet symbol: {error}", hint=_EXPORT_AGAIN) from error


class _NotASymbol(Exception):
    """Something in the document is not as MXNet writes it."""


def _symbol(document: Any) -> Symbol:
    match document:
        case {"nodes": list(written), "heads": list(heads)} if written and heads:
            pass
        case _:
            raise _NotASymbol("it has no nodes, or no heads")
    if len(written) > _MOST_NODES or len(heads) > _MOST_HEADS:
        raise _NotASymbol(f"it has {len(written)} nodes and {len(heads)} heads")
    nodes = tuple(_node(item, index) for index, item in enumerate(written))
    return Symbol(nodes, tuple(_entry(head, len(nodes), "a head") for head in heads), _version(document))


def _node(item: Any, index: int) -> SymbolNode:
    match item:
        case {"op": str(op), "name": str(name), "inputs": list(inputs)}:
            pass
        case _:
            raise _NotASymbol(f"node {index} has no op, name and inputs")
    attributes: dict[str, str] = {}
    for key in _ATTRIBUTE_KEYS:
        attributes |= _texts(item.get(key) or {}, name)
    # A reference to the node itself or to a later one would be a cycle: MXNet writes nodes after what they need.
    entries = tuple(_entry(reference, index, f"node {name!r}") for reference in inputs)
    return SymbolNode(op, name, attributes, entries, nested=bool(item.get("subgraphs")))


def _texts(given: Any, name: str) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _NotASymbol(f"the attributes of {name!r} are not texts by name")
    return given


def _entry(reference: Any, below: int, what: str) -> Entry:
    match reference:
        case [int(node), int(output), *rest] if len(rest) <= 1:
            pass
        case [int(node)]:
            output = 0
        case _:
            raise _NotASymbol(f"{what} has an input that is no reference: {str(reference)[:60]!r}")
    if not 0 <= node < below or output < 0:
        raise _NotASymbol(f"{what} refers to output {output} of node {node}, which is no earlier node")
    return Entry(node, output)


def _version(document: Mapping[str, Any]) -> str:
    match document.get("attrs"):
        case {"mxnet_version": ["int", int(number)]} if 0 < number < 1_000_000:
            return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
    return ""
