"""OpenAPI from the signatures of the models that are served."""

import math
from collections.abc import Mapping
from typing import Any, Final

from runtime.contract.dtypes import DTYPES, Datatype, holds_all_of
from runtime.contract.errors import DrayError
from runtime.contract.manifest import TensorSpec
from runtime.contract.package import TestDataSet, VerifiedPackage
from runtime.contract.tensors import TensorFile
from runtime.engine.repository import version_key
from runtime.routes.frame_schema import invocation_content, predictions_schema
from runtime.routes.serving import Serving
from runtime.routes.swagger import service_schemas

_EXAMPLE_VALUES: Final = 4096
_JSON_TYPES: Final[Mapping[str, list[str]]] = {"f": ["number", "null"], "b": ["boolean"], "O": ["string"]}
_ERROR_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error", "message", "error_code", "detail", "request_id"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "error_code": {"type": "string", "examples": ["E-INPUT"]},
        "detail": {"type": "object"},
        "request_id": {"type": ["string", "null"]},
    },
}


def describe_inference(document: dict[str, Any], serving: Serving) -> dict[str, Any]:
    """Complete FastAPI's document by what these models take and give, with their own samples as examples."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of an error, which is never sent
        schemas.pop(unused, None)
    schemas["Error"] = dict(_ERROR_SCHEMA)
    packages = [slot.package for slot in serving.repository.slots if slot.package is not None]
    for package in packages:
        schemas[f"{_schema_name(package)}.Request"] = _request_schema(package)
        schemas[f"{_schema_name(package)}.Response"] = _response_schema(package)
    for path, item in document["paths"].items():
        for operation in item.values():
            operation["responses"]["default"] = _error_response()
            if path.endswith("/infer"):
                _complete(operation, packages)
            elif path == "/invocations":
                _complete_invocations(operation, packages)
            elif path == "/score":
                _complete_rows(operation, packages, "data", "result")
            elif path.endswith(":predict"):
                _complete_rows(operation, packages, "instances", "predictions")
            else:
                operation["responses"].pop("422", None)
    return document


def _complete(operation: dict[str, Any], packages: list[VerifiedPackage]) -> None:
    operation["responses"].pop("422", None)
    content: dict[str, Any] = {"schema": _any_of(packages, "Request")}
    examples = {_schema_name(package): {"value": body} for package in packages if (body := _example(package))}
    if examples:
        content["examples"] = examples
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    operation["responses"]["200"] = {
        "description": "The outputs",
        "content": {"application/json": {"schema": _any_of(packages, "Response")}},
    }
    _complete_path(operation, packages)


def _complete_path(operation: dict[str, Any], packages: list[VerifiedPackage]) -> None:
    """The names and versions that may stand in the path."""
    for parameter in operation.get("parameters", []):
        manifests = [package.manifest for package in packages]
        values = {"model": [m.name for m in manifests], "version": [m.version for m in manifests]}[parameter["name"]]
        if values:
            parameter["schema"] = {"type": "string", "enum": list(dict.fromkeys(values))}


def _complete_rows(operation: dict[str, Any], packages: list[VerifiedPackage], taken: str, given: str) -> None:
    """A dialect that takes and gives rows under these names."""
    operation["responses"].pop("422", None)
    _complete_path(operation, packages)
    if len(packages) != 1:
        return
    for side, name, schema in zip(("data", "result"), (taken, given), service_schemas(packages[0]), strict=True):
        named = {"type": "object", "required": [name], "properties": {name: schema["properties"][side]}}
        content: dict[str, Any] = {"application/json": {"schema": named}}
        if "example" in schema:
            content["application/json"]["example"] = {name: schema["example"][side]}
        if name == taken:
            operation["requestBody"] = {"required": True, "content": content}
        else:
            operation["responses"]["200"] = {"description": "The predictions", "content": content}


def _complete_invocations(operation: dict[str, Any], packages: list[VerifiedPackage]) -> None:
    if len({package.manifest.name for package in packages}) != 1:  # the path then names no model
        return
    package = max(packages, key=lambda candidate: version_key(candidate.manifest.version))
    signature = package.manifest.signature
    operation["requestBody"] = {"required": True, "content": invocation_content(signature, _example_case(package))}
    operation["responses"]["200"] = {
        "description": "The predictions",
        "content": {"application/json": {"schema": predictions_schema(signature)}},
    }


def _any_of(packages: list[VerifiedPackage], side: str) -> dict[str, Any]:
    references = [{"$ref": f"#/components/schemas/{_schema_name(package)}.{side}"} for package in packages]
    return references[0] if len(references) == 1 else {"anyOf": references} if references else {"type": "object"}


def _schema_name(package: VerifiedPackage) -> str:
    return f"{package.manifest.name}.{package.manifest.version}"


def _request_schema(package: VerifiedPackage) -> dict[str, Any]:
    signature = package.manifest.signature
    names = [spec.name for spec in signature.outputs]
    wanted = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "enum": names}}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": _tensors_schema(signature.inputs, data="flat or nested, as shape says", taken=True),
            "outputs": {"type": ["array", "null"], "items": wanted},
        },
    }


def _response_schema(package: VerifiedPackage) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": _tensors_schema(package.manifest.signature.outputs, data="flat, in row-major order"),
        },
    }


def _tensors_schema(specs: tuple[TensorSpec, ...], *, data: str, taken: bool = False) -> dict[str, Any]:
    """Of inputs (``taken``), with the types that hold nothing beyond the input's own, or of outputs."""
    return {"type": "array", "items": {"anyOf": [_tensor_schema(spec, data, taken=taken) for spec in specs]}}


