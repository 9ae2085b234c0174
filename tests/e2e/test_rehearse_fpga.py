"""A card in Kubernetes, without one: asked for, refused by name, and done by the CPU where that is allowed, aloud."""

import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from packager.core.state import state_home
from tests.support.command import in_process
from tests.support.packages import make_package

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pods need a loopback address each"),
]

VITIS = "VitisAIExecutionProvider"
CARD = ("-t", "fpga", "--rehearse", "--set", "mode=ep", "--set", "host=kubernetes", "--set", "resource=amd.com/card")
ELSEWHERE = ("--set", "unchecked=true", "--set", "vm_size=standard_np10s")


def test_a_card_is_asked_for_refused_and_replaced_by_the_cpu_that_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an engine pods are processes, with the onnxruntime of this environment.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    runs = in_process(capfd)
    package = make_package(tmp_path / "iris").root

    planned = runs("plan", package, "-n", "iris", *CARD, *ELSEWHERE, "-o", "json")
    assert planned.status == 0, planned.err
    [container], spec = pod_of(planned.document)
    assert container["resources"]["limits"]["amd.com/card"] == "1"
    assert spec["nodeSelector"]["node.kubernetes.io/instance-type"] == "Standard_NP10s"
    codes = {each["code"] for each in planned.document["findings"]}
    assert codes >= {"E-UNCHECKED", "E-SIZE-RETIRES", "E-NOT-QUANTIZED", "E-REHEARSAL"}

    refused = runs("deploy", package, *CARD, "-o", "json")
    assert (refused.status, refused.document["error"]["code"]) == (5, "E-NO-ACCELERATOR")
    assert "no node of the cluster (1 nodes) offers amd.com/card" in refused.document["error"]["message"]

    served = runs("deploy", package, *CARD, "--set", "fallback=allow", "-o", "json")
    assert served.status == 0, served.err
    assert f"THE CPU WILL DO THE WORK of {VITIS}" in served.err
    [check] = [each for each in served.document["smoke"]["checks"] if each["name"] == "provider"]
    assert check["detail"].startswith(f"CPU FALLBACK: CPUExecutionProvider; {VITIS} was asked for")
    ready = httpx.get(f"{served.document['endpoint']}/readyz").json()["models"][0]
    assert (ready["provider"], ready["acceleration"]["fell_back"]) == ("CPUExecutionProvider", True)
    assert "iris: CPU FALLBACK: CPUExecutionProvider" in runs("status", "iris", "--rehearse").out
    assert runs("test", "iris", "--rehearse").status == 0

    assert runs("delete", "iris", "--rehearse", "-y").status == 0
    until = time.monotonic() + 20
    while (state_home() / "rehearsals" / "fpga").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not (state_home() / "rehearsals" / "fpga").exists()


def pod_of(plan: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The containers of a planned Deployment's pods, and the rest of their specification."""
    [body] = [each["body"] for each in plan["actions"] if each["body"].get("kind") == "Deployment"]
    spec = body["spec"]["template"]["spec"]
    return spec["containers"], spec
