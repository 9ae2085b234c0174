"""Closing a listener without losing a connection that the kernel has taken in its name.

A client counts itself connected when the kernel has answered its SYN; the connection then waits in the listener's
backlog until the process accepts it. A listener that closes resets what waits there, and what is half-way there. So, on
Linux, the listener first takes no new SYN (a classic BPF filter that passes only segments with ACK, so handshakes that
have begun can end), the process accepts what is left, and only then closes. A SYN that is dropped is sent again by the
client's kernel after a second, and is answered by whoever listens then, or refused. Where another process shares the
port (a hand-over), new SYNs are steered to it at once, so nobody waits that second.

Elsewhere nothing of this exists: what waits is accepted, and the microseconds between that and the close remain.

Source: Linux net/ipv4/tcp_ipv4.c (tcp_filter is called for listeners with the TCP header first; the table of
sockets and their states, include/net/tcp_states.h),
net/core/sock_reuseport.c (an index out of range falls back to the hash), linux/filter.h, asm-generic/socket.h.
"""

import asyncio
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_TCP_FLAGS_OFFSET: Final = 13
_TCP_ACK: Final = 0x10
_WHOLE_PACKET: Final = 0xFFFFFFFF
_SYN_RECEIVED: Final = "03"
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

_Program = Sequence[tuple[int, int, int, int]]
_ONLY_WITH_ACK: Final[_Program] = (
    (_LOAD_BYTE, 0, 0, _TCP_FLAGS_OFFSET),
    (_JUMP_IF_SET, 0, 1, _TCP_ACK),
    (_RETURN, 0, 0, _WHOLE_PACKET),
    (_RETURN, 0, 0, 0),
)
# Sockets that share a port are numbered in the order in which they began to listen: the second is the successor.
_TO_THE_SECOND: Final[_Program] = ((_RETURN, 0, 0, 1),)


def stop_new_connections(listener: socket.socket) -> bool:
    """Let no handshake begin any more; those that have begun still end in the backlog.

    Returns:
        Whether this system can; otherwise nothing has changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    _attach(listener, _SO_ATTACH_REUSEPORT_CBPF, _TO_THE_SECOND)
    return _attach(listener, _SO_ATTACH_FILTER, _ONLY_WITH_ACK)


def stop_all(listeners: Iterable[socket.socket]) -> bool:
    """``stop_new_connections`` of each; whether any could."""
    stopped = [stop_new_connections(listener) for listener in listeners]
    return any(stopped)


def handshakes_under_way(listeners: Iterable[socket.socket]) -> bool:
    """Whether a client has been answered and has not ended its handshake yet: it counts itself connected already.

    False where the system does not tell.
    """
    ports = {f"{listener.getsockname()[1]:04X}" for listener in listeners}
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # not Linux, or no IPv6
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == _SYN_RECEIVED and local.rpartition(":")[2] in ports:
                return True
    return False


def accept_waiting(listener: socket.socket) -> list[socket.socket]:
    """The connections in the backlog of a listener that does not block."""
    accepted = []
    while True:
        try:
            accepted.append(listener.accept()[0])
        except ConnectionAbortedError:  # the client left while it waited
            continue
        except OSError:  # nothing is left
            return accepted


class Backlog:
    """What waits in the backlog of listeners, taken whole when one connection was accepted.

    uvloop 0.23 accepts one connection a turn of the loop: under load, when turns are long, a new client or a probe
    waited for as many turns as there were connections before it (60 of them took 3 s with turns of 50 ms).

    Args:
        listeners: As they are at the time.
        serve: Makes a connection of an accepted socket.
    """

    def __init__(
        self, listeners: list[socket.socket], serve: Callable[[socket.socket], Coroutine[None, None, None]]
    ) -> None:
        self._listeners = listeners
        self._serve = serve
        self._opening: set[asyncio.Task[None]] = set()
        self._looked = False

    def take(self) -> None:
        """Accept what waits; once a turn."""
        if self._looked:
            return
        self._looked = True
        asyncio.get_running_loop().call_soon(self._look_again)
        for listener in self._listeners:
            for accepted in accept_waiting(listener) if listener.fileno() >= 0 else ():
                task = asyncio.ensure_future(self._serve(accepted))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def _look_again(self) -> None:
        self._looked = False


def unread(descriptors: Iterable[int]) -> bool:
    """Whether the kernel holds something for one of these sockets that the process has not read.

    One that is closed with something unread resets its connection, and whoever sent it gets no answer.
    """
    if not hasattr(select, "poll"):  # Windows
        return False
    waiting = select.poll()
    for descriptor in descriptors:
        if descriptor >= 0:
            waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def _attach(listener: socket.socket, option: int, program: _Program) -> bool:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, option, struct.pack("HP", len(program), ctypes.addressof(code)))
    except OSError:  # a sandboxed kernel may not know the option
        return False
    return True
