"""Several processes that look like one from outside, whatever becomes of one of them."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.test_drain import wait_for_addresses
from tests.support.load import steady_load
from tests.support.packages import logistic_model, make_package
from tests.support.servers import RunningServer, free_port, infer_body, running_server
from tests.support.workers import (
    TWO,
    ask_over_burst,
    metric,
    owners,
    pss_kib,
    rss_kib,
    threads,
    wait_until,
    whole,
    workers,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are watched in /proc")

INFER = "/v2/models/iris/infer"
BODY = infer_body([[1, 2, 3, 4]])
CONTENT = json.dumps(BODY).encode()
QUIET = {**TWO, "DRAY_LOG_LEVEL": "warning"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("workers") / "iris").root


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def infer(server: RunningServer) -> httpx.Response:
    return httpx.post(server.url + INFER, json=BODY, timeout=10)


# --- start and end


def test_two_workers_answer_and_end_with_0(package: Path, log: Path) -> None:
    with running_server(package, log=log, **TWO) as server:
        wait_until(lambda: whole(server))
        assert infer(server).status_code == 200
        assert threads(server.process.pid) == 1
        assert server.terminate() == 0
    assert "threads" not in server.stderr()


def test_interrupt_of_the_whole_group_ends_it_with_0(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server:
        wait_until(lambda: whole(server))
        for pid in (*workers(server), server.process.pid):  # as a terminal does
            os.kill(pid, signal.SIGINT)
        assert server.process.wait(timeout=10) == 0
    assert server.stderr() == ""


def test_second_interrupt_waits_for_nobody(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server, httpx.Client() as idle:
        wait_until(lambda: whole(server))
        idle.get(f"{server.url}/livez")  # would be waited for
        server.signal(signal.SIGINT)
        time.sleep(0.1)
        server.signal(signal.SIGINT)
        started = time.monotonic()
        assert server.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 1.5


def test_worker_that_hangs_does_not_hold_up_the_end_for_ever(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server:
        wait_until(lambda: whole(server))
        os.kill(workers(server)[0], signal.SIGSTOP)
        for _ in range(2):
            server.signal(signal.SIGINT)
            time.sleep(0.2)
        assert server.process.wait(timeout=5) == 0
    assert "a worker does not end and is killed" in server.stderr()


def test_worker_that_hangs_holds_up_neither_counters_nor_requests(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server:
        wait_until(lambda: whole(server))
        assert infer(server).status_code == 200
        assert metric(server, "dray_model_rows_total") == 1
        hanging = workers(server)[0]
        os.kill(hanging, signal.SIGSTOP)
        started = time.monotonic()
        assert {infer(server).status_code for _ in range(4)} == {200}
        assert metric(server, "dray_model_rows_total") == 5
        assert time.monotonic() - started < 5
        os.kill(hanging, signal.SIGCONT)


def test_termination_under_load_loses_nothing(package: Path, log: Path) -> None:
    with (
        running_server(package, log=log, **QUIET) as server,
        steady_load(server.port, BODY, path=INFER, keep_alive=4, reconnecting=4) as load,
    ):
        load.wait_until_answered(200)
        assert server.terminate() == 0
    assert (load.lost, set(load.answers)) == ([], {200})


def test_handover_under_load_loses_and_refuses_nothing(package: Path, log: Path) -> None:
    quiet = {**QUIET, "DRAY_PORT": str(free_port())}
    with ExitStack() as servers:
        serving = servers.enter_context(running_server(package, log=log, **quiet))
        load = servers.enter_context(steady_load(serving.port, BODY, path=INFER, keep_alive=3, reconnecting=3))
        for _ in range(2):
            standby = {"DRAY_STANDBY_PORT": str(free_port()), **quiet}
            successor = servers.enter_context(running_server(package, log=log, **standby))
            successor.signal(signal.SIGUSR1)
            assert wait_for_addresses(successor, 2)[1] == f"127.0.0.1:{load.port}"
            assert serving.terminate() == 0
            load.wait_until_answered(load.answered + 100)
            serving = successor
        load.stop.set()
        load.wait_until_over()
    assert (load.lost, load.refused, set(load.answers)) == ([], 0, {200})


def test_workers_end_when_their_supervisor_was_killed(package: Path, log: Path) -> None:
    with running_server(package, log=log, **TWO) as server:
        wait_until(lambda: whole(server))
        left = workers(server)
        server.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))


def test_worker_that_is_told_to_stop_alone_is_replaced_without_loss(package: Path, log: Path) -> None:
    with (
        running_server(package, log=log, **QUIET) as server,
        steady_load(server.port, BODY, path=INFER, keep_alive=4, reconnecting=2) as load,
    ):
        wait_until(lambda: whole(server))
        told = workers(server)[0]
        os.kill(told, signal.SIGTERM)
        wait_until(lambda: told not in workers(server) and whole(server))
        assert metric(server, "dray_worker_restarts_total") == 0
        load.stop.set()
        load.wait_until_over()
    assert (load.lost, load.refused, set(load.answers)) == ([], 0, {200})


# --- death


def keep_asking(port: int, name: str, stop: threading.Event, lost: list[str]) -> None:
    """One connection for as long as it lasts; every request carries its name."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        while not stop.is_set():
            try:
                connection.request("POST", INFER, CONTENT, {"x-request-id": name})
                assert connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                lost.append(name)
                return
            time.sleep(0.002)


