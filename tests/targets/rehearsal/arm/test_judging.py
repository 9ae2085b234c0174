"""Bodies of the right shape that Azure refuses all the same."""

import copy
from typing import Any

import pytest

from targets.rehearsal.arm.bodies import ContainerGroup
from targets.rehearsal.arm.errors import ArmError
from targets.rehearsal.arm.judging import judge
from tests.support.arm_server import group_body

PORT = {"port": 18080}
NO_PROBE: dict[str, Any] = {}


def container(**changes: Any) -> dict[str, Any]:
    """The body's only container, changed."""
    return {"container": changes}


def requests(**amounts: Any) -> dict[str, Any]:
    """Resources."""
    return container(resources={"requests": {"cpu": 1, "memoryInGB": 1, **amounts}})


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (requests(cpu=0), "InvalidResourceRequest", "must be greater than 0"),
        (requests(cpu=5), "ServiceUnavailable", "Resource requested: '5' CPU '1' GB memory 'Linux' OS"),
        (requests(memoryInGB=16.5), "ServiceUnavailable", "'16.5' GB"),
        (requests(gpu={"count": 3, "sku": "V100"}), "InvalidGpuCount", "1, 2 or 4"),
        (container(ports=[{"port": 0}]), "InvalidPort", "'0'"),
        (container(ports=[{"port": 70000}]), "InvalidPort", "'70000'"),
        (container(ports=[PORT, PORT]), "DuplicateContainerPorts", "18080"),
        (container(ports=[]), "PortNotExposed", "'18080'"),
        (container(environmentVariables=[{"name": "a.b", "value": ""}]), "InvalidEnvironmentVariableName", "'a.b'"),
        (
            container(environmentVariables=[{"name": "A", "value": "", "secureValue": ""}]),
            "InvalidEnvironmentVariable",
            "both",
        ),
        (container(livenessProbe=NO_PROBE), "InvalidProbe", "no action"),
        (container(livenessProbe={"exec": {"command": ["true"]}}), "NotInARehearsal", "exec probe"),
        (container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), "VolumeNotFound", "'v'"),
        (container(image=""), "MissingImage", "'model'"),
        ({"ipAddress": {"type": "Public", "ports": []}}, "MissingIpAddressPorts", "cannot be empty"),
        ({"ipAddress": {"type": "Public", "ports": [PORT, PORT]}}, "DuplicatePorts", "18080"),
        ({"label": "abc"}, "InvalidDnsNameLabel", "between 5 and 63 characters"),
        ({"label": "Capital"}, "InvalidDnsNameLabel", "lowercase"),
        ({"label": "-hyphen"}, "InvalidDnsNameLabel", "first character"),
        ({"volumes": [{"name": "v", "secret": {"a": "not base64!"}}]}, "InvalidSecretVolume", "'a'"),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, "NotInARehearsal", "'v'"),
        ({"volumes": [{"name": "v", "secret": {}}] * 2}, "DuplicateVolumeName", "'v'"),
        ({"osType": "Windows"}, "NotInARehearsal", "Windows"),
        ({"containers": []}, "InvalidContainerCount", "1 to 60"),
    ],
)
def test_it_is_refused(change: dict[str, Any], code: str, words: str) -> None:
    body = ContainerGroup.model_validate(group_body(**copy.deepcopy(change)))
    with pytest.raises(ArmError) as caught:
        judge("churn", "westeurope", body)
    assert caught.value.code == code
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["", "churn-", "-churn", "a" * 64, "chu_rn"])
def test_a_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ArmError, match="InvalidContainerGroupName"):
        judge(name, "westeurope", ContainerGroup.model_validate(group_body()))


def test_two_containers_of_one_name_are_refused() -> None:
    body = group_body()
    twin = copy.deepcopy(body["properties"]["containers"][0])
    twin["properties"]["ports"] = []
    body["properties"]["containers"].append(twin)
    with pytest.raises(ArmError, match="DuplicateContainerName"):
        judge("churn", "westeurope", ContainerGroup.model_validate(body))


def test_a_refused_secret_is_not_shown() -> None:
    body = group_body(volumes=[{"name": "v", "secret": {"a": "hunter2!"}}])
    with pytest.raises(ArmError) as caught:
        judge("churn", "westeurope", ContainerGroup.model_validate(body))
    assert "hunter2" not in str(caught.value)
