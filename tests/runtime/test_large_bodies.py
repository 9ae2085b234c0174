"""Large bodies, received in their place: whole, in pieces, mixed with small ones, broken off, too large, too late."""

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.support.packages import identity_model, make_package
from tests.support.raw_http import RawAnswer, next_answers
from tests.support.servers import RunningServer, running_server

PATH = "/v2/models/wide/infer"
WIDTH = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("large")
    values = np.random.default_rng(0).normal(size=(5, WIDTH)).astype("f4")
    model = identity_model(TensorProto.FLOAT, ("batch", WIDTH))
    package = make_package(folder / "wide", model, name="wide", inputs={"x": values})
    settings = {"DRAY_MAX_BODY_MIB": "4", "DRAY_REQUEST_TIMEOUT_S": "2"}
    with running_server(package.root, log=folder / "log", **settings) as running:
        yield running


def binary(seed: int, rows: int = 3) -> tuple[bytes, np.ndarray]:
    """A request, and what its answer holds."""
    values = np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype("f4")
    tensor = {
        "name": "x",
        "shape": [rows, WIDTH],
        "datatype": "FP32",
        "parameters": {"binary_data_size": values.nbytes},
    }
    head = json.dumps(
        {"id": "x" * (seed % 17), "inputs": [tensor], "parameters": {"binary_data_output": True}}
    ).encode()
    body = head + values.tobytes()
    fields = f"host: x\r\ncontent-length: {len(body)}\r\ninference-header-content-length: {len(head)}\r\n\r\n"
    return f"POST {PATH} HTTP/1.1\r\n{fields}".encode() + body, values


def small(path: str = "/livez") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def connected(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def right(answer: RawAnswer, values: np.ndarray) -> bool:
    length = int(answer.headers["inference-header-content-length"])
    return answer.status == 200 and answer.body[length:] == values.tobytes()


def open_files(server: RunningServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("piece", [1 << 22, 300_000, 65_536])
def test_any_mixture_on_one_connection_is_answered_in_order(server: RunningServer, piece: int) -> None:
    with connected(server) as connection:
        for seed in range(6):
            request, values = binary(seed, rows=1 + seed % 3)
            stream = request + small() + request
            for at in range(0, len(stream), piece):
                connection.sendall(stream[at : at + piece])
            first, live, second = next_answers(connection, 3)
            assert right(first, values)
            assert live.status == 200
            assert right(second, values)


def test_many_clients_get_their_own_numbers(server: RunningServer) -> None:
    def client(seed: int) -> bool:
        chance = random.Random(seed)
        with connected(server) as connection:
            for turn in range(8):
                request, values = binary(seed * 100 + turn, rows=chance.choice([1, 2, 3]))
                cut = chance.randrange(len(request))
                connection.sendall(request[:cut])
                connection.sendall(request[cut:])
                if not right(next_answers(connection, 1)[0], values):
                    return False
        return True

    with ThreadPoolExecutor(6) as together:
        assert all(together.map(client, range(6)))


def test_a_body_that_stops_is_refused_in_time_and_its_rest_is_no_request(server: RunningServer) -> None:
    request, values = binary(1)
    with connected(server) as connection:
        connection.sendall(request)
        assert right(next_answers(connection, 1)[0], values)
        connection.sendall(request[:400_000])
        late = next_answers(connection, 1)[0]
        assert (late.status, late.document()["error_code"]) == (408, "E-BODY-TIMEOUT")
        connection.sendall(request[400_000:] + small())
        assert next_answers(connection, 1)[0].status == 200


def test_clients_that_leave_or_send_too_much_leave_nothing_behind(server: RunningServer) -> None:
    request, values = binary(2)
    before = open_files(server)
    for _ in range(10):
        with connected(server) as connection:
            connection.sendall(request[:500_000])
    with connected(server) as connection:
        large = b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n" + b" " * 200_000
        connection.sendall(large)
        assert next_answers(connection, 1)[0].status == 413
    with connected(server) as connection:
        connection.sendall(request)
        assert right(next_answers(connection, 1)[0], values)
    deadline = time.monotonic() + 10
    while open_files(server) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert open_files(server) <= before


def test_a_large_body_is_answered_while_the_server_drains(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, WIDTH)).astype("f4")
    model = identity_model(TensorProto.FLOAT, ("batch", WIDTH))
    package = make_package(tmp_path / "wide", model, name="wide", inputs={"x": values})
    request, sent = binary(3)
    with running_server(package.root, log=tmp_path / "log") as draining, connected(draining) as connection:
        connection.sendall(request[:400_000])
        time.sleep(0.2)
        draining.signal(15)
        time.sleep(0.5)
        connection.sendall(request[400_000:])
        assert right(next_answers(connection, 1)[0], sent)
        assert draining.process.wait(timeout=20) == 0