def _tensor_schema(spec: TensorSpec, data: str, *, taken: bool) -> dict[str, Any]:
    narrower = [name for name in DTYPES if name != spec.dtype and holds_all_of(spec.dtype, name)] if taken else []
    shape: dict[str, Any] = {
        "type": "array",
        "prefixItems": [{"const": dim} if isinstance(dim, int) else {"type": "integer", "minimum": 0, "title": dim}
                        for dim in spec.shape],
        "minItems": len(spec.shape),
        "maxItems": len(spec.shape),
    }  # fmt: skip
    columns = f"; columns: {', '.join(spec.columns)}" if spec.columns else ""
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": shape,
            "datatype": {"enum": [spec.dtype, *narrower]} if narrower else {"const": spec.dtype},
            "data": {"type": "array", "items": {"type": [*_json_types(spec.dtype), "array"]},
                     "description": data + columns},
        },
    }  # fmt: skip


def _json_types(dtype: Datatype) -> list[str]:
    return _JSON_TYPES.get(DTYPES[dtype].numpy[-2:-1] or DTYPES[dtype].numpy, ["integer"])


def _example(package: VerifiedPackage) -> dict[str, Any] | None:
    case = _example_case(package)
    if case is None:
        return None
    specs = package.manifest.signature.inputs
    return {"inputs": [_example_tensor(spec, tensor) for spec, tensor in zip(specs, case.inputs, strict=True)]}


def _example_case(package: VerifiedPackage) -> TestDataSet | None:
    try:
        case = package.test_data_sets()[0]
    except DrayError:  # a package that cannot be served has a schema all the same
        return None
    return case if sum(len(tensor.values) for tensor in case.inputs) <= _EXAMPLE_VALUES else None


def _example_tensor(spec: TensorSpec, tensor: TensorFile) -> dict[str, Any]:
    values = [None if isinstance(value, float) and math.isnan(value) else value for value in tensor.to_list()]
    return {"name": spec.name, "shape": list(tensor.shape), "datatype": spec.dtype, "data": values}


def _error_response() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": "The error object", "content": {"application/json": {"schema": schema}}}
