"""All objects, their versions, and what happened to them: what a watch reads and controllers hear.

Only the event loop's thread uses it. A stored object is never changed: each write brings a new one.
"""

import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

from targets.rehearsal.kubernetes.resources import RESOURCES, Resource

Object = Mapping[str, Any]
Key = tuple[str, str]
Label = tuple[str, str]
Change = Literal["ADDED", "MODIFIED", "DELETED"]

_HISTORY: Final = 8_000


@dataclass(frozen=True, slots=True)
class Event:
    """One change.

    Attributes:
        before: None for a new object.
    """

    version: int
    change: Change
    resource: Resource
    found: Object
    before: Object | None = None


Listener = Callable[[Event], None]
# What a listener wants to hear of: an object, a label, or everything.
_About = tuple[Literal["key", "label", "all"], str, str]


@dataclass(slots=True)
class _Table:
    objects: dict[Key, Object] = field(default_factory=dict)
    by_namespace: dict[str, dict[Key, None]] = field(default_factory=dict)
    by_label: dict[Label, dict[Key, None]] = field(default_factory=dict)
    history: deque[Event] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    listeners: dict[_About, dict[Listener, None]] = field(default_factory=dict)


def key_of(found: Object) -> Key:
    """Namespace (empty for none) and name."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _weight(table: _Table, label: Label) -> int:
    """How many objects and listeners a label has: by a heavy one, each of many would hear of each of many."""
    return len(table.by_label.get(label, ())) + len(table.listeners.get(("label", *label), ()))


class Store:
    """Objects by resource."""

    def __init__(self) -> None:
        self.version = 1
        self._tables = {resource: _Table() for resource in RESOURCES}
        self._owned: dict[str, dict[tuple[Resource, Key], None]] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """None where there is none."""
        return self._tables[resource].objects.get((namespace, name))

    def select(self, resource: Resource, namespace: str = "", labels: Iterable[tuple[str, str]] = ()) -> list[Object]:
        """Those of a namespace (all where it is empty) that have these labels, in the order of their keys."""
        table = self._tables[resource]
        indexed = [table.by_label.get(label, {}) for label in labels]
        if namespace:
            indexed.append(table.by_namespace.get(namespace, {}))
        if not indexed:
            return [table.objects[key] for key in sorted(table.objects)]
        smallest = min(indexed, key=len)
        return [table.objects[key] for key in sorted(smallest) if all(key in each for each in indexed)]

    def count(self, resource: Resource, label: tuple[str, str]) -> int:
        """How many have a label, in all namespaces."""
        return len(self._tables[resource].by_label.get(label, {}))

    def owned_by(self, uid: str) -> list[tuple[Resource, Object]]:
        """What names an object as an owner."""
        keys = list(self._owned.get(uid, {}))
        return [(resource, self._tables[resource].objects[key]) for resource, key in keys]

    def put(self, resource: Resource, found: Object) -> Object:
        """Store an object with a new version; the stored one."""
        table, key = self._tables[resource], key_of(found)
        before = table.objects.get(key)
        self.version += 1
        metadata = {**found["metadata"], "resourceVersion": str(self.version)}
        if before is None:
            metadata.setdefault("uid", str(uuid.uuid4()))
        stored = {**found, "metadata": metadata}
        if before is not None:
            self._forget(resource, table, key, before)
        table.objects[key] = stored
        self._remember(resource, table, key, stored)
        self._tell(table, Event(self.version, "MODIFIED" if before else "ADDED", resource, stored, before))
        return stored

    def remove(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Forget an object; what it was."""
        table, key = self._tables[resource], (namespace, name)
        before = table.objects.pop(key, None)
        if before is None:
            return None
        self._forget(resource, table, key, before)
        self.version += 1
        gone = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._tell(table, Event(self.version, "DELETED", resource, gone, before))
        return gone

    def listen(
        self, resource: Resource, listener: Listener, *, key: Key | None = None, labels: Iterable[Label] = ()
    ) -> Callable[[], None]:
        """Hear changes from now on, at once; what ends that.

        Args:
            key: Of the one object to hear of.
            labels: That objects must have to be heard of, before or after a change; the one that
                fewest have and listen for is looked at alone.
        """
        table = self._tables[resource]
        rarest = min(labels, key=lambda label: _weight(table, label), default=None)
        about: _About = ("key", *key) if key else ("label", *rarest) if rarest else ("all", "", "")
        table.listeners.setdefault(about, {})[listener] = None

        def stop() -> None:
            heard = table.listeners.get(about, {})
            heard.pop(listener, None)
            if not heard:
                table.listeners.pop(about, None)

        return stop

    def since(self, resource: Resource, version: int) -> list[Event] | None:
        """What happened after a version; None where that is no longer known."""
        history = self._tables[resource].history
        if history.maxlen == len(history) and version < history[0].version - 1:
            return None
        first = bisect_right(history, version, key=lambda event: event.version)
        return list(islice(history, first, None))

    def oldest(self, resource: Resource) -> int:
        """The version that a watch can begin with."""
        history = self._tables[resource].history
        return history[0].version if history else self.version

    def _tell(self, table: _Table, event: Event) -> None:
        table.history.append(event)
        abouts: dict[_About, None] = {("all", "", ""): None, ("key", *key_of(event.found)): None}
        for found in (event.found, event.before):
            for label in ((found or {}).get("metadata", {}).get("labels") or {}).items():
                abouts["label", *label] = None
        for about in abouts:
            for listener in tuple(table.listeners.get(about, ())):
                listener(event)

    def _remember(self, resource: Resource, table: _Table, key: Key, found: Object) -> None:
        metadata = found["metadata"]
        table.by_namespace.setdefault(key[0], {})[key] = None
        for label in (metadata.get("labels") or {}).items():
            table.by_label.setdefault(label, {})[key] = None
        for owner in metadata.get("ownerReferences") or ():
            self._owned.setdefault(owner["uid"], {})[resource, key] = None

    def _forget(self, resource: Resource, table: _Table, key: Key, found: Object) -> None:
        metadata = found["metadata"]
        table.by_namespace[key[0]].pop(key, None)
        for label in (metadata.get("labels") or {}).items():
            table.by_label.get(label, {}).pop(key, None)
            if not table.by_label.get(label, True):
                del table.by_label[label]
        for owner in metadata.get("ownerReferences") or ():
            self._owned.get(owner["uid"], {}).pop((resource, key), None)
            if not self._owned.get(owner["uid"], True):
                del self._owned[owner["uid"]]
