"""TCP ports of this machine: free ones, and who has the others."""

import errno
import ipaddress
import socket

import psutil

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not listened on


def free_port(host: str) -> int:
    """A port that nothing listens on at this moment; somebody may take it before its user does."""
    with _bindable(host) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: ``host`` is no address of this machine, or the port is a privileged one.
    """
    with _bindable(host) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def port_holder(port: int) -> str | None:
    """``name (process PID)`` of who listens on the port; None where the system does not let us see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows this to root only
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid is not None:
            return _describe(connection.pid)
    return None


def endpoint_url(host: str, port: int) -> str:
    """The URL by which this machine reaches a server that listens there."""
    reachable = _WILDCARDS.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_public(host: str) -> bool:
    """Whether a server that listens there can be reached from other machines."""
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _bindable(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: closed connections that linger in TIME_WAIT do not occupy a port, listeners do.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe


def _describe(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"
