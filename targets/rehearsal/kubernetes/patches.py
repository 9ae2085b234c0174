"""The patches of Kubernetes that are no applies: JSON patch, merge patch, strategic merge patch."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.kubernetes.errors import ApiError, bad_request
from targets.rehearsal.kubernetes.shapes import ANY, Shape

_DIRECTIVE: Final = "$patch"
_KEEP: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"


def merge_patched(live: Any, patch: Any) -> Any:
    """As RFC 7386 has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patched(result.get(name), value)
    return result


def strategic_patched(live: Any, patch: Any, shape: Shape) -> Any:
    """As Kubernetes' own clients patch: lists merge by the key that their type names."""
    if not isinstance(patch, dict):
        return patch
    if patch.get(_DIRECTIVE) == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    result = dict(live) if isinstance(live, dict) else {}
    if (kept := patch.get(_KEEP)) is not None:
        result = {name: value for name, value in result.items() if name in kept}
    for name, value in patch.items():
        if name.startswith("$"):
            _follow(result, name, value)
            continue
        child = shape.child(name) or ANY
        if value is None:
            result.pop(name, None)
        elif isinstance(value, list) and child.form == "list" and "merge" in child.strategies:
            result[name] = _merged_list(result.get(name) or [], value, child)
        elif isinstance(value, dict) and "replace" not in child.strategies:
            result[name] = strategic_patched(result.get(name), value, child)
        else:
            result[name] = value
    return result


def _follow(result: dict[str, Any], name: str, value: Any) -> None:
    """A directive about a list of plain values."""
    if name.startswith(_DELETE):
        field = name.removeprefix(_DELETE)
        result[field] = [each for each in result.get(field) or () if each not in value]


def _merged_list(live: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    key = shape.merge_key
    if not key:
        return live + [each for each in patch if each not in live]
    if any(isinstance(each, dict) and each.get(_DIRECTIVE) == "replace" and len(each) == 1 for each in patch):
        return [each for each in patch if _DIRECTIVE not in each]
    result = list(live)
    for item in patch:
        at = next((i for i, each in enumerate(result) if each.get(key) == item.get(key)), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append({name: value for name, value in item.items() if not name.startswith("$")})
        else:
            result[at] = strategic_patched(result[at], item, shape.element)
    return result


def json_patched(live: Any, operations: Any) -> Any:
    """As RFC 6902 has it.

    Raises:
        ApiError: An operation cannot be done.
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: Any = copy.deepcopy(live)
    for operation in operations:
        document = _operated(document, operation)
    return document


def _operated(document: Any, operation: Mapping[str, Any]) -> Any:
    kind, path = operation.get("op"), str(operation.get("path", ""))
    if kind == "test":
        if _at(document, path) != operation.get("value"):
            raise ApiError(
                422,
                "Invalid",
                f"the server rejected our request due to an error in our request: testing value {path} failed",
            )
        return document
    if kind in ("move", "copy"):
        source = str(operation.get("from", ""))
        value = copy.deepcopy(_at(document, source))
        if kind == "move":
            _remove(document, source)
        _add(document, path, value)
    elif kind == "add":
        _add(document, path, operation.get("value"))
    elif kind == "replace":
        _at(document, path)
        _remove(document, path)
        _add(document, path, operation.get("value"))
    elif kind == "remove":
        _remove(document, path)
    else:
        raise bad_request(f"Unexpected kind: {kind}")
    return document


def _steps(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _at(document: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            document = document[int(step)] if isinstance(document, list) else document[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _missing(path) from error
    return document


def _parent(document: Any, path: str) -> tuple[Any, str]:
    above, _, _ = path.rpartition("/")
    return _at(document, above), _steps(path)[-1]


def _add(document: Any, path: str, value: Any) -> None:
    parent, last = _parent(document, path)
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, path, most=len(parent)), value)
    else:
        parent[last] = value


def _remove(document: Any, path: str) -> None:
    parent, last = _parent(document, path)
    if isinstance(parent, list):
        del parent[_index(last, path, most=len(parent) - 1)]
    elif parent.pop(last, parent) is parent:
        raise _missing(path)


def _index(step: str, path: str, *, most: int) -> int:
    if not step.isdecimal() or int(step) > most:
        raise _missing(path)
    return int(step)


def _missing(path: str) -> ApiError:
    return ApiError(
        422, "Invalid", f"the server rejected our request due to an error in our request: doc is missing path: {path}"
    )
