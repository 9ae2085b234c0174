"""MQTT 3.1.1 on the wire: what a client sends, and what an edge hub answers.

Source: MQTT Version 3.1.1, OASIS Standard; the numbers in brackets are its statements.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, TypeVar

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14

ACCEPTED, BAD_PROTOCOL, BAD_CREDENTIALS, NOT_AUTHORIZED = 0, 1, 4, 5
REFUSED_FILTER: Final = 0x80
_LEVEL: Final = 4
_MOST_FILTERS: Final = 64


class PacketInvalid(ValueError):
    """Not MQTT, or more than is taken; the connection ends."""


@dataclass(frozen=True, slots=True)
class Connect:
    """A client's first packet."""

    client: str
    user: str
    password: str = field(repr=False)
    clean: bool
    keep_alive_s: int
    level: int = _LEVEL


@dataclass(frozen=True, slots=True)
class Publish:
    """A message, either way."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    packet: int = 0
    again: bool = False
    retain: bool = False

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        flags = self.again << 3 | self.qos << 1 | self.retain
        number = struct.pack(">H", self.packet) if self.qos else b""
        return _packet(PUBLISH, _text(self.topic) + number + self.payload, flags)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The other side has a message."""

    packet: int

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        return _packet(PUBACK, struct.pack(">H", self.packet))


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters that a client wants messages of, with the greatest quality of service of each."""

    packet: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Filters that a client wants no messages of any more."""

    packet: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the other side there?"""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client goes."""


Packet = Connect | Publish | Acknowledged | Subscribe | Unsubscribe | Ping | Disconnect
P = TypeVar("P", bound=Packet)


class Reader:
    """Bytes in, packets out; holds what is not whole yet.

    Args:
        most_bytes: Of one packet.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._buffer = bytearray()

    def feed(self, content: bytes) -> list[Packet]:
        """The packets that are whole now.

        Raises:
            PacketInvalid: One is none, or is too large.
        """
        self._buffer += content
        packets = []
        while (whole := self._whole()) is not None:
            packets.append(packet_of(*whole))
        return packets

    def _whole(self) -> tuple[int, bytes] | None:
        length, size = 0, 0
        for size, byte in enumerate(self._buffer[1:5], start=1):
            length |= (byte & 0x7F) << 7 * (size - 1)
            if not byte & 0x80:
                break
        else:
            if len(self._buffer) >= 5:
                raise PacketInvalid("a length of more than four bytes")
            return None
        if length > self._most:
            raise PacketInvalid(f"a packet of {length} bytes, at most {self._most} are taken")
        end = 1 + size + length
        if len(self._buffer) < end:
            return None
        first, body = self._buffer[0], bytes(self._buffer[1 + size : end])
        del self._buffer[:end]
        return first, body


def packet_of(first: int, body: bytes) -> Packet:
    """A packet of its first byte and what follows its length.

    Raises:
        PacketInvalid: It is none that a client sends.
    """
    kind, flags = first >> 4, first & 0x0F
    if kind == PUBLISH:
        return _publish(flags, body)
    if flags != (2 if kind in (SUBSCRIBE, UNSUBSCRIBE) else 0):
        raise PacketInvalid(f"flags {flags} on a packet of kind {kind} [MQTT-2.2.2-2]")
    fields = _Fields(body)
    match kind:
        case 1:
            return _connect(fields)
        case 4:
            return fields.last(Acknowledged(fields.number()))
        case 8:
            return _subscribe(fields)
        case 10:
            return _unsubscribe(fields)
        case 12:
            return fields.last(Ping())
        case 14:
            return fields.last(Disconnect())
    raise PacketInvalid(f"a packet of kind {kind} is not for a server")


def connack(code: int, *, present: bool = False) -> bytes:
    """Whether a client may come in, and whether its session was kept."""
    return _packet(CONNACK, bytes((present and code == ACCEPTED, code)))


def suback(packet: int, granted: tuple[int, ...]) -> bytes:
    """What came of each filter."""
    return _packet(SUBACK, struct.pack(">H", packet) + bytes(granted))


def unsuback(packet: int) -> bytes:
    """They are gone."""
    return _packet(UNSUBACK, struct.pack(">H", packet))


PONG: Final = bytes((PINGRESP << 4, 0))


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one of a filter's."""
    wanted, given = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for position, part in enumerate(wanted):
        if part == "#":
            return True
        if position >= len(given) or part not in ("+", given[position]):
            return False
    return len(wanted) == len(given)


