"""Nobody can tell whether FastAPI or the fast path below it answered: one corpus of requests, put to both."""

import contextlib
import gzip
import http.client
import json
import socket
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.packages import make_package
from tests.support.raw_http import next_answers
from tests.support.servers import RunningServer, running_server

pytestmark = pytest.mark.slow
KEY = "a-key-of-the-server"
ROW = [5.1, 3.5, 1.4, 0.2]
V2, V1 = "/v2/models/iris/infer", "/v1/models/iris:predict"
VARYING = {"date", "x-request-id"}


def v2(data: Any, *, shape: Any = (1, 4), dtype: Any = "FP32", **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "X", "shape": shape, "datatype": dtype, "data": data}], **more}


@dataclass(frozen=True)
class Asked:
    """One request of the corpus."""

    title: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


def with_header(body: bytes, tail: bytes, length: int | str | None = None) -> tuple[bytes, dict[str, str]]:
    said = len(body) if length is None else length
    return body + tail, {"inference-header-content-length": str(said)}


def corpus() -> Iterator[Asked]:
    """Right and wrong requests of every dialect, and of every limit."""
    good = json.dumps(v2(ROW)).encode()
    documents: dict[str, dict[str, Any]] = {
        V2: {
            "right": v2(ROW), "several rows": v2(ROW * 3, shape=[3, 4]), "no rows": v2([], shape=[0, 4]),
            "nested": v2([ROW]), "with an id": v2(ROW, id="q-1"), "id is a number": v2(ROW, id=1),
            "one output": v2(ROW, outputs=[{"name": "label"}]),
            "unknown output": v2(ROW, outputs=[{"name": "z"}]),
            "wrong type": v2(ROW, dtype="FP64"), "wrong shape": v2(ROW[:2], shape=[1, 2]), "too few": v2(ROW[:3]),
            "text": v2(["a", 1, 2, 3]), "huge shape": v2(ROW, shape=[10**9, 4]),
            "negative shape": v2(ROW, shape=[-1, 4]),
            "null": v2([None, 1, 2, 3]), "no inputs": {}, "inputs is text": {"inputs": "x"}, "binary out":
            v2(ROW, parameters={"binary_data_output": True}),
        },
        V1: {
            "rows": {"instances": [ROW]}, "columns": {"inputs": {"X": [ROW]}}, "records": {"instances": [{"X": ROW}]},
            "neither": {}, "signature": {"instances": [ROW], "signature_name": "z"}, "narrow": {"instances": [[1]]},
        },
        "/score": {
            "data": {"data": [ROW]}, "Inputs": {"Inputs": {"data": [ROW]}}, "input_data": {"input_data": [ROW]},
            "none": {}, "two": {"data": [ROW], "Inputs": [ROW]},
        },
        "/invocations": {
            "inputs": {"inputs": [ROW]}, "instances": {"instances": [ROW]},
            "split": {"dataframe_split": {"data": [ROW]}},
            "params": {"inputs": [ROW], "params": {"a": 1}}, "none": {},
        },
    }  # fmt: skip
    for path, named in documents.items():
        for title, document in named.items():
            yield Asked(f"{path} {title}", path, json.dumps(document).encode(), {"content-type": "application/json"})
    for title, content in {
        "empty": b"", "not json": b"{", "deep": b"[" * 100_000, "infinity": good.replace(b"0.2", b"Infinity"),
        "nan": good.replace(b"0.2", b"NaN"), "not utf-8": b"\xff\xfe", "large": b" " * 40_000 + good,
        "beyond the limit": b" " * (1 << 20) + good, "surrogate": b'{"id": "\\ud800", "inputs": [NaN]}',
    }.items():  # fmt: skip
        yield Asked(f"v2 {title}", V2, content)
    yield from _framed(good)
    yield from _with_headers(good)
    yield Asked("csv", "/invocations", b"1,2,3,4\n", {"content-type": "text/csv; header=absent"})
    yield Asked("other content", "/invocations", b"<a/>", {"content-type": "application/xml"})
    yield Asked("a version", "/v2/models/iris/versions/1/infer", good)
    yield Asked("no such version", "/v2/models/iris/versions/9/infer", good)
    yield Asked("no such model", "/v2/models/rose/infer", good)
    yield Asked("percent", "/v2/models/%69ris/infer", good)
    yield Asked("query", f"{V2}?a=1", good)
    yield Asked("slash", f"{V2}/", good)
    yield Asked("another method", V2, b"", method="GET")
    yield Asked("a probe", "/livez", b"", method="GET")


