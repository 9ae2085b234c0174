"""Names in a graph: what the model calls its inputs, outputs and axes, each once, whatever the exporter called them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import onnx

from packager.core.errors import ConversionError

_INVENTED = "dray_output_"


def name_values(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give the graph's inputs and outputs these names, in order; an inner value of one of these names gets another.

    Raises:
        ConversionError: The graph has another number of them, because the model does not use one.
    """
    graph = model.graph
    _check_count("inputs", [value.name for value in graph.input], inputs)
    _check_count("outputs", [value.name for value in graph.output], outputs)
    _own_values_for_outputs(graph)
    wanted = dict(zip([value.name for value in (*graph.input, *graph.output)], [*inputs, *outputs], strict=True))
    taken = set(_value_names(graph)) | set(wanted.values())
    inner = {name for name in _value_names(graph) if name not in wanted}
    for name in inner & set(wanted.values()):
        wanted[name] = _fresh(f"inner_{name}", taken)
    _rename(graph, lambda name: wanted.get(name, name))


def name_axes(model: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]]) -> None:
    """Call the free axes of the inputs as they were asked for, wherever they come back."""
    names: dict[str, str] = {}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for index, name in axes.get(value.name, {}).items():
            if index < len(dims) and dims[index].dim_param:
                names[dims[index].dim_param] = name
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if _INVENTED in dim.dim_param:
                dim.Clear()  # the exporter of TorchScript names an axis after the output, and knows nothing of it
            elif dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]  # a multiple of something too
            elif dim.dim_param:
                dim.dim_param = re.sub(r"[A-Za-z_]\w*", lambda found: names.get(found[0], found[0]), dim.dim_param)


def strip_provenance(model: onnx.ModelProto) -> None:
    """Take out what the exporter writes of the machine that it runs on: paths and stack traces."""
    del model.metadata_props[:]
    model.doc_string = ""
    for function in model.functions:
        _strip((function, *function.node))
    for graph in _graphs(model.graph):
        _strip((graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer))


def _strip(parts: Sequence[Any]) -> None:
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]


def _check_count(what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if len(found) != len(wanted):
        raise ConversionError(
            f"the ONNX graph has the {what} {', '.join(found)}, and the model {', '.join(wanted)}",
            hint="an argument that is not used, or an answer that is constant, has no place in the graph: take it out",
        )


def _own_values_for_outputs(graph: onnx.GraphProto) -> None:
    """An output that is an input, or another output too, becomes a value of its own."""
    seen = {value.name for value in graph.input}
    taken = set(_value_names(graph))
    for value in graph.output:
        if value.name in seen:
            name = _fresh(f"{value.name}_again", taken)
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [name]))
            value.name = name
        seen.add(value.name)


def _value_names(graph: onnx.GraphProto) -> Iterator[str]:
    for inner in _graphs(graph):
        yield from (value.name for value in (*inner.input, *inner.output, *inner.initializer))
        for node in inner.node:
            yield from (*node.input, *node.output)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
            for found in inner:
                yield from _graphs(found)


def _rename(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
    for inner in _graphs(graph):
        for value in (*inner.input, *inner.output, *inner.initializer, *inner.value_info):
            value.name = new(value.name)
        for node in inner.node:
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]


def _fresh(name: str, taken: set[str]) -> str:
    fresh, count = name, 2
    while fresh in taken:
        fresh, count = f"{name}_{count}", count + 1
    taken.add(fresh)
    return fresh
