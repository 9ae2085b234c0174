"""One ONNX graph of a model: typed inputs, its transformers in double precision, and the rest from skl2onnx."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from packager.converters.sklearn.emission import Block, Emitter, Frame, width_of
from packager.converters.sklearn.exact.answer import Answer
from packager.converters.sklearn.exact.ensembles import needed
from packager.converters.sklearn.exact.registry import rule_of
from packager.converters.sklearn.export import check_convertible, export
from packager.converters.sklearn.inputs import InputSpec, ModelInput
from packager.converters.sklearn.lifting import before, lift
from packager.converters.sklearn.running import loads
from packager.core.errors import ConversionError
from runtime.contract.dtypes import DTYPES

BATCH = "batch"
_TAIL_INPUT = "tail_input"


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of the default ONNX domain and of ai.onnx.ml."""

    opset: int
    ml_opset: int


def assemble(
    model: Any,
    inputs: tuple[InputSpec, ...],
    versions: Versions,
    *,
    double: bool,
    wide: bool,
    sparse: frozenset[int] = frozenset(),
) -> ModelProto:
    """The graph, with skl2onnx's output names and shapes.

    Args:
        double: Whether an estimator that skl2onnx converts computes in double precision too.
        wide: Whether numbers are answered in double precision.
        sparse: Identities of estimators to which a zero is a missing value.

    Raises:
        ConverterMissing: A part has no faithful ONNX form; names it.
    """
    subgraphs = _Subgraphs(versions)
    emitter = Emitter(subgraph=subgraphs.convert, outputs=subgraphs.outputs, sparse=sparse)
    frame = _entered_all(emitter, inputs)
    rest, columns, path = before(emitter, model, frame)
    if rest is None:
        outputs = [_only_output(emitter, emitter.matrix(columns, ""), width_of(columns), wide=wide)]
    elif rule := rule_of(rest):
        outputs = _answered(emitter, rest, rule.emit(emitter, rest, columns, path), wide=wide)
    else:
        tail, columns = lift(emitter, rest, columns, path)
        fed = Block(emitter.matrix(columns, path), width_of(columns))
        outputs = _narrowed(emitter, _append_rest(emitter, tail, fed, versions, double=double), wide=wide)
    graph = helper.make_graph(
        emitter.nodes,
        "model",
        [helper.make_tensor_value_info(spec.name, DTYPES[spec.dtype].onnx, [BATCH, spec.width]) for spec in inputs],
        outputs,
        emitter.initializers,
    )
    opsets = {
        **emitter.opsets,
        "": max(versions.opset, emitter.opsets.get("", 0)),
        "ai.onnx.ml": max(versions.ml_opset, emitter.opsets.get("ai.onnx.ml", 0)),
    }
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(*item) for item in sorted(opsets.items())])
    made.ir_version = min(made.ir_version, 10)  # what ONNX Runtime 1.20 reads
    return made


def _entered_all(emitter: Emitter, inputs: tuple[InputSpec, ...]) -> Frame:
    """The inputs in the order of training; a block without a value for a column that the model does not read."""
    blocks = {spec.position: _entered(emitter, spec) for spec in inputs}
    last = max(spec.position + spec.width for spec in inputs)
    if len(inputs) == 1 and inputs[0].width == last:
        return (blocks[0],)
    return tuple(blocks.get(position, Block("", 1)) for position in range(last))


def _entered(emitter: Emitter, spec: InputSpec) -> Block:
    if spec.dtype == "BYTES":
        return Block(spec.name, spec.width, "string", exact=True)
    wide = spec.name if spec.dtype == "FP64" else emitter.cast(spec.name, TensorProto.DOUBLE)
    return Block(wide, spec.width, exact=True, flags=spec.dtype == "BOOL")


def _only_output(emitter: Emitter, value: str, width: int, *, wide: bool) -> onnx.ValueInfoProto:
    """The output of a model of transformers alone."""
    elem = TensorProto.DOUBLE if wide else TensorProto.FLOAT
    return helper.make_tensor_value_info(emitter.cast(value, elem), elem, [BATCH, width])


def _narrowed(emitter: Emitter, outputs: list[onnx.ValueInfoProto], *, wide: bool) -> list[onnx.ValueInfoProto]:
    """The outputs of a part, of the type that numbers are answered in."""
    wanted = TensorProto.DOUBLE if wide else TensorProto.FLOAT
    for output in outputs:
        tensor = output.type.tensor_type
        if tensor.elem_type in {TensorProto.DOUBLE, TensorProto.FLOAT} - {wanted}:
            output.name, tensor.elem_type = emitter.cast(output.name, wanted), wanted
    return outputs


