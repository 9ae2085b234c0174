"""No request that was accepted is lost: at the end of a process, and when one takes over from another."""

import json
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.app import create_app, create_serving
from runtime.server import http
from runtime.server.hot_routes import HotRoutes
from runtime.server.http import Server
from runtime.server.sockets import listen_alone
from runtime.server.uvicorn_config import uvicorn_config
from runtime.settings import Settings
from tests.support.handshakes import hold_up_handshakes
from tests.support.load import steady_load
from tests.support.packages import make_package
from tests.support.servers import RunningServer, free_port, infer_body, running_server

INFER = "/v2/models/iris/infer"
BODY = infer_body([[1, 2, 3, 4]])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("drain") / "iris").root


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def wait_for_addresses(server: RunningServer, count: int, timeout_s: float = 20) -> list[str]:
    deadline = time.monotonic() + timeout_s
    while len(addresses := server.readiness()["addresses"]) < count:
        assert time.monotonic() < deadline, f"listens on {addresses} only: {server.stderr()}"
        time.sleep(0.01)
    return addresses


@pytest.mark.parametrize("turn", range(4))
def test_termination_under_load_loses_no_accepted_request(package: Path, log: Path, turn: int) -> None:
    with (
        running_server(package, log=log, DRAY_LOG_LEVEL="warning") as server,
        steady_load(server.port, BODY, path=INFER, keep_alive=4, reconnecting=4) as load,
    ):
        load.wait_until_answered(200)
        assert server.terminate() == 0
    assert load.lost == []
    assert set(load.answers) == {200}


def test_handovers_of_the_public_port_lose_and_refuse_nothing(package: Path, log: Path) -> None:
    quiet = {"DRAY_LOG_LEVEL": "warning", "DRAY_PORT": str(free_port())}
    with ExitStack() as servers:
        serving = servers.enter_context(running_server(package, log=log, **quiet))
        public = serving.port
        load = servers.enter_context(steady_load(public, BODY, path=INFER, keep_alive=4, reconnecting=4))
        load.wait_until_answered(100)
        for _ in range(3):
            standby = {"DRAY_STANDBY_PORT": str(free_port()), **quiet}
            successor = servers.enter_context(running_server(package, log=log, **standby))
            successor.signal(signal.SIGUSR1)
            assert wait_for_addresses(successor, 2) == [f"127.0.0.1:{successor.port}", f"127.0.0.1:{public}"]
            assert serving.terminate() == 0
            load.wait_until_answered(load.answered + 100)
            serving = successor
        load.stop.set()
        load.wait_until_over()
    assert (load.lost, load.refused) == ([], 0)
    assert set(load.answers) == {200}


def test_public_port_goes_back_when_the_successor_dies(package: Path, log: Path) -> None:
    quiet = {"DRAY_LOG_LEVEL": "warning", "DRAY_PORT": str(free_port())}
    with running_server(package, log=log, **quiet) as old:
        with running_server(package, log=log, DRAY_STANDBY_PORT=str(free_port()), **quiet) as new:
            new.signal(signal.SIGUSR1)
            wait_for_addresses(new, 2)
            assert new.terminate() == 0
        for _ in range(20):
            assert httpx.post(old.url + INFER, json=BODY).status_code == 200


def test_standby_listens_on_its_own_port_only(package: Path, log: Path) -> None:
    public, standby = free_port(), free_port()
    ports = {"DRAY_PORT": str(public), "DRAY_STANDBY_PORT": str(standby)}
    with running_server(package, log=log, **ports) as server:
        assert server.readiness()["addresses"] == [f"127.0.0.1:{standby}"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", public))
        server.signal(signal.SIGUSR1)
        wait_for_addresses(server, 2)
        assert httpx.get(f"http://127.0.0.1:{public}/livez").status_code == 200


def test_failed_handover_is_told_and_standby_goes_on(package: Path, log: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        ports = {"DRAY_PORT": str(stranger.getsockname()[1]), "DRAY_STANDBY_PORT": str(free_port())}
        with running_server(package, log=log, **ports) as server:
            server.signal(signal.SIGUSR1)
            deadline = time.monotonic() + 20
            while "handover_error" not in (body := server.readiness()) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert body["handover_error"]["code"] == "E-PORT-IN-USE"
            assert body["state"] == "ready"
            assert httpx.post(server.url + INFER, json=BODY).status_code == 200


def test_signal_without_standby_port_changes_nothing(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server:
        server.signal(signal.SIGUSR1)
        assert httpx.post(server.url + INFER, json=BODY).status_code == 200
        assert server.terminate() == 0
    assert "DRAY_STANDBY_PORT is not set" in server.stderr()


def test_other_deployment_cannot_share_the_port_by_accident(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server, socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            second.bind(("127.0.0.1", server.port))


def test_request_that_came_after_the_last_look_is_answered(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_QUIET_S", -1.0)  # every idle connection is closed in the first turn
    server, port = server_in_thread(package)
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        client.request("GET", "/livez")
        client.getresponse().read()
        server.handle_exit(signal.SIGTERM, None)
        assert server.looking.wait(10)
        client.request("POST", INFER, json.dumps(BODY))  # the loop stands still between its last poll and the close
        server.sent.set()
        response = client.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
    server.thread.join(timeout=20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="BPF filters are Linux's")
def test_client_in_mid_handshake_is_waited_for(package: Path) -> None:
    server, port = server_in_thread(package)
    server.sent.set()
    hold_up_handshakes(server.listener)
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        client.connect()  # for the client it is made; for the server it is not
        server.handle_exit(signal.SIGTERM, None)
        time.sleep(0.7)  # longer than a handshake is given that nobody knows of
        client.request("POST", INFER, json.dumps(BODY))
        response = client.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
    server.thread.join(timeout=20)


class ServerInThread(Server):
    """The server in a thread of the tests', which waits for a client before it looks at what is unread."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.looking, self.sent = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    @property
    def listener(self) -> socket.socket:
        return self._listeners[0]

    def _unread(self) -> bool:
        self.looking.set()
        return self.sent.wait(10) and super()._unread()


def server_in_thread(package: Path) -> tuple[ServerInThread, int]:
    serving = create_serving(Settings(packages=(package,), threads=1))
    serving.repository.load()
    routes = HotRoutes(serving)
    routes.refresh()
    listeners = listen_alone("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    server = ServerInThread(uvicorn_config(create_app(serving), serving, routes), serving, listeners)
    server.thread.start()
    return server, port
