"""The edge hub of one device: messages between modules, from leaf devices and to the cloud, also without the cloud."""

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from targets.rehearsal.iothub import packets
from targets.rehearsal.iothub.connections import Connection, Listener
from targets.rehearsal.iothub.identities import Identity, resource_of
from targets.rehearsal.iothub.packets import Connect
from targets.rehearsal.iothub.queues import MessageQueue, QueueFull, Waiting
from targets.rehearsal.iothub.routes import USUAL_PRIORITY, Message, Route, Sink, route_of
from targets.rehearsal.iothub.sas import HOST, Signature
from targets.rehearsal.iothub.sessions import Json, ModuleSession, Ways

logger = logging.getLogger(__name__)

PORT: Final = 8883
_USUAL_TTL_S: Final = 7200
_FOREVER_S: Final = 1e9
_UPSTREAM: Final = Sink()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an edge hub needs of its device.

    Attributes:
        secret: What the keys of identities are derived from.
        identity: A module's; None where the device has none of that name.
        twin, report: Of a module, as the device knows them.
        came, went: A module connected or left.
        tampered: A direct method's answer of a module, as a fault has it: module, method, status, payload.
        spoilt: A module's message as a fault has it.
        up: A message goes to the cloud; False where the device is offline.
    """

    secret: str
    identity: Callable[[str], Identity | None]
    twin: Callable[[str], tuple[Json, Json]]
    report: Callable[[str, Mapping[str, Any]], int]
    came: Callable[[str], None]
    went: Callable[[str], None]
    tampered: Callable[[str, str, int, Any], tuple[int, Any] | None]
    spoilt: Callable[[Message], Message]
    up: Callable[[Message], bool]


class EdgeHub:
    """Of one device; implements ``connections.Host``."""

    def __init__(self, device: str, around: Surroundings) -> None:
        self._device = device
        self._around = around
        self._routes: tuple[Route, ...] = ()
        self._ttl_s: float = _USUAL_TTL_S
        self._sessions: dict[str, ModuleSession] = {}
        self._listener = Listener(self)
        self._context: ssl.SSLContext | None = None
        self.waiting_up = MessageQueue()
        self.address = ""

    async def open(self, address: str, context: ssl.SSLContext) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        self.address, self._context = address, context
        await self._listener.open(address, PORT, context)

    async def close(self) -> None:
        """Listen no more; what waits goes on waiting."""
        await self._listener.close()

    async def reopen(self) -> None:
        """Listen again, where it has before."""
        if self._context is not None:
            await self._listener.open(self.address, PORT, self._context)

    def configure(self, desired: Mapping[str, Any]) -> None:
        """Take routes, as the hub's desired properties have them."""
        self._routes = tuple(route_of(name, written) for name, written in (desired.get("routes") or {}).items())
        given = (desired.get("storeAndForwardConfiguration") or {}).get("timeToLiveSecs", _USUAL_TTL_S)
        self._ttl_s = given if given >= 0 else _FOREVER_S

    def session(self, module: str) -> ModuleSession:
        """Of a module, which need not be there."""
        if module not in self._sessions:
            around = self._around
            ways = Ways(
                route=self._of_module,
                twin=lambda: around.twin(module),
                report=lambda patch: around.report(module, patch),
                tampered=partial(around.tampered, module),
            )
            self._sessions[module] = _Announced(self._device, module, ways, around)
        return self._sessions[module]

    def forget(self, module: str) -> None:
        """A module is no more, nor what waits for it."""
        if session := self._sessions.pop(module, None):
            session.cut()

    def accept(self, message: Message) -> int:
        """Let a message go where routes lead; to how many end points that is.

        Raises:
            QueueFull: One has no room; it goes nowhere then.
        """
        chosen: dict[Sink, Route] = {}
        for route in self._routes:
            known = chosen.get(route.sink)
            if route.takes(message) and (known is None or route.priority < known.priority):
                chosen[route.sink] = route
        queues = [self.waiting_up if sink == _UPSTREAM else self.session(sink.module).queue for sink in chosen]
        if any(queue.full_for(message) for queue in queues):
            raise QueueFull
        for sink, route in chosen.items():
            self._place(message, sink, route)
        return len(chosen)

    def flush(self) -> None:
        """Send up what waits, as long as it goes."""
        while waiting := self.waiting_up.take():
            if not self._around.up(waiting.message):
                self.waiting_up.put_back(waiting)
                return

    def admit(self, connect: Connect, connection: Connection) -> tuple[ModuleSession, bool] | int:
        """Who shows a good signature of a module of this device."""
        host, _, rest = connect.user.partition("/")
        device, _, rest = rest.partition("/")
        module = rest.partition("/")[0]
        identity = self._around.identity(module) if device == self._device else None
        if host.lower() != HOST or identity is None or connect.client != f"{device}/{module}":
            logger.warning("an edge hub does not know %s", connect.client)
            return packets.NOT_AUTHORIZED
        if not self._signed(connect.password, identity):
            logger.warning("an edge hub refuses the signature of %s", connect.client)
            return packets.BAD_CREDENTIALS
        session = self.session(module)
        known = session.open(connection, clean=connect.clean)
        self._around.came(module)
        return session, known

    def _signed(self, password: str, identity: Identity) -> bool:
        signature = Signature.parse(password)
        if signature is None or not signature.lasts():
            return False
        if not signature.covers(resource_of(identity.device, identity.module)):
            return False
        return any(signature.made_with(identity.key(self._around.secret, second=second)) for second in (False, True))

    def _of_module(self, message: Message) -> None:
        self.accept(self._around.spoilt(message))

    def _place(self, message: Message, sink: Sink, route: Route) -> None:
        lasts_s = route.ttl_s or self._ttl_s
        waiting = Waiting(message, sink.input, min(route.priority, USUAL_PRIORITY), time.monotonic() + lasts_s)
        if sink != _UPSTREAM:
            self.session(sink.module).add(waiting)
            return
        self.waiting_up.add(waiting)
        self.flush()


class _Announced(ModuleSession):
    """Tells its device when the module goes."""

    def __init__(self, device: str, module: str, ways: Ways, around: Surroundings) -> None:
        super().__init__(device, module, ways)
        self._around = around

    def lost(self, connection: Connection) -> None:
        """It went."""
        super().lost(connection)
        if not self.connected:
            self._around.went(self.module)
