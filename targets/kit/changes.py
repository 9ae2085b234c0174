"""What differs between a body that shall be sent and the one that is there, field by field.

What a server adds by itself is not a change: only what the wanted body names is compared. A key that is wanted as None
is wanted absent. Entries of lists are matched by ``name`` where they have one; there, an entry too many is a change.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from packager.core.deployment import Change

_NAME: Final = "name"


def changes_between(before: Any, wanted: Any, path: str = "") -> tuple[Change, ...]:
    """Fields of ``wanted`` that ``before`` has not, or has otherwise, as dotted paths in a steady order.

    Args:
        before: JSON value as the server gives it.
        wanted: JSON value as it would be sent.
        path: Put in front of every field.
    """
    if isinstance(wanted, Mapping) and isinstance(before, Mapping):
        return tuple(
            change
            for key in sorted(wanted)
            for change in changes_between(before.get(key), wanted[key], f"{path}.{key}" if path else str(key))
        )
    if _named(wanted) and _named(before) and (wanted or before):
        return _by_name(before or (), wanted or (), path)
    if _is_list(wanted) and _is_list(before) and len(wanted) == len(before):
        pairs = enumerate(zip(before, wanted, strict=True))
        return tuple(change for i, (old, new) in pairs for change in changes_between(old, new, f"{path}[{i}]"))
    if same(before, wanted):
        return ()
    return (Change(path, before, wanted),)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values mean the same: nothing, an empty list and an empty object do."""
    if _empty(one) or _empty(other):
        return _empty(one) and _empty(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _by_name(before: Sequence[Any], wanted: Sequence[Any], path: str) -> tuple[Change, ...]:
    old = {entry[_NAME]: entry for entry in before}
    new = {entry[_NAME]: entry for entry in wanted}
    found: list[Change] = []
    for name in sorted({*old, *new}):
        field = f"{path}[{name}]"
        if name not in new or name not in old:
            found.append(Change(field, old.get(name), new.get(name)))
        else:
            found += changes_between(old[name], new[name], field)
    return tuple(found)


def _named(value: Any) -> bool:
    """A list of objects with a name each, and no name twice; nothing at all counts as one without entries."""
    if value is None:
        return True
    if not _is_list(value):
        return False
    names = [entry.get(_NAME) for entry in value if isinstance(entry, Mapping)]
    return len(names) == len(value) and None not in names and len(set(map(str, names))) == len(names)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping | list | tuple | str) and not value)
