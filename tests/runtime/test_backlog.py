import socket
import sys

import pytest

from runtime.errors import AddressRefused, PortInUse
from runtime.server.backlog import accept_waiting, handshakes_under_way, stop_new_connections
from runtime.server.sockets import address_of, listen_alone, listen_shared
from tests.support.handshakes import hold_up_handshakes

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="BPF filters are Linux's")


@pytest.fixture
def listener() -> "socket.socket":
    (opened,) = listen_alone("127.0.0.1", 0)
    opened.setblocking(False)
    with opened:
        yield opened


def connect(listener: socket.socket, timeout_s: float = 0.3) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=timeout_s)


def test_waiting_connections_are_accepted(listener: socket.socket) -> None:
    clients = [connect(listener) for _ in range(3)]
    accepted = accept_waiting(listener)
    assert {each.getpeername() for each in accepted} == {each.getsockname() for each in clients}
    for each in [*clients, *accepted]:
        each.close()


@linux
def test_stopped_listener_keeps_who_waits_and_takes_nobody_new(listener: socket.socket) -> None:
    early = connect(listener)
    assert stop_new_connections(listener)
    with pytest.raises(TimeoutError):
        connect(listener)
    (accepted,) = accept_waiting(listener)
    early.sendall(b"still here")
    accepted.settimeout(5)
    assert accepted.recv(100) == b"still here"
    early.close()
    accepted.close()


@linux
def test_a_handshake_is_under_way_until_the_client_has_ended_it(listener: socket.socket) -> None:
    assert not handshakes_under_way([listener])
    hold_up_handshakes(listener)
    early = connect(listener)  # it counts itself connected
    assert handshakes_under_way([listener])
    assert accept_waiting(listener) == []

    assert stop_new_connections(listener)  # takes the place of the other filter
    early.sendall(b"it goes on")
    (accepted,) = accept_waiting(listener)

    assert not handshakes_under_way([listener])
    early.close()
    accepted.close()


@linux
def test_new_connections_go_to_the_successor(listener: socket.socket) -> None:
    (successor,) = listen_shared(*listener.getsockname())
    successor.setblocking(False)
    stop_new_connections(listener)
    clients = [connect(listener) for _ in range(20)]
    accepted = accept_waiting(successor)
    assert len(accepted) == 20
    for each in [*clients, *accepted, successor]:
        each.close()


def test_listener_of_another_is_not_shared_by_accident(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    with pytest.raises(PortInUse) as caught:
        listen_alone(host, port)
    assert caught.value.code == "E-PORT-IN-USE"
    assert caught.value.message == f"port {port} of 127.0.0.1 is in use"
    assert "DRAY_PORT" in caught.value.hint
    assert caught.value.detail == {"host": host, "port": port}


def test_stranger_who_does_not_share_is_not_joined() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(PortInUse):
            listen_shared(*stranger.getsockname())


def test_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(AddressRefused) as caught:
        listen_alone("192.0.2.1", 0)
    assert caught.value.code == "E-ADDRESS"
    assert "cannot listen on port 0 of 192.0.2.1" in caught.value.message
    assert "DRAY_HOST" in caught.value.hint


def test_addresses_are_spelt_with_brackets_for_ipv6(listener: socket.socket) -> None:
    assert address_of(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
