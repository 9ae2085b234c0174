"""The ONNX graph under the model's own names, with its free axes named."""

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import helper

from packager.converters.tensorflow.source import Port, Source
from runtime.contract.dtypes import DTYPES

BATCH = "batch"
_SEQUENCE = "sequence"
_IMAGE = ("height", "width")
Dims = tuple[int | str | None, ...]


def input_dims(source: Source) -> dict[str, Dims]:
    """The shape of every input with names for its free axes: ``batch``, ``sequence``, else by input and axis."""
    free = [(port.name, axis) for port in source.inputs for axis in port.free_axes]
    dims: dict[str, Dims] = {}
    for port in source.inputs:
        sizes: list[int | str | None] = list(port.shape or ())
        if port.free_rows:
            sizes[0] = BATCH if source.free_rows else f"{_identifier(port.name)}_rows"
        for axis in port.free_axes:
            sizes[axis] = _axis_name(port, axis, alone=len(free) == 1, inputs=len(source.inputs))
        dims[port.name] = tuple(sizes)
    return dims


def dressed(model: onnx.ModelProto, source: Source, outputs: Mapping[str, Dims]) -> onnx.ModelProto:
    """The model with the names and shapes that clients see.

    Args:
        outputs: By output name; None is an axis of which nothing is known.
    """
    graph = model.graph
    made = onnx.ModelProto()
    made.CopyFrom(model)
    wanted = {port.name for port in (*source.inputs, *source.outputs)}
    renamed = {name: f"{name}__inner" for name in _value_names(graph) if name in wanted}
    renamed |= {port.tensor: port.name for port in source.inputs}
    _rename(made.graph, renamed)
    ends = [renamed.get(port.tensor, port.tensor) for port in source.outputs]
    for port, end in zip(source.outputs, ends, strict=True):
        made.graph.node.append(helper.make_node("Identity", [end], [port.name], name=f"{port.name}__output"))
    del made.graph.input[:], made.graph.output[:], made.graph.value_info[:]
    dims = input_dims(source)
    made.graph.input.extend(_value(port, dims[port.name]) for port in source.inputs)
    made.graph.output.extend(_value(port, outputs[port.name]) for port in source.outputs)
    made.graph.name, made.graph.doc_string, made.doc_string = "model", "", ""
    _keep_used_domains(made)
    return made


def _value(port: Port, dims: Dims) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(port.name, DTYPES[port.dtype].onnx, list(dims))


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)
    for value in (*graph.initializer, *graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _value_names(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from (*node.input, *node.output)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _value_names(inner)
    yield from (value.name for value in (*graph.initializer, *graph.input))


def _keep_used_domains(model: onnx.ModelProto) -> None:
    used = set(_domains(model.graph)) | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    copies: list[Any] = [helper.make_opsetid(entry.domain, entry.version) for entry in kept]
    del model.opset_import[:]
    model.opset_import.extend(copies)


def _domains(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield "" if node.domain == "ai.onnx" else node.domain
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _domains(inner)


def _axis_name(port: Port, axis: int, *, alone: bool, inputs: int) -> str:
    if alone:
        return _SEQUENCE
    if inputs == 1 and port.free_axes == (1, 2) and len(port.shape or ()) == 4:
        return _IMAGE[axis - 1]
    return f"{_identifier(port.name)}_d{axis}"


def _identifier(name: str) -> str:
    clean = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in name)
    return clean if clean[:1].isalpha() or clean[:1] == "_" else f"_{clean}"
