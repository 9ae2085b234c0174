"""The rendered Deployment under a real pod engine that is not dray's own: Podman plays it as a cluster would run it.

Once as it is, and once where Podman has no bridge and no firewall to use: then two things of it are changed, and no
other. Its pods have the host's network, and say no ports, which Podman 4.3 refuses together with the former.

One thing Podman cannot do, so a setting of its own turns it off: it makes an HTTP probe of liveness into curl in a
shell of the container, and the image has neither. The test asks what the three probes ask, from outside, as a kubelet
does. Podman 4.3 also fails at Secrets as Kubernetes takes them (``stringData``, and a volume that is not said to be
optional), so that the deployment has none.
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
from tests.support.podman import Podman, bridging_podman, podman

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
__all__ = ["bridging_podman", "podman"]
PLATFORM = str(native_platform())
POD = "iris-pod-0"
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


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return make_package(tmp_path_factory.mktemp("package") / "iris")


@pytest.fixture(scope="module")
def objects(
    package: ModelPackage, podman: Podman, base_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], ...]:
    """As ``dray plan -o yaml`` has them, of an image that Podman has from a file of ``dray image --output``."""
    require_index()
    folder = tmp_path_factory.mktemp("image")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DRAY_HOME", str(keep_layers(folder / "home")))
        built = build_image(
            package.root, base=base_layout, builder="oci", platforms=(PLATFORM,), tag=REF, output=folder / "iris.tar"
        )
    assert REF in podman.run("load", "--input", folder / "iris.tar")
    settings = KubernetesSettings(env={"MADE_FOR": "podman"})
    served = Served.of(Release(package, ImageRef.parse(REF).with_digest(built.digest)), settings, pull=False)
    return rendered(Wanted("iris", "models", served, settings))


@pytest.fixture
def deployment(objects: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The one of the objects that Podman makes something of."""
    [made] = [each for each in objects if each["kind"] == "Deployment"]
    return made


def limits_of(pid: int) -> dict[str, str]:
    """What a process may do, by the kernel's account."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
    [root] = [
        line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/"
    ]
    return {**found, "root": root[5].partition(",")[0]}


def probed(podman: Podman, container: dict[str, Any]) -> dict[str, str]:
    """The status that each of its probes gets."""
    asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {each["port"] for each in asked.values()} == {"http"}  # the port that the rendered pod says: the runtime's
    return {
        kind: podman.inside("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{URL}{each['path']}")
        for kind, each in asked.items()
    }


def written(path: Path, *documents: dict[str, Any]) -> Path:
    """What ``podman kube play`` reads."""
    path.write_text(yaml.safe_dump_all(documents))
    return path


def smoke_tested(podman: Podman, package: ModelPackage) -> bool:
    """Whether all the smoke tests pass that ``dray test`` makes."""
    report = json.loads(podman.inside(DRAY, "test", URL, "--package", package.root, "-o", "json"))
    return bool(report["passed"]) and len(report["checks"]) == 6


def test_rendered_objects_serve_as_they_are(
    bridging_podman: Podman, package: ModelPackage, objects: tuple[dict[str, Any], ...], tmp_path: Path
) -> None:
    played = written(tmp_path / "objects.yaml", *objects)

    bridging_podman.run("kube", "play", played)

    assert smoke_tested(bridging_podman, package)
    bridging_podman.run("pod", "stop", POD)
    bridging_podman.run("kube", "down", played)


def test_rendered_deployment_serves_on_the_hosts_network(
    podman: Podman, package: ModelPackage, deployment: dict[str, Any], tmp_path: Path
) -> None:
    played = written(tmp_path / "deployment.yaml", overlaid(deployment))
    assert list(differences(deployment, yaml.safe_load(played.read_text()))) == [
        "spec.template.spec.containers[0].ports",
        "spec.template.spec.hostNetwork",
    ]

    podman.run("kube", "play", played)
    assert smoke_tested(podman, package)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert set(probed(podman, container).values()) == {"200"}

    runs = podman.inspect("container", f"{POD}-runtime")
    assert container["image"] == f"registry.example/team/iris@{runs['ImageDigest']}"
    assert runs["HostConfig"]["Memory"] == 512 << 20
    assert "MADE_FOR=podman" in runs["Config"]["Env"]
    may = limits_of(runs["State"]["Pid"])
    assert (may["Uid"], may["Gid"], may["root"]) == ("65532 65532 65532 65532", "65532 65532 65532 65532", "ro")
    assert (int(may["CapBnd"], 16), int(may["CapEff"], 16), may["NoNewPrivs"], may["Seccomp"]) == (0, 0, "1", "2")

    podman.run("pod", "stop", POD)
    assert podman.inspect("container", f"{POD}-runtime")["State"]["ExitCode"] == 0
    podman.run("kube", "down", played)
    assert podman.run("ps", "--all", "--quiet").split() == []
    assert gone(runs["State"]["Pid"])


def gone(pid: int, *, within_s: float = 5) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + within_s
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not Path(f"/proc/{pid}").exists()
