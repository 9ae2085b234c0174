"""OpenAPI of ``/invocations``: a table as this model takes it, with its own test data as examples."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.contract.dtypes import DTYPES
from runtime.contract.frames import FrameError, takes_names, width_of
from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.package import TestDataSet
from runtime.contract.tensors import TensorFile

_EXAMPLE_ROWS: Final = 3
_CELLS: Final[Mapping[str, list[str]]] = {"f": ["number", "null", "boolean"], "b": ["boolean"]}


def invocation_content(signature: Signature, case: TestDataSet | None) -> dict[str, Any]:
    """The ``content`` of the request body, by media type.

    Args:
        case: Where the examples come from.
    """
    json_content: dict[str, Any] = {"schema": _schema(signature)}
    content = {"application/json": json_content}
    names = column_names(signature)
    table = _table(signature, case.inputs) if case is not None else None
    if table is not None:
        header = list(names) if names is not None else None
        split = {"columns": header, "data": table} if header else {"data": table}
        json_content["examples"] = {"dataframe_split": {"value": {"dataframe_split": split}}}
        if header:
            records = [dict(zip(header, row, strict=True)) for row in table]
            json_content["examples"]["dataframe_records"] = {"value": {"dataframe_records": records}}
    if _is_tabular(signature):
        content["text/csv"] = {"schema": {"type": "string"}}
        if table is not None:
            content["text/csv"]["example"] = _csv(names or range(len(table[0])), table)
    return content


def predictions_schema(signature: Signature) -> dict[str, Any]:
    """The schema of the answer."""
    names = [spec.name for spec in signature.outputs]
    item: dict[str, Any] = {"type": "object", "required": names} if len(names) > 1 else {}
    return {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": item}},
    }


def column_names(signature: Signature) -> tuple[str, ...] | None:
    """The columns that a frame needs, in the inputs' order; None where they go by position, or no frame would do."""
    if not takes_names(signature.inputs) or not _is_tabular(signature):
        return None
    return tuple(name for spec in signature.inputs for name in spec.columns or (spec.name,))


def _is_tabular(signature: Signature) -> bool:
    try:
        widths = [width_of(spec) for spec in signature.inputs]
    except FrameError:
        return False
    named = takes_names(signature.inputs)
    return not named or all(spec.columns or width == 1 for spec, width in zip(signature.inputs, widths, strict=True))


def _schema(signature: Signature) -> dict[str, Any]:
    anything: dict[str, Any] = {"type": ["array", "object"]}
    properties: dict[str, Any] = {"instances": {"type": "array"}, "inputs": anything, "params": {"type": "object"}}
    required = [{"required": ["instances"]}, {"required": ["inputs"]}]
    if _is_tabular(signature):
        properties |= {"dataframe_split": _split_schema(signature), "dataframe_records": _records_schema(signature)}
        required = [{"required": ["dataframe_split"]}, {"required": ["dataframe_records"]}, *required]
    return {"type": "object", "properties": properties, "oneOf": required}


def _split_schema(signature: Signature) -> dict[str, Any]:
    names = column_names(signature)
    columns: dict[str, Any] = {"type": "array", "items": {"type": ["string", "number"]}}
    if names is not None:
        columns["description"] = f"in any order, others are left out: {', '.join(names)}"
    data = {"type": "array", "items": {"type": "array"}}
    required = ["data"] if names is None else ["columns", "data"]
    return {"type": "object", "required": required, "properties": {"columns": columns, "data": data}}


def _records_schema(signature: Signature) -> dict[str, Any]:
    names = column_names(signature)
    record: dict[str, Any] = {"type": "object"}
    if names is not None:
        record["required"] = list(names)
        record["properties"] = {
            name: {"type": _cell_types(spec)} for spec in signature.inputs for name in spec.columns or (spec.name,)
        }
    return {"type": "array", "items": record}


def _cell_types(spec: TensorSpec) -> list[str]:
    if spec.dtype == "BYTES":
        return ["string", "null"]
    return _CELLS.get(DTYPES[spec.dtype].numpy[1:2], ["integer", "boolean"])


def _table(signature: Signature, tensors: Sequence[TensorFile]) -> list[list[Any]] | None:
    """The first rows of the test data as a frame; None where they are no frame."""
    if not _is_tabular(signature):
        return None
    blocks = [_rows(tensor) for tensor in tensors]
    rows = [[cell for block in row for cell in block] for row in zip(*blocks, strict=False)]
    return rows[:_EXAMPLE_ROWS] or None


def _rows(tensor: TensorFile) -> list[list[Any]]:
    values = [None if isinstance(value, float) and not math.isfinite(value) else value for value in tensor.to_list()]
    width = tensor.shape[1] if len(tensor.shape) > 1 else 1
    return [values[start : start + width] for start in range(0, len(values), width)] if width else []


def _csv(names: Sequence[str | int], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(names)
    lines.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()
