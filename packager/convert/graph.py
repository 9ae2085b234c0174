"""What an ONNX file says of itself: validity, versions, signature, external data."""

import re
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from packager.core.errors import ConversionError, ModelInvalid
from runtime.contract.dtypes import BY_ORT, DTYPES
from runtime.contract.manifest import MODEL_NAME, Dim, OnnxInfo, Signature, TensorSpec
from runtime.contract.package import file_sha256

BATCH = "batch"
ORT_ERRORS = tuple(error for error in vars(ort_state).values() if isinstance(error, type) and issubclass(error, Exception))
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CheckedGraph:
    """An ONNX file that the checker and ONNX Runtime accept.

    Attributes:
        batch_size: Size of the first axis where it is fixed; None where rows are free.
    """

    path: Path
    info: OnnxInfo
    signature: Signature
    session: ort.InferenceSession
    batch_size: int | None


def check_graph(path: Path, *, columns: dict[str, tuple[str, ...]] | None = None) -> CheckedGraph:
    """The file's facts, after the checker and a load in ONNX Runtime.

    Args:
        columns: Column names by input name, for the signature.

    Raises:
        ModelInvalid: Not ONNX, truncated, invalid, with data outside its folder, or not loadable.
        ConversionError: A tensor has a type that the protocol does not have.
    """
    model = _read(path)
    external = _external_data(model, path)
    _check(path)
    session = open_session(path)
    signature, batch_size = _signature(session, columns or {})
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
    return CheckedGraph(path, info, signature, session, batch_size)


def open_session(path: Path, *, optimised: bool = True) -> ort.InferenceSession:
    """ONNX Runtime on the CPU, as the container runs it; ``optimised=False`` runs the graph as it is written.

    Raises:
        ModelInvalid: ONNX Runtime does not load the model.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise ModelInvalid(
            f"onnxruntime {ort.__version__} cannot load {path.name!r}: {' '.join(str(error).split())[:300]}",
            hint="the model uses operators or versions that this onnxruntime does not have; try another --opset",
        ) from error


def _read(path: Path) -> onnx.ModelProto:
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelInvalid(
            f"{path.name!r} is not an ONNX model, or is cut off: {error}", hint="export or download the model again"
        ) from error
    if not model.graph.node:
        raise ModelInvalid(f"{path.name!r} holds no ONNX graph", hint="export or download the model again")
    return model


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(path)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelInvalid(
            f"{path.name!r} is not a valid ONNX model: {reason}", hint="export the model again"
        ) from error


def _external_data(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Files beside the model that hold its tensors; a package keeps them beside it too."""
    names = set()
    for tensor in onnx.external_data_helper._get_all_tensors(model):  # noqa: SLF001 - reaches attributes and subgraphs too
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(names):
        if Path(name).name != name or name in {"", ".", ".."} or (path.parent / name).is_symlink():
            raise ModelInvalid(
                f"{path.name!r} keeps tensors in {name!r}, which is not a plain file beside it",
                hint="save the model again with its external data in the same folder",
            )
        if not (path.parent / name).is_file():
            raise ModelInvalid(
                f"{path.name!r} keeps tensors in {name!r}, which is not there", hint=f"put {name} beside the model"
            )
    return tuple(sorted(names))


def _signature(
    session: ort.InferenceSession, columns: dict[str, tuple[str, ...]]
) -> tuple[Signature, int | None]:
    """The signature, and the fixed size of the first axis where rows are not free."""
    inputs = session.get_inputs()
    rows = _rows_axis(inputs)
    names = _DimNames()
    specs = [_spec(arg, names, rows if rows is not None else False, columns.get(arg.name)) for arg in inputs]
    outputs = [_spec(arg, names, _any_axis(arg) if rows is not None else False, None) for arg in session.get_outputs()]
    fixed = None if rows is not None or not inputs or not inputs[0].shape else inputs[0].shape[0]
    batch_size = fixed if isinstance(fixed, int) else None
    batch_dim = BATCH if rows is not None else None
    return Signature(inputs=tuple(specs), outputs=tuple(outputs), batch_dim=batch_dim), batch_size


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


def _spec(
    arg: "ort.NodeArg", names: _DimNames, rows: str | None | bool, columns: tuple[str, ...] | None
) -> TensorSpec:
    if arg.type not in BY_ORT:
        raise ConversionError(
            f"{arg.name!r} has the ONNX type {arg.type}, which the inference protocol does not have",
            hint=f"the protocol has {', '.join(DTYPES)}; cast inside the model",
        )
    has_rows = rows is not None and rows is not False
    shape: list[Dim] = []
    for index, dim in enumerate(arg.shape):
        if isinstance(dim, int):
            if dim < 1:
                raise ModelInvalid(f"{arg.name!r} has an axis of size {dim}", hint="export the model again")
            shape.append(dim)
        elif has_rows and (index == 0 or (dim and dim == rows)):
            shape.append(BATCH)
        else:
            shape.append(names.name(dim))
    return TensorSpec(name=arg.name, dtype=BY_ORT[arg.type], shape=tuple(shape), columns=columns)