def _framed(good: bytes) -> Iterator[Asked]:
    raw = np.array([ROW], "<f4").tobytes()
    entry = {"name": "X", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    for title, (body, headers) in {
        "binary": with_header(text, raw), "binary cut off": with_header(text, raw[:8]),
        "binary and more": with_header(text, raw + b"x"), "wrong length": with_header(text, raw, 3),
        "no length": with_header(text, raw, "x"), "beyond the body": with_header(text, raw, 10**6),
        "half a float": with_header(text.replace(b"16}", b"15}"), raw[:15]),
    }.items():  # fmt: skip
        yield Asked(f"v2 {title}", V2, body, headers)
    for encoding, body in {
        "gzip": gzip.compress(good), "deflate": zlib.compress(good), "br": good,
        "gzip ": b"not gzip", " gzip": gzip.compress(bytes(1 << 22)),
    }.items():  # fmt: skip
        yield Asked(f"v2 encoded {encoding!r} {len(body)}", V2, body, {"content-encoding": encoding.strip()})


def _with_headers(good: bytes) -> Iterator[Asked]:
    for name, value in {
        "x-request-id": "abc-1", "X-Request-Id": "<script>", "x-ms-client-request-id": "ms-7", "connection": "close",
        "expect": "100-continue", "accept": "text/html", "authorization": "Bearer wrong", "upgrade": "h2c",
    }.items():  # fmt: skip
        yield Asked(f"with {name}: {value}", V2, good, {name: value})


CASES = list(corpus())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, RunningServer]]:
    """The same package behind the fast path, and behind FastAPI alone."""
    folder = tmp_path_factory.mktemp("pair")
    package = make_package(folder / "iris").root
    with contextlib.ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(
                running_server(package, log=folder / fast, DRAY_FAST_PATH=fast, DRAY_MAX_BODY_MIB="1")
            )
            for fast in ("1", "0")
        )  # fmt: skip


