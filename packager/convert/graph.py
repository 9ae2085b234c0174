"""What an ONNX file says of itself: validity, versions, signature, external data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort

from packager.converters.onnx_files import open_session, read_model
from packager.core.errors import ConversionError, ModelInvalid
from runtime.contract.dtypes import BY_ORT, DTYPES
from runtime.contract.manifest import MODEL_NAME, Dim, NonFinite, OnnxInfo, Signature, TensorSpec, Tokenization
from runtime.contract.package import file_sha256

if TYPE_CHECKING:
    from packager.convert.texts import TextSession

BATCH = "batch"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CheckedGraph:
    """An ONNX file that the checker and ONNX Runtime accept.

    Attributes:
        rows_per_call: Size of the first axis where it is fixed; None where rows are free.
        single_call: True when the inputs share no first axis, so that a sample is a whole call.
    """

    path: Path
    info: OnnxInfo
    signature: Signature
    session: "ort.InferenceSession | TextSession"
    rows_per_call: int | None
    single_call: bool


def check_graph(
    path: Path,
    *,
    columns: Mapping[str, tuple[str, ...]] | None = None,
    non_finite: Mapping[str, NonFinite] | None = None,
    preprocessing: Tokenization | None = None,
) -> CheckedGraph:
    """The file's facts, after the checker and a load in ONNX Runtime.

    Args:
        columns: Column names by input name, for the signature.
        non_finite: What each input takes beside finite numbers, by its name.
        preprocessing: What comes before the graph; the signature is then that of the texts.

    Raises:
        ModelInvalid: Not ONNX, truncated, invalid, with data outside its folder, or not loadable.
        ConversionError: A tensor has a type that the protocol does not have.
    """
    model, external = read_model(path)
    session = open_session(path)
    signature = _known_to_the_source(_signature(session), columns or {}, non_finite or {})
    fixed = _fixed_rows(session.get_inputs()) if signature.batch_dim is None else None
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    info = OnnxInfo(
        path=MODEL_NAME,
        opset=versions.pop("ai.onnx", 1),
        domains=dict(sorted(versions.items())),
        ir_version=model.ir_version,
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size + sum((path.parent / name).stat().st_size for name in external),
        external_data=external,
    )
    if preprocessing is not None:
        return _of_texts(CheckedGraph(path, info, signature, session, None, False), preprocessing)
    return CheckedGraph(path, info, signature, session, fixed, signature.batch_dim is None and fixed is None)


def _of_texts(graph: CheckedGraph, step: Tokenization) -> CheckedGraph:
    """The graph behind its tokenizer: what clients see of it."""
    from packager.convert.texts import prove_sizes, text_inputs, text_session  # few models need it

    session = text_session(graph.session, step, graph.path.parent)
    prove_sizes(graph.session, step)
    signature = Signature(inputs=text_inputs(step, BATCH), outputs=graph.signature.outputs, batch_dim=BATCH)
    return replace(graph, signature=signature, session=session)


def _signature(session: ort.InferenceSession) -> Signature:
    inputs = session.get_inputs()
    rows = _rows_axis(inputs)
    names = _DimNames()
    free = rows is not None
    return Signature(
        inputs=tuple(_spec(arg, names, rows) for arg in inputs),
        outputs=tuple(_spec(arg, names, _any_axis(arg) if free else None) for arg in session.get_outputs()),
        batch_dim=BATCH if free else None,
    )


def _known_to_the_source(
    signature: Signature, columns: Mapping[str, tuple[str, ...]], non_finite: Mapping[str, NonFinite]
) -> Signature:
    """The signature with what the graph does not hold."""
    inputs = tuple(
        TensorSpec(
            name=spec.name,
            dtype=spec.dtype,
            shape=spec.shape,
            columns=columns.get(spec.name),
            non_finite=non_finite.get(spec.name, "any"),
        )
        for spec in signature.inputs
    )
    return Signature(inputs=inputs, outputs=signature.outputs, batch_dim=signature.batch_dim)


def _fixed_rows(inputs: "list[ort.NodeArg]") -> int | None:
    """The fixed size of the first axis that all inputs share; None where they do not."""
    sizes = {arg.shape[0] if arg.shape else None for arg in inputs}
    only = next(iter(sizes)) if len(sizes) == 1 else None
    return only if isinstance(only, int) else None


def _rows_axis(inputs: "list[ort.NodeArg]") -> str | None:
    """Name of the free first axis that all inputs share ('' where none names it); None where there is no such axis."""
    if not inputs or not all(arg.shape and not isinstance(arg.shape[0], int) for arg in inputs):
        return None
    named = {arg.shape[0] for arg in inputs if arg.shape[0]}
    return None if len(named) > 1 else next(iter(named), "")


def _any_axis(arg: "ort.NodeArg") -> str | None:
    """An output's free first axis counts rows under whatever name: exporters rename it on the way through the graph."""
    return (arg.shape[0] or "") if arg.shape and not isinstance(arg.shape[0], int) else None


class _DimNames:
    """Valid identifiers for free axes: the same name for the same name, a new one for one that has none."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def name(self, symbol: str | None) -> str:
        if symbol and symbol in self._given:
            return self._given[symbol]
        wanted = symbol if symbol and _IDENTIFIER.fullmatch(symbol) and symbol != BATCH else ""
        taken = set(self._given.values())
        index = 0
        while not wanted or wanted in taken:
            wanted = f"d{index}"
            index += 1
        self._given[symbol or f"unnamed {len(self._given)}"] = wanted
        return wanted


def _spec(arg: "ort.NodeArg", names: _DimNames, rows: str | None) -> TensorSpec:
    if arg.type not in BY_ORT:
        raise ConversionError(
            f"{arg.name!r} has the ONNX type {arg.type}, which the inference protocol does not have",
            hint=f"the protocol has {', '.join(DTYPES)}; cast inside the model",
        )
    shape: list[Dim] = []
    for index, dim in enumerate(arg.shape):
        if isinstance(dim, int):
            if dim < 1:
                raise ModelInvalid(f"{arg.name!r} has an axis of size {dim}", hint="export the model again")
            shape.append(dim)
        elif rows is not None and (index == 0 or (dim and dim == rows)):
            shape.append(BATCH)
        else:
            shape.append(names.name(dim))
    return TensorSpec(name=arg.name, dtype=BY_ORT[arg.type], shape=tuple(shape))