class _Fields:
    """What a packet's body holds, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._body):
            raise PacketInvalid("a packet ends too soon")
        self._at += count
        return self._body[self._at - count : self._at]

    def number(self) -> int:
        return int(struct.unpack(">H", self.take(2))[0])

    def text(self) -> str:
        try:
            text = self.take(self.number()).decode()
        except UnicodeDecodeError as error:
            raise PacketInvalid("a text is not UTF-8 [MQTT-1.5.3-1]") from error
        if "\0" in text:
            raise PacketInvalid("a text holds U+0000 [MQTT-1.5.3-2]")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def more(self) -> bool:
        return self._at < len(self._body)

    def last(self, packet: P) -> P:
        if self.more:
            raise PacketInvalid("a packet is longer than it should be")
        return packet


def _connect(fields: _Fields) -> Connect:
    name, level, flags, keep_alive = fields.text(), fields.take(1)[0], fields.take(1)[0], fields.number()
    if name not in ("MQTT", "MQIsdp") or flags & 1:
        raise PacketInvalid("not a CONNECT of MQTT [MQTT-3.1.2-1, 3.1.2-3]")
    if level != _LEVEL:
        return Connect("", "", "", clean=True, keep_alive_s=keep_alive, level=level)
    client = fields.text()
    if flags & 0x04:
        for _ in range(2):  # a will's topic and message: an edge hub has no use of them
            fields.take(fields.number())
    user = fields.text() if flags & 0x80 else ""
    password = fields.take(fields.number()).decode("utf-8", "replace") if flags & 0x40 else ""
    return fields.last(Connect(client, user, password, bool(flags & 0x02), keep_alive))


def _publish(flags: int, body: bytes) -> Publish:
    fields, qos = _Fields(body), flags >> 1 & 3
    if qos > 1:
        raise PacketInvalid(f"quality of service {qos} is not taken by an edge hub")
    topic = fields.text()
    if not topic or "+" in topic or "#" in topic:
        raise PacketInvalid("a topic is empty or has a wildcard [MQTT-3.3.2-2]")
    number = fields.number() if qos else 0
    if qos and not number:
        raise PacketInvalid("a packet has the number 0 [MQTT-2.3.1-1]")
    return Publish(topic, fields.rest(), qos, number, bool(flags & 8), bool(flags & 1))


def _subscribe(fields: _Fields) -> Subscribe:
    packet, filters = fields.number(), list[tuple[str, int]]()
    while fields.more and len(filters) <= _MOST_FILTERS:
        filters.append((fields.text(), fields.take(1)[0]))
    if not packet or not filters or len(filters) > _MOST_FILTERS or any(qos > 2 for _, qos in filters):
        raise PacketInvalid(f"a SUBSCRIBE needs a number and 1 to {_MOST_FILTERS} filters [MQTT-3.8.3-3]")
    return Subscribe(packet, tuple(filters))


def _unsubscribe(fields: _Fields) -> Unsubscribe:
    packet, filters = fields.number(), list[str]()
    while fields.more and len(filters) <= _MOST_FILTERS:
        filters.append(fields.text())
    if not packet or not filters or len(filters) > _MOST_FILTERS:
        raise PacketInvalid(f"an UNSUBSCRIBE needs a number and 1 to {_MOST_FILTERS} filters [MQTT-3.10.3-2]")
    return Unsubscribe(packet, tuple(filters))


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">H", len(content)) + content


def _packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | 0x80 if size else low)
        if not size:
            break
    return bytes((kind << 4 | flags,)) + bytes(length) + body
