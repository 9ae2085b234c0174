"""One pass over a symbol: every node that an answer needs, written as ONNX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.attributes import Signature, read_attributes, signatures
from packager.converters.mxnet.refused import refusal
from packager.converters.mxnet.registry import Call, Operator, Values, operators
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.symbol import NULL, Entry, Symbol, SymbolNode
from packager.converters.mxnet.values import Value
from packager.converters.mxnet.writer import GraphWriter
from packager.core.errors import ConverterMissing, ModelInvalid

Array = NDArray[Any]
# Parameters that old versions keep out of a node's inputs. Source: MXNet, src/nnvm/legacy_json_util.cc.
_IMPLICIT = {"BatchNorm": ("moving_mean", "moving_var")}


@dataclass(frozen=True, slots=True)
class Entrance:
    """An input of the model."""

    name: str
    dims: tuple[Size, ...]
    dtype: "np.dtype[Any]"


@dataclass(frozen=True, slots=True)
class Translation:
    """A graph with its outputs, by the names that they will have."""

    graph: GraphWriter
    outputs: tuple[tuple[str, Value], ...]


def is_label(name: str) -> bool:
    """Whether a name is one that training gives to its answers."""
    return name == "label" or name.endswith("_label")


def known(node: SymbolNode) -> tuple[Operator, Signature]:
    """How a node is translated.

    Raises:
        ConverterMissing: It is not, with the reason.
    """
    signature = signatures().get(node.op)
    operator = operators().get(signature.name) if signature is not None else None
    if signature is None or operator is None or node.nested:
        raise refusal(node)
    return operator, signature


def label_of_each(symbol: Symbol) -> list[str]:
    """For every node the name of a label that its answers depend on; empty where they depend on none."""
    found: list[str] = []
    for node in symbol.nodes:
        if node.op == NULL:
            found.append(node.name if is_label(node.name) else "")
            continue
        signature = signatures().get(node.op)
        operator = operators().get(signature.name) if signature is not None else None
        uses = operator.uses if operator is not None else None
        found.append(next((found[entry.node] for entry in node.inputs[:uses] if found[entry.node]), ""))
    return found


def used_inputs(node: SymbolNode) -> tuple[Entry, ...]:
    """What a node's answers depend on; labels are not among them."""
    operator, _ = known(node)
    return node.inputs[: operator.uses]


def needed_nodes(symbol: Symbol, heads: tuple[Entry, ...]) -> list[int]:
    """Numbers of the nodes that these heads need, in order.

    Raises:
        ConverterMissing: One of them is not translated.
    """
    wanted = {head.node for head in heads}
    for index in range(len(symbol.nodes) - 1, -1, -1):
        node = symbol.nodes[index]
        if index in wanted and node.op != NULL:
            wanted |= {entry.node for entry in used_inputs(node)}
    return sorted(wanted)


def translate(
    symbol: Symbol,
    heads: tuple[Entry, ...],
    arrays: Mapping[str, Array],
    entrances: Mapping[str, Entrance],
    graph: GraphWriter,
) -> Translation:
    """The graph of these heads.

    Raises:
        SizeBound, SizeNeeded: A size must be known before this can be done.
        ConverterMissing, ModelInvalid: A node that cannot be translated, by name.
    """
    for name in entrances:
        graph.unique(name)
    names = output_names(symbol, heads, graph)
    done: dict[int, Values] = {}
    for index in needed_nodes(symbol, heads):
        node = symbol.nodes[index]
        if node.op == NULL:
            done[index] = (_given(node, arrays, entrances, graph),)
        else:
            done[index] = _translated(node, done, arrays, graph)
    outputs = []
    for name, head in zip(names, heads, strict=True):
        value = _output_of(done, head, symbol.nodes[head.node])
        graph.nodes.append(_identity(value.name, name))
        outputs.append((name, Value(name, value.dims, value.dtype)))
    graph.prune([name for name, _ in outputs])
    return Translation(graph, tuple(outputs))


def _given(
    node: SymbolNode, arrays: Mapping[str, Array], entrances: Mapping[str, Entrance], graph: GraphWriter
) -> Value:
    if node.name in entrances:
        entrance = entrances[node.name]
        value = graph.value(entrance.name, entrance.dims, entrance.dtype)
        return Value(value.name, value.dims, value.dtype, origin=entrance.name)
    array = arrays[node.name]
    name = graph.unique(node.name)
    graph.initializers[name] = array
    return Value(name, tuple(map(size, array.shape)), array.dtype)


