"""Who owns which fields: server-side apply, and what plain writes take over.

Source of the rules: the Kubernetes documentation on server-side apply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes.errors import ApiError, Cause, field_conflicts
from targets.rehearsal.kubernetes.fieldsets import Path, closed, decode, encode, leaves, shown, with_parents
from targets.rehearsal.kubernetes.merging import merged, without
from targets.rehearsal.kubernetes.shapes import Shape

Object = Mapping[str, Any]

# Nobody owns what only the server sets, nor what says which object it is.
_NOBODYS: Final = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
        )
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and through what.

    Attributes:
        subresource: Empty for the object itself.
    """

    manager: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Ownership:
    """An entry of ``managedFields``."""

    writer: Writer
    operation: Literal["Apply", "Update"]
    api_version: str
    time: str
    fields: frozenset[Path]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Ownership":
        """As stored."""
        writer = Writer(entry.get("manager", ""), entry.get("subresource", ""))
        fields = decode(entry.get("fieldsV1") or {})
        return cls(writer, entry.get("operation", "Update"), entry.get("apiVersion", ""), entry.get("time", ""), fields)

    def body(self) -> dict[str, Any]:
        """As JSON."""
        sub = {"subresource": self.writer.subresource} if self.writer.subresource else {}
        return {
            "manager": self.writer.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(self.fields),
            **sub,
        }

    def words(self) -> str:
        """As messages name it."""
        name = f'"{self.writer.manager}"'
        if self.writer.subresource:
            name += f' with subresource "{self.writer.subresource}"'
        return f"{name} using {self.api_version}" if self.operation == "Update" else name


def ownerships(found: Object | None) -> list[Ownership]:
    """Of a stored object."""
    entries = ((found or {}).get("metadata") or {}).get("managedFields") or ()
    return [Ownership.of(entry) for entry in entries]


def applied(live: Object | None, config: Object, shape: Shape, writer: Writer, *, force: bool) -> dict[str, Any]:
    """The object after an apply, before defaults.

    Args:
        live: None where there is none yet.
        force: Whether fields of others are taken over.

    Raises:
        ApiError: Fields that others own would change.
    """
    owners = ownerships(live)
    own = next((each for each in owners if each.operation == "Apply" and each.writer == writer), None)
    others = [each for each in owners if each is not own]
    fields = frozenset(leaves(config, shape)) - _NOBODYS
    before = leaves(live or {}, shape)
    result = merged(_unmanaged(live or {}), config, shape)
    if own is not None:
        kept = closed(fields.union(*(each.fields for each in others)))
        result = without(result, shape, with_parents(own.fields) - kept - _NOBODYS)
    after = leaves(result, shape)
    changed = {path for path, value in after.items() if path not in before or before[path] != value} - _NOBODYS
    conflicts = [(each, path) for each in others for path in sorted(each.fields & changed)] if live else []
    if conflicts and not force:
        raise _conflict(conflicts)
    others = [replace(each, fields=each.fields & (after.keys() - changed)) for each in others]
    moment = own.time if own is not None and own.fields == fields else now()
    mine = Ownership(writer, "Apply", config["apiVersion"], moment, fields)
    return _managed(result, [mine, *others])


def updated(live: Object | None, new: Object, shape: Shape, writer: Writer) -> dict[str, Any]:
    """The object after a plain write, with its writer as the owner of what that changed."""
    before, after = leaves(live or {}, shape), leaves(_unmanaged(new), shape)
    changed = {path for path, value in after.items() if path not in before or before[path] != value} - _NOBODYS
    gone = before.keys() - after.keys()
    owners, own = [], None
    for each in ownerships(live):
        if each.operation == "Update" and each.writer == writer:
            own = each
        else:
            owners.append(replace(each, fields=each.fields - changed - gone))
    old = own.fields if own is not None else frozenset()
    fields = (old | changed) - gone
    moment = own.time if own is not None and own.fields == fields else now()
    mine = Ownership(writer, "Update", new["apiVersion"], moment, frozenset(fields))
    return _managed(_unmanaged(new), [*owners, mine])


def _managed(found: Object, owners: Sequence[Ownership]) -> dict[str, Any]:
    entries = [each.body() for each in owners if each.fields]
    return {**found, "metadata": {**found.get("metadata", {}), "managedFields": entries}}


def _unmanaged(found: Object) -> dict[str, Any]:
    metadata = {name: value for name, value in (found.get("metadata") or {}).items() if name != "managedFields"}
    return {**found, "metadata": metadata} if "metadata" in found else dict(found)


def _conflict(conflicts: Sequence[tuple[Ownership, Path]]) -> ApiError:
    causes = [Cause("FieldManagerConflict", f"conflict with {owner.words()}", shown(path)) for owner, path in conflicts]
    if len(causes) == 1:
        only = causes[0]
        return field_conflicts(f"Apply failed with 1 conflict: {only.message}: {only.field}", causes)
    lines: dict[str, list[str]] = {}
    for owner, path in conflicts:
        lines.setdefault(f"conflicts with {owner.words()}:", []).append(f"- {shown(path)}")
    words = "\n".join(line for who in sorted(lines) for line in (who, *lines[who]))
    return field_conflicts(f"Apply failed with {len(causes)} conflicts: {words}", causes)
