import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.routes.serving import Serving
from runtime.telemetry import BUCKETS, Requests, dialect_of
from tests.runtime.test_app import ask, served
from tests.support.packages import make_package
from tests.support.servers import infer_body, running_server

ROW = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture
def iris(tmp_path: Path) -> Serving:
    return served(make_package(tmp_path / "iris").root)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_dialect_and_status_is_counted(iris: Serving) -> None:
    ask(iris, "POST", "/v2/models/iris/infer", json=infer_body(ROW * 3))
    ask(iris, "POST", "/v2/models/iris/infer", json={})
    ask(iris, "POST", "/v1/models/iris:predict", json={"instances": ROW})
    ask(iris, "POST", "/score", json={"data": ROW})
    ask(iris, "POST", "/invocations", json={"inputs": ROW})
    ask(iris, "GET", "/nothing")

    response = ask(iris, "GET", "/metrics")
    found = samples(response.text)

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    for dialect, status, count in (
        ("v2", 200, 1),
        ("v2", 400, 1),
        ("v1", 200, 1),
        ("azureml", 200, 1),
        ("other", 404, 1),
    ):
        assert found["dray_requests_total", (("dialect", dialect), ("status", str(status)))] == count
    assert found["dray_request_seconds_count", (("dialect", "v2"),)] == 2
    assert found["dray_request_seconds_sum", (("dialect", "mlflow"),)] > 0
    named = (("model", "iris"), ("version", "1"))
    assert found["dray_model_rows_total", named] == 6
    assert found["dray_batch_rows_bucket", (("le", "2"), *named)] == 3
    assert found["dray_batch_rows_bucket", (("le", "4"), *named)] == 4
    assert found["dray_ready", ()] == 1


def test_the_model_is_named_by_digest_and_provider(iris: Serving) -> None:
    found = samples(ask(iris, "GET", "/metrics").text)

    labels = dict(next(labels for name, labels in found if name == "dray_model_info"))
    assert labels["digest"] == iris.repository.find("iris").package.digest
    assert labels["provider"] == "CPUExecutionProvider"


def test_both_ways_count_and_log_alike(tmp_path: Path) -> None:
    import httpx

    package = make_package(tmp_path / "iris").root
    told = []
    for fast in ("1", "0"):
        with running_server(package, log=tmp_path / fast, DRAY_FAST_PATH=fast) as server:
            for body in (infer_body(ROW), {}):
                httpx.post(f"{server.url}/v2/models/iris/infer", json=body, headers={"x-request-id": "q-1"})
            found = samples(httpx.get(f"{server.url}/metrics").text)
            server.terminate()
        lines = [json.loads(line) for line in (tmp_path / fast).read_text().splitlines()]
        requests = [line for line in lines if line["message"] == "request" and line["path"].endswith("/infer")]
        counted = {
            key: value for key, value in found.items() if key[0] == "dray_requests_total" and key[1][0][1] == "v2"
        }
        told.append(([{**line, "time": "", "duration_ms": 0} for line in requests], counted))
        assert all(line["time"].endswith("Z") and line["duration_ms"] > 0 for line in requests)
    assert told[0] == told[1]
    assert [line["status"] for line in told[0][0]] == [200, 400]


def test_latencies_fall_into_the_bucket_that_holds_them() -> None:
    requests = Requests()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] * 1.01, 1e9):
        requests.count("v2", 200, seconds)

    assert requests.latencies["v2"].counts == [2, 1, *[0] * (len(BUCKETS) - 2), 1]


@pytest.mark.parametrize(
    ("path", "dialect"),
    [("/v2/models/a/infer", "v2"), ("/v2/models/a", "other"), ("/v1/models/a:predict", "v1"), ("/score", "azureml"),
     ("/invocations", "mlflow"), ("/livez", "other")],
)  # fmt: skip
def test_requests_are_counted_by_the_dialect_of_their_path(path: str, dialect: str) -> None:
    assert dialect_of(path) == dialect
