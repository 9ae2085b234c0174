"""A request from what a person has at hand: a file, or ``-i name=value``."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packager.core.errors import EnvironmentMissing, UsageError
from runtime.contract.cells import values_from_text
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.frame_readers import frame_from_csv, frame_from_records
from runtime.contract.frames import Frame, FrameError, blocks_of, frame_of_rows, listed
from runtime.contract.manifest import TensorSpec
from runtime.contract.wire import InferenceRequest, ModelMetadata, Tensor, TensorMetadata

_SHAPES = "write the values in nested arrays, one a row; -1 stands for any number"


def build_request(metadata: ModelMetadata, file: Path | None, values: Sequence[str]) -> InferenceRequest:
    """The request that a file or ``name=value`` texts stand for, typed as the model's metadata says.

    Args:
        metadata: Of the model that will be asked.
        file: ``.csv``, ``.json`` (a v2 request, values by input name, records, or rows), ``.npy`` or ``.npz``.
        values: ``NAME=VALUE``; the name of an input, its value in JSON, or the name of a column, its value as in a CSV.

    Raises:
        UsageError: Cannot be read, or does not fit the model's inputs.
    """
    try:
        if file is None:
            return _from_texts(metadata, dict(_named_text(text) for text in values))
        if _existing(file).suffix.lower() == ".csv":
            specs = _specs(metadata)
            return _from_frame(frame_from_csv(file.read_bytes(), specs), specs)
        return _from_content(metadata, _READERS.get(file.suffix.lower(), _read_json)(file))
    except FrameError as error:
        raise UsageError(error.message, hint=error.hint or f"the inputs are {_describe(metadata)}") from error


def _from_content(metadata: ModelMetadata, content: Any) -> InferenceRequest:
    specs = _specs(metadata)
    if isinstance(content, Mapping) and isinstance(content.get("inputs"), list):
        return InferenceRequest.model_validate(content)
    if isinstance(content, Mapping) and not _is_row(content, specs):
        return _by_name(metadata, content)
    records = [content] if isinstance(content, Mapping) else content
    if isinstance(records, list) and records and isinstance(records[0], Mapping):
        return _from_frame(frame_from_records(records, "rows"), specs)
    return _by_name(metadata, {_only_input(metadata).name: content})


def _is_row(content: Mapping[str, Any], specs: Sequence[TensorSpec]) -> bool:
    """Whether an object holds one cell a column, rather than tensors by input name."""
    cells = not any(isinstance(value, list | dict) for value in content.values())
    return cells and all(spec.columns or _is_column(spec) for spec in specs)


def _from_texts(metadata: ModelMetadata, texts: Mapping[str, str]) -> InferenceRequest:
    """A row where every text is for a column; tensors in JSON where they are for inputs."""
    specs = _specs(metadata)
    columns = [name for spec in specs for name in spec.columns or ((spec.name,) if _is_column(spec) else ())]
    tensors = {spec.name for spec in specs} - set(columns)
    if not columns or texts.keys() & tensors or any(text.startswith("[") for text in texts.values()):
        return _by_name(metadata, {name: _json_or_text(text) for name, text in texts.items()})
    if unknown := sorted(texts.keys() - set(columns)):
        raise UsageError(f"the model has no column {unknown[0]!r}", hint=f"its columns are {listed(columns)}")
    row = [_unquoted(text) for text in texts.values()]
    frame = frame_of_rows([row], list(texts), values_from_text, lambda _: ("the values given", {}))
    return _from_frame(frame, specs)


def _from_frame(frame: Frame, specs: Sequence[TensorSpec]) -> InferenceRequest:
    return InferenceRequest(
        inputs=[
            Tensor(
                name=block.spec.name,
                shape=list(block.shape),
                datatype=block.spec.dtype,
                data=_plain(list(block.values), block.spec.dtype),
            )
            for block in blocks_of(frame, specs)
        ]
    )


def _by_name(metadata: ModelMetadata, values: Mapping[str, Any]) -> InferenceRequest:
    known = {tensor.name: tensor for tensor in metadata.inputs}
    if unknown := sorted(values.keys() - known.keys()):
        raise UsageError(f"the model has no input {unknown[0]!r}", hint=f"its inputs are {_describe(metadata)}")
    if absent := sorted(known.keys() - values.keys()):
        raise UsageError(f"no value for the input {absent[0]!r}", hint=f"the inputs are {_describe(metadata)}")
    return InferenceRequest(inputs=[_tensor(tensor, values[name]) for name, tensor in known.items()])


def _specs(metadata: ModelMetadata) -> tuple[TensorSpec, ...]:
    """The inputs as a manifest has them: a first free axis counts rows, every other one is free by itself."""
    return tuple(_spec(metadata, tensor) for tensor in metadata.inputs)


def _spec(metadata: ModelMetadata, tensor: TensorMetadata) -> TensorSpec:
    shape = tuple(
        dim if dim > 0 else ("batch" if axis == 0 else f"free_{axis}") for axis, dim in enumerate(tensor.shape)
    )
    columns = _columns(metadata, tensor)
    fits = bool(columns) and bool(shape) and shape[-1] == len(columns)
    return TensorSpec(name=tensor.name, dtype=tensor.datatype, shape=shape, columns=columns if fits else None)


def _is_column(spec: TensorSpec) -> bool:
    return len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1)


def _tensor(spec: TensorMetadata, value: Any) -> Tensor:
    """The value as a tensor; one row may come without its batch axis."""
    if len(_shape(value)) == len(spec.shape) - 1:
        value = [value]
    shape = _shape(value)
    fits = len(shape) == len(spec.shape) and all(want in (-1, got) for want, got in zip(spec.shape, shape, strict=True))
    if not fits:
        raise UsageError(f"the input {spec.name!r} has the shape {shape}, expected {spec.shape}", hint=_SHAPES)
    return Tensor(name=spec.name, shape=shape, datatype=spec.datatype, data=_plain(value, spec.datatype))


def _plain(value: Any, dtype: Datatype) -> Any:
    """Values in their axes as JSON carries them: numbers of a float tensor as floats, NaN as null, text as text."""
    if isinstance(value, list):
        return [_plain(item, dtype) for item in value]
    if dtype == "BYTES":
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if DTYPES[dtype].is_float and isinstance(value, int | float):
        return None if math.isnan(value) else float(value)
    return value


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _columns(metadata: ModelMetadata, spec: TensorMetadata) -> tuple[str, ...]:
    """Names of the tensor's columns in order, where dray's runtime says that the model has them."""
    columns = (metadata.parameters or {}).get("columns", {})
    return tuple(columns.get(spec.name) or ()) if isinstance(columns, Mapping) else ()


def _only_input(metadata: ModelMetadata) -> TensorMetadata:
    if len(metadata.inputs) != 1:
        raise UsageError(
            f"the model has {len(metadata.inputs)} inputs, and the file does not say which value is for which",
            hint=f"write them by name: {_describe(metadata)}",
        )
    return metadata.inputs[0]


def _describe(metadata: ModelMetadata) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in metadata.inputs)


def _named_text(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"not an input: {text!r}", hint="write -i 'NAME=VALUE', the value in JSON, or --input FILE")
    return name, value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unquoted(text: str) -> str:
    """A cell may be written as a JSON string as well."""
    value = _json_or_text(text) if text.startswith('"') else text
    return value if isinstance(value, str) else text


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise UsageError(f"no such file: {str(file)!r}", hint="--input names a .json, .csv, .npy or .npz file")
    return file


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(file)!r} is not JSON: {error}") from error


def _read_npy(file: Path) -> Any:
    numpy = _numpy()
    try:
        loaded = numpy.load(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error}") from error
    if hasattr(loaded, "files"):
        return {name: loaded[name].tolist() for name in loaded.files}
    return loaded.tolist()


def _numpy() -> Any:
    try:
        import numpy as np  # not in the light core
    except ImportError as error:
        raise EnvironmentMissing("numpy is not installed here", hint='pip install "dray[runtime]"') from error
    return np


_READERS = {".json": _read_json, ".npy": _read_npy, ".npz": _read_npy}
