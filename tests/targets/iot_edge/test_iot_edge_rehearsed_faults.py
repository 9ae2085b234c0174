"""Every fault of a rehearsal ends in its own code, with the release before serving; the hub is the stand-in's."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage, Release
from packager.core.credentials import Anonymous
from packager.core.errors import DrayError
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.deploy import deploy, destroy
from packager.smoke import run_smoke
from targets.iot_edge import IotEdgeSettings, IotEdgeTarget
from targets.kit.iothub import requests
from targets.kit.iothub.access import connection_access
from targets.rehearsal.iothub import device
from targets.rehearsal.iothub.faults import FAULTS
from targets.rehearsal.iothub.sas import connection_string
from targets.rehearsal.iothub.sessions import ModuleSession
from tests.contract_suites.target_suite import NAME, agree, ask
from tests.support.absent import absent
from tests.support.hub_server import EdgeHubServer, hub_server
from tests.support.module_threads import ThreadRunner
from tests.support.scripted_device import ModelOnDevice
from tests.support.stand_in_server import TOKEN

ONE = IotEdgeSettings(device="edge-1")
# What an update ends with: a code, or the state that it is left in.
ENDINGS = {
    "unauthorized": "E-AUTH",
    "forbidden": "E-FORBIDDEN",
    "throttle": "E-THROTTLED",
    "quota": "E-QUOTA",
    "server-error": "E-CLOUD",
    "drop": "E-CLOUD-UNREACHABLE",
    "device-missing": "E-NO-DEVICE",
    "precondition": "E-BUSY",
    "offline": "pending",
    "image-pull": "E-REGISTRY-UNAVAILABLE",
    "pull-auth": "E-IMAGE-PULL-AUTH",
    "image-missing": "E-IMAGE-MISSING",
    "arch": "E-IMAGE-ARCH",
    "crash": "E-CONTAINER-CRASH",
    "oom": "E-OOM",
    "slow": "E-NOT-READY",
    "wrong-answer": "E-SMOKE",
    "method-timeout": "E-NOT-READY",
    "broker-cut:1": "running",
    "server-error:1": "running",
    "drop:1": "running",
    "precondition:1": "running",
}

NEVER_READY = ("offline", "image-pull", "slow", "method-timeout")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeHubServer]:
    if find_spec("paho") is None:
        absent("paho-mqtt is not installed")
    folder = tmp_path_factory.mktemp("hub")
    with hub_server(folder, ThreadRunner()) as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are seconds for users."""
    call = ModuleSession.call

    async def impatient(self: ModuleSession, method: str, payload: Any, *, connect_s: int, answer_s: int) -> Any:
        return await call(self, method, payload, connect_s=connect_s, answer_s=min(answer_s, 0.3))  # type: ignore[arg-type]

    monkeypatch.setattr(ModuleSession, "call", impatient)
    monkeypatch.setattr(device, "_CUT_S", 0.3)
    monkeypatch.setattr(device, "_CUT_AFTER_S", 0)
    monkeypatch.setattr(requests, "_TRIES", 2)


def released(hub: EdgeHubServer, package: ModelPackage) -> Release:
    image = ImageRef("registry.example", "team/churn", None, package.digest)
    hub.runner.models[str(image)] = ModelOnDevice(package)
    return Release(package, image, built_for=(Platform("linux", "amd64"), Platform("linux", "arm64")))


def carried(target: IotEdgeTarget, release: Release, timeout_s: float) -> str:
    """How a deployment ends."""
    try:
        outcome = deploy(
            target, NAME, release, ONE, smoke=run_smoke, confirm=agree, secrets={}, progress=SilentProgress(),
            timeout_s=timeout_s,
        )  # fmt: skip
    except DrayError as error:
        return error.code if error.hint else f"{error.code} without a hint"
    return outcome.deployment.state


@pytest.fixture
def target(hub: EdgeHubServer) -> Iterator[IotEdgeTarget]:
    access = connection_access(connection_string(TOKEN), base_url=hub.url, ca_file=hub.ca, poll_s=0.02)
    target = IotEdgeTarget(access, Anonymous())
    yield target
    hub.faults.set(())
    if found := target.inspect(NAME, ONE):
        destroy(target, found, progress=SilentProgress())


def test_every_fault_has_an_ending() -> None:
    assert {name.partition(":")[0] for name in ENDINGS} == set(FAULTS)


@pytest.mark.parametrize("fault", ENDINGS)
def test_fault_of_an_update_ends_in_its_code_and_the_release_before_serves(
    hub: EdgeHubServer, target: IotEdgeTarget, package: ModelPackage, other: ModelPackage, fault: str
) -> None:
    assert carried(target, released(hub, package), 20) == "running"
    hub.faults.set((fault,))
    limit_s = 0.6 if fault in NEVER_READY else 20

    assert carried(target, released(hub, other), limit_s) == ENDINGS[fault]

    hub.faults.set(())
    found = target.inspect(NAME, ONE)
    assert found is not None
    serves = package if ENDINGS[fault].startswith("E-") else other
    assert (found.digest, ask(target, found, serves).passed) == (serves.digest, True)
