"""Listening sockets: taken for this process alone, or shared with the one it relieves."""

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

from runtime.errors import AddressRefused, PortInUse

BACKLOG: Final = 2048


def listen_alone(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of ``host``, where nobody else does.

    Another process cannot listen there unless it asks to share, which only a hand-over does (``listen_shared``):
    two deployments never answer on one port by accident. ``SO_REUSEPORT`` is set once the socket listens: set before,
    two processes that start at the same moment would both get the port.

    Raises:
        PortInUse: Somebody else listens there.
        AddressRefused: The host is not one of this machine's, or the port needs other rights.
    """
    sockets = _listen(host, port, shared=False)
    for each in sockets:
        _share(each)
    return sockets


def listen_shared(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen beside those of another process of this user, which got them from ``listen_alone``.

    Raises:
        PortInUse: Whoever listens there does not share, or this system cannot.
        AddressRefused: As for ``listen_alone``.
    """
    return _listen(host, port, shared=True)


def address_of(listener: socket.socket) -> str:
    """``host:port``, IPv6 hosts in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    with ExitStack() as opened:
        sockets = []
        for family, address in _addresses(host, port):
            listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            _prepare(listener, shared=shared)
            try:
                listener.bind(address)
                listener.listen(BACKLOG)
            except OSError as error:
                raise _refused(error, host, port) from error
            sockets.append(listener)
        opened.pop_all()
    return sockets


def _addresses(host: str, port: int) -> Iterable[tuple[socket.AddressFamily, tuple[str, int]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(
            f"cannot listen on {host!r}: {error}", hint="DRAY_HOST is an address of this machine, 0.0.0.0 or ::"
        ) from error
    return {(family, address): None for family, _, _, _, address in found}  # type: ignore[misc]


def _prepare(listener: socket.socket, *, shared: bool) -> None:
    # A port whose old connections are still in TIME_WAIT can be had again. (On Windows the option means another thing.)
    if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        # :: alone means every address of both families.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if shared:
        _share(listener)


def _share(listener: socket.socket) -> None:
    if hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _refused(error: OSError, host: str, port: int) -> PortInUse | AddressRefused:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} of {host} is in use",
            hint="choose another DRAY_PORT, or stop what listens there",
            detail={"host": host, "port": port},
        )
    what = (error.strerror or str(error)).lower()
    return AddressRefused(
        f"cannot listen on port {port} of {host}: {what}",
        hint="DRAY_HOST is an address of this machine, 0.0.0.0 or ::; ports below 1024 need rights",
    )
