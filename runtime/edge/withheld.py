"""Acknowledgements of messages that wait until the messages are safe; see ``connection``."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

Acknowledge = Callable[[], None]


class Withheld:
    """Acknowledgements of an MQTT client, which are sent when whoever took a message allows it.

    paho-mqtt acknowledges where ``on_message`` has returned, by the same thread, with ``_send_puback``. One that is
    being sent when the connection is lost does no harm: by MQTT 3.1.1, section 4.4, its number still means that message
    on the next one.

    Args:
        arrived: Whether it takes a message, of a topic and a payload; called on the client's thread.
        dropped: Called with why, when the connection is lost.
    """

    def __init__(
        self, client: Any, arrived: Callable[[str, bytes, bool, Acknowledge], bool], dropped: Callable[[int], None]
    ) -> None:
        self._arrived, self._dropped = arrived, dropped
        self._usual = client.on_message, client.on_disconnect
        self._acknowledge = client._send_puback
        self._held: set[int] = set()
        self._taken: set[int] = set()
        self._generation = 0
        self._lock = threading.Lock()
        client.on_socket_open = _send_at_once
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect
        client._send_puback = self._send_puback

    def _on_message(self, source: Any, userdata: Any, message: Any) -> None:
        number = message.mid
        if message.qos == 1:
            with self._lock:
                self._held.add(number)
                self._taken.add(number)
        allow = partial(self._allow, number, self._generation)
        if not self._arrived(message.topic, message.payload, bool(message.dup), allow):
            with self._lock:
                self._held.discard(number)
                self._taken.discard(number)
            self._usual[0](source, userdata, message)

    def _allow(self, number: int, generation: int) -> None:
        with self._lock:
            if generation != self._generation or number not in self._held:
                return  # of a connection that is gone, on which the message comes again
            self._held.discard(number)
        self._acknowledge(number)

    def _send_puback(self, number: int) -> Any:
        """The client's own acknowledgement, which a message that was taken does not get: it may have it already."""
        with self._lock:
            if number in self._taken:
                self._taken.discard(number)
                return 0
        return self._acknowledge(number)

    def _on_disconnect(self, source: Any, userdata: Any, reason: Any) -> None:
        with self._lock:
            self._generation += 1
            self._held.clear()
            self._taken.clear()
        self._dropped(int(reason))
        self._usual[1](source, userdata, reason)


def _send_at_once(_client: Any, _userdata: Any, connected: Any) -> None:
    """An answer behind an acknowledgement would wait 40 ms for the system's own acknowledgement of that one."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
