"""An ONNX graph in three: what the host does before, what becomes a circuit, what the host does with its answer."""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import shape_inference

from packager.core.errors import CircuitRefused
from packager.transform.circuit.lowering import lowered
from packager.transform.circuit.network import Network, Trees
from packager.transform.circuit.operators import COMPUTING, CONVERT, Assembly, constants_of, refused
from packager.transform.circuit.scales import Grid

# What may stand at the ends, on the host: it is computed there as it is, in floats.
HOST_BEFORE = frozenset((
    "Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Add", "Sub",
    "Mul", "Div", "Scaler", "Imputer", "Where", "Equal", "Abs", "LessOrEqual", "IsNaN",
))  # fmt: skip
HOST_AFTER = frozenset((
    "Softmax", "LogSoftmax", "Sigmoid", "Tanh", "ArgMax", "ArrayFeatureExtractor", "Cast", "Identity",
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "ZipMap", "Concat", "Add", "Sub", "Mul", "Div", "Neg",
    "Gather", "LabelEncoder", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "Where", "Not",
    "Normalizer", "Clip", "Slice", "Transpose", "Binarizer", "ReduceMax", "TopK", "Round", "Exp", "Shape",
    "Abs", "Log", "Pow",
))  # fmt: skip


FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A model cut where the circuit begins and ends; ``before`` and ``after`` are None where nothing is left to do.

    Attributes:
        kind: ONNX's type of the tensor where the circuit begins.
        grid: How its numbers were made whole, where trees have scales of their own for each.
    """

    before: onnx.ModelProto | None
    network: Network
    after: onnx.ModelProto | None
    entry: str
    exit: str
    kind: int = onnx.TensorProto.FLOAT
    grid: Grid | None = None


def cut(model: onnx.ModelProto) -> Cut:
    """Find the circuit in a model.

    Raises:
        CircuitRefused: Names the operators that have no circuit, or what stands between.
    """
    model, forests = lowered(shape_inference.infer_shapes(model))
    graph = model.graph
    constants = constants_of(graph)
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    first = next((node for node in nodes if node.op_type in COMPUTING), None)
    if first is None:
        raise CircuitRefused(
            f"nothing in the graph becomes a circuit: it computes with {', '.join(sorted({n.op_type for n in nodes}))}",
            hint=f"a circuit is made of layers of {', '.join(sorted(COMPUTING))}",
        )
    entry = first.input[0]
    if entry in constants:
        raise refused(first, "only a constant second matrix is taken")
    early = ancestors(nodes, {entry})
    _gate(early, HOST_BEFORE, "before the first layer")
    assembly = Assembly(constants, _consumers(graph), {name: found.trees for name, found in forests.items()})
    assembly.tensors[entry], assembly.shapes[entry] = 0, _row_shape(graph, entry)
    late = _assemble(assembly, [node for node in nodes if node not in early], nodes)
    ends = _ends(graph, late, assembly, entry)
    _check_shapes(graph, assembly, nodes)
    network = Network(assembly.shapes[entry], tuple(assembly.layers[: assembly.tensors[ends]]))
    _check_alone(network)
    types = _types(model)
    before = _part(model, early, _told(entry, types.get(entry, FLOAT))) if early else None
    kind = onnx.TensorProto.DOUBLE if ends in forests and forests[ends].double else types.get(ends, FLOAT)
    after, given = _behind(model, late, ends, kind)
    return Cut(before, network, after, entry, given, types.get(entry, FLOAT))


def _assemble(assembly: Assembly, rest: list[onnx.NodeProto], nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Make layers of what becomes a circuit; what is left to the host comes back."""
    needed = {
        id(node) for node in ancestors(nodes, {n for one in nodes if one.op_type in COMPUTING for n in one.output})
    }
    late: list[onnx.NodeProto] = []
    unknown: list[onnx.NodeProto] = []
    for node in rest:
        inside = any(name in assembly.tensors for name in node.input)
        grown = any(name in assembly.forests for name in node.input)
        wanted = id(node) in needed or (inside and not grown and not _better_outside(node))
        if inside and wanted and node.op_type in CONVERT:
            CONVERT[node.op_type](assembly, node)
        elif id(node) in needed:
            unknown.append(node)
        else:
            late.append(node)
    if unknown:
        names = sorted({node.op_type for node in unknown})
        raise refused(unknown[0], f"between layers stand {', '.join(names)}")
    _gate(late, HOST_AFTER, "after the last layer")
    return late


def _check_shapes(graph: onnx.GraphProto, assembly: Assembly, nodes: list[onnx.NodeProto]) -> None:
    """What ONNX says of each tensor has to be what the network makes: a broadcast may have made more of it."""
    told = {one.name: one.type.tensor_type.shape.dim for one in [*graph.value_info, *graph.output]}
    for node in nodes:
        shape = assembly.shapes.get(node.output[0])
        sizes = [size.dim_value for size in told.get(node.output[0], ())]
        if shape is None or not sizes:
            continue
        if len(sizes) != len(shape) + 1 or any(
            size not in (0, own) for size, own in zip(sizes[1:], shape, strict=True)
        ):
            raise refused(node, f"it gives rows of {tuple(sizes[1:])}, and a circuit's would be {shape}")


