"""Bodies as the API server reads them: strictly, leniently with warnings, or as the configuration of an apply."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from targets.rehearsal.kubernetes.errors import ApiError, bad_request, untyped
from targets.rehearsal.kubernetes.fieldsets import element_of
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.shapes import Shape, shape_of

_GO_TYPES: Final = {"integer": "int64", "boolean": "bool", "number": "float64", "string": "string"}


@dataclass(slots=True)
class _Reading:
    resource: Resource
    unknown: list[str] = field(default_factory=list)


def parsed(content: bytes, *, as_yaml: bool = False) -> dict[str, Any]:
    """An object out of a request's body.

    Raises:
        ApiError: It is none.
    """
    try:
        found = _of_yaml(content) if as_yaml else json.loads(content)
    except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        raise bad_request(f"error decoding {'YAML' if as_yaml else 'JSON'}: {error}") from error
    if not isinstance(found, dict):
        raise bad_request("the body of the request must be an object")
    return found


def _of_yaml(content: bytes) -> Any:
    """What most clients send is JSON, which is YAML too."""
    try:
        return json.loads(content)
    except ValueError:
        # Through JSON, whose keys are text.
        return json.loads(json.dumps(yaml.load(content, Loader=_Loader), allow_nan=False))  # noqa: S506 - a safe loader


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Without times, which JSON does not have."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(body: Mapping[str, Any], resource: Resource) -> tuple[dict[str, Any], list[str]]:
    """An object without unknown fields and nulls, and the paths of the unknown ones.

    Raises:
        ApiError: It is of another kind, or a value has the wrong type.
    """
    check_kind(body, resource)
    reading = _Reading(resource)
    shape = shape_of(resource.definition)
    found: dict[str, Any] = _read(body, shape, "", shape, reading)
    return found, reading.unknown


def strictly(unknown: list[str], resource: Resource) -> ApiError:
    """The refusal of unknown fields."""
    words = ", ".join(f'unknown field "{path}"' for path in unknown)
    return bad_request(_cannot_handle(resource, f"strict decoding error: {words}"))


def check_kind(body: Mapping[str, Any], resource: Resource) -> None:
    """Raises ApiError: The body says that it is something else."""
    version, kind = body.get("apiVersion"), body.get("kind")
    if not isinstance(kind, str) or not kind:
        raise bad_request("Object 'Kind' is missing in the request body")
    if version != resource.api_version or kind != resource.kind:
        given = f"{version}, Kind={kind}"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): "
            f'no kind "{kind}" is registered for version "{version}" ({given})'
        )


def _read(value: Any, shape: Shape, path: str, owner: Shape, reading: _Reading) -> Any:
    if isinstance(value, dict) and shape.form in ("struct", "map", "any"):
        return _read_entries(value, shape, path, reading)
    if isinstance(value, list) and shape.form in ("list", "any"):
        return [
            _read(item, shape.element, f"{path}[{index}]", shape if shape.name else owner, reading)
            for index, item in enumerate(value)
        ]
    if shape.form == "any" or (shape.form == "scalar" and _fits(value, shape)):
        return value
    raise _wrong_type(value, shape, path, owner, reading)


def _read_entries(value: Mapping[str, Any], shape: Shape, path: str, reading: _Reading) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, each in value.items():
        below = f"{path}.{name}" if path else str(name)
        child = shape.child(name)
        if child is None:
            reading.unknown.append(below)
        elif each is not None or shape.form == "map":
            kept[name] = "" if each is None else _read(each, child, below, shape, reading)
    return kept


def _fits(value: Any, shape: Shape) -> bool:
    types = shape.scalars
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, int):
        return "integer" in types or "number" in types
    if isinstance(value, float):
        return "number" in types or ("integer" in types and value.is_integer())
    return isinstance(value, str) and "string" in types


def _wrong_type(value: Any, shape: Shape, path: str, owner: Shape, reading: _Reading) -> ApiError:
    given = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
    wanted = _go_type(shape)
    struct = owner.name.rpartition(".")[2]
    words = (
        f"json: cannot unmarshal {given.get(type(value), 'null')} into Go struct field {struct}.{path} of type {wanted}"
    )
    return bad_request(_cannot_handle(reading.resource, words))


def _go_type(shape: Shape) -> str:
    if shape.form == "list":
        return f"[]{_go_type(shape.element)}"
    if shape.form == "map":
        return f"map[string]{_go_type(shape.element)}"
    if shape.name:
        return ".".join(shape.name.split(".")[-2:])
    scalar = next(iter(sorted(shape.scalars)), "string") if shape.form == "scalar" else "object"
    return shape.format if shape.format in ("int32", "int64") else _GO_TYPES.get(scalar, scalar)


def _cannot_handle(resource: Resource, words: str) -> str:
    kind = resource.kind
    return f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {words}'


def configuration(body: Mapping[str, Any], resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    """The object of an apply, typed.

    Raises:
        ApiError: It does not fit the schema; the words are those of the real server's typed patch.
    """
    check_kind(body, resource)
    problems: list[str] = []
    found: dict[str, Any] = _typed(body, shape_of(resource.definition), "", problems)
    if problems:
        listed = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {each}" for each in problems)
        about = f"{namespace}/{name}; {resource.api_version}, Kind={resource.kind}"
        raise untyped(f"failed to create typed patch object ({about}): {listed}")
    return found


def _typed(value: Any, shape: Shape, path: str, problems: list[str]) -> Any:
    if isinstance(value, dict) and shape.form in ("struct", "map", "any"):
        return _typed_entries(value, shape, path, problems)
    if isinstance(value, list) and shape.form == "list":
        return _typed_items(value, shape, path, problems)
    if shape.form == "any" or (shape.form == "scalar" and _fits(value, shape)):
        return value
    expected = {"struct": "map", "map": "map", "list": "list"}.get(shape.form) or _expected(shape)
    problems.append(f"{path or '.'}: expected {expected}, got {_got(value)}")
    return value


def _typed_entries(value: Mapping[str, Any], shape: Shape, path: str, problems: list[str]) -> dict[str, Any]:
    kept = {}
    for name, each in value.items():
        child = shape.child(name)
        if child is None:
            problems.append(f"{path}.{name}: field not declared in schema")
        elif each is not None:
            kept[name] = _typed(each, child, f"{path}.{name}", problems)
    return kept


def _typed_items(value: list[Any], shape: Shape, path: str, problems: list[str]) -> list[Any]:
    if shape.listed != "map":
        return [_typed(item, shape.element, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    kept: list[Any] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        key = shape.key_of(item) if isinstance(item, dict) else None
        if key is None:
            problems.append(
                f"{path}: element {index}: associative list with keys has an element that omits key field "
                f'"{shape.list_keys[0]}" (and doesn\'t have default value)'
            )
            continue
        element = element_of(item, shape)
        named = "[" + ",".join(f"{n}={json.dumps(v)}" for n, v in sorted(zip(shape.list_keys, key, strict=True))) + "]"
        if element in seen:
            problems.append(f"{path}: duplicate entries for key {named}")
        seen.add(element)
        kept.append(_typed(item, shape.element, path + named, problems))
    return kept


def _expected(shape: Shape) -> str:
    types = shape.scalars
    if types == {"string"}:
        return "string"
    return "boolean" if types == {"boolean"} else "numeric (int or float)"


def _got(value: Any) -> str:
    if isinstance(value, dict):
        return f"&{{{json.dumps(value)}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)
