"""Requests that only look: one object, a list of them, a watch."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from targets.rehearsal.kubernetes import errors
from targets.rehearsal.kubernetes.calls import Answer, Call, Stream
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.selectors import Selector, field_matcher
from targets.rehearsal.kubernetes.store import Event, Key, Object
from targets.rehearsal.kubernetes.tables import table

_BOOKMARK_S: Final = 15.0
_LONGEST_S: Final = 1800.0
_CUT_AFTER_S: Final = 0.5
_NAME: Final = re.compile(r"metadata\.name==?([^=,!]+)")
_ENDED: Final = "k8s.io/initial-events-end"


def get(cluster: Cluster, call: Call) -> Answer:
    """One object."""
    found = cluster.store.get(call.resource, call.namespace, call.name)
    if found is None:
        raise errors.not_found(call.resource, call.name)
    return Answer(200, table(call.resource, [found]) if call.as_table else found)


def list_all(cluster: Cluster, call: Call) -> Answer:
    """Those that the query names."""
    chosen = _Choice.of(call)
    found = [each for each in chosen.listed(cluster) if chosen.fits(each)]
    start = int(call.query.get("continue") or 0)
    limit = call.number("limit") or len(found)
    page, left = found[start : start + limit], max(len(found) - start - limit, 0)
    metadata: dict[str, Any] = {"resourceVersion": str(cluster.store.version)}
    if left:
        metadata |= {"continue": str(start + limit), "remainingItemCount": left}
    if call.as_table:
        return Answer(200, {**table(call.resource, page), "metadata": metadata})
    kind = f"{call.resource.kind}List"
    return Answer(200, {"kind": kind, "apiVersion": call.resource.api_version, "metadata": metadata, "items": page})


def watch(cluster: Cluster, call: Call) -> Stream:
    """What happens from now on, or from a version on.

    Raises:
        ApiError: The query makes no sense.
    """
    chosen = _Choice.of(call)
    given = call.query.get("resourceVersion", "")
    if given and not given.isdecimal():
        raise errors.bad_request(f'strconv.ParseUint: parsing "{given}": invalid syntax')
    call.number("timeoutSeconds")
    return Stream(_Watch(cluster, call, chosen).pieces())


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which objects a request is about.

    Attributes:
        name: In the path; ``named`` is that of the field selector.
    """

    resource: Resource
    namespace: str
    name: str
    named: str
    selector: Selector
    field_fits: Callable[[Mapping[str, Any]], bool]

    @classmethod
    def of(cls, call: Call) -> "_Choice":
        selector = Selector.parse(call.query.get("labelSelector", ""))
        fields = call.query.get("fieldSelector", "")
        only = _NAME.fullmatch(fields)
        named = only[1] if only else ""
        return cls(call.resource, call.namespace, call.name, named, selector, field_matcher(fields))

    def key(self) -> Key | None:
        """Of the one object that is meant; None for several."""
        name = self.name or self.named
        return (self.namespace, name) if name and (self.namespace or not self.resource.namespaced) else None

    def listed(self, cluster: Cluster) -> list[Object]:
        """By what there are indexes for."""
        key = self.key()
        if key is not None:
            found = cluster.store.get(self.resource, *key)
            return [] if found is None else [found]
        return cluster.store.select(self.resource, self.namespace, self.selector.equal)

    def fits(self, found: Object) -> bool:
        """Whether an object is meant."""
        metadata = found["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        if self.name and metadata["name"] != self.name:
            return False
        return self.selector.matches(metadata.get("labels") or {}) and self.field_fits(found)


class _Watch:
    """One client's watch; events wait in a queue of its own."""

    def __init__(self, cluster: Cluster, call: Call, chosen: _Choice) -> None:
        self._cluster = cluster
        self._call = call
        self._chosen = chosen
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    async def pieces(self) -> AsyncIterator[bytes]:
        """A line for each event."""
        stop = self._cluster.store.listen(
            self._call.resource, self._queue.put_nowait, key=self._chosen.key(), labels=self._chosen.selector.equal
        )
        try:
            beginning = self._beginning()
            for line in beginning:
                yield line
            async for line in self._following():
                yield line
        except errors.ApiError as error:
            yield _line("ERROR", error.body())
        finally:
            stop()

    def _beginning(self) -> list[bytes]:
        """What is there already, or happened since the version that the client knows."""
        given = self._call.query.get("resourceVersion", "")
        initial = self._call.flag("sendInitialEvents")
        if given in ("", "0") or initial:
            found = [each for each in self._chosen.listed(self._cluster) if self._chosen.fits(each)]
            lines = [self._shown("ADDED", each) for each in found]
            return [*lines, self._bookmark(ended=True)] if initial else lines
        version = int(given)
        if self._cluster.world.faults.due("gone-watch"):
            raise errors.expired(version, self._cluster.store.version)
        events = self._cluster.store.since(self._call.resource, version)
        if events is None:
            raise errors.expired(version, self._cluster.store.oldest(self._call.resource))
        return [line for event in events for line in self._of(event)]

    async def _following(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        limit = self._call.number("timeoutSeconds")
        end = loop.time() + (min(limit, _LONGEST_S) if limit else _LONGEST_S)
        cut = self._cluster.world.faults.due("cut-watch")
        end = loop.time() + _CUT_AFTER_S if cut else end
        while (left := end - loop.time()) > 0:
            try:
                event = await asyncio.wait_for(self._queue.get(), min(left, _BOOKMARK_S))
            except TimeoutError:
                if self._call.flag("allowWatchBookmarks"):
                    yield self._bookmark()
                continue
            lines = list(self._of(event))
            while not self._queue.empty():
                lines += self._of(self._queue.get_nowait())
            if lines:
                yield b"".join(lines)
        if cut:
            raise ConnectionAbortedError("cut, as the fault 'cut-watch' wants it")

    def _of(self, event: Event) -> Iterable[bytes]:
        """What this client sees of a change: one that leaves its selection is gone for it."""
        fits = self._chosen.fits(event.found)
        fitted = event.before is not None and self._chosen.fits(event.before)
        if event.change == "DELETED":
            return [self._shown("DELETED", event.found)] if fitted else []
        if fits:
            return [self._shown("MODIFIED" if fitted else "ADDED", event.found)]
        return [self._shown("DELETED", event.found)] if fitted else []

    def _shown(self, kind: str, found: Object) -> bytes:
        return _line(kind, table(self._call.resource, [found]) if self._call.as_table else found)

    def _bookmark(self, *, ended: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(self._cluster.store.version), "creationTimestamp": None}
        if ended:
            metadata["annotations"] = {_ENDED: "true"}
        resource = self._call.resource
        return _line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _line(kind: str, found: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": found}) + b"\n"
