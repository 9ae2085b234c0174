"""What a Service's address does: connections to it go to one ready pod after the other."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from targets.kit.kubernetes.access import REACHED_PORTS
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.endpoints import serving, slices_of
from targets.rehearsal.kubernetes.ports import moved_words, port_here
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of

logger = logging.getLogger(__name__)

_CHUNK: Final = 1 << 16
_CONNECT_S: Final = 5.0


@dataclass(slots=True)
class _Front:
    """Listens for one port of a Service."""

    server: asyncio.Server
    turn: "count[int]" = field(default_factory=count)


class ServiceFronts:
    """Listens on the addresses of all Services."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._fronts: dict[tuple[Key, int], _Front] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        cluster.store.listen(resources.SERVICES, self._heard)

    async def end(self) -> None:
        """Listen no more."""
        for front in self._fronts.values():
            front.server.close()
        for each in (*self._connections, *self._tasks):
            each.cancel()
        await asyncio.gather(*self._connections, *self._tasks, return_exceptions=True)

    def _heard(self, event: Event) -> None:
        gone = event.change == "DELETED"
        if gone and event.found["spec"].get("clusterIP"):
            self._cluster.addresses.give_back(event.found["spec"]["clusterIP"])
        before, after = (event.before or {}).get("spec"), None if gone else event.found["spec"]
        if before != after:
            task = asyncio.ensure_future(self._settle(key_of(event.found)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, key: Key) -> None:
        """Listen on what the Service has now, and on nothing else of it."""
        async with self._lock:
            service = self._cluster.store.get(resources.SERVICES, *key)
            address = service["spec"].get("clusterIP", "None") if service is not None else "None"
            ports = [each["port"] for each in service["spec"].get("ports", ())] if service is not None else []
            wanted = set(ports) if address != "None" else set()
            for known, port in list(self._fronts):
                if known == key and port not in wanted:
                    self._fronts.pop((known, port)).server.close()
            for port in wanted:
                if (key, port) not in self._fronts:
                    await self._listen(key, address, port)
            if service is not None:
                self._tell(service, address, wanted)

    async def _listen(self, key: Key, address: str, port: int) -> None:
        """Listen for a Service's port."""
        number = port_here(port)
        try:
            server = await asyncio.start_server(
                lambda reader, writer: self._connected(key, port, reader, writer), address, number, limit=_CHUNK
            )
        except OSError as error:
            logger.warning("service %s cannot listen on %s:%d: %s", "/".join(key), address, number, error)
            return
        self._fronts[key, port] = _Front(server)

    def _tell(self, service: Object, address: str, ports: Iterable[int]) -> None:
        words = moved_words(ports)
        if words:
            annotations = {**(service["metadata"].get("annotations") or {}), REACHED_PORTS: words}
            self._cluster.change(
                resources.SERVICES, service, lambda new: new["metadata"].update(annotations=annotations)
            )
        if service["spec"]["type"] == "LoadBalancer":
            self._cluster.set_status(resources.SERVICES, service, loadBalancer={"ingress": [{"ip": address}]})

    async def _connected(self, key: Key, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        backend = await self._reached(key, port)
        if backend is None:
            # Nobody serves: what a client sees of a node's refusal.
            writer.transport.abort()
            return
        await relay((reader, writer), backend)

    async def _reached(self, key: Key, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the pod whose turn it is; the next one where that does not answer."""
        targets = backends(self._cluster, key, port)
        front = self._fronts.get((key, port))
        first = next(front.turn) if front is not None else 0
        for step in range(len(targets)):
            address, number = targets[(first + step) % len(targets)]
            with suppress(OSError, TimeoutError):
                return await asyncio.wait_for(asyncio.open_connection(address, number, limit=_CHUNK), _CONNECT_S)
        return None


def backends(cluster: Cluster, key: Key, port: int) -> list[tuple[str, int]]:
    """Addresses and ports of the pods that serve a port of a Service."""
    service = cluster.store.get(resources.SERVICES, *key)
    if service is None:
        return []
    asked = next((each for each in service["spec"].get("ports", ()) if each["port"] == port), None)
    if asked is None:
        return []
    found = []
    for each in slices_of(cluster, service):
        number = next((one["port"] for one in each["ports"] if one["name"] == asked.get("name", "")), 0)
        found += [(address, number) for address in serving(each) if number]
    return found


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def relay(one: Ends, other: Ends) -> None:
    """Carry bytes both ways until both have ended."""
    ways = [asyncio.ensure_future(_carry(one[0], other[1])), asyncio.ensure_future(_carry(other[0], one[1]))]
    try:
        await asyncio.gather(*ways)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        for way in ways:
            way.cancel()
        for _, writer in (one, other):
            writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(_CHUNK):
        writer.write(content)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
