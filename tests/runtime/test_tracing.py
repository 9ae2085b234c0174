import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from runtime import tracing
from runtime.settings import read_settings
from runtime.tracing import open_traces, route_of
from tests.support.collector import running_collector
from tests.support.packages import make_package
from tests.support.servers import ROOT, infer_body, running_server
from tests.support.slow_model import slow_model

SLOW = np.array([[20, 1]], "f4").repeat(5, axis=0)
ROW = [[5.1, 3.5, 1.4, 0.2]]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATHS = pytest.mark.parametrize("fast", ["1", "0"], ids=["fast path", "FastAPI"])


@PATHS
def test_a_request_is_a_span_of_its_callers_trace_with_the_run_inside(tmp_path: Path, fast: str) -> None:
    package = make_package(tmp_path / "iris").root
    began = time.time_ns()
    with running_collector() as collector:
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with running_server(package, log=tmp_path / "log", DRAY_FAST_PATH=fast, **otel) as server:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "q-1", "user-agent": "me"}
            httpx.post(f"{server.url}/v2/models/iris/versions/1/infer", json=infer_body(ROW * 3), headers=headers)
            httpx.get(f"{server.url}/v2/models/iris")  # no inference
            span, run = collector.wait_for(2)
            assert server.terminate() == 0
    assert (span.name, span.kind, span.status) == ("POST /v2/models/{model}/versions/{version}/infer", 2, 0)
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert (run.name, run.trace_id, run.parent_id) == ("run", TRACE, span.span_id)
    assert began < span.began_ns < run.began_ns < run.ended_ns < span.ended_ns
    assert span.resource["service.name"] == "dray"
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{model}/versions/{version}/infer",
        "http.response.status_code": 200,
        "url.path": "/v2/models/iris/versions/1/infer",
        "url.scheme": "http",
        "server.address": f"127.0.0.1:{server.port}",
        "user_agent.original": "me",
        "dray.dialect": "v2",
        "dray.request_id": "q-1",
        "dray.model": "iris",
        "dray.version": "1",
        "dray.rows": 3,
    }
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["trace_id"] for line in lines if line.get("request_id") == "q-1"] == [TRACE]
    assert all("trace_id" not in line for line in lines if line.get("path") == "/v2/models/iris")


@PATHS
def test_refused_requests_and_those_in_threads_are_spans_too(tmp_path: Path, fast: str) -> None:
    package = make_package(tmp_path / "slow", slow_model(), name="slow", inputs={"x": SLOW}).root
    with running_collector() as collector:
        otel = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces", "OTEL_SERVICE_NAME": "mine"}
        settings = {"DRAY_FAST_PATH": fast, "DRAY_REQUEST_TIMEOUT_S": "0.3", **otel}
        with running_server(package, log=tmp_path / "log", **settings) as server:
            statuses = [
                httpx.post(f"{server.url}/score", json=body, timeout=20).status_code
                for body in ({"data": [[1, 1]]}, {"data": "x"}, {"data": [[1e6, 1]]})
            ]
            assert server.terminate() == 0  # which sends what waits
    spans = [span for span in collector.wait_for(4) if span.kind == 2]
    assert statuses == [200, 400, 504]
    assert [span.attributes["http.response.status_code"] for span in spans] == statuses
    assert [(span.status, span.attributes.get("error.type")) for span in spans] == [(0, None), (0, None), (2, "504")]
    assert [span.attributes.get("dray.rows") for span in spans] == [1, None, None]
    assert {span.attributes["dray.model"] for span in spans} == {"slow"}
    assert {span.resource["service.name"] for span in spans} == {"mine"}


def test_a_collector_that_is_away_delays_neither_answers_nor_the_end(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with running_server(package, log=tmp_path / "log", **otel) as server:
        for _ in range(20):
            answer = httpx.post(f"{server.url}/score", json={"data": ROW})
            assert (answer.status_code, answer.elapsed.total_seconds() < 1) == (200, True)
        began = time.monotonic()
        assert server.terminate() == 0
    assert time.monotonic() - began < 10
    assert all(json.loads(line) for line in server.stderr().splitlines())


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, (None, "")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("http://c:4318", "")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"},
         ("http://c/x", "")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("http://c", "grpc")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, (None, "")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, (None, "")),
        ({"DRAY_OTLP_ENDPOINT": "http://c"}, (None, "")),
    ],
)  # fmt: skip
def test_the_standard_variables_say_where_traces_go(variables: dict[str, str], wanted: tuple[str | None, str]) -> None:
    settings, warnings = read_settings(variables)

    assert (settings.otlp_endpoint, settings.otlp_protocol) == wanted
    assert len(warnings) == len([name for name in variables if name.startswith("DRAY_")])


@pytest.mark.parametrize(("protocol", "absent"), [("", True), ("grpc", False)])
def test_what_cannot_be_sent_is_warned_of_and_stops_nothing(
    protocol: str, absent: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if absent:
        monkeypatch.setattr(tracing, "find_spec", lambda _name: None)

    assert open_traces("http://c:4318", protocol) is None
    assert ("pip install 'dray[otel]'" if absent else "grpc") in caplog.text


def test_the_sdk_is_not_imported_unless_it_is_asked_for() -> None:
    """FastAPI imports the API itself, from some version on."""
    code = (
        "import sys; from runtime.app import create_app, create_serving; from runtime.settings import Settings;"
        " create_app(create_serving(Settings()));"
        " print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n"


def test_routes_are_few() -> None:
    assert route_of("/v1/models/a:predict") == "/v1/models/{model}:predict"
    assert route_of("/v2/models/a.b/versions/2.1/infer") == "/v2/models/{model}/versions/{version}/infer"
    assert route_of("/score") == "/score"