def _translated(
    node: SymbolNode, done: Mapping[int, Values], arrays: Mapping[str, Array], graph: GraphWriter
) -> Values:
    operator, signature = known(node)
    inputs = [_output_of(done, entry, node) for entry in node.inputs[: operator.uses]]
    inputs += _implicit(node, signature, len(inputs), arrays, graph)
    _check_inputs(node, operator, signature, len(inputs))
    call = Call(signature.name, node.name, read_attributes(node, signature), tuple(inputs), graph)
    if graph.lengths and not operator.steps:
        mixed = [dim for value in inputs for dim in value.dims if not graph.sequence.isdisjoint(dim.symbols)]
        if mixed:
            call.refuse(
                "was not verified on padded sequences",
                "leave --lengths away, and send sequences of one length together",
            )
    try:
        with np.errstate(over="raise"):  # a number that the tensor's type cannot hold
            return operator.translate(call)
    except (ArithmeticError, IndexError, ValueError) as error:
        # Each value passed by itself; what MXNet would stop at is that they do not go together.
        raise ModelInvalid(
            f"the attributes and inputs of the {signature.name} node {node.name!r} do not go together: {error}",
            hint="export the model again",
        ) from error


def _output_of(done: Mapping[int, Values], entry: Entry, node: SymbolNode) -> Value:
    outputs = done[entry.node]
    if entry.output >= len(outputs):
        raise ModelInvalid(
            f"{node.name!r} refers to output {entry.output} of a node that has {len(outputs)}",
            hint="export the model again",
        )
    return outputs[entry.output]


def _implicit(
    node: SymbolNode, signature: Signature, count: int, arrays: Mapping[str, Array], graph: GraphWriter
) -> list[Value]:
    if count != len(signature.inputs) - 2 or signature.name not in _IMPLICIT:
        return []
    found = []
    for suffix in _IMPLICIT[signature.name]:
        name = f"{node.name}_{suffix}"
        if name not in arrays:
            raise ModelInvalid(f"the parameters lack {name!r}", hint="give the .params file of this symbol")
        array = arrays[name]
        unique = graph.unique(name)
        graph.initializers[unique] = array
        found.append(Value(unique, tuple(map(size, array.shape)), array.dtype))
    return found


def _check_inputs(node: SymbolNode, operator: Operator, signature: Signature, count: int) -> None:
    exact = len(signature.inputs)
    least = operator.least if operator.least is not None else 1 if signature.variadic else exact
    most = operator.most if operator.most is not None else max(count, 1) if signature.variadic else exact
    if operator.uses is not None:
        least, most = min(least, operator.uses), min(most, operator.uses)
    if not least <= count <= most:
        raise ModelInvalid(
            f"the {node.op} node {node.name!r} has {count} inputs, it takes {least} to {most}",
            hint="export the model again",
        )
    for name in ("num_args", "num_inputs"):
        given = node.attributes.get(name)
        if given is not None and name in signature.attributes and given.strip().removesuffix("L") != str(count):
            raise ConverterMissing(
                f"the {node.op} node {node.name!r} has {name}={given!r} and {count} inputs",
                hint="export the model again",
            )


def output_names(symbol: Symbol, heads: tuple[Entry, ...], graph: GraphWriter) -> list[str]:
    """The heads' names as MXNet's ``list_outputs`` says them, made different where they are not."""
    return [graph.unique(_output_name(symbol.nodes[head.node], head.output)) for head in heads]


_OUTPUTS = {"BatchNorm": ("output", "mean", "var"), "RNN": ("output", "state_output", "statecell_output")}
# Operators with several outputs, whose names then end in a number, by the attribute that can say otherwise.
_NUMBERED = {
    "SliceChannel": ("num_outputs", ("1",)),
    "_split_v2": ("", ()),
    "topk": ("ret_typ", ("indices", "mask", "")),
    "sort": ("", ()),
    "moments": ("", ()),
}


def _output_name(node: SymbolNode, output: int) -> str:
    if node.op == NULL:
        return node.name
    _, signature = known(node)
    many = _OUTPUTS.get(signature.name, ())
    if signature.name in ("_npi_concatenate", "_npi_matmul"):
        return f"{node.name}_out"
    if output < len(many):
        return f"{node.name}_{many[output]}"
    attribute, alone = _NUMBERED.get(signature.name, ("", ("",)))
    several = node.attributes.get(attribute, "") not in alone
    return f"{node.name}_output{output}" if several or output else f"{node.name}_output"


def _identity(source: str, name: str) -> Any:
    from onnx import helper

    return helper.make_node("Identity", [source], [name], name=f"{name}/Identity")
