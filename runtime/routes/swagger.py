"""The description of ``/score`` as Azure Machine Learning's tools read it: Swagger 2, OpenAPI 3.0 and 3.1."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.contract.dtypes import DTYPES
from runtime.contract.errors import DrayError
from runtime.contract.manifest import TensorSpec
from runtime.contract.package import TestDataSet, VerifiedPackage
from runtime.contract.tensors import TensorFile
from runtime.routes.frame_schema import column_names

VERSIONS: Final = ("2", "3", "3.1")
_SPELT: Final[Mapping[str, str]] = {"3": "3.0.3", "3.1": "3.1.0"}
_KINDS: Final[Mapping[str, str]] = {"f": "number", "b": "boolean", "O": "string"}
_ROWS: Final = 2
_JSON: Final = "application/json"
_OPERATION: Final[Mapping[str, str]] = {"operationId": "RunMLService", "summary": "Ask the model"}
_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "error_code": {"type": "string"}, "request_id": {"type": "string"}},
}


def service_schemas(package: VerifiedPackage) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``/score`` takes, ``{"data": rows}``, and gives, ``{"result": rows}``."""
    return _input_schema(package), _output_schema(package)


def swagger(package: VerifiedPackage, version: str) -> dict[str, Any]:
    """The document in one of ``VERSIONS``, with the package's own test data as examples."""
    taken, given = service_schemas(package)
    schemas = {"ServiceInput": taken, "ServiceOutput": given, "ErrorResponse": dict(_ERROR)}
    manifest = package.manifest
    info = {"title": manifest.name, "description": f"API of the model {manifest.name}", "version": manifest.version}
    if version == "2":
        return _in_swagger_2(info, schemas)
    return _in_openapi_3(info, schemas, _SPELT[version])


def _in_swagger_2(info: Mapping[str, str], schemas: Mapping[str, Any]) -> dict[str, Any]:
    def reference(name: str) -> dict[str, Any]:
        return {"$ref": f"#/definitions/{name}"}

    payload = {"in": "body", "name": "serviceInputPayload", "required": True, "schema": reference("ServiceInput")}
    operation = {
        **_OPERATION,
        "consumes": [_JSON],
        "produces": [_JSON],
        "parameters": [payload],
        "responses": {
            "200": {"description": "The predictions", "schema": reference("ServiceOutput")},
            "default": {"description": "The error object", "schema": reference("ErrorResponse")},
        },
        "security": [{"Bearer": []}],
    }
    healthy = {"description": "The process answers", "schema": {"type": "string"}}
    return {
        "swagger": "2.0",
        "info": dict(info),
        "schemes": ["http", "https"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        "paths": {
            "/": {
                "get": {"operationId": "ServiceHealthCheck", "produces": ["text/plain"], "responses": {"200": healthy}}
            },
            "/score": {"post": operation},
        },
        "definitions": dict(schemas),
    }


def _in_openapi_3(info: Mapping[str, str], schemas: Mapping[str, Any], spelt: str) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    operation = {
        **_OPERATION,
        "requestBody": {"required": True, "content": content("ServiceInput")},
        "responses": {
            "200": {"description": "The predictions", "content": content("ServiceOutput")},
            "default": {"description": "The error object", "content": content("ErrorResponse")},
        },
        "security": [{"Bearer": []}],
    }
    healthy = {"description": "The process answers", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "openapi": spelt,
        "info": dict(info),
        "paths": {
            "/": {"get": {"operationId": "ServiceHealthCheck", "responses": {"200": healthy}}},
            "/score": {"post": operation},
        },
        "components": {
            "schemas": dict(schemas),
            "securitySchemes": {"Bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _input_schema(package: VerifiedPackage) -> dict[str, Any]:
    specs = package.manifest.signature.inputs
    names = column_names(package.manifest.signature)
    if names is not None:
        columns = [(name, _kind(spec)) for spec in specs for name in spec.columns or (spec.name,)]
        row: dict[str, Any] = {
            "type": "object", "required": list(names), "properties": {name: {"type": kind} for name, kind in columns}
        }  # fmt: skip
    elif len(specs) == 1:
        row = _row_schema(specs[0])
    else:
        row = _record_schema(specs)
    schema = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": row}}}
    case = _case(package)
    return schema if case is None else {**schema, "example": {"data": _rows(specs, case.inputs, names)}}


def _output_schema(package: VerifiedPackage) -> dict[str, Any]:
    specs = package.manifest.signature.outputs
    row = _row_schema(specs[0]) if len(specs) == 1 else _record_schema(specs)
    schema = {"type": "object", "properties": {"result": {"type": "array", "items": row}}}
    case = _case(package)
    return schema if case is None else {**schema, "example": {"result": _rows(specs, case.outputs, None)}}


def _record_schema(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    names = [spec.name for spec in specs]
    return {"type": "object", "required": names, "properties": {spec.name: _row_schema(spec) for spec in specs}}


def _row_schema(spec: TensorSpec) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _kind(spec)}
    for _ in spec.shape[1:]:
        schema = {"type": "array", "items": schema}
    return schema


def _kind(spec: TensorSpec) -> str:
    return _KINDS.get(DTYPES[spec.dtype].numpy[-2:-1] or DTYPES[spec.dtype].numpy, "integer")


def _case(package: VerifiedPackage) -> TestDataSet | None:
    try:
        return package.test_data_sets()[0]
    except DrayError:  # a package that cannot be served has a description all the same
        return None


def _rows(specs: Sequence[TensorSpec], tensors: Sequence[TensorFile], names: Sequence[str] | None) -> list[Any]:
    """The first rows of test data: as objects by column name, plain where there is one tensor, else by tensor name."""
    by_tensor = [_first_rows(tensor) for tensor in tensors]
    rows = list(zip(*by_tensor, strict=False))
    if names is not None:
        cells = [[cell for part in row for cell in (part if isinstance(part, list) else [part])] for row in rows]
        return [dict(zip(names, row, strict=True)) for row in cells]
    if len(specs) == 1:
        return by_tensor[0]
    return [dict(zip([spec.name for spec in specs], row, strict=True)) for row in rows]


def _first_rows(tensor: TensorFile) -> list[Any]:
    values = [None if isinstance(value, float) and not math.isfinite(value) else value for value in tensor.to_list()]
    for size in reversed(tensor.shape[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)] if size else []
    return values[:_ROWS]
