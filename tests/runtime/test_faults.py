"""Broken, hostile and unlucky clients: a right answer or a clear refusal, and the next client never notices."""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from tests.support.packages import make_package
from tests.support.raw_http import RawAnswer, chunked, exchange, next_answers, post, until_closed
from tests.support.servers import RunningServer, infer_body, running_server

pytestmark = pytest.mark.slow
INFER = "/v2/models/iris/infer"
ROW = [5.1, 3.5, 1.4, 0.2]
GOOD_BODY = json.dumps(infer_body([ROW])).encode()
GOOD = post(INFER, GOOD_BODY)
LAST = post(INFER, GOOD_BODY, "connection: close")
# After the time limit of the servers here, and before anybody would call it hanging.
LIMIT_S, SOON_S = 1.0, 3.5


@pytest.fixture(scope="module", params=["1", "0"], ids=["fast path", "FastAPI"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("faults")
    settings = {
        "DRAY_FAST_PATH": request.param, "DRAY_REQUEST_TIMEOUT_S": str(LIMIT_S), "DRAY_MAX_BODY_MIB": "1",
        "DRAY_LOG_LEVEL": "error",
    }  # fmt: skip
    with running_server(make_package(folder / "iris").root, log=folder / "log", **settings) as running:
        yield running
        assert "Traceback" not in running.stderr()
        assert "unforeseen" not in running.stderr()


@pytest.fixture(autouse=True)
def the_next_client_never_notices(server: RunningServer) -> Iterator[None]:
    """Answered right and at once after each test, with no more files open and no more memory held than before."""
    answered(server)
    process = psutil.Process(server.process.pid)
    files, memory = process.num_fds(), process.memory_info().rss
    yield
    began = time.monotonic()
    answered(server)
    assert time.monotonic() - began < 1
    deadline = time.monotonic() + 2 * SOON_S
    while process.num_fds() > files and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.num_fds() <= files
    assert process.memory_info().rss - memory < 48 << 20


def answered(server: RunningServer) -> RawAnswer:
    (answer,) = exchange(server.port, LAST)
    assert answer.status == 200
    assert answer.document()["outputs"][0]["data"] in ([0], [1], [2])
    return answer


def refused(answers: list[RawAnswer], *statuses: int) -> None:
    """One clear refusal."""
    assert [answer.status for answer in answers] == [answers[-1].status]
    assert answers[-1].status in statuses
    document = answers[-1].document()
    assert document["error"] == document["message"]
    assert document["error_code"].startswith("E-")
    assert len(document["error"]) < 1000


def entry(**fields: object) -> bytes:
    return json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW} | fields]}).encode()


def framed(text: bytes, tail: bytes, said: object = None) -> bytes:
    length = len(text) if said is None else said
    return post(INFER, text + tail, f"inference-header-content-length: {length}", "connection: close")


