"""The HTTP client against small real servers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf, nan
from threading import Thread
from typing import Any

import pytest

from packager.core.errors import InvocationError, NotReady, UsageError
from packager.core.http_client import HttpInferenceClient, is_loopback
from runtime.contract.wire import InferenceRequest, Tensor
from targets.kit.engine.ports import free_port

Answers = dict[str, tuple[int, Any]]
READY = {"state": "ready", "addresses": ["127.0.0.1:1"]}
REQUEST = InferenceRequest(inputs=[Tensor(name="x", shape=[1], datatype="FP32", data=[1.5])])
ERROR = {
    "error": "x is short", "message": "x is short", "error_code": "E-INPUT",
    "detail": {"tensor": "x"}, "request_id": "7",
}  # fmt: skip


@contextmanager
def serving(answers: Answers, seen: list[tuple[str, dict[str, str], bytes]] | None = None) -> Iterator[str]:
    """A server with fixed answers by path; ``seen`` gets path, headers and body of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if seen is not None:
                seen.append((self.path, dict(self.headers.items()), body))
            status, content = answers.get(self.path, (404, "not found"))
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "ready"),
    [
        ({"/readyz": (200, READY)}, True),
        ({"/readyz": (503, {"state": "starting"})}, False),
        ({"/readyz": (503, {"state": "draining"})}, False),
        ({"/readyz": (502, "bad gateway")}, False),
        ({"/v2/health/ready": (200, "")}, True),
        ({}, False),
    ],
    ids=["ready", "starting", "draining", "gateway", "another-server", "nothing-there"],
)
def test_readiness_is_what_the_server_says(answers: Answers, ready: bool) -> None:
    with serving(answers) as url, HttpInferenceClient(url) as client:
        assert client.ready() is ready


def test_unreachable_is_not_ready_yet() -> None:
    with HttpInferenceClient(f"http://127.0.0.1:{free_port('127.0.0.1')}") as client:
        assert client.ready() is False


def test_failed_runtime_is_never_ready() -> None:
    state = {"state": "failed", "error_code": "E-SELF-TEST", "message": "output 'y' differs", "detail": {"output": "y"}}

    with (
        serving({"/readyz": (503, state)}) as url,
        HttpInferenceClient(url) as client,
        pytest.raises(NotReady) as caught,
    ):
        client.ready()

    assert caught.value.code == "E-NOT-READY"
    assert caught.value.message == "the runtime will not become ready: output 'y' differs"
    assert caught.value.detail["error_code"] == "E-SELF-TEST"
    assert caught.value.hint


def test_refused_token_is_an_error_and_not_a_wait() -> None:
    with (
        serving({"/readyz": (401, ERROR)}) as url,
        HttpInferenceClient(url, token="t") as client,
        pytest.raises(InvocationError, match="401") as caught,
    ):
        client.ready()

    assert "API key" in caught.value.hint


def infer(client: HttpInferenceClient) -> Any:
    return client.infer("iris", REQUEST, timeout_s=5)


def metadata(client: HttpInferenceClient) -> Any:
    return client.metadata("iris")


@pytest.mark.parametrize("ask", [infer, metadata])
def test_servers_own_words_come_through(ask: Callable[[HttpInferenceClient], Any]) -> None:
    answers = {"/v2/models/iris": (400, ERROR), "/v2/models/iris/infer": (400, ERROR)}

    with serving(answers) as url, HttpInferenceClient(url) as client, pytest.raises(InvocationError) as caught:
        ask(client)

    assert caught.value.code == "E-INVOKE"
    assert caught.value.message.endswith("answered 400 (E-INPUT): x is short")
    assert caught.value.hint
    expected = {"error_code": "E-INPUT", "message": "x is short", "detail": {"tensor": "x"}, "request_id": "7"}
    assert caught.value.detail == {"status": 400, **expected}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, "<h1>Oops</h1>"), "answered 500: '<h1>Oops</h1>'"),
        ((200, "hello"), "did not answer in the Open Inference"),
    ],
)
def test_answer_of_another_protocol_is_shown(answer: tuple[int, str], words: str) -> None:
    with (
        serving({"/v2/models/iris/infer": answer}) as url,
        HttpInferenceClient(url) as client,
        pytest.raises(InvocationError) as caught,
    ):
        infer(client)

    assert words in caught.value.message


def test_unreachable_endpoint_cannot_be_asked() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"

    with HttpInferenceClient(url) as client, pytest.raises(InvocationError, match="cannot be reached") as caught:
        infer(client)

    assert url in caught.value.message
    assert "dray status" in caught.value.hint


def test_numbers_travel_as_they_are() -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []
    data = [None, inf, 0.1, 1 / 3, 2**63 - 1, nan]
    request = InferenceRequest(inputs=[Tensor(name="x", shape=[6], datatype="FP64", data=data)])

    answers = {"/v2/models/a%2Fb/infer": (200, {"model_name": "m", "outputs": []})}
    with serving(answers, seen) as url, HttpInferenceClient(url, token="key") as client:
        client.infer("a/b", request, timeout_s=5)

    path, headers, body = seen[0]
    assert path == "/v2/models/a%2Fb/infer"
    assert headers["Authorization"] == "Bearer key"
    assert body.decode().count("[null, Infinity, 0.1, 0.3333333333333333, 9223372036854775807, NaN]") == 1
    assert "outputs" not in json.loads(body)


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port('127.0.0.1')}")

    with serving({"/readyz": (200, READY)}) as url, HttpInferenceClient(url) as client:
        assert client.ready()


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://localhost:1", True), ("http://127.8.9.1", True), ("http://[::1]:8080", True), ("https://10.0.0.1", False),
     ("https://model.example", False), ("nonsense", False)],
)  # fmt: skip
def test_loopback_is_recognised(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:99999", "http://[bad", "host:80"])
def test_text_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        HttpInferenceClient(url)

    assert caught.value.message == f"not the URL of an endpoint: {url!r}"
    assert caught.value.hint == "write it as http://host:port"
