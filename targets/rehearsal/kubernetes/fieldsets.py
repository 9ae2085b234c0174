"""The fields of an object as a set of paths: what each manager owns, and what two objects differ in.

A path's elements are those of Kubernetes' ``FieldsV1``: ``f:NAME``, ``k:{"name":"x"}`` for an item of a keyed list,
``v:VALUE`` for an element of a set.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from targets.rehearsal.kubernetes.shapes import Shape

Path = tuple[str, ...]
Leaves = Mapping[Path, Any]

_MEMBER: Final = "."


class _Present:
    """The value of an item that is there: what it holds are paths of their own."""


PRESENT: Final = _Present()


def leaves(value: Any, shape: Shape) -> dict[Path, Any]:
    """Each field that can be owned, with its value."""
    found: dict[Path, Any] = {}
    _collect(value, shape, (), found)
    return found


def _collect(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and not (shape.atomic and path):
        _collect_entries(value, shape, path, found)
    elif isinstance(value, list) and shape.form == "list" and shape.listed != "atomic":
        _collect_items(value, shape, path, found)
    else:
        found[path] = value


def _collect_entries(value: Mapping[str, Any], shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if not value and path:
        found[path] = {}
    for name, each in value.items():
        child = shape.child(name)
        if child is None:
            continue
        below = (*path, f"f:{name}")
        if isinstance(each, dict) and each and not child.atomic and name not in shape.fields and shape.form == "map":
            found[below] = PRESENT
        _collect(each, child, below, found)


def _collect_items(value: list[Any], shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    for item in value:
        element = element_of(item, shape)
        found[(*path, element)] = PRESENT
        if shape.listed == "map":
            _collect_entries(item, shape.element, (*path, element), found)


def element_of(item: Any, shape: Shape) -> str:
    """An item of a list that is not atomic, as paths name it."""
    if shape.listed == "set":
        return f"v:{_compact(item)}"
    key = shape.key_of(item) or ()
    return f"k:{_compact(dict(sorted(zip(shape.list_keys, key, strict=False))))}"


def encode(fields: Iterable[Path]) -> dict[str, Any]:
    """As ``fieldsV1``."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node[_MEMBER] = {}
    return _pruned(tree)


def _pruned(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without the mark of membership where a field has nothing below it."""
    shown = {}
    for name, below in tree.items():
        shown[name] = {} if name == _MEMBER or set(below) == {_MEMBER} else _pruned(below)
    return shown


def decode(tree: Mapping[str, Any]) -> frozenset[Path]:
    """Of ``fieldsV1``."""
    return frozenset(_walk(tree, ()))


def _walk(tree: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for name, below in tree.items():
        if name == _MEMBER:
            yield path
        elif below:
            yield from _walk(below, (*path, name))
        else:
            yield (*path, name)


def closed(fields: Iterable[Path]) -> set[Path]:
    """With all that lies above them."""
    return {path[:length] for path in fields for length in range(1, len(path) + 1)}


def with_parents(fields: Iterable[Path]) -> set[Path]:
    """With the fields above them, but no items of lists that are not among them."""
    return {
        path[:length]
        for path in fields
        for length in range(1, len(path) + 1)
        if length == len(path) or path[length - 1].startswith("f:")
    }


def shown(path: Path) -> str:
    """As messages have it: ``.spec.containers[name="web"].image``."""
    return "".join(_shown_element(element) for element in path)


def _shown_element(element: str) -> str:
    kind, rest = element[0], element[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    key = json.loads(rest)
    return "[" + ",".join(f"{name}={_compact(value)}" for name, value in key.items()) + "]"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
