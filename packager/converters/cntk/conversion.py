"""A CNTK file to ONNX, samples, and what is known of the source's answers."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx import save as save_onnx

from packager.converters.cntk.emitter import BATCH, Emitter, Value, expanded
from packager.converters.cntk.legacy import REQUEST_NAME
from packager.converters.cntk.losses import without_losses
from packager.converters.cntk.lowering import Input, Lowering, inputs_of, unique
from packager.converters.cntk.model import Model, reachable, read_model
from packager.converters.cntk.rules_sequence import masked
from packager.converters.cntk.samples import LENGTHS, drawn, given_samples
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConversionError, ConverterMissing
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage

IR_VERSION = 10
_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX model, and the CNTK model that it is."""

    onnx: ModelProto
    source: Model
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def convert_cntk(request: ConversionRequest, progress: Progress) -> RawConversion:
    """ONNX and samples in the request's folder."""
    progress.step("reading the CNTK model")
    lengths = request.options.get("lengths") is True
    converted = convert_model(request.source, opset=request.opset, lengths=lengths)
    onnx = request.workdir / "model.onnx"
    write_model(converted, onnx)
    synthetic = request.samples is None
    if request.samples is None:
        samples = drawn(converted.source, converted.inputs, seed=request.seed, lengths=lengths)
    else:
        samples = given_samples(request.samples, converted.inputs, lengths=lengths)
    asked = {
        "inputs": [(given.variable.uid, given.name) for given in converted.inputs],
        "outputs": [
            (output.place, name) for output, name in zip(converted.source.outputs, converted.outputs, strict=True)
        ],
        "lengths": LENGTHS if lengths else None,
    }
    (request.workdir / REQUEST_NAME).write_text(json.dumps(asked), encoding="utf-8")
    path = request.workdir / "samples.npz"
    np.savez(path, **samples)  # type: ignore[arg-type]
    return RawConversion(
        onnx=onnx,
        samples=path,
        reference="none",
        reference_original=None,
        reference_cast=None,
        framework="cntk",
        framework_version="2",
        synthetic=synthetic,
        seed=request.seed if synthetic else None,
        coverage=Coverage(weak=True, reason="samples drawn by type and shape alone") if synthetic else Coverage(),
        notes=converted.notes,
    )


def convert_model(path: Path, *, opset: int, lengths: bool = False) -> Converted:
    """The ONNX form of a CNTK model.

    Args:
        lengths: Add an input ``lengths``, for sequences that are padded.

    Raises:
        ModelInvalid: The file is damaged, or no CNTK model.
        ConverterMissing: A part of it has no faithful ONNX form; names it.
    """
    if opset < 18:
        raise ConversionError(
            f"CNTK models need ONNX opset 18 or later, not {opset}", hint="leave --opset out, or give 18 or more"
        )
    model, notes = without_losses(read_model(path))
    inputs = inputs_of(model, list(reachable(model, model.outputs)))
    _check_inputs(inputs, lengths=lengths)
    emitter = Emitter()
    names = {given.name for given in inputs.values()} | ({LENGTHS} if lengths else set())
    lowering = Lowering(model, emitter, inputs, LENGTHS if lengths else None)
    results = lowering.run()
    finished = _outputs(model, results, emitter, names, inputs)
    graph = helper.make_graph(
        _used(emitter.nodes, finished),
        "cntk",
        [_info(given.name, given.shape, given.dtype) for given in inputs.values()]
        + ([_info(LENGTHS, (BATCH,), "int64")] if lengths else []),
        [_info(name, shape, value.dtype) for name, shape, value in finished],
    )
    _initialize(graph, emitter)
    made = helper.make_model(
        graph, producer_name="dray", opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION
    )
    return Converted(made, model, tuple(inputs.values()), tuple(name for name, _, _ in finished), notes)


def _check_inputs(inputs: dict[str, Input], *, lengths: bool) -> None:
    if not inputs:
        raise ConverterMissing("the CNTK model has no input", hint="save a model that depends on an input variable")
    if not lengths:
        return
    axes = {axis for given in inputs.values() for axis in given.shape[1:2] if isinstance(axis, str)}
    if len(axes) != 1:
        what = "takes no sequence" if not axes else f"has {len(axes)} sequence axes"
        raise ConverterMissing(
            f"--lengths is for models with one sequence axis; this one {what}", hint="leave --lengths out"
        )
    if any(given.name == LENGTHS for given in inputs.values()):
        raise ConverterMissing("the model has an input named 'lengths' already", hint="leave --lengths out")


def _outputs(
    model: Model, results: list[Value], emitter: Emitter, taken: set[str], inputs: dict[str, Input]
) -> list[tuple[str, tuple[int | str, ...], Value]]:
    """Names and shapes of the outputs, each computed by a node of its own."""
    axes = {given.variable.dynamic[1]: given.shape[1] for given in inputs.values() if len(given.variable.dynamic) > 1}
    finished = []
    for output, value in zip(model.outputs, results, strict=True):
        if value.name in emitter.selections:
            raise ConverterMissing(
                f"the output {output.name or output.uid!r} holds places in sequences, not values",
                hint="save the model without it",
            )
        batch = next((given for given in inputs.values() if given.shape[:1] == (BATCH,)), None)
        made = value
        if not value.batch and batch is not None:
            like = Value(batch.name, (), True, None, value.dtype)
            made = expanded(emitter, value, like)
        made = masked(emitter, made, 0.0)
        chosen = unique(output.name or "output", taken)
        emitter.nodes.append(helper.make_node("Identity", [made.name], [chosen], name=f"give_{chosen}"))
        finished.append((chosen, _output_shape(made, axes), made))
    return finished


def _output_shape(value: Value, axes: dict[str, int | str]) -> tuple[int | str, ...]:
    lead: list[int | str] = [BATCH] if value.batch else []
    if value.sequence is not None:
        lead.append(axes.get(value.sequence.name) or _word(value.sequence.name))
    return (
        *lead,
        *[size if isinstance(size, int) else axes.get(size.name) or _word(size.name) for size in value.shape],
    )


def _word(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in f"axis_{name}")


def _used(nodes: list[NodeProto], finished: list[tuple[str, tuple[int | str, ...], Value]]) -> list[NodeProto]:
    """The nodes that an output depends on, in order."""
    needed = {name for name, _, _ in finished}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read(node))
    return kept[::-1]


def _read(node: NodeProto) -> set[str]:
    """Names that a node reads, also inside its body."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _read(inner)
        names |= {entry.name for entry in attribute.g.output}
    return names


def _initialize(graph: GraphProto, emitter: Emitter) -> None:
    read: set[str] = set()
    for node in graph.node:
        read |= _read(node)
    graph.initializer.extend(tensor for name, tensor in emitter.initializers.items() if name in read)


def _info(name: str, shape: tuple[int | str, ...], dtype: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, _TYPES[dtype], list(shape))


def write_model(converted: Converted, path: Path) -> None:
    """Save the model; tensors of a large one beside it."""
    size = sum(len(tensor.raw_data) for tensor in converted.onnx.graph.initializer)
    if size < 1 << 30:
        save_onnx(converted.onnx, path)
        return
    save_onnx(converted.onnx, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
