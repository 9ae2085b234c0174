"""What a server of several workers looks like from outside."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import RunningServer

TWO = {"DRAY_WORKERS": "2"}


def workers(server: RunningServer) -> list[int]:
    """The process ids of the server's children."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return sorted(int(pid) for pid in children.split())


def metric(server: RunningServer, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels."""
    families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(each.value for each in samples if labels.items() <= each.labels.items())


def wait_until(true: Callable[[], bool], *, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def whole(server: RunningServer, count: int = 2) -> bool:
    """Whether so many workers accept."""
    return metric(server, "dray_workers") == count and len(workers(server)) == count


def owners(server: RunningServer) -> dict[str, set[int]]:
    """Which workers answered, by the id of the request."""
    found: dict[str, set[int]] = {}
    for line in server.stderr().splitlines():
        record = json.loads(line)
        if record["message"] == "request":
            found.setdefault(record["request_id"], set()).add(record["pid"])
    return found


def ask_over_burst(server: RunningServer, connections: int, request: bytes) -> list[tuple[int, bytes]]:
    """The answers to a request, with ``{number}`` replaced, over connections that were all opened at once."""
    with ExitStack() as opened:
        clients = [opened.enter_context(socket.socket()) for _ in range(connections)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.sendall(request.replace(b"{number}", b"%d" % number))
        return [_answer(client) for client in clients]


def _answer(client: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def pss_kib(pid: int) -> int:
    """Memory of a process, each shared page divided by how many share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
