"""A module at its edge hub: its queue, subscriptions, twin and direct methods, whether it is connected or not."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from targets.rehearsal.iothub import packets, topics
from targets.rehearsal.iothub.connections import MESSAGE_BYTES, Connection
from targets.rehearsal.iothub.errors import HubError, no_answer, not_connected
from targets.rehearsal.iothub.packets import PacketInvalid, Publish
from targets.rehearsal.iothub.queues import MessageQueue, QueueFull, Waiting
from targets.rehearsal.iothub.routes import Message
from targets.rehearsal.iothub.topics import TopicInvalid

logger = logging.getLogger(__name__)
Json = dict[str, Any]

# Not acknowledged at one time; this stand-in's own choice.
WINDOW: Final = 32
METHOD_BYTES: Final = 128 << 10
_MOST_CALLS: Final = 64
_NUMBERS: Final = 65535


@dataclass(frozen=True, slots=True)
class Ways:
    """What a session asks its edge hub for.

    Attributes:
        route: A message of the module came.
        twin: The module's desired and reported properties, with versions.
        report: Take reported properties in; the new version.
        tampered: A direct method's answer as a fault has it: method, status, payload; None where none comes.
    """

    route: Callable[[Message], None]
    twin: Callable[[], tuple[Json, Json]]
    report: Callable[[Mapping[str, Any]], int]
    tampered: Callable[[str, int, Any], tuple[int, Any] | None]


class ModuleSession:
    """One module; implements ``connections.Session``."""

    def __init__(self, device: str, module: str, ways: Ways) -> None:
        self.module = module
        self.queue = MessageQueue()
        self.kept = False
        self.in_flight: dict[int, Waiting] = {}
        self._device = device
        self._ways = ways
        self._connection: Connection | None = None
        self._filters: dict[str, int] = {}
        self._own = (f"devices/{device}/modules/{module}/inputs/#", "$iothub/methods/POST/#", "$iothub/twin/res/#")
        self._calls: dict[str, tuple[str, asyncio.Future[tuple[int, Any]]]] = {}
        self._number = 0
        self._call_number = 0
        self._arrival = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the module is here."""
        return self._connection is not None

    def open(self, connection: Connection, *, clean: bool) -> bool:
        """The module comes; whether it is known from before. An older connection of it ends."""
        if self._connection is not None:
            old, self._connection = self._connection, None
            self._put_back()
            old.cut()
        if clean:
            self._filters.clear()
        known, self.kept = self.kept and not clean, not clean
        self._connection = connection
        return known

    def lost(self, connection: Connection) -> None:
        """It went; what it did not acknowledge waits again."""
        if connection is self._connection:
            self._connection = None
            self._put_back()

    def cut(self) -> None:
        """End its connection."""
        if self._connection is not None:
            self._connection.cut()

    def arrived(self) -> None:
        """What waits can go."""
        news, self._arrival = self._arrival, asyncio.Event()
        news.set()
        self.pump()

    def publish(self, message: Publish) -> None:
        """The module sent something."""
        try:
            self._published(message)
        except TopicInvalid as error:
            raise PacketInvalid(str(error)) from error
        except QueueFull as error:
            raise PacketInvalid("an edge hub's queue is full") from error

    def acknowledge(self, packet: int) -> None:
        """The module has a message, for good."""
        self.in_flight.pop(packet, None)
        self.pump()

    def subscribe(self, pattern: str, qos: int) -> int:
        """Only what is the module's own."""
        own = any(packets.matches(each, pattern) for each in self._own)
        if not own and not pattern.startswith(topics.TWIN_PATCH):
            return packets.REFUSED_FILTER
        self._filters[pattern] = min(qos, 1)
        return min(qos, 1)

    def unsubscribe(self, pattern: str) -> None:
        """Not any more."""
        self._filters.pop(pattern, None)

    def add(self, waiting: Waiting) -> None:
        """A message for the module.

        Raises:
            QueueFull: Too many wait.
        """
        self.queue.add(waiting)
        self.pump()

    def pump(self) -> None:
        """Send what can go."""
        while self._connection is not None and self._takes_inputs() and len(self.in_flight) < WINDOW:
            waiting = self.queue.take()
            if waiting is None:
                return
            topic = topics.input_topic(waiting.message, self._device, self.module, waiting.input)
            number = self._next_number()
            self.in_flight[number] = waiting
            self._connection.send(Publish(topic, waiting.message.body, 1, number, waiting.again).encoded())

    def tell_desired(self, patch: Mapping[str, Any]) -> None:
        """Desired properties changed."""
        version = patch.get("$version", 0)
        self._send(f"{topics.TWIN_PATCH}?$version={version}", patch)

    async def call(self, method: str, payload: Any, *, connect_s: int, answer_s: int) -> tuple[int, Any]:
        """What a direct method answers: status and payload.

        Raises:
            HubError: The module is away, or takes too long.
        """
        await self._until_here(connect_s)
        if len(self._calls) >= _MOST_CALLS:
            raise HubError("ThrottlingException", "too many direct methods of this module at a time")
        self._call_number += 1
        number = f"{self._call_number:x}"
        future: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self._calls[number] = method, future
        self._send(f"{topics.METHODS}{method}/?$rid={number}", payload)
        try:
            return await asyncio.wait_for(future, answer_s)
        except TimeoutError:
            raise no_answer(answer_s) from None
        finally:
            del self._calls[number]

    async def _until_here(self, connect_s: int) -> None:
        deadline = asyncio.get_running_loop().time() + connect_s
        while not self._hears(topics.METHODS):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise not_connected(connect_s)
            try:
                await asyncio.wait_for(self._arrival.wait(), left)
            except TimeoutError:
                continue

    def _published(self, message: Publish) -> None:
        topic = message.topic
        if topic.startswith(topics.METHOD_ANSWER):
            self._answered(topic, message.payload)
        elif topic.startswith(topics.TWIN_GET):
            answer = f"{topics.TWIN_ANSWER}200/?$rid={topics.request_of(topic)}"
            desired, reported = self._ways.twin()
            self._send(answer, {"desired": desired, "reported": reported})
        elif topic.startswith(topics.TWIN_REPORT):
            self._reported(topics.request_of(topic), message.payload)
        else:
            given = topics.message_of(topic, message.payload, self._device, self.module)
            if given.size > MESSAGE_BYTES:
                raise PacketInvalid(f"a message of {given.size} bytes, at most {MESSAGE_BYTES} are taken")
            self._ways.route(given)

    def _answered(self, topic: str, payload: bytes) -> None:
        status = topic.removeprefix(topics.METHOD_ANSWER).partition("/")[0]
        method, future = self._calls.get(topics.request_of(topic), ("", None))
        if future is None or future.done():
            return
        if not status.lstrip("-").isdecimal():
            raise TopicInvalid(f"{topic} has no status")
        if len(payload) > METHOD_BYTES:
            future.set_exception(
                HubError("MessageTooLarge", f"the method's answer has {len(payload)} bytes, at most {METHOD_BYTES}")
            )
            return
        answer = self._ways.tampered(method, int(status), _json(payload))
        if answer is not None:
            future.set_result(answer)

    def _reported(self, request: str, payload: bytes) -> None:
        patch = _json(payload)
        try:
            if not isinstance(patch, dict):
                raise HubError("IotHubFormatError", "reported properties must be an object")
            version = self._ways.report(patch)
        except HubError as error:
            self._send(f"{topics.TWIN_ANSWER}{error.status}/?$rid={request}", error.body())
        else:
            self._send(f"{topics.TWIN_ANSWER}204/?$rid={request}&$version={version}", None)

    def _send(self, topic: str, document: Any) -> None:
        """To the module at once, or not at all."""
        if self._connection is not None and self._hears(topic):
            payload = (
                b"" if document is None and topic.startswith(topics.TWIN_ANSWER) else json.dumps(document).encode()
            )
            self._connection.send(Publish(topic, payload).encoded())

    def _hears(self, topic: str) -> bool:
        return self._connection is not None and any(packets.matches(each, topic) for each in self._filters)

    def _takes_inputs(self) -> bool:
        return self._own[0] in self._filters

    def _put_back(self) -> None:
        for waiting in reversed(self.in_flight.values()):
            self.queue.put_back(replace(waiting, again=True))
        self.in_flight.clear()

    def _next_number(self) -> int:
        while True:
            self._number = self._number % _NUMBERS + 1
            if self._number not in self.in_flight:
                return self._number


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload) if payload else None
    except ValueError:
        return payload.decode("utf-8", "replace")
