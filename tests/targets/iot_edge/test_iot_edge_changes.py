"""What a deployment does to a device: on hold first, tested there, taken or undone; what others have stays."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.credentials import Credential, CredentialSource
from packager.core.errors import (
    ArchitectureMissing,
    ConfigurationError,
    CredentialsUnusable,
    DeploymentBusy,
    DeviceMissing,
    DeviceOffline,
    DrayError,
    ImageMissing,
    ManifestRefused,
    NameTaken,
    NotReady,
    OutOfMemory,
    ProcessCrash,
    PullDenied,
    RegistryUnavailable,
    SmokeTestFailed,
    UsageError,
)
from packager.core.image import Platform
from packager.core.progress import SilentProgress
from packager.deploy import deploy, destroy, plan, rollback, settle
from packager.documents import PlanDocument
from packager.smoke import run_smoke
from targets.iot_edge import IotEdgeSettings
from targets.kit.holder import Holder
from tests.contract_suites.target_suite import NAME, agree, ask, put
from tests.support.edge_cloud import OTHERS, ROUTES, EdgeCloud
from tests.support.scripted_device import Failing, ModelOnDevice
from tests.support.scripted_hub import AGENT, ROUTER

ONE = IotEdgeSettings(device="edge-1")


@pytest.fixture(autouse=True)
def _state(state: Path) -> None:
    """A state folder of the test's own."""


def carried(cloud: EdgeCloud, package: ModelPackage, chosen: IotEdgeSettings = ONE, **options: Any) -> Any:
    facts = {"smoke": run_smoke, "timeout_s": 5.0, "target": cloud.target(), **options}
    return deploy(
        facts["target"], NAME, cloud.release(package), chosen, smoke=facts["smoke"], confirm=agree,
        secrets=facts.get("secrets", {}), progress=SilentProgress(), timeout_s=facts["timeout_s"],
    )  # fmt: skip


def planned(cloud: EdgeCloud, package: ModelPackage, chosen: IotEdgeSettings, **facts: Any) -> Any:
    return plan(cloud.target(facts.pop("credentials", None)), NAME, cloud.release(package, **facts), chosen)


def desired(cloud: EdgeCloud, module: str, device: str = "edge-1") -> Any:
    return cloud.hub.devices[device].modules[module].desired


def test_module_is_tested_on_hold_before_it_gets_a_message(cloud: EdgeCloud, package: ModelPackage) -> None:
    held: list[object] = []
    cloud.hub.on_request = lambda line: held.append(
        cloud.hub.devices["edge-1"].modules[NAME].desired["dray"].get("hold")
    ) if line.endswith("/methods") else None  # fmt: skip

    outcome = carried(cloud, package)

    assert outcome.smoke.passed
    assert set(held) == {package.digest}  # of this package alone: another that serves there goes on
    assert desired(cloud, NAME) == {"dray": {}}
    names = [check.name for check in outcome.smoke.checks]
    assert names[:4] == ["ready", "model", "signature", "self-test on edge-1"]
    assert "test_data_set_1 on edge-1" in names
    assert "test_data_set_1" in names


def test_others_modules_routes_and_credentials_stay(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage
) -> None:
    first = carried(cloud, package)
    carried(cloud, other)
    assert desired(cloud, AGENT)["modules"]["sensor"] == OTHERS["modules"]["sensor"]  # type: ignore[index]

    destroy(cloud.target(), first.deployment, progress=SilentProgress())

    assert json.dumps(desired(cloud, AGENT)) == json.dumps(OTHERS)
    assert json.dumps(desired(cloud, ROUTER)) == json.dumps(ROUTES)
    assert cloud.hub.devices["edge-1"].twin.tags == {"site": "one"}


