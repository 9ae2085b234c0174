"""What a person types: a release for a device that is away is pending with exit 0, and `dray test` settles it."""

import dataclasses
import json
from pathlib import Path

import pytest

from packager.cli import render
from packager.cli.run import run
from packager.core.artifact import ModelPackage
from packager.documents import DeployDocument
from targets.iot_edge import IotEdgeSettings
from targets.kit.iothub.access import connection_access
from tests.contract_suites.target_suite import NAME, put
from tests.support.edge_cloud import EdgeCloud
from tests.support.scripted_hub import CONNECTION_STRING


@pytest.fixture(autouse=True)
def _hub(cloud: EdgeCloud, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = connection_access(CONNECTION_STRING, base_url=cloud.hub.url, poll_s=0.01)
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", CONNECTION_STRING)
    monkeypatch.setattr("targets.iot_edge.target.access_of", lambda settings: access)


def test_release_that_waited_is_settled_by_its_tests(
    cloud: EdgeCloud, package: ModelPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    put(cloud.target(), IotEdgeSettings(device="edge-offline"), package)
    states = []
    for connected in (False, True):
        device = cloud.hub.devices["edge-offline"]
        device.connected = connected
        cloud.hub.report(device)
        assert run(["test", NAME, "-t", "iot-edge", "-q", "--timeout", "1"]) == (0 if connected else 6)
        capsys.readouterr()
        assert run(["status", NAME, "-t", "iot-edge", "-o", "json"]) == 0
        states.append(json.loads(capsys.readouterr().out)[0]["state"])

    assert states == ["pending", "running"]
    assert run(["delete", NAME, "-t", "iot-edge", "-y", "-q"]) == 0
    assert cloud.hub.devices["edge-offline"].twin.tags == {"site": "edge-offline"}


def test_invoke_goes_over_the_direct_method(
    cloud: EdgeCloud, package: ModelPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    put(cloud.target(), IotEdgeSettings(device="edge-1"), package)

    assert run(["invoke", NAME, "-t", "iot-edge", "-i", "X=[[5.1, 3.5, 1.4, 0.2]]", "-o", "json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert [output["name"] for output in answer["outputs"]] == ["label", "probabilities"]
    assert "POST /twins/edge-1/modules/suite-churn/methods" in cloud.hub.requests


def test_release_that_waits_is_told_as_such(package: ModelPackage) -> None:
    check = {"name": "ready", "passed": False, "detail": "", "duration_ms": 0.0, "max_abs_error": None, "rows": None}
    document = DeployDocument.model_validate(
        {
            "name": "press", "target": "iot-edge", "state": "pending", "endpoint": None, "model": "m", "version": "1",
            "digest": "d", "package": str(package.root), "image": None, "created_at": "", "detail": {},
            "smoke": {"passed": False, "checks": [check]},
        }
    )  # fmt: skip

    told = render.deployed(document)

    assert "press 1 is pending on iot-edge" in told
    assert "`dray test press`" in told
    assert "FAILED" not in told


def test_access_may_name_the_device_where_nothing_else_does(cloud: EdgeCloud, package: ModelPackage) -> None:
    target = cloud.target()
    assert target.access is not None
    target = dataclasses.replace(target, access=dataclasses.replace(target.access, device="edge-2"))

    outcome = put(target, IotEdgeSettings(), package)

    assert outcome.deployment.detail["device"] == "edge-2"
    assert target.deployments(IotEdgeSettings()) == (outcome.deployment,)
    assert not put(target, IotEdgeSettings(), package).plan.changes_anything
