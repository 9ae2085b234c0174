"""One order and one set of names for a graph: TensorFlow's optimiser and tf2onnx order and number nodes by chance."""

from collections.abc import Iterator, Mapping

import onnx


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its nodes in the order in which the outputs need them, and numbered names inside.

    Digests of packages made twice of one model are equal by that.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _canonical(made.graph, {}, "")
    return made


def _canonical(graph: onnx.GraphProto, outer: Mapping[str, str], prefix: str) -> None:
    nodes = _ordered(graph)
    names = dict(outer)
    kept = set() if prefix else {value.name for value in (*graph.input, *graph.output)}
    arguments = [value.name for value in graph.input]
    inside = {*arguments, *(value.name for value in graph.initializer)}
    needed = [name for node in nodes for name in (*_needs(node), *node.output)]
    for name in dict.fromkeys((*arguments, *needed, *(value.name for value in graph.output))):
        if name and name not in kept and (name in inside or name not in outer):
            names[name] = f"{prefix}v{len(names)}"
    for index, node in enumerate(nodes):
        node.name = f"{prefix}{node.op_type}_{index}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in _graphs(node):
            # What the model is given keeps its name in the graphs within, too.
            _canonical(inner, names | {name: name for name in kept}, f"{node.name}/")
    tensors = sorted((names.get(value.name, value.name), value.SerializeToString()) for value in graph.initializer)
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    for name, content in tensors:
        graph.initializer.add().ParseFromString(content)
        graph.initializer[-1].name = name
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    graph.name = prefix or "model"


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Copies of the nodes, each behind those that it needs, from the first output to the last."""
    producers = {name: node for node in graph.node for name in node.output if name}
    done: dict[int, onnx.NodeProto] = {}
    waiting = [(value.name, False) for value in reversed(graph.output)]
    while waiting:
        name, is_ready = waiting.pop()
        node = producers.get(name)
        if node is None or id(node) in done:
            continue
        if is_ready:
            done[id(node)] = node
            continue
        waiting.append((name, True))
        waiting += [(needed, False) for needed in reversed(list(_needs(node)))]
    copies = []
    for node in done.values():
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    return copies


def _needs(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, in graphs within it too."""
    yield from node.input
    for graph in _graphs(node):
        inside = {name for inner in graph.node for name in inner.output} | {value.name for value in graph.input}
        inside |= {value.name for value in graph.initializer}
        for inner in graph.node:
            yield from (name for name in _needs(inner) if name not in inside)
        yield from (value.name for value in graph.output if value.name not in inside)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