def test_two_deployments_share_a_device(cloud: EdgeCloud, package: ModelPackage, other: ModelPackage) -> None:
    target = cloud.target()
    first = carried(cloud, package)
    second = deploy(
        target, "second.one", cloud.release(other), ONE, smoke=run_smoke, confirm=agree, secrets={},
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip

    assert [each.name for each in target.deployments(IotEdgeSettings())] == ["second.one", NAME]
    destroy(target, first.deployment, progress=SilentProgress())

    assert target.deployments(IotEdgeSettings()) == (second.deployment,)
    assert ask(target, second.deployment, other).passed


def test_device_without_a_deployment_gets_the_systems_modules_too(cloud: EdgeCloud, package: ModelPackage) -> None:
    outcome = carried(cloud, package, IotEdgeSettings(device="new"))

    assert outcome.plan.actions[0].resource == "system modules of device/new"
    agent = desired(cloud, AGENT, "new")
    assert agent["systemModules"]["edgeHub"]["settings"]["image"] == "mcr.microsoft.com/azureiotedge-hub:1.6"
    assert list(agent["modules"]) == [NAME]


def test_wrong_answers_bring_the_manifest_before_back_and_get_no_message_meanwhile(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage
) -> None:
    first = carried(cloud, package)
    before = json.dumps(desired(cloud, AGENT))
    cloud.hub.images[cloud.image(other)] = ModelOnDevice(other, wrong=True)
    unheld: list[str] = []
    old_held: list[str] = []

    def look(line: str) -> None:
        device = cloud.hub.devices["edge-1"]
        running = device.modules[AGENT].reported["modules"][NAME]["settings"]["image"]
        hold = device.modules[NAME].desired["dray"].get("hold")
        if running == cloud.image(other) and hold != other.digest:
            unheld.append(line)
        if hold == package.digest:
            old_held.append(line)

    cloud.hub.on_request = look
    cloud.hub.slow = True

    with pytest.raises(SmokeTestFailed, match="self-test on edge-1"):
        carried(cloud, other)

    assert (unheld, old_held) == ([], [])
    assert json.dumps(desired(cloud, AGENT)) == before
    assert desired(cloud, NAME) == {"dray": {}}
    assert cloud.target().inspect(NAME, ONE) == first.deployment
    assert ask(cloud.target(), first.deployment, package).passed


CRASHED = {
    "runtimeStatus": "backoff", "exitCode": 1, "restartCount": 2, "statusDescription": "failed with exit code 1",
    "lastExitTimeUtc": "2026-01-01T00:00:00Z",
}  # fmt: skip
UNKNOWN = {"runtimeStatus": "unknown", "exitCode": None}
PULL = "Docker API responded with status code=InternalServerError: Error response from daemon: Head manifests: "


def told(code: int, description: str) -> Failing:
    """What the agent says of the whole manifest."""
    return Failing(UNKNOWN, status={"code": code, "description": description})


FAILURES: dict[str, tuple[Failing, type[DrayError], str]] = {
    "crash": (Failing(CRASHED, log="loading\nE-SELF-TEST: it differs\n"), ProcessCrash, "E-SELF-TEST: it differs"),
    "looping": (Failing({**CRASHED, "runtimeStatus": "running"}, log="bad\n"), ProcessCrash, "exit status 1"),
    "oom": (Failing({**CRASHED, "exitCode": 137}), OutOfMemory, "memory"),
    "format": (Failing(CRASHED, log="exec python: exec format error\n"), ArchitectureMissing, "format error"),
    "auth": (told(500, f"Could not pull image: {PULL}unauthorized: authentication required"), PullDenied, "unauthor"),
    "missing": (Failing({**UNKNOWN, "statusDescription": f"{PULL}manifest unknown"}), ImageMissing, "manifest unkno"),
    "platform": (told(500, "image: no matching manifest for linux/arm64"), ArchitectureMissing, "no matching"),
    "invalid": (told(400, "createOptions is no JSON"), ManifestRefused, "createOptions"),
    "weak": (
        told(500, f"Could not pull image x@sha256:401404: {PULL}503 Unavailable"),
        RegistryUnavailable,
        "503 Unavail",
    ),
    "slow": (Failing({"runtimeStatus": "running"}), NotReady, "not ready in time on device 'edge-1'"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_has_its_cause_and_the_release_before_serves_on(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage, name: str
) -> None:
    image, kind, words = FAILURES[name]
    first = carried(cloud, package)
    cloud.hub.images[cloud.image(other)] = image

    with pytest.raises(kind, match=words) as caught:
        carried(cloud, other, timeout_s=0.3)

    assert type(caught.value) is kind
    assert caught.value.hint
    assert cloud.target().inspect(NAME, ONE) == first.deployment


def test_first_release_that_fails_leaves_nothing(cloud: EdgeCloud, package: ModelPackage) -> None:
    cloud.hub.images[cloud.image(package)] = Failing(CRASHED, log="boom\n")

    with pytest.raises(ProcessCrash) as caught:
        carried(cloud, package)

    assert caught.value.detail["log"] == ["boom"]
    assert json.dumps(desired(cloud, AGENT)) == json.dumps(OTHERS)
    assert cloud.target().deployments(IotEdgeSettings()) == ()


def test_routes_that_the_devices_hub_does_not_take_fail_the_deployment(cloud: EdgeCloud, package: ModelPackage) -> None:
    told = {"code": 400, "description": "Error while parsing route dray-suite-churn-from-1"}
    cloud.hub.devices["edge-1"].modules[ROUTER].reported = {"lastDesiredVersion": 1 << 40, "lastDesiredStatus": told}

    with pytest.raises(ManifestRefused, match="does not take its routes: Error while parsing"):
        carried(cloud, package)

    assert cloud.target().deployments(IotEdgeSettings()) == ()


AWAY = IotEdgeSettings(device="edge-offline")


def test_device_that_is_away_is_pending_and_settled_when_it_is_back(cloud: EdgeCloud, package: ModelPackage) -> None:
    outcome = carried(cloud, package, AWAY)
    device = cloud.hub.devices["edge-offline"]

    assert (outcome.deployment.state, outcome.smoke.passed) == ("pending", False)
    assert "not connected" in outcome.smoke.checks[0].detail
    assert "E-DEVICE-OFFLINE" in [each.code for each in outcome.plan.findings]
    assert device.modules[NAME].desired == {"dray": {}}  # nobody would be there to take the hold away
    device.connected = True
    cloud.hub.report(device)
    found = cloud.target().inspect(NAME, AWAY)
    assert found is not None
    assert ask(cloud.target(), found, package).passed
    settled = settle(cloud.target(), found, progress=SilentProgress())

    assert (settled.state, settled.version) == ("running", "1")
    assert not carried(cloud, package, AWAY).plan.changes_anything


def test_update_that_waits_can_be_taken_back(cloud: EdgeCloud, package: ModelPackage, other: ModelPackage) -> None:
    device = cloud.hub.devices["edge-offline"]
    device.connected = True
    carried(cloud, package, AWAY)
    device.connected = False
    waiting = carried(cloud, other, AWAY).deployment
    assert (waiting.state, waiting.version) == ("pending", "2")

    device.connected = True
    cloud.hub.report(device)
    outcome = rollback(
        cloud.target(), waiting, smoke=run_smoke, confirm=agree, secrets={}, package_of=cloud.held,
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip

    assert (outcome.deployment.state, outcome.deployment.version) == ("running", "1")
    assert cloud.target().previous(outcome.deployment) is None


def test_waiting_release_deployed_again_is_tested_without_another_restart(
    cloud: EdgeCloud, package: ModelPackage
) -> None:
    carried(cloud, package, AWAY)
    device = cloud.hub.devices["edge-offline"]
    device.connected = True
    cloud.hub.report(device)
    cloud.hub.requests.clear()

    outcome = carried(cloud, package, AWAY)

    assert (outcome.deployment.state, outcome.smoke.passed) == ("running", True)
    assert [each for each in cloud.hub.requests if "applyConfigurationContent" in each] == []


def test_device_that_goes_away_in_the_middle_is_left_to_wait(cloud: EdgeCloud, package: ModelPackage) -> None:
    cloud.hub.images[cloud.image(package)] = Failing({"runtimeStatus": "running"})
    device = cloud.hub.devices["edge-1"]

    def cut(line: str) -> None:
        device.connected = device.connected and "applyConfigurationContent" not in line

    cloud.hub.on_request = cut
    outcome = carried(cloud, package, timeout_s=0.2)

    assert outcome.deployment.state == "pending"
    assert desired(cloud, NAME) == {"dray": {}}


def test_device_that_is_away_can_be_refused(cloud: EdgeCloud, package: ModelPackage) -> None:
    with pytest.raises(DeviceOffline) as caught:
        carried(cloud, package, IotEdgeSettings(device="edge-offline", offline="refuse"))

    assert caught.value.code == "E-DEVICE-OFFLINE"
    assert cloud.target().deployments(IotEdgeSettings()) == ()


def test_image_is_for_the_processor_that_the_device_reports(cloud: EdgeCloud, package: ModelPackage) -> None:
    arm = IotEdgeSettings(device="edge-arm64")

    assert cloud.target().platforms(arm) == (Platform("linux", "arm64"),)
    made = planned(cloud, package, arm, built_for=(Platform("linux", "arm64"),))
    assert "E-IMAGE-ARCH" not in [each.code for each in made.findings]
    with pytest.raises(ArchitectureMissing, match="'edge-arm64' is linux/arm64, and the image is for linux/amd64"):
        planned(cloud, package, arm)
    with pytest.raises(ArchitectureMissing):
        planned(cloud, package, IotEdgeSettings(device="edge-arm64", architecture="amd64"), built_for=())  # type: ignore[arg-type]
    assert cloud.hub.devices["edge-arm64"].twin.tags == {"site": "edge-arm64"}


@pytest.mark.parametrize(
    ("chosen", "kind", "words"),
    [
        (IotEdgeSettings(), ConfigurationError, "which device"),
        (IotEdgeSettings(device="nobody"), DeviceMissing, "nobody"),
        (IotEdgeSettings(device="plain"), DeviceMissing, "does not run IoT Edge"),
    ],
)
def test_place_that_is_none_is_refused_at_plan_time(
    cloud: EdgeCloud, package: ModelPackage, chosen: IotEdgeSettings, kind: type[DrayError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        planned(cloud, package, chosen)


def test_module_of_others_by_the_same_name_is_not_touched(cloud: EdgeCloud, package: ModelPackage) -> None:
    with pytest.raises(NameTaken, match="'sensor' of device 'edge-1' is there and is not dray's"):
        plan(cloud.target(), "sensor", cloud.release(package), ONE)


def test_another_command_at_work_on_the_device_is_named(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage
) -> None:
    carried(cloud, package)
    holder = replace(Holder.me(limit_s=60), host="elsewhere", who="ada", since=datetime.now(UTC).isoformat())
    cloud.hub.devices["edge-1"].twin.tags["dray"][NAME]["holder"] = str(holder)

    with pytest.raises(DeploymentBusy, match="ada@elsewhere"):
        carried(cloud, other)


def test_of_two_commands_at_the_same_moment_one_begins(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage
) -> None:
    carried(cloud, package)
    twin = cloud.hub.devices["edge-1"].twin

    def meanwhile(line: str) -> None:
        if line == "PATCH /twins/edge-1":
            cloud.hub.on_request = lambda line: None
            twin.tags["dray"][NAME]["previous"] = twin.tags["dray"][NAME]["live"]
            twin.etag += 1

    cloud.hub.on_request = meanwhile
    with pytest.raises(DeploymentBusy, match="at this moment"):
        carried(cloud, other)

    assert cloud.target().inspect(NAME, ONE) is not None


def test_tag_of_others_changed_at_the_same_moment_disturbs_nothing(cloud: EdgeCloud, package: ModelPackage) -> None:
    twin = cloud.hub.devices["edge-1"].twin

    def meanwhile(line: str) -> None:
        if line == "PATCH /twins/edge-1" and "floor" not in twin.tags:
            twin.tags["floor"] = 3
            twin.etag += 1

    cloud.hub.on_request = meanwhile

    assert carried(cloud, package).deployment.state == "running"
    assert twin.tags["floor"] == 3


def test_plan_after_a_deployment_says_keep_and_shows_what_somebody_changed(
    cloud: EdgeCloud, package: ModelPackage
) -> None:
    carried(cloud, package)
    assert {each.verb for each in planned(cloud, package, ONE).actions} == {"keep"}
    agent = desired(cloud, AGENT)
    agent["modules"][NAME]["env"]["X"] = {"value": "1"}
    agent["modules"][NAME]["restartPolicy"] = "never"
    del desired(cloud, ROUTER)["routes"][f"dray-{NAME}-upstream"]

    [module, _] = planned(cloud, package, ONE).actions

    assert module.verb == "update"
    assert {each.field: (each.before, each.after) for each in module.changes} == {
        f"modules.{NAME}.env.X": ({"value": "1"}, None),
        f"modules.{NAME}.restartPolicy": ("never", "always"),
        f"routes.dray-{NAME}-upstream": (None, f"FROM /messages/modules/{NAME}/outputs/* INTO $upstream"),
    }


class Known(CredentialSource):
    """Credentials of one registry."""

    def credential(self, registry: str) -> Credential | None:
        return Credential("me", "hunter2") if registry == "registry.example" else None


def test_credentials_of_this_machine_go_along_only_where_somebody_asks(cloud: EdgeCloud, package: ModelPackage) -> None:
    target = cloud.target(Known())
    silent = planned(cloud, package, ONE, credentials=Known())
    assert "E-PULL-TOKEN" in [each.code for each in silent.findings]
    asked = IotEdgeSettings(device="edge-1", send_credentials=True)
    clear = planned(cloud, package, asked, credentials=Known())

    text = PlanDocument.of(clear).to_json()
    assert "hunter2" not in text
    assert "their secret" not in text
    found = next(each for each in clear.findings if each.code == "E-CLEAR-CREDENTIALS")
    assert "in clear" in found.message
    assert "pull this repository and nothing else" in found.hint
    carried(cloud, package, asked, target=target)
    known = desired(cloud, AGENT)["runtime"]["settings"]["registryCredentials"]
    assert known["dray-registry-example"]["password"] == "hunter2"
    assert "hunter2" not in json.dumps(cloud.hub.devices["edge-1"].twin.tags)
    there = target.inspect(NAME, ONE)
    assert there is not None
    destroy(target, there, progress=SilentProgress())
    assert list(desired(cloud, AGENT)["runtime"]["settings"]["registryCredentials"]) == ["theirs"]


def test_secret_that_is_not_here_stops_it_before_anything_is_changed(cloud: EdgeCloud, package: ModelPackage) -> None:
    chosen = IotEdgeSettings(device="edge-1", registry_username="env:NOT_SET_U", registry_password="env:NOT_SET_P")

    assert "E-REGISTRY-CREDENTIALS" in [each.code for each in planned(cloud, package, chosen).findings]
    with pytest.raises(CredentialsUnusable, match="NOT_SET_U"):
        carried(cloud, package, chosen)

    assert cloud.hub.devices["edge-1"].twin.tags == {"site": "one"}


def test_name_on_two_devices_asks_which(cloud: EdgeCloud, package: ModelPackage) -> None:
    for device in ("edge-1", "edge-2"):
        put(cloud.target(), IotEdgeSettings(device=device), package)

    with pytest.raises(UsageError, match="edge-1, edge-2"):
        cloud.target().inspect(NAME, IotEdgeSettings())
    found = cloud.target().inspect(NAME, IotEdgeSettings(device="edge-2"))
    assert found is not None
    assert found.detail["device"] == "edge-2"


def test_log_comes_from_the_devices_agent_and_goes_on(
    cloud: EdgeCloud, package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targets.iot_edge.one._FOLLOW_S", 0.0)
    found = carried(cloud, package).deployment
    image = cloud.image(package)
    assert list(cloud.target().logs(found, follow=False)) == ["serving", "ready"]
    cloud.hub.images[image] = Failing({}, log="a\nb\n")

    followed = cloud.target().logs(found, follow=True)
    assert [next(followed), next(followed)] == ["a", "b"]
    cloud.hub.images[image] = Failing({}, log="b\nc\n")

    assert next(followed) == "c"


def test_nothing_is_asked_where_no_hub_is_configured() -> None:
    from targets.iot_edge import IotEdgeTarget

    assert IotEdgeTarget().deployments(IotEdgeSettings()) == ()


def test_what_the_agent_says_of_others_images_is_not_taken_for_ours(cloud: EdgeCloud, package: ModelPackage) -> None:
    broken = {**UNKNOWN, "statusDescription": f"theirs: {PULL}manifest unknown"}
    cloud.hub.images["sensor:1"] = Failing(broken, status={"code": 500, "description": f"sensor: {PULL}unauthorized"})

    assert carried(cloud, package).deployment.state == "running"
