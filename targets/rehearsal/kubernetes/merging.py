"""Two objects into one by their types: the merge of server-side apply."""

from collections.abc import Collection, Mapping
from typing import Any

from targets.rehearsal.kubernetes.fieldsets import Path, element_of
from targets.rehearsal.kubernetes.shapes import Shape


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """What is live, with what is configured over it; neither is changed."""
    if isinstance(live, dict) and isinstance(config, dict) and not shape.atomic:
        return _merged_entries(live, config, shape)
    if isinstance(live, list) and isinstance(config, list) and shape.form == "list" and shape.listed != "atomic":
        return _merged_items(live, config, shape)
    return config


def _merged_entries(live: Mapping[str, Any], config: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    result = dict(live)
    for name, value in config.items():
        child = shape.child(name)
        result[name] = merged(live[name], value, child) if name in live and child is not None else value
    return result


def _merged_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """Configured items in their own order, what only lives where it stood between them."""
    asked = {element_of(item, shape): item for item in config}
    there = {element_of(item, shape): item for item in live}
    order: list[str] = []
    waiting = list(asked)
    for element in there:
        if element not in asked:
            order.append(element)
            continue
        while element in waiting:
            order.append(waiting.pop(0))
    order += waiting
    return [_merged_item(there.get(element), asked.get(element), shape) for element in order]


def _merged_item(live: Any, config: Any, shape: Shape) -> Any:
    if live is None or config is None:
        return config if live is None else live
    return merged(live, config, shape.element)


def without(value: Any, shape: Shape, gone: Collection[Path]) -> Any:
    """The same without some fields, each with all below it; neither argument is changed."""
    tree: dict[str, Any] = {}
    # What lies above goes first, so that what lies below is not looked for any more.
    for path in sorted(gone, key=len):
        node: dict[str, Any] | None = tree
        for element in path[:-1]:
            node = node.setdefault(element, {}) if node is not None else None
        if node is not None:
            node[path[-1]] = None
    return _without(value, shape, tree)


def _without(value: Any, shape: Shape, tree: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        kept = {}
        for name, each in value.items():
            below = tree.get(f"f:{name}", {})
            child = shape.child(name)
            if below is not None:
                kept[name] = _without(each, child, below) if below and child is not None else each
        return kept
    if isinstance(value, list) and shape.form == "list" and shape.listed != "atomic":
        left = []
        for item in value:
            below = tree.get(element_of(item, shape), {})
            if below is not None:
                left.append(_without(item, shape.element, below) if below else item)
        return left
    return value
