"""A request from what a person has at hand: a file, or ``-i name=value``."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packager.core.errors import EnvironmentMissing, UsageError
from runtime.contract.dtypes import DTYPES
from runtime.contract.wire import InferenceRequest, ModelMetadata, Tensor, TensorMetadata


def build_request(metadata: ModelMetadata, file: Path | None, values: Sequence[str]) -> InferenceRequest:
    """The request that a file or ``name=value`` texts stand for, typed as the model's metadata says.

    Args:
        metadata: Of the model that will be asked.
        file: ``.json`` (a v2 request, values by input name, or rows), ``.csv``, ``.npy`` or ``.npz``.
        values: ``NAME=VALUE``, the value in JSON, or a bare word for text.

    Raises:
        UsageError: Cannot be read, or does not fit the model's inputs.
    """
    if file is None:
        return _by_name(metadata, dict(_named_value(text) for text in values))
    content = _READERS.get(file.suffix.lower(), _read_json)(_existing(file))
    if isinstance(content, Mapping) and isinstance(content.get("inputs"), list):
        return InferenceRequest.model_validate(content)
    if isinstance(content, Mapping):
        return _by_name(metadata, content)
    only = _only_input(metadata)
    return _by_name(metadata, {only.name: _rows(content, _columns(metadata, only))})


def _by_name(metadata: ModelMetadata, values: Mapping[str, Any]) -> InferenceRequest:
    known = {tensor.name: tensor for tensor in metadata.inputs}
    if unknown := sorted(values.keys() - known.keys()):
        columns = _columns(metadata, metadata.inputs[0]) if len(metadata.inputs) == 1 else ()
        if set(values) <= set(columns):
            row = [_column_value(values, column) for column in columns]
            return InferenceRequest(inputs=[_tensor(metadata.inputs[0], [row])])
        raise UsageError(f"the model has no input {unknown[0]!r}", hint=f"its inputs are {_describe(metadata)}")
    if absent := sorted(known.keys() - values.keys()):
        raise UsageError(f"no value for the input {absent[0]!r}", hint=f"the inputs are {_describe(metadata)}")
    return InferenceRequest(inputs=[_tensor(tensor, values[name]) for name, tensor in known.items()])


def _tensor(spec: TensorMetadata, value: Any) -> Tensor:
    """The value as a tensor; one row may come without its batch axis."""
    if len(_shape(value)) == len(spec.shape) - 1:
        value = [value]
    shape = _shape(value)
    fits = len(shape) == len(spec.shape) and all(want in (-1, got) for want, got in zip(spec.shape, shape, strict=True))
    if not fits:
        raise UsageError(f"the input {spec.name!r} has the shape {shape}, expected {spec.shape}")
    return Tensor(name=spec.name, shape=shape, datatype=spec.datatype, data=_plain(value, spec))


def _plain(value: Any, spec: TensorMetadata) -> Any:
    """Values in their axes as JSON carries them: numbers of a float tensor as floats, NaN as null, text as text."""
    if isinstance(value, list):
        return [_plain(item, spec) for item in value]
    if spec.datatype == "BYTES":
        return value if isinstance(value, str) else str(value)
    if DTYPES[spec.datatype].is_float and isinstance(value, int | float) and not isinstance(value, bool):
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


def _rows(content: Any, columns: Sequence[str]) -> Any:
    """A matrix from records by column name, or what came where it is one already."""
    if not (isinstance(content, list) and content and isinstance(content[0], Mapping)):
        return content
    order = columns or tuple(content[0])
    return [[_column_value(record, column) for column in order] for record in content]


def _column_value(record: Mapping[str, Any], column: str) -> Any:
    if column not in record:
        raise UsageError(f"no value for the column {column!r}", hint=f"given: {', '.join(map(str, record))}")
    return record[column]


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


def _named_value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"not an input: {text!r}", hint="write -i 'NAME=VALUE', the value in JSON")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise UsageError(f"no such file: {str(file)!r}", hint="--input names a .json, .csv, .npy or .npz file")
    return file


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(file)!r} is not JSON: {error}") from error


def _read_csv(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8") as stream:
        records = list(csv.DictReader(stream))
    return [{name: _number(text) for name, text in record.items()} for record in records]


def _number(text: str) -> float | str:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return text


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


_READERS = {".json": _read_json, ".csv": _read_csv, ".npy": _read_npy, ".npz": _read_npy}
