"""The rendered Deployment under a real pod engine that is not dray's own: Podman plays it as it would run in a cluster.

Two things of it are changed, and no other: its pods have the host's network, and say no ports. Podman 4.3 publishes
every port that a pod says, which needs a firewall of the machine's, and refuses to together with the host's network.
One thing Podman cannot do, so a setting turns it off: it makes an HTTP probe of liveness into curl in a shell inside the
container, and the image has neither. The test asks what the three probes ask, from outside, as a kubelet does.
"""

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from packager import build_image
from packager.core.artifact import ModelPackage, Release
from packager.core.image import ImageRef
from packager.image.build import native_platform
from targets.kit.kubernetes.objects import Wanted, rendered
from targets.kit.kubernetes.record import Served
from targets.kit.kubernetes.settings import KubernetesSettings
from tests.support.command import DRAY
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.packages import make_package
from tests.support.podman import Podman, podman

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
__all__ = ["podman"]
REF = "registry.example/team/iris:1"
URL = "http://127.0.0.1:8080"


def overlaid(deployment: dict[str, Any]) -> dict[str, Any]:
    """What Podman is given."""
    made = copy.deepcopy(deployment)
    spec = made["spec"]["template"]["spec"]
    spec["hostNetwork"] = True
    for container in spec["containers"]:
        del container["ports"]
    return made


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif one != other:
        yield path.removeprefix(".")


def deployment_of(package: ModelPackage, image: ImageRef) -> dict[str, Any]:
    """As ``dray plan -o yaml`` has it."""
    settings = KubernetesSettings(env={"MADE_FOR": "podman"})
    served = Served.of(Release(package, image), settings, pull=False)
    [made] = [each for each in rendered(Wanted("iris", "models", served, settings)) if each["kind"] == "Deployment"]
    return made


def limits_of(pid: int) -> dict[str, str]:
    """What a process may do, by the kernel's account."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
    [root] = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/"]
    return {**found, "root": root[5].partition(",")[0]}


def probed(podman: Podman, container: dict[str, Any]) -> dict[str, str]:
    """The status that each of its probes gets."""
    asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {each["port"] for each in asked.values()} == {"http"}  # the port that the rendered pod says: the runtime's
    return {
        kind: podman.inside("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{URL}{each['path']}")
        for kind, each in asked.items()
    }


def test_rendered_deployment_serves_in_a_pod_and_passes_its_smoke_tests(
    podman: Podman, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_index()
    monkeypatch.setenv("DRAY_HOME", str(keep_layers(tmp_path / "home")))
    package, archive = make_package(tmp_path / "iris"), tmp_path / "iris.tar"
    built = build_image(
        package.root, base=base_layout, builder="oci", platforms=(str(native_platform()),), tag=REF, output=archive
    )
    assert REF in podman.run("load", "--input", archive)
    deployment = deployment_of(package, ImageRef.parse(REF).with_digest(built.digest))
    played = tmp_path / "played.yaml"
    played.write_text(yaml.safe_dump(overlaid(deployment)))
    assert list(differences(deployment, yaml.safe_load(played.read_text()))) == [
        "spec.template.spec.containers[0].ports",
        "spec.template.spec.hostNetwork",
    ]

    podman.run("kube", "play", played)
    smoke = json.loads(podman.inside(DRAY, "test", URL, "--package", package.root, "-o", "json"))
    assert (smoke["passed"], len(smoke["checks"])) == (True, 6)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert set(probed(podman, container).values()) == {"200"}

    runs = podman.inspect("container", "iris-pod-0-runtime")
    assert runs["ImageDigest"] == built.digest
    assert runs["HostConfig"]["Memory"] == 512 << 20
    assert {"MADE_FOR=podman"} <= set(runs["Config"]["Env"])
    may = limits_of(runs["State"]["Pid"])
    assert (may["Uid"], may["Gid"], may["root"]) == ("65532 65532 65532 65532", "65532 65532 65532 65532", "ro")
    assert (int(may["CapBnd"], 16), int(may["CapEff"], 16), may["NoNewPrivs"], may["Seccomp"]) == (0, 0, "1", "2")

    podman.run("pod", "stop", "iris-pod-0")
    assert podman.inspect("container", "iris-pod-0-runtime")["State"]["ExitCode"] == 0
    podman.run("kube", "down", played)
    assert podman.run("ps", "--all", "--quiet").split() == []
    assert gone(runs["State"]["Pid"])


def gone(pid: int, *, within_s: float = 5) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + within_s
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not Path(f"/proc/{pid}").exists()