BINARY = json.dumps(
    {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}
).encode()
RAW = np.array(ROW, "<f4").tobytes()
BODIES = {
    "deep array": b"[" * 100_000,
    "deep array, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep data": b'{"inputs": [{"name": "X", "shape": [1,4], "datatype": "FP32", "data": ' + b"[" * 100_000,
    "deep, with NaN": b"[NaN," * 100_000,
    "deep data, closed": entry(data="D").replace(b'"D"', b"[" * 500 + b"1" + b"]" * 500),
    "huge shape": entry(shape=[10**9, 4]),
    "huge shape, no data": entry(shape=[10**9, 10**9], data=[]),
    "overflowing shape": entry(shape=[2**32, 2**32], data=[]),
    "shape beyond 64 bits": entry(shape=[10**30, 4]),
    "many axes": entry(shape=[1] * 10_000),
    "negative shape": entry(shape=[-1, 4]),
    "fractional shape": entry(shape=[1.0, 4]),
    "boolean shape": entry(shape=[True, 4]),
    "shape is null": entry(shape=None),
    "zero and huge": entry(shape=[0, 10**18], data=[]),
    "wrong type": entry(datatype="INT64"),
    "type is no text": entry(datatype=["FP32"]),
    "unknown type": entry(datatype="FP8"),
    "booleans": entry(data=[True, False, True, False]),
    "text": entry(data=["1", "2", "3", "4"]),
    "a number too large": entry(data=[10**400, 1, 1, 1]),
    "a number for no float": entry(data=[1e300, 1, 1, 1]),
    "too few": entry(data=ROW[:3]),
    "ragged": entry(data=[[1, 2], [3]]),
    "an object": entry(data={"a": 1}),
    "name twice": json.dumps({"inputs": infer_body([ROW])["inputs"] * 2}).encode(),
    "name is a list": entry(name=["X"]),
    "bad UTF-8": GOOD_BODY.replace(b"X", b"\xff\xfe"),
    "half a surrogate pair": GOOD_BODY.replace(b"X", b"\\ud800"),
    "UTF-16": GOOD_BODY.decode().encode("utf-16"),
    "NUL": b"\x00" * 100,
    "empty": b"",
    "null": b"null",
    "a lone number": b"1e999999",
    "a long number": b"[" + b"9" * 100_000 + b"]",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_cannot_be_meant_are_refused(server: RunningServer, body: bytes) -> None:
    refused(exchange(server.port, post(INFER, body, "connection: close")), 400)


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/score", "/invocations"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_dialect_fails_at_them(server: RunningServer, path: str, body: bytes) -> None:
    refused(exchange(server.port, post(path, body, "connection: close", "content-type: application/json")), 400)


@pytest.mark.parametrize(
    "text",
    ["\ufeff1,2,3,4", '"1,2,3,4', "1,2,3\n1,2,3,4,5\n", "\x00,1,2,3\n", "a" * 300_000, "," * 300_000, "\n" * 1000, "é"],
    ids=["mark", "open quote", "ragged", "NUL", "long cell", "many cells", "empty lines", "Latin-1"],
)
def test_tables_that_are_none_are_refused(server: RunningServer, text: str) -> None:
    body = text.encode("latin-1") if text == "é" else text.encode()
    answers = exchange(server.port, post("/invocations", body, "content-type: text/csv", "connection: close"))
    assert answers[0].status in (200, 400)
    assert len(answers) == 1


def test_nan_is_a_value_and_no_fault(server: RunningServer) -> None:
    (answer,) = exchange(server.port, post(INFER, GOOD_BODY.replace(b"0.2", b"NaN"), "connection: close"))
    assert answer.status == 200
    assert answer.document()["outputs"][1]["data"] == [None, None, None]


FRAMED = {
    "longer than the body": framed(BINARY, RAW, 10**9),
    "beyond 64 bits": framed(BINARY, RAW, 10**30),
    "negative": framed(BINARY, RAW, -1),
    "no number": framed(BINARY, RAW, "0x10"),
    "shorter than the JSON": framed(BINARY, RAW, len(BINARY) - 1),
    "into the tensor": framed(BINARY, RAW, len(BINARY) + 4),
    "0": framed(BINARY, RAW, 0),
    "tensor cut off": framed(BINARY, RAW[:-1]),
    "tensor too long": framed(BINARY, RAW + b"\0"),
    "no tensor": framed(BINARY, b""),
    "size too large": framed(BINARY.replace(b"16}", b"1000000000000}"), RAW),
    "size negative": framed(BINARY.replace(b"16}", b"-16}"), RAW),
    "size fractional": framed(BINARY.replace(b"16}", b"16.0}"), RAW),
    "size beyond 64 bits": framed(BINARY.replace(b"16}", b"%d}" % 2**64), RAW),
    "shape overflows": framed(BINARY.replace(b"[1, 4]", b"[4294967296, 4]"), RAW),
}


@pytest.mark.parametrize("stream", FRAMED.values(), ids=FRAMED)
def test_wrong_lengths_of_binary_tensors_are_refused(server: RunningServer, stream: bytes) -> None:
    refused(exchange(server.port, stream), 400)


HEADS = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "garbage": b"\xff" * 100 + b"\r\n\r\n",
    "no version": b"POST /score\r\n\r\n",
    "HTTP/3": b"POST /score HTTP/3.0\r\nhost: x\r\n\r\n",
    "field without a name": b"GET /livez HTTP/1.1\r\n: x\r\n\r\n",
    "NUL in a field": b"GET /livez HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
    "length is no number": b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
    "length negative": b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "length overflows": b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "two lengths": b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": chunked("/score", b"0\r\n\r\n", "content-length: 5"),
    "chunk size is no number": chunked(INFER, b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk size negative": chunked(INFER, b"-5\r\nabcde\r\n0\r\n\r\n"),
    "chunk size overflows": chunked(INFER, b"fffffffffffffffff\r\nabc\r\n"),
    "chunk shorter than its size": chunked(INFER, b"a\r\nabc\r\n0\r\n\r\n"),
    "chunk longer than its size": chunked(INFER, b"2\r\nabcdef\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("stream", HEADS.values(), ids=HEADS)
def test_what_is_not_http_is_refused(server: RunningServer, stream: bytes) -> None:
    refused(exchange(server.port, stream), 400, 408)


@pytest.mark.parametrize(
    "head",
    [b"a: " + b"x" * (1 << 20), b"".join(b"f%d: x\r\n" % at for at in range(40_000)), b"x" * (1 << 20)],
    ids=["long field", "many fields", "long name"],
)
@pytest.mark.parametrize("start", [b"POST %s HTTP/1.1\r\n" % INFER.encode(), b"GET /livez HTTP/1.1\r\n"])
def test_huge_heads_are_refused(server: RunningServer, start: bytes, head: bytes) -> None:
    refused(exchange(server.port, start + b"host: x\r\n" + head), 431, 400)


def test_a_huge_path_is_refused(server: RunningServer) -> None:
    refused(exchange(server.port, b"GET /" + b"x" * (1 << 20)), 431, 400)


@pytest.mark.parametrize("tail", [b"a: " + b"x" * (1 << 22), b"2;" + b"x" * (1 << 22)], ids=["trailer", "extension"])
def test_huge_framing_is_refused(server: RunningServer, tail: bytes) -> None:
    start = b"0\r\n" if tail.startswith(b"a") else b""
    refused(exchange(server.port, chunked(INFER, start + tail)), 431, 400)


# --- slow and half


def dribbled(server: RunningServer, stream: bytes, *, per_s: float = 20) -> tuple[bytes, float]:
    """What comes when the stream is sent byte by byte, and after how long the connection was closed."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=SOON_S) as connection:
        connection.setblocking(False)
        data = b""
        for byte in stream:
            with contextlib.suppress(OSError):
                connection.send(bytes([byte]))
            try:
                more = connection.recv(1 << 16)
            except BlockingIOError:
                time.sleep(1 / per_s)
                continue
            except ConnectionResetError:
                break
            data += more
            if not more:
                break
        return data, time.monotonic() - began


@pytest.mark.parametrize("before", [b"", GOOD], ids=["at first", "after a request"])
@pytest.mark.parametrize(
    "stream", [b"GET /livez HTTP/1.1\r\na: " + b"x" * 1000, b"\r\n" * 500], ids=["field", "line ends"]
)
def test_a_head_that_dribbles_is_refused_in_time(server: RunningServer, before: bytes, stream: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SOON_S) as connection:
        connection.sendall(before)
        if before:
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    data, seconds = dribbled(server, stream)
    assert data.startswith(b"HTTP/1.1 408 Request Timeout")
    assert b"E-HEAD-TIMEOUT" in data
    assert LIMIT_S * 0.8 < seconds < SOON_S


@pytest.mark.parametrize("path", [INFER, f"{INFER}?a=1", "/v2/repository/index", "/livez"])
def test_a_body_that_dribbles_is_refused_in_time(server: RunningServer, path: str) -> None:
    stream = post(path, b"x" * 1000)
    head, _, body = stream.partition(b"\r\n\r\n")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=SOON_S) as connection:
        connection.sendall(head + b"\r\n\r\n")
        for at in range(100):
            try:
                connection.sendall(body[at : at + 1])
            except OSError:
                break
            time.sleep(0.05)
    assert time.monotonic() - began < 6
    # Read by another connection's eyes: the fixture sees that nothing is left of it.


def test_half_a_body_gets_its_refusal(server: RunningServer) -> None:
    refused_later = exchange(server.port, post(INFER, GOOD_BODY)[:-5])
    assert refused_later[0].status == 408
    assert refused_later[0].document()["error_code"] == "E-BODY-TIMEOUT"


def test_many_slow_clients_leave_room_for_others(server: RunningServer) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(150)]
    for at, each in enumerate(slow):
        each.sendall(GOOD[: 10 + at % 60])
    began = time.monotonic()
    answered(server)
    assert time.monotonic() - began < 1
    for each in slow:
        each.settimeout(SOON_S + 2)
        until_closed(each)
        each.close()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_clients_that_leave_anywhere_leave_nothing(server: RunningServer, reset: bool) -> None:
    for at in range(0, len(GOOD), 3):
        connection = socket.create_connection(("127.0.0.1", server.port))
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(GOOD[:at])
        connection.close()
    answered(server)


def test_a_client_that_does_not_read_is_not_read_from(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += connection.send(GOOD * 200)
        assert sent < 64 << 20
        process = psutil.Process(server.process.pid)
        assert process.memory_info().rss < 400 << 20
        answered(server)


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="only Linux sets limits of other processes")
def test_where_no_more_files_may_be_opened_connections_that_are_there_go_on(server: RunningServer) -> None:
    process = psutil.Process(server.process.pid)
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as kept, contextlib.ExitStack() as opened:
        kept.sendall(GOOD)
        assert next_answers(kept, 1)[0].status == 200
        opened.callback(process.rlimit, psutil.RLIMIT_NOFILE, before)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 20, before[1]))
        for _ in range(60):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        kept.sendall(GOOD)
        assert next_answers(kept, 1)[0].status == 200


# --- pipelines


@pytest.mark.parametrize("body", [GOOD_BODY, b"{", GOOD_BODY + b" " * 5000], ids=["good", "bad", "long"])
def test_thousands_of_pipelined_requests_are_answered(server: RunningServer, body: bytes) -> None:
    count = 1500
    answers = exchange(server.port, post(INFER, body) * (count - 1) + LAST, timeout_s=60)
    expected = 400 if body == b"{" else 200
    assert [answer.status for answer in answers] == [expected] * (count - 1) + [200]


def test_what_is_pipelined_behind_a_close_is_not_answered(server: RunningServer) -> None:
    assert [answer.status for answer in exchange(server.port, LAST + GOOD)] == [200]


@pytest.mark.parametrize("path", [INFER, f"{INFER}?a=1"], ids=["hot", "through ASGI"])
@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe\r\n\r\n", chunked(INFER, b"zz\r\n"), b"GET /livez HTTP/1.1\r\n: x\r\n\r\n"],
    ids=["no HTTP", "bad chunk", "bad field"],
)  # fmt: skip
@pytest.mark.parametrize("good", [1, 3])
def test_garbage_behind_good_requests_takes_no_answer_from_them(
    server: RunningServer, path: str, garbage: bytes, good: int
) -> None:
    answers = exchange(server.port, post(path, GOOD_BODY) * good + garbage + GOOD)
    assert [answer.status for answer in answers] == [200] * good + [400]
    assert answers[-1].headers["connection"] == "close"


def test_everything_at_once(server: RunningServer) -> None:
    """Half of every fault on connections side by side, while good requests are answered."""
    streams = [post(INFER, body) for body in BODIES.values()] + list(FRAMED.values()) + list(HEADS.values())
    with contextlib.ExitStack() as opened:
        for stream in streams:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.sendall(stream[: max(1, len(stream) * 2 // 3)])
            answered(server)