def ask(server: RunningServer, asked: Asked, **more: str) -> tuple[int, dict[str, str], Any]:
    """Status, header fields and body of an answer, without what differs from one request to the next."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(asked.method, asked.path, asked.body, {**asked.headers, **more})
        response = connection.getresponse()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    request_id = headers["x-request-id"]
    fields = {name: value for name, value in headers.items() if name not in VARYING}
    return response.status, fields, body.replace(request_id.encode(), b"ID")


@pytest.mark.parametrize("asked", CASES, ids=[case.title for case in CASES])
def test_both_answer_alike(pair: tuple[RunningServer, RunningServer], asked: Asked) -> None:
    fast, plain = (ask(server, asked) for server in pair)

    assert fast[:2] == plain[:2]
    assert fast[2] == plain[2]


def test_requests_that_came_together_share_runs(pair: tuple[RunningServer, RunningServer]) -> None:
    """Else the corpus might have compared FastAPI with itself: on the fast path alone requests share runs."""
    body = json.dumps(v2(ROW)).encode()
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    shared = []
    for server in pair:
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        for _ in range(60):  # on a busy machine few of them come in one turn
            for each in sockets:
                each.sendall(head + body)
            for each in sockets:
                assert next_answers(each, 1)[0].status == 200
        for each in sockets:
            each.close()
        stats = ask(server, Asked("", "/v2/models/iris/stats", b"", method="GET"))[2]
        shared.append(max(batch["batch_size"] for batch in json.loads(stats)["model_stats"][0]["batch_stats"]))
    assert shared[0] > 3 >= shared[1]


@pytest.mark.parametrize("piece", [1, 7, 1 << 16], ids=["byte by byte", "in pieces", "at once"])
def test_pipelined_requests_of_both_kinds_are_answered_in_their_order(
    pair: tuple[RunningServer, RunningServer], piece: int
) -> None:
    body = json.dumps(v2(ROW, id="N")).encode()
    hot = [
        f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nx-request-id: r{at}\r\n\r\n".encode() + body
        for at in range(4)
    ]
    slow = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: slow\r\n\r\n"
    stream = hot[0] + hot[1] + slow + hot[2] + slow + hot[3]
    for server in pair:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            for at in range(0, len(stream), piece):
                connection.sendall(stream[at : at + piece])
            answers = next_answers(connection, 6)
        assert [(answer.status, answer.headers["x-request-id"]) for answer in answers] == [
            (200, name) for name in ("r0", "r1", "slow", "r2", "slow", "r3")
        ]


def framed(body: bytes) -> bytes:
    return f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_a_head_that_comes_again_is_taken_as_the_first_time(pair: tuple[RunningServer, RunningServer]) -> None:
    body = json.dumps(v2([[1.0, 2.0, 3.0, 4.0]])).encode()
    other, wrong = body.replace(b"1.0", b"7.5"), body.replace(b"FP32", b"FP99")
    chunks = (body, other, wrong, body, body[:9] + b"," + body[10:], other)  # of one length, so with one head
    answers = []
    for server in pair:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            answers.append([])
            for chunk in chunks:
                connection.sendall(framed(chunk))
                answers[-1] += [(answer.status, answer.body) for answer in next_answers(connection, 1)]
    assert [status for status, _ in answers[0]] == [200, 200, 400, 200, 400, 200]
    assert answers[0][0] == answers[0][3] != answers[0][1] == answers[0][5]
    assert [status for status, _ in answers[1]] == [status for status, _ in answers[0]]


def test_a_known_head_with_other_bytes_behind_it_is_parsed(pair: tuple[RunningServer, RunningServer]) -> None:
    body = json.dumps(v2([[1.0, 2.0, 3.0, 4.0]])).encode()
    whole = framed(body)
    for server in pair:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            statuses = []
            for parts, count in (
                ([whole], 1),
                ([whole + whole], 2),
                ([whole[:-5], whole[-5:] + whole], 2),
                ([whole], 1),
            ):
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.02)
                statuses += [answer.status for answer in next_answers(connection, count)]
        assert statuses == [200] * 6


def test_chunked_bodies_are_taken(pair: tuple[RunningServer, RunningServer]) -> None:
    body = json.dumps(v2(ROW)).encode()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9))
    stream = f"POST {V2} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode() + parts + b"0\r\n\r\n"
    bodies = []
    for server in pair:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(stream)
            bodies.append(next_answers(connection, 1)[0])
    assert bodies[0].status == bodies[1].status == 200
    assert bodies[0].body == bodies[1].body


def test_a_chunked_body_beyond_the_limit_is_refused_while_it_comes(pair: tuple[RunningServer, RunningServer]) -> None:
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    for server in pair:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head)
            with contextlib.suppress(OSError):
                for _ in range(40):
                    connection.sendall(chunk)
            refused = next_answers(connection, 1)[0]
        assert (refused.status, refused.document()["error_code"]) == (413, "E-TOO-LARGE")


def test_a_body_that_does_not_come_is_refused_in_time(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n".encode()
    for fast in ("1", "0"):
        with (
            running_server(package, log=tmp_path / fast, DRAY_FAST_PATH=fast, DRAY_REQUEST_TIMEOUT_S="0.5") as server,
            socket.create_connection(("127.0.0.1", server.port)) as connection,
        ):
            connection.sendall(head + b"half")
            late = next_answers(connection, 1)[0]
        assert (late.status, late.document()["error_code"]) == (408, "E-BODY-TIMEOUT")


def test_keys_and_queue_hold_on_both_paths(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    (tmp_path / "keys").write_text(f"{KEY}\nanother\n")
    good = Asked("", V2, json.dumps(v2(ROW)).encode())
    for fast in ("1", "0"):
        settings = {"DRAY_FAST_PATH": fast, "DRAY_API_KEYS_FILE": str(tmp_path / "keys"), "DRAY_MAX_QUEUE": "1"}
        with running_server(package, log=tmp_path / fast, **settings) as server:
            refused, right = ask(server, good), ask(server, good, authorization=f"Bearer {KEY}")
            with socket.create_connection(("127.0.0.1", server.port)) as waiting:
                head = f"POST {V2} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 9\r\n\r\n"
                waiting.sendall(head.encode())
                time.sleep(0.2)
                full = ask(server, good, authorization=f"Bearer {KEY}")
            time.sleep(0.2)
            again = ask(server, good, authorization=f"Bearer {KEY}")
        assert (refused[0], refused[1]["www-authenticate"]) == (401, "Bearer")
        assert [right[0], full[0], again[0]] == [200, 503, 200]
        assert full[1]["retry-after"] == "1"
