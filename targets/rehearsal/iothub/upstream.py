"""What came up to the cloud, kept for who watches: the last so many messages, each with its number."""

import asyncio
import base64
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from targets.rehearsal.iothub.clock import now
from targets.rehearsal.iothub.routes import Message

MOST_MESSAGES = 20_000
MOST_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message in the cloud.

    Attributes:
        number: From 1; without gaps.
    """

    number: int
    at: str
    message: Message

    def shown(self) -> dict[str, Any]:
        """As a watcher gets it."""
        message = self.message
        return {
            "number": self.number,
            "enqueuedTime": self.at,
            "deviceId": message.device,
            "moduleId": message.module,
            "output": message.output,
            "properties": dict(message.properties),
            "system": dict(message.system),
            "body": base64.b64encode(message.body).decode(),
        }


@dataclass(slots=True)
class Upstream:
    """The hub's stream of messages."""

    last: int = 0
    _kept: deque[Arrived] = field(default_factory=deque)
    _bytes: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, message: Message) -> None:
        """One came; the oldest goes where it is too much."""
        self.last += 1
        self._kept.append(Arrived(self.last, now(), message))
        self._bytes += message.size
        while len(self._kept) > MOST_MESSAGES or self._bytes > MOST_BYTES:
            self._bytes -= self._kept.popleft().message.size
        self._news.set()
        self._news = asyncio.Event()

    def after(self, number: int, most: int) -> list[Arrived]:
        """The next ones after a number, of those that are kept."""
        first = self._kept[0].number if self._kept else 0
        start = max(0, number + 1 - first)
        if start >= len(self._kept):
            return []
        return [self._kept[position] for position in range(start, min(start + most, len(self._kept)))]

    async def wait(self, number: int, timeout_s: float) -> None:
        """Until there is one after a number, or the time is up."""
        if self.last > number:
            return
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            pass
