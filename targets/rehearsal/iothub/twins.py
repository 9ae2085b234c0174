"""Twins: tags, desired and reported properties, with versions, times of change and etags.

Source: "Understand and use device twins in IoT Hub", Microsoft: its formats and limits.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from targets.rehearsal.iothub.clock import now
from targets.rehearsal.iothub.errors import HubError, invalid

Json = dict[str, Any]

_TAGS_BYTES: Final = 8 << 10
_PROPERTIES_BYTES: Final = 32 << 10
_DEEPEST: Final = 10
_KEY_BYTES: Final = 1 << 10
_TEXT_BYTES: Final = 4 << 10
_LEAST: Final = -4503599627370496
_MOST: Final = 4503599627370495
_OWN: Final = ("$version", "$metadata")


@dataclass(slots=True)
class Section:
    """Desired or reported properties.

    Attributes:
        metadata: When each was changed; ``numbered``: also by which version.
    """

    numbered: bool
    properties: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        self.metadata = self._stamp(self.version)

    def merge(self, patch: Mapping[str, Any]) -> None:
        """Take changes in; None removes.

        Raises:
            HubError: A key or value is not allowed, or it would be too large; nothing is changed then.
        """
        given = {name: value for name, value in patch.items() if name not in _OWN}
        check(given, nulls=True)
        merged = merged_with(self.properties, given)
        check_size(merged, _PROPERTIES_BYTES)
        self.version += 1
        self.properties = merged
        self.metadata = self._stamped(self.metadata, given, merged)

    def replace(self, properties: Mapping[str, Any]) -> None:
        """Take these in place of all.

        Raises:
            HubError: As for ``merge``.
        """
        given = {name: value for name, value in properties.items() if name not in _OWN}
        check(given)
        check_size(given, _PROPERTIES_BYTES)
        self.version += 1
        self.metadata = self._stamped(self._stamp(self.version), given, given)
        self.properties = merged_with({}, given)

    def shown(self) -> Json:
        """As the service shows it."""
        return {**self.properties, "$metadata": self.metadata, "$version": self.version}

    def _stamp(self, version: int) -> Json:
        numbered = {"$lastUpdatedVersion": version} if self.numbered else {}
        return {"$lastUpdated": now(), **numbered}

    def _stamped(self, old: Json, patch: Mapping[str, Any], merged: Json) -> Json:
        new = {**old, **self._stamp(self.version)}
        for name, value in patch.items():
            if name not in merged:
                new.pop(name, None)
            elif isinstance(value, Mapping):
                new[name] = self._stamped(old.get(name, {}), value, merged[name])
            else:
                new[name] = self._stamp(self.version)
        return new


@dataclass(slots=True)
class Twin:
    """Of a device, or of a module."""

    device: str
    module: str = ""
    tags: Json = field(default_factory=dict)
    desired: Section = field(default_factory=lambda: Section(numbered=True))
    reported: Section = field(default_factory=lambda: Section(numbered=False))
    version: int = 1

    @property
    def etag(self) -> str:
        """Of tags and desired properties; the quotes belong to the header."""
        return base64.b64encode(str(self.version).encode()).decode()

    def patch(self, body: Mapping[str, Any]) -> bool:
        """Change tags and desired properties; whether desired ones were named.

        Raises:
            HubError: What is given is not allowed.
        """
        tags, desired = _parts(body)
        if tags is not None:
            self.tags = _tags(self.tags, tags)
        if desired is not None:
            self.desired.merge(desired)
        self.version += 1
        return desired is not None

    def put(self, body: Mapping[str, Any]) -> bool:
        """Take tags and desired properties in place of all; whether desired ones were named.

        Raises:
            HubError: What is given is not allowed.
        """
        tags, desired = _parts(body)
        if tags is not None:
            self.tags = _tags({}, tags)
        if desired is not None:
            self.desired.replace(desired)
        self.version += 1
        return desired is not None


def etag_matches(header: str | None, etag: str) -> bool:
    """Whether an ``If-Match`` lets a change pass; one without does."""
    if header is None:
        return True
    return any(one.strip().removeprefix("W/").strip('"') in ("*", etag) for one in header.split(","))


def require_match(header: str | None, etag: str) -> None:
    """Raises HubError: it was changed since."""
    if not etag_matches(header, etag):
        raise HubError(
            "PreconditionFailed", f"Precondition failed: Device version did not match, existing version:{etag}"
        )


def merged_with(old: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    """A new document with the changes of a patch; None removes."""
    new = dict(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        elif isinstance(value, Mapping):
            before = old.get(name)
            new[name] = merged_with(before if isinstance(before, Mapping) else {}, value)
        else:
            new[name] = value
    return new


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The patch that makes the new one of the old one."""
    patch: Json = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := difference(before, value):
                patch[name] = inner
        elif name not in old or type(value) is not type(before) or value != before:
            patch[name] = value
    return patch


def check(document: Mapping[str, Any], *, nulls: bool = False, depth: int = 1) -> None:
    """Raises HubError: a key or a value is none that a twin can hold."""
    if depth > _DEEPEST:
        raise invalid(f"Twin properties nest deeper than {_DEEPEST}")
    for name, value in document.items():
        bad = not name or len(name.encode()) > _KEY_BYTES or any(each in ".$ " or ord(each) < 32 for each in name)
        if bad:
            raise invalid(f"Twin property name {name!r} is empty, too long, or has a dot, a $, a space or a control")
        _check_value(name, value, nulls=nulls, depth=depth)


def check_size(document: Mapping[str, Any], most: int) -> None:
    """Raises HubError: it is too large."""
    size = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    if size > most:
        raise invalid(f"Twin section is {size} bytes, at most {most} are allowed")


def _check_value(name: str, value: Any, *, nulls: bool, depth: int) -> None:
    if isinstance(value, Mapping):
        check(value, nulls=nulls, depth=depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_value(name, each, nulls=False, depth=depth + 1)
    elif value is None and not nulls:
        raise invalid(f"Twin property {name!r} is null where it must have a value")
    elif isinstance(value, str) and len(value.encode()) > _TEXT_BYTES:
        raise invalid(f"Twin property {name!r} is longer than {_TEXT_BYTES} bytes")
    elif isinstance(value, int) and not isinstance(value, bool) and not _LEAST <= value <= _MOST:
        raise invalid(f"Twin property {name!r} is a number out of bounds: {value}")


def _parts(body: Mapping[str, Any]) -> tuple[Json | None, Json | None]:
    tags, properties = body.get("tags"), body.get("properties") or {}
    if not isinstance(properties, dict):
        raise invalid("properties must be an object")
    desired = properties.get("desired")
    sections: tuple[tuple[Literal["tags", "desired"], Any], ...] = (("tags", tags), ("desired", desired))
    for name, given in sections:
        if given is not None and not isinstance(given, dict):
            raise invalid(f"{name} must be an object")
    return tags, desired


def _tags(old: Json, patch: Json) -> Json:
    check(patch, nulls=True)
    merged = merged_with(old, patch)
    check_size(merged, _TAGS_BYTES)
    return merged
