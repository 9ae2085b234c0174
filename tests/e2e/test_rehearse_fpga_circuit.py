"""A circuit in Kubernetes, without a cluster: pods that simulate it, an update, and what stood before."""

import sys
import time
from pathlib import Path

import httpx
import pytest

from packager.core.state import state_home
from runtime.contract.circuit import PLATFORM
from tests.support.command import in_process
from tests.support.packages import make_package

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pods need a loopback address each"),
]

CIRCUIT = ("-n", "net", "-t", "fpga", "--rehearse", "--set", "mode=rtl", "--set", "host=kubernetes")


def test_pods_of_a_rehearsal_simulate_the_circuit_of_their_package(
    small_package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an engine pods are processes.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    runs = in_process(capfd)

    refused = runs("deploy", make_package(tmp_path / "iris").root, *CIRCUIT, "-o", "json")
    assert (refused.status, refused.document["error"]["code"]) == (5, "E-NOT-A-CIRCUIT")
    elsewhere = runs("plan", small_package, *CIRCUIT, "--set", "kubernetes.architecture=arm64", "-o", "json")
    assert (elsewhere.status, elsewhere.document["error"]["code"]) == (5, "E-CIRCUIT-PLATFORM")

    served = runs("deploy", small_package, *CIRCUIT, "-o", "json")
    assert served.status == 0, served.err
    assert served.document["detail"]["mode"] == "rtl"
    assert httpx.get(f"{served.document['endpoint']}/v2/models/small").json()["platform"] == PLATFORM
    assert runs("test", "net", "--rehearse").status == 0

    assert runs("delete", "net", "--rehearse", "-y").status == 0
    until = time.monotonic() + 20
    while (state_home() / "rehearsals" / "fpga").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not (state_home() / "rehearsals" / "fpga").exists()
