"""A layered deployment: a configuration for many devices, tested on some, above the one before until it is taken."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import ArchitectureMissing, DeploymentBusy, NameTaken, NotReady, ProcessCrash, SmokeTestFailed
from packager.core.image import Platform
from packager.core.progress import SilentProgress
from packager.deploy import deploy, plan, settle
from packager.smoke import run_smoke
from targets.iot_edge import IotEdgeSettings
from tests.contract_suites.target_suite import FAILED, NAME, agree, ask, put
from tests.support.edge_cloud import EdgeCloud
from tests.support.iotedge_contracts import layer_errors
from tests.support.scripted_device import Failing, ModelOnDevice

MANY = IotEdgeSettings(
    target_condition="tags.site='one'",
    priority=20,
    sample=2,
    labels={"team": "blue"},
    metrics={"fresh": "SELECT deviceId FROM devices"},
)


@pytest.fixture(autouse=True)
def _state(state: Path) -> None:
    """A state folder of the test's own."""


def test_every_device_of_the_sample_is_tested_and_counted(cloud: EdgeCloud, package: ModelPackage) -> None:
    outcome = put(cloud.target(), MANY, package)
    [found] = cloud.hub.configurations.values()

    names = [check.name for check in outcome.smoke.checks]
    assert {"self-test on edge-1", "self-test on edge-2"} <= set(names)
    assert (found["priority"], found["targetCondition"], found["labels"]["team"]) == (20, "tags.site='one'", "blue")
    assert layer_errors(found["content"]["modulesContent"]) == []
    assert outcome.deployment.detail["devices"] == {
        "targetedCount": 2, "appliedCount": 2, "reportedSuccessfulCount": 2, "reportedFailedCount": 0,
    }  # fmt: skip
    assert NAME in cloud.hub.devices["edge-2"].modules
    assert NAME not in cloud.hub.devices["edge-arm64"].modules


def test_update_stands_above_the_one_before_and_then_alone(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage
) -> None:
    put(cloud.target(), MANY, package)
    both: list[list[int]] = []
    cloud.hub.on_request = lambda line: (
        both.append([each["priority"] for each in cloud.hub.configurations.values()]) if "methods" in line else None
    )

    outcome = put(cloud.target(), MANY, other)

    assert both[0] == [20, 21]
    assert [each["priority"] for each in cloud.hub.configurations.values()] == [21]
    assert [(each.verb, each.resource) for each in outcome.plan.actions] == [
        ("update", f"configuration/dray-{NAME}-2"),
        ("delete", f"configuration/dray-{NAME}-1"),
    ]


@pytest.mark.parametrize("how", ["crash", "wrong", "tests"])
def test_release_that_fails_on_one_device_is_taken_from_all(
    cloud: EdgeCloud, package: ModelPackage, other: ModelPackage, how: str
) -> None:
    first = put(cloud.target(), MANY, package)
    ended = {"runtimeStatus": "backoff", "exitCode": 3, "lastExitTimeUtc": "2026-01-01T00:00:00Z", "restartCount": 1}
    if how == "crash":
        cloud.hub.images[cloud.image(other)] = Failing(ended)
    elif how == "wrong":
        cloud.hub.images[cloud.image(other)] = ModelOnDevice(other, wrong=True)

    with pytest.raises(ProcessCrash if how == "crash" else SmokeTestFailed):
        put(cloud.target(), MANY, other, report=FAILED if how == "tests" else None)

    assert list(cloud.hub.configurations) == [f"dray-{NAME}-1"]
    assert cloud.target().inspect(NAME, MANY) == first.deployment
    assert ask(cloud.target(), first.deployment, package).passed


def test_devices_that_are_all_away_are_waited_for(cloud: EdgeCloud, package: ModelPackage) -> None:
    away = IotEdgeSettings(target_condition="tags.site='edge-offline'")

    outcome = put(cloud.target(), away, package)
    assert (outcome.deployment.state, outcome.smoke.passed) == ("pending", False)
    device = cloud.hub.devices["edge-offline"]
    device.connected = True
    cloud.hub.report(device)
    found = cloud.target().inspect(NAME, away)
    assert found is not None
    assert found.state == "pending"
    assert ask(cloud.target(), found, package).passed

    assert settle(cloud.target(), found, progress=SilentProgress()).state == "running"


