"""Clients of an edge hub: connections over TLS that speak MQTT, until one side has enough."""

import asyncio
import contextlib
import logging
import ssl
from typing import Final, Protocol

from targets.rehearsal.iothub import packets
from targets.rehearsal.iothub.packets import (
    Acknowledged,
    Connect,
    Disconnect,
    PacketInvalid,
    Ping,
    Publish,
    Reader,
    Subscribe,
    Unsubscribe,
)

logger = logging.getLogger(__name__)

MESSAGE_BYTES: Final = 256 << 10
# A topic may be long, for it holds the properties.
PACKET_BYTES: Final = MESSAGE_BYTES + (68 << 10)
_CHUNK: Final = 64 << 10
_FIRST_S: Final = 15.0
_MOST_CLIENTS: Final = 64
_SLOW_BYTES: Final = 16 << 20


class Session(Protocol):
    """What is kept of a client while it is away."""

    def publish(self, message: Publish) -> None:
        """The client sent one. Raises PacketInvalid where it may not."""

    def acknowledge(self, packet: int) -> None:
        """The client has one."""

    def subscribe(self, pattern: str, qos: int) -> int:
        """The quality of service that it gets, or ``packets.REFUSED_FILTER``."""

    def unsubscribe(self, pattern: str) -> None:
        """It does not want those any more."""

    def arrived(self) -> None:
        """It has been let in, or has subscribed: what waits can go."""

    def lost(self, connection: "Connection") -> None:
        """It went."""


class Host(Protocol):
    """What decides who may come in."""

    def admit(self, connect: Connect, connection: "Connection") -> tuple[Session, bool] | int:
        """The client's session and whether it was kept; or the code of a refusal."""


class Connection:
    """One client."""

    def __init__(self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._session: Session | None = None
        self._silence_s: float | None = _FIRST_S
        self._closed = False

    def send(self, content: bytes) -> None:
        """Bytes for the client; one that takes nothing for long is cut."""
        if self._closed:
            return
        self._writer.write(content)
        if self._writer.transport.get_write_buffer_size() > _SLOW_BYTES:
            self.cut()

    def cut(self) -> None:
        """End it at once."""
        self._closed = True
        self._writer.transport.abort()

    async def live(self) -> None:
        """Until it ends."""
        wire = Reader(PACKET_BYTES)
        try:
            while content := await asyncio.wait_for(self._reader.read(_CHUNK), self._silence_s):
                for packet in wire.feed(content):
                    if not self._take(packet):
                        return
                with contextlib.suppress(ConnectionError):
                    await self._writer.drain()
        except PacketInvalid as error:
            logger.warning("an edge hub ends a connection: %s", error)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._closed = True
            if self._session is not None:
                self._session.lost(self)
            self._writer.close()

    def _take(self, packet: packets.Packet) -> bool:
        """Whether the connection goes on."""
        if isinstance(packet, Connect):
            return self._connect(packet)
        session = self._session
        if session is None:
            raise PacketInvalid("the first packet is no CONNECT [MQTT-3.1.0-1]")
        match packet:
            case Publish():
                session.publish(packet)
                if packet.qos:
                    self.send(Acknowledged(packet.packet).encoded())
            case Acknowledged():
                session.acknowledge(packet.packet)
            case Subscribe():
                self.send(packets.suback(packet.packet, tuple(session.subscribe(*each) for each in packet.filters)))
                session.arrived()
            case Unsubscribe():
                for each in packet.filters:
                    session.unsubscribe(each)
                self.send(packets.unsuback(packet.packet))
            case Ping():
                self.send(packets.PONG)
            case Disconnect():
                return False
        return True

    def _connect(self, connect: Connect) -> bool:
        if self._session is not None:
            raise PacketInvalid("a second CONNECT [MQTT-3.1.0-2]")
        if connect.level != 4:
            self.send(packets.connack(packets.BAD_PROTOCOL))
            return False
        admitted = self._host.admit(connect, self)
        if isinstance(admitted, int):
            self.send(packets.connack(admitted))
            return False
        self._session, present = admitted
        self._silence_s = connect.keep_alive_s * 1.5 or None
        self.send(packets.connack(packets.ACCEPTED, present=present))
        self._session.arrived()
        return True


class Listener:
    """The port of an edge hub."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    async def open(self, address: str, port: int, tls: ssl.SSLContext) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._met, address, port, ssl=tls)

    async def close(self) -> None:
        """Cut all, and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._connections.values())
        for connection in list(self._connections):
            connection.cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_CLIENTS:
            writer.close()
            return
        connection = Connection(self._host, reader, writer)
        task = asyncio.current_task()
        if task is not None:
            self._connections[connection] = task
        try:
            await connection.live()
        finally:
            self._connections.pop(connection, None)
