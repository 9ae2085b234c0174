from pathlib import Path

import pytest

from benchmarks.serving.bodies import Request
from benchmarks.serving.wrk import read_load, run_wrk, write_script
from tests.support.packages import make_package
from tests.support.servers import running_server

TOLD = """Running 2s test @ http://127.0.0.1:1
  1 threads and 8 connections
Requests/sec:    500.00
dray-bench {"requests": 1000, "duration_us": 2000000, "p50_us": 1500, "p99_us": 9000, "status": 3, "connect": 0, \
"read": 2, "write": 0, "timeout": 0}
"""


def test_rates_latencies_and_errors_are_read() -> None:
    load = read_load(TOLD)

    assert (load.rate, load.p50_ms, load.p99_ms) == (500.0, 1.5, 9.0)
    assert load.errors == {"status": 3, "read": 2}


def test_no_answers_have_no_percentiles() -> None:
    load = read_load(TOLD.replace("1000", "0"))

    assert load.rate == 0
    assert load.p99_ms != load.p99_ms


def test_output_without_figures_is_refused() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        read_load("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.needs("wrk")
def test_the_body_and_the_headers_arrive(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    right = Request("/v1/models/iris:predict", b'{"instances": [[1, 2, 3, 4]]}', {"Content-Type": "application/json"})
    wrong = Request("/v1/models/iris:predict", b'{"instances": [[1, 2, 3]]}', {"Content-Type": "application/json"})

    with running_server(package, log=tmp_path / "log") as server:
        good, bad = (
            run_wrk(write_script(request, tmp_path / name), f"{server.url}{request.path}", connections=2, seconds=1)
            for name, request in (("right", right), ("wrong", wrong))
        )

    assert good.requests > 0
    assert good.errors == {}
    assert bad.errors == {"status": bad.requests}
