"""A package with a circuit behind a server: what computes is called what it is, in one process and in several."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from packager.transform.circuit.compile import Compiled
from runtime.engine.platforms import this_platform
from tests.support.circuit_packages import expected_of, feeds_of, rename_platform, two_inputs_model
from tests.support.servers import RunningServer, running_server

MODEL = "/v2/models/small"


def body_of(feeds: dict[str, NDArray[Any]]) -> dict[str, Any]:
    kinds = {"f8": "FP64", "f4": "FP32"}
    return {
        "inputs": [
            {"name": name, "shape": list(value.shape), "datatype": kinds[value.dtype.str[1:]], "data": value.tolist()}
            for name, value in feeds.items()
        ]
    }


def ask(server: RunningServer, feeds: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
    answer = httpx.post(f"{server.url}{MODEL}/infer", json=body_of(feeds), timeout=30)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


def check_answers(server: RunningServer, made: Compiled, seeds: range) -> None:
    """Requests side by side, each answered as the reference does."""

    def one(seed: int) -> None:
        feeds = feeds_of(two_inputs_model(), 1 + seed % 9, seed)
        wanted, found = expected_of(made, feeds), ask(server, feeds)
        for name, value in wanted.items():
            assert np.array_equal(np.asarray(found[name], value.dtype), value.ravel())

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, seeds))


def test_simulation_is_named_wherever_the_provider_is(
    small_package: Path, small_circuit: Compiled, tmp_path: Path
) -> None:
    with running_server(small_package, log=tmp_path / "log") as server:
        check_answers(server, small_circuit, range(24))
        (ready,) = server.readiness()["models"]
        assert (ready["provider"], ready["acceleration"]["active"]) == ("rtl-simulation", "rtl-simulation")
        assert "no FPGA" in ready["acceleration"]["summary"]
        metadata = httpx.get(server.url + MODEL).json()
        assert metadata["platform"] == "rtl-simulation"
        assert metadata["parameters"]["providers"] == ["rtl-simulation"]
        told = metadata["parameters"]["circuit"]
        assert (told["simulated"], told["bits"], told["latency_cycles"]) == (True, 4, small_circuit.verified.first)
        config = httpx.get(f"{server.url}{MODEL}/config").json()
        assert (config["platform"], config["backend"]) == ("rtl-simulation", "rtl-simulation")
        assert 'provider="rtl-simulation"' in httpx.get(server.url + "/metrics").text
        assert "rows of integers as in the reference, bit for bit" in server.stderr()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_several_processes_answer_as_the_reference_does(
    small_package: Path, small_circuit: Compiled, tmp_path: Path, threads: str
) -> None:
    """With one thread they are forked from a process that has loaded it, else each loads it."""
    with running_server(small_package, log=tmp_path / "log", DRAY_WORKERS="2", DRAY_THREADS=threads) as server:
        check_answers(server, small_circuit, range(24))


def test_model_is_loaded_again_while_it_serves(small_package: Path, small_circuit: Compiled, tmp_path: Path) -> None:
    with running_server(small_package, log=tmp_path / "log", DRAY_MODEL_CONTROL="1") as server:
        for at in range(3):
            assert httpx.post(f"{server.url}/v2/repository/models/small/load", timeout=30).status_code == 200
            check_answers(server, small_circuit, range(at, at + 4))
        open_files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert open_files < 60
        assert len({line.split()[4] for line in mapped.splitlines() if "memfd:circuit" in line}) <= 2


def test_server_without_a_simulation_for_its_platform_is_never_ready(small_package: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(small_package, tmp_path / "other"))
    rename_platform(other, "linux/s390x")
    with running_server(other, log=tmp_path / "log", until=("failed",)) as server:
        (model,) = server.readiness()["models"]
        assert model["error_code"] == "E-CIRCUIT-PLATFORM"
        assert f"no simulation for {this_platform()}; it has linux/s390x" in model["reason"]
        assert httpx.get(server.url + "/v2/health/ready").status_code == 503
