"""What a person types: a release for a device that is away is pending with exit 0, and `dray test` settles it."""

import json
from pathlib import Path

import pytest

from packager.cli.run import run
from packager.core.artifact import ModelPackage
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