def test_killed_worker_loses_only_what_was_in_its_hands_and_is_replaced(package: Path, log: Path) -> None:
    stop, lost = threading.Event(), []
    with running_server(package, log=log, **TWO) as server:
        wait_until(lambda: whole(server))
        names = [f"c{number}" for number in range(8)]
        clients = [threading.Thread(target=keep_asking, args=(server.port, name, stop, lost)) for name in names]
        for client in clients:
            client.start()
        wait_until(lambda: owners(server).keys() >= set(names))
        killed = workers(server)[0]
        with steady_load(server.port, BODY, path=INFER, keep_alive=0, reconnecting=2) as load:
            load.wait_until_answered(20)
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: killed not in workers(server) and whole(server))
            load.wait_until_answered(load.answered + 20) if load.refused + len(load.lost) < 2 else None
        stop.set()
        for client in clients:
            client.join()
        assert metric(server, "dray_worker_restarts_total") == 1
        assert infer(server).status_code == 200
    owned = {name for name, pids in owners(server).items() if name in names and pids == {killed}}
    assert set(lost) == owned
    assert 0 < len(owned) < 8
    assert load.refused == 0
    assert len(load.lost) <= 2  # each client had one request on its way
    assert '"a worker died of signal SIGKILL; another takes its place"' in server.stderr()