def test_image_is_for_every_processor_that_the_devices_have(cloud: EdgeCloud, package: ModelPackage) -> None:
    for device in cloud.hub.devices.values():
        device.twin.tags["fleet"] = "all"
    every = IotEdgeSettings(target_condition="tags.fleet='all'")
    both = (Platform("linux", "amd64"), Platform("linux", "arm64"))

    assert set(cloud.target().platforms(every)) == set(both)
    with pytest.raises(ArchitectureMissing, match="'edge-arm64' is linux/arm64"):
        plan(cloud.target(), NAME, cloud.release(package), every)
    assert plan(cloud.target(), NAME, cloud.release(package, built_for=both), every).changes_anything


def test_condition_that_no_device_meets_is_remarked(cloud: EdgeCloud, package: ModelPackage) -> None:
    nobody = IotEdgeSettings(target_condition="tags.site='nowhere'")

    made = plan(cloud.target(), NAME, cloud.release(package), nobody)

    assert "E-NO-DEVICES" in [each.code for each in made.findings]


def test_configuration_of_others_by_the_same_name_is_not_touched(cloud: EdgeCloud, package: ModelPackage) -> None:
    theirs = {"id": f"dray-{NAME}-1", "labels": {}, "targetCondition": "tags.site='x'", "priority": 1}
    cloud.hub.configurations[f"dray-{NAME}-1"] = {
        **theirs, "etag": "e", "content": {"modulesContent": {}}, "metrics": {"queries": {}},
    }  # fmt: skip

    with pytest.raises(NameTaken):
        plan(cloud.target(), NAME, cloud.release(package), MANY)


def test_of_two_first_commands_at_the_same_moment_one_begins(cloud: EdgeCloud, package: ModelPackage) -> None:
    other_one = cloud.target()

    def meanwhile(line: str) -> None:
        if line.startswith("PUT"):
            cloud.hub.on_request = lambda line: None
            cloud.hub.configurations[f"dray-{NAME}-1"] = {
                "id": f"dray-{NAME}-1", "labels": {"dray-name": NAME}, "targetCondition": "tags.site='one'",
                "priority": 1, "etag": "e", "content": {"modulesContent": {}}, "metrics": {"queries": {}},
            }  # fmt: skip

    cloud.hub.on_request = meanwhile
    with pytest.raises(DeploymentBusy, match="at this moment"):
        put(other_one, MANY, package)


def test_what_somebody_changed_of_it_is_shown(cloud: EdgeCloud, package: ModelPackage) -> None:
    put(cloud.target(), MANY, package)
    [found] = cloud.hub.configurations.values()
    assert not plan(cloud.target(), NAME, cloud.release(package), MANY).changes_anything
    found["targetCondition"] = "tags.site='two'"
    found["labels"]["team"] = "red"

    made = plan(cloud.target(), NAME, cloud.release(package), MANY)

    changes = {each.field: (each.before, each.after) for action in made.actions for each in action.changes}
    assert changes == {
        "targetCondition": ("tags.site='two'", "tags.site='one'"),
        "labels.team": ("red", "blue"),
    }


def test_devices_that_no_base_deployment_is_for_are_told_of(cloud: EdgeCloud, package: ModelPackage) -> None:
    cloud.hub.without_base = {"edge-1", "edge-2"}

    with pytest.raises(NotReady, match="has reached none of the connected devices") as caught:
        deploy(
            cloud.target(), NAME, cloud.release(package), MANY, smoke=run_smoke, confirm=agree, secrets={},
            progress=SilentProgress(), timeout_s=0.1,
        )  # fmt: skip

    assert "base deployment" in caught.value.hint
    assert cloud.hub.configurations == {}


def test_sample_leaves_out_what_the_deployment_does_not_reach(cloud: EdgeCloud, package: ModelPackage) -> None:
    cloud.hub.without_base = {"edge-1"}

    names = [check.name for check in put(cloud.target(), MANY, package).smoke.checks]

    assert "self-test on edge-2" in names
    assert "self-test on edge-1" not in names