def _check_alone(network: Network) -> None:
    if len(network.layers) > 1 and (found := [one for one in network.layers if isinstance(one.operation, Trees)]):
        others = sorted({one.name for one in network.layers} - {found[0].name})
        raise CircuitRefused(
            f"{found[0].name} and {', '.join(others)} would be one circuit, and trees are made alone",
            hint="deploy the model with another target, or with mode=ep",
        )


def _behind(
    model: onnx.ModelProto, late: list[onnx.NodeProto], ends: str, kind: int
) -> tuple[onnx.ModelProto | None, str]:
    """What the host does with the circuit's answer, and the name it gets it by: as FP32, whatever the model has."""
    if kind == FLOAT:
        alone = [one.name for one in model.graph.output] == [ends]
        return None if alone else _part(model, late, entry=_told(ends, FLOAT)), ends
    given = f"{ends}/circuit"
    cast = onnx.helper.make_node("Cast", [given], [ends], to=kind)
    return _part(model, [cast, *late], entry=_told(given, FLOAT)), given


def _better_outside(node: onnx.NodeProto) -> bool:
    """After the last layer: a table would lose what the host computes for nothing, and order is free there."""
    return node.op_type in ("Sigmoid", "Tanh", "Mul", "Div", "Identity", "Reshape", "Transpose", "Flatten")


def _gate(nodes: Iterable[onnx.NodeProto], allowed: frozenset[str], where: str) -> None:
    wrong = sorted({node.op_type for node in nodes if node.op_type not in allowed})
    if wrong:
        several = len(wrong) > 1
        raise CircuitRefused(
            f"{', '.join(wrong)} {where} {'have' if several else 'has'} no circuit, and"
            f" {'are' if several else 'is'} not left to the host",
            hint="docs/circuits.md lists what becomes a circuit and what may stand at its ends",
            detail={"operators": wrong},
        )


def _ends(graph: onnx.GraphProto, late: list[onnx.NodeProto], assembly: Assembly, entry: str) -> str:
    read = [name for node in late for name in node.input] + [one.name for one in graph.output]
    found = sorted({name for name in read if name in assembly.tensors and name != entry})
    if len(found) != 1:
        raise CircuitRefused(
            f"the circuit would end in {len(found)} places: {', '.join(found)}",
            hint="a circuit has one answer; give a model with one output",
        )
    end: str = found[0]
    return end


def _consumers(graph: onnx.GraphProto) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in [name for node in graph.node for name in node.input] + [one.name for one in graph.output]:
        counts[name] = counts.get(name, 0) + 1
    return counts


def ancestors(nodes: list[onnx.NodeProto], names: set[str]) -> list[onnx.NodeProto]:
    """Nodes that these tensors are computed by, in order."""
    wanted, found = set(names), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _row_shape(graph: onnx.GraphProto, name: str) -> tuple[int, ...]:
    for one in [*graph.input, *graph.value_info]:
        if one.name == name:
            sizes = tuple(size.dim_value for size in one.type.tensor_type.shape.dim[1:])
            if sizes and all(sizes):
                return sizes
    raise CircuitRefused(
        f"the shape of {name!r}, where the circuit begins, is not known", hint="say it with --input NAME=DTYPE:N,D1,…"
    )


def _told(name: str, kind: int) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, kind, None)


def _part(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    answer: onnx.ValueInfoProto | None = None,
    *,
    entry: onnx.ValueInfoProto | None = None,
) -> onnx.ModelProto:
    """A model of some of the graph's nodes, with an input of its own; None for ``answer``: the graph's own outputs."""
    graph = model.graph
    constant = [node for node in graph.node if node.op_type == "Constant"]
    read = {name for node in nodes for name in node.input}
    kept = [node for node in constant if node.output[0] in read] + nodes
    inputs = [one for one in graph.input if one.name in read]
    inputs += [entry] if entry is not None else []
    outputs = list(graph.output) if answer is None else [answer]
    weights = [one for one in graph.initializer if one.name in read]
    made = {name for node in kept for name in node.output} | {one.name for one in [*inputs, *weights]}
    if absent := sorted((read | {one.name for one in outputs}) - made - {""}):
        raise CircuitRefused(
            f"{', '.join(absent)} would be needed on both sides of the circuit, or is not made by it",
            hint="a circuit has one way in and one out; give a model whose first part ends in its first layer alone",
        )
    part = onnx.helper.make_graph(kept, graph.name, inputs, outputs, weights)
    return onnx.helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(model).graph
    known = [*graph.input, *graph.value_info, *graph.output]
    return {one.name: one.type.tensor_type.elem_type for one in known if one.type.tensor_type.elem_type}
