"""Ports of this machine."""

import socket

import psutil
import pytest

from targets.kit.engine.ports import endpoint_url, free_port, is_public, port_holder, port_is_free


def test_free_port_can_be_listened_on() -> None:
    port = free_port("127.0.0.1")

    assert port_is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free("127.0.0.1", port)


def test_listener_that_would_share_its_port_still_holds_it() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()

        assert not port_is_free("127.0.0.1", server.getsockname()[1])


def test_closed_connections_do_not_hold_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # the server's side ends first and lingers in TIME_WAIT

    assert port_is_free("127.0.0.1", port)


def test_holder_is_named_where_it_can_be_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = port_holder(server.getsockname()[1])

    assert holder is None or holder.endswith(f"(process {psutil.Process().pid})")


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"),
     ("::1", "http://[::1]:80"), ("model.local", "http://model.local:80")],
)  # fmt: skip
def test_endpoint_is_reachable_from_here(host: str, url: str) -> None:
    assert endpoint_url(host, 80) == url


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("10.1.1.1", True)],
)
def test_public_address_is_recognised(host: str, public: bool) -> None:
    assert is_public(host) is public
