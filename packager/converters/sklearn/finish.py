"""The last touches on skl2onnx's graph: output names and shapes as the source has them, versions, stable bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper

from packager.converters.sklearn.answers import OutputPlan
from packager.core.errors import ConverterMissing

Array = NDArray[Any]
BATCH = "batch"


def finish(
    model: ModelProto, plans: Sequence[OutputPlan], answers: Mapping[str, Array], *, opset: int, ml_opset: int
) -> bytes:
    """The model's bytes, equal for equal models.

    Args:
        answers: The source's, by output name: their rank and type are what the graph must give.

    Raises:
        ConverterMissing: An output has no form that equals the source's.
    """
    graph = model.graph
    raw = list(graph.output)
    for given in graph.input:
        given.type.tensor_type.shape.dim[0].dim_param = BATCH
    kept = [plan for plan in plans if plan.name in answers and plan.raw_index < len(raw)]
    _make_room(graph, {plan.name for plan in kept})
    names = [output.name for output in graph.output]
    del graph.output[:]
    for plan in kept:
        _append_output(graph, names[plan.raw_index], raw[plan.raw_index], plan, answers[plan.name])
    _drop_unused(graph)
    _declare_versions(model, opset, ml_opset)
    del graph.value_info[:]
    model.doc_string = graph.doc_string = ""
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise ConverterMissing(
            f"skl2onnx makes an invalid graph of it: {str(error).strip().splitlines()[0]}",
            hint="replace the estimator by one that converts; `dray doctor` shows the versions that convert",
        ) from error
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _append_output(
    graph: onnx.GraphProto, value: str, raw: onnx.ValueInfoProto, plan: OutputPlan, answer: Array
) -> None:
    """End the graph in the planned output, of the rank and type that the source's answer has."""
    name = plan.name
    if raw.type.WhichOneof("value") != "tensor_type":
        raise ConverterMissing(
            f"skl2onnx gives {name!r} as a {raw.type.WhichOneof('value')}, not as one tensor",
            hint="train one model for each target",
        )
    elem = raw.type.tensor_type.elem_type
    rank = len(raw.type.tensor_type.shape.dim)
    if answer.ndim not in (1, 2) or rank > 2:
        raise ConverterMissing(f"the source answers {name!r} in {answer.ndim} dimensions, skl2onnx in {rank}")
    # Of labels, skl2onnx declares one dimension even where it gives two.
    if answer.ndim == 1 and (rank == 2 or plan.method == "predict"):
        if name == "decision":
            index = _int64(graph, f"{name}_index", plan.column, ())
            value = _added(graph, "Gather", [value, index], f"{name}_column", axis=1)
        value = _added(graph, "Reshape", [value, _int64(graph, f"{name}_rows", -1, (1,))], f"{name}_flat")
    target = _wanted_type(elem, answer)
    graph.node.append(
        helper.make_node("Cast", [value], [name], name=f"{name}_cast", to=target)
        if target != elem
        else helper.make_node("Identity", [value], [name], name=f"{name}_identity")
    )
    shape = [BATCH] if answer.ndim == 1 else [BATCH, answer.shape[1]]
    graph.output.append(helper.make_tensor_value_info(name, target, shape))


def _wanted_type(elem: int, answer: Array) -> int:
    """Whole-number answers of the graph become what the labels of the source are."""
    if elem == TensorProto.INT64 and answer.dtype.kind == "b":
        return TensorProto.BOOL
    if elem == TensorProto.INT64 and answer.dtype.kind == "f":
        return TensorProto.DOUBLE
    return elem


def _added(graph: onnx.GraphProto, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
    graph.node.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
    return output


def _int64(graph: onnx.GraphProto, name: str, value: int, shape: tuple[int, ...]) -> str:
    graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, shape, [value]))
    return name


def _make_room(graph: onnx.GraphProto, names: set[str]) -> None:
    """Rename inner values that bear the name of an output to come, or of what leads to it."""
    taken = names | {f"{name}_{end}" for name in names for end in ("index", "rows", "column", "flat")}
    used = {value for node in graph.node for value in (*node.input, *node.output)}
    for name in sorted(taken & used):
        fresh = f"{name}_raw"
        while fresh in used or fresh in taken:
            fresh += "_"
        _rename(graph, name, fresh)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a value in a graph and in the graphs inside its nodes, which may read it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename(attribute.g, old, new)
    for item in (*graph.initializer, *graph.output):
        if item.name == old:
            item.name = new


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # ONNX demands that a value is made before it is used
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                needed.update(value for inner in attribute.g.node for value in inner.input)
                needed.update(output.name for output in attribute.g.output)
    initializers = [item for item in graph.initializer if item.name in needed]
    del graph.node[:]
    graph.node.extend(reversed(kept))
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def _declare_versions(model: ModelProto, opset: int, ml_opset: int) -> None:
    """Each domain once, at least at the version asked for: skl2onnx declares some twice, and less than it uses."""
    versions = {"": opset}
    for declared in model.opset_import:
        versions[declared.domain] = max(declared.version, versions.get(declared.domain, 0))
    if any(node.domain == "ai.onnx.ml" for node in model.graph.node) or "ai.onnx.ml" in versions:
        versions["ai.onnx.ml"] = max(ml_opset, versions.get("ai.onnx.ml", 0))
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))