def _answered(emitter: Emitter, model: Any, answer: Answer, *, wide: bool) -> list[onnx.ValueInfoProto]:
    """What an emitted estimator answers, as skl2onnx orders it: the label or the number, then the scores."""
    elem = TensorProto.DOUBLE if wide else TensorProto.FLOAT

    def floats(value: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(emitter.cast(value, elem), elem, [BATCH, None])

    if answer.value is not None:
        return [floats(answer.value)]
    label, kind = _label(emitter, model, needed(answer.index, ""))
    scores = answer.proba if hasattr(model, "predict_proba") else answer.decision
    made = [helper.make_tensor_value_info(label, kind, [BATCH])]
    return made if scores is None else [*made, floats(scores)]


def _label(emitter: Emitter, model: Any, index: str) -> tuple[str, int]:
    """The label at a place among the classes; of what has none, the place is the label."""
    if not hasattr(model, "classes_"):
        return index, TensorProto.INT64
    classes = np.asarray(model.classes_)
    is_text = classes.dtype.kind in "OUS"
    known = emitter.constant(classes.astype(str if is_text else np.int64))
    return emitter.add("Gather", known, index, axis=0), TensorProto.STRING if is_text else TensorProto.INT64


def _append_rest(
    emitter: Emitter, rest: Any, fed: Block, versions: Versions, *, double: bool
) -> list[onnx.ValueInfoProto]:
    check_convertible(rest)
    part = export(
        rest,
        ModelInput(_TAIL_INPUT, fed.width, None),
        opset=versions.opset,
        ml_opset=versions.ml_opset,
        double=double,
    )
    value = fed.value if double else emitter.cast(fed.value, TensorProto.FLOAT)
    _absorb(emitter, part, value)
    for output in part.graph.output:
        output.name = _inner(emitter, output.name)
    emitter._count += 1
    return list(part.graph.output)


def _absorb(emitter: Emitter, part: ModelProto, value: str) -> None:
    """Take over another graph's nodes, under names of their own, fed with ``value``."""
    taken = {part.graph.input[0].name: value}
    names = {item.name for item in part.graph.initializer}
    names |= {name for node in part.graph.node for name in (*node.input, *node.output) if name}
    renamed = {name: taken.get(name, _inner(emitter, name)) for name in names}
    for node in part.graph.node:
        _rename_node(node, renamed)
        node.name = _inner(emitter, node.name)
        emitter.nodes.append(node)
    for item in part.graph.initializer:
        item.name = renamed[item.name]
        emitter.initializers.append(item)
    for declared in part.opset_import:
        emitter.opsets[declared.domain] = max(declared.version, emitter.opsets.get(declared.domain, 0))


def _inner(emitter: Emitter, name: str) -> str:
    return f"part{emitter._count}/{name}"


def _rename_node(node: onnx.NodeProto, renamed: dict[str, str]) -> None:
    for names in (node.input, node.output):
        for index, name in enumerate(names):
            names[index] = renamed.get(name, name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for inner in attribute.g.node:
                _rename_node(inner, renamed)


class _Subgraphs:
    """Transformers that skl2onnx converts, in double precision where ONNX Runtime takes that."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def convert(self, emitter: Emitter, step: Any, value: str, path: str) -> Block:
        check_convertible(step)
        part, double = self._loadable(step, int(step.n_features_in_))
        _absorb(emitter, part, value if double else emitter.cast(value, TensorProto.FLOAT))
        output = part.graph.output[0]
        name = _inner(emitter, output.name)
        emitter._count += 1
        width = output.type.tensor_type.shape.dim[1].dim_value or _width_behind(step)
        elem = output.type.tensor_type.elem_type
        return Block(name if elem == TensorProto.DOUBLE else emitter.cast(name, TensorProto.DOUBLE), int(width))

    def outputs(self, emitter: Emitter, model: Any, value: str, path: str) -> list[str]:
        """The outputs of an estimator that predicts."""
        check_convertible(model)
        part, double = self._loadable(model, int(model.n_features_in_))
        _absorb(emitter, part, value if double else emitter.cast(value, TensorProto.FLOAT))
        names = [_inner(emitter, output.name) for output in part.graph.output]
        emitter._count += 1
        return names

    def _loadable(self, step: Any, width: int) -> tuple[ModelProto, bool]:
        given = ModelInput(_TAIL_INPUT, width, None)
        for double in (True, False):
            try:
                part = export(step, given, opset=self._versions.opset, ml_opset=self._versions.ml_opset, double=double)
            except ConversionError:
                if not double:
                    raise
                continue
            if not double or loads(part):
                return part, double
        raise AssertionError  # the loop returns or raises


def _width_behind(step: Any) -> int:
    return len(step.get_feature_names_out())
