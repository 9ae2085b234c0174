"""ONNX files: reading, checking and loading them, for their own converter and for what checks all converters."""

from pathlib import Path

import onnx
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from packager.core.errors import ModelInvalid

ORT_ERRORS = tuple(
    error for error in vars(ort_state).values() if isinstance(error, type) and issubclass(error, Exception)
)


def read_model(path: Path) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model without its external tensors, and the names of the files beside it that hold those.

    Raises:
        ModelInvalid: Not ONNX, truncated, invalid, or with data that are not plain files beside it.
    """
    model = _read(path)
    external = _external_data(model, path)
    _check(path)
    return model, external


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
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

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
    for tensor in onnx.external_data_helper._get_all_tensors(model):  # of attributes and inner graphs too
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