def test_connection_that_comes_while_no_worker_lives_waits_for_the_next(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server:
        for _ in range(2):
            wait_until(lambda: whole(server))
            for pid in workers(server):
                os.kill(pid, signal.SIGKILL)
            assert infer(server).status_code == 200
        wait_until(lambda: whole(server))
        assert metric(server, "dray_worker_restarts_total") == 4


# --- one server


def test_connections_of_a_burst_are_shared_out_evenly(package: Path, log: Path) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: a\r\nx-request-id: b{{number}}\r\ncontent-length: {len(CONTENT)}\r\n\r\n"
    with running_server(package, log=log, **TWO) as server:
        wait_until(lambda: whole(server))
        answers = ask_over_burst(server, 32, head.encode() + CONTENT)
        assert {status for status, _ in answers} == {200}
        wait_until(lambda: owners(server).keys() >= {f"b{number}" for number in range(32)})
    shares = Counter(pid for name, (pid, *_) in owners(server).items() if name.startswith("b"))
    assert len(shares) == 2
    assert max(shares.values()) - min(shares.values()) <= 6


def test_counters_are_those_of_all_workers_and_never_fall(package: Path, log: Path) -> None:
    with running_server(package, log=log, **QUIET) as server:
        wait_until(lambda: whole(server))
        for count in range(1, 21):
            assert infer(server).status_code == 200
            assert metric(server, "dray_requests_total", dialect="v2", status="200") == count
        assert metric(server, "dray_model_rows_total") == 20
        stats = httpx.get(f"{server.url}/v2/models/iris/stats").json()["model_stats"]
        assert [each["inference_count"] for each in stats] == [20]
        assert [each["batch_stats"][0]["compute_infer"]["count"] for each in stats] == [20]

        os.kill(workers(server)[0], signal.SIGKILL)
        wait_until(lambda: whole(server))

        assert metric(server, "dray_requests_total", dialect="v2", status="200") == 20
        assert metric(server, "dray_model_rows_total") == 20


def test_queue_is_shared_out(package: Path, log: Path) -> None:
    with running_server(package, log=log, DRAY_MAX_QUEUE="3", **QUIET) as server:
        wait_until(lambda: whole(server))
        head = b"POST /v2/models/iris/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{"
        with ExitStack() as opened:

            def one_more_fills_it() -> bool:
                client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(head)
                return metric(server, "dray_queue_places_taken") == 4

            # Two places for each worker; which worker a connection goes to is chance.
            wait_until(one_more_fills_it)
            assert infer(server).json()["detail"]["limit"] == 2


def test_package_that_fails_is_told_of_by_every_worker(tmp_path: Path, log: Path) -> None:
    wrong = make_package(tmp_path / "wrong", wrong_answers=True).root
    with running_server(wrong, log=log, until=("failed",), DRAY_LOG_LEVEL="debug", **TWO) as server:
        wait_until(lambda: whole(server))
        request = b"GET /readyz HTTP/1.1\r\nhost: a\r\nx-request-id: r{number}\r\n\r\n"
        answers = ask_over_burst(server, 8, request)
        assert {(status, json.loads(body)["error_code"]) for status, body in answers} == {(503, "E-SELF-TEST")}
        wait_until(lambda: "r7" in owners(server))
        assert len({pid for name, pids in owners(server).items() for pid in pids if name.startswith("r")}) == 2
        assert server.terminate() == 0


# --- models that come and go


@pytest.mark.parametrize("run_threads", ["1", "2"], ids=["loaded once", "loaded by each"])
def test_load_and_unload_hold_for_every_worker(tmp_path: Path, log: Path, run_threads: str) -> None:
    folder = make_package(tmp_path / "iris").root
    settings = {**QUIET, "DRAY_MODEL_CONTROL": "1", "DRAY_THREADS": run_threads}
    control = "/v2/repository/models/iris/"
    with running_server(folder, log=log, **settings) as server:
        wait_until(lambda: whole(server))
        infer(server)
        shutil.rmtree(folder)
        make_package(folder, logistic_model(seed=7), version="2")
        assert httpx.post(f"{server.url}{control}load", timeout=20).status_code == 200
        assert [infer(server).json()["model_version"] for _ in range(8)] == ["2"] * 8
        assert metric(server, "dray_model_rows_total") == 8  # of what is loaded now
        assert httpx.post(f"{server.url}{control}unload", timeout=20).status_code == 200
        assert {infer(server).json()["error_code"] for _ in range(8)} == {"E-NOT-READY"}
        assert metric(server, "dray_requests_total", dialect="v2", status="200") == 9
        assert httpx.post(f"{server.url}{control}load", timeout=20).status_code == 200
        assert infer(server).status_code == 200
        assert metric(server, "dray_worker_restarts_total") == 0
        assert server.terminate() == 0


@pytest.mark.parametrize("run_threads", ["1", "2"], ids=["loaded once", "loaded by each"])
def test_bad_package_changes_nothing_for_any_worker(tmp_path: Path, log: Path, run_threads: str) -> None:
    folder = make_package(tmp_path / "iris").root
    settings = {**QUIET, "DRAY_MODEL_CONTROL": "1", "DRAY_THREADS": run_threads, "DRAY_LOG_LEVEL": "critical"}
    with running_server(folder, log=log, **settings) as server:
        wait_until(lambda: whole(server))
        before = workers(server)
        shutil.rmtree(folder)
        make_package(folder, logistic_model(seed=7), version="2", wrong_answers=True)

        response = httpx.post(f"{server.url}/v2/repository/models/iris/load", timeout=20)

        assert (response.status_code, response.json()["error_code"]) == (503, "E-SELF-TEST")
        assert [infer(server).json()["model_version"] for _ in range(8)] == ["1"] * 8
        assert workers(server) == before


def test_load_under_load_loses_nothing(tmp_path: Path, log: Path) -> None:
    folder = make_package(tmp_path / "iris").root
    with (
        running_server(folder, log=log, DRAY_MODEL_CONTROL="1", **QUIET) as server,
        steady_load(server.port, BODY, path=INFER, keep_alive=3, reconnecting=3) as load,
    ):
        load.wait_until_answered(100)
        assert httpx.post(f"{server.url}/v2/repository/models/iris/load", timeout=20).status_code == 200
        load.wait_until_answered(load.answered + 100)
        load.stop.set()
        load.wait_until_over()
    assert (load.lost, load.refused, set(load.answers)) == ([], 0, {200})


def test_replacement_that_cannot_load_does_not_serve(tmp_path: Path, log: Path) -> None:
    folder = make_package(tmp_path / "iris").root
    with running_server(folder, log=log, **TWO, DRAY_THREADS="2") as server:
        wait_until(lambda: whole(server))
        (folder / "model.onnx").write_bytes(b"damaged")  # each worker loads for itself
        os.kill(workers(server)[0], signal.SIGKILL)
        wait_until(lambda: "a new worker cannot serve" in server.stderr())
        assert {infer(server).status_code for _ in range(8)} == {200}
        assert metric(server, "dray_workers") == 1


# --- memory


def large_model(rows: int = 1500) -> onnx.ModelProto:
    """``X`` FP32 [batch, rows] → ``y``; its weights are 4·rows² bytes that do not compress."""
    weights = np.random.default_rng(0).normal(size=(rows, rows)).astype("f4")
    shape = ["batch", rows]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["y"])],
        "large",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "W")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_workers_share_the_memory_of_the_models(tmp_path: Path) -> None:
    large = make_package(tmp_path / "large", large_model(), name="large").root
    used = {}
    for count in ("1", "2"):
        with running_server(large, log=tmp_path / count, DRAY_WORKERS=count) as server:
            if count == "2":
                wait_until(lambda: whole(server))
            for _ in range(6):
                body = infer_body([[0.5] * 1500])
                assert httpx.post(f"{server.url}/v2/models/large/infer", json=body).status_code == 200
            used[count] = sum(pss_kib(pid) for pid in (server.process.pid, *workers(server)))
    assert used["2"] < 1.6 * used["1"]


def test_models_that_were_replaced_leave_the_memory(tmp_path: Path, log: Path) -> None:
    large = make_package(tmp_path / "large", large_model(), name="large").root  # 9 MB
    with running_server(large, log=log, DRAY_MODEL_CONTROL="1", **QUIET) as server:
        used = []
        for loads in (3, 6):
            for _ in range(loads):
                load = httpx.post(f"{server.url}/v2/repository/models/large/load", timeout=20)
                assert load.status_code == 200
            used.append(rss_kib(server.process.pid))
    assert used[1] - used[0] < 27_000  # half of six models


def test_several_workers_are_refused_beyond_what_helps(package: Path) -> None:
    environment = {**os.environ, "DRAY_WORKERS": "1000", "DRAY_PACKAGES": str(package)}
    finished = subprocess.run([sys.executable, "-P", "-m", "runtime"], env=environment, capture_output=True, timeout=30)
    assert finished.returncode == 2
    assert finished.stderr.startswith(
        b"E-SETTING DRAY_WORKERS is '1000', allowed: auto or a whole number from 1 to 128"
    )
