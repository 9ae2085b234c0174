"""What is asked of an engine and of a cluster: the renderings of docker and aks, with a card in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import Release
from packager.core.image import ImageRef
from targets.aks import AksSettings
from targets.docker import DockerSettings
from targets.docker.body import container_body
from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep.findings import of_release
from targets.fpga.ep.host import Host, look_at_nodes
from targets.fpga.ep.hosts import on_docker, on_kubernetes
from targets.fpga.ep.needs import needs_of
from targets.fpga.ep.places import OnDocker
from targets.fpga.modes import asked_again
from targets.fpga.rtl import places as simulations
from targets.kit.kubernetes.objects import rendered
from targets.local import LocalSettings
from tests.support.kubernetes_schema import VERSIONS, refuse_invalid
from tests.support.kubernetes_wanted import wanted
from tests.support.packages import make_package
from tests.support.unbuilt_circuits import unbuilt_package

VITIS = "VitisAIExecutionProvider"
OPTIONS = {"config_file": "/opt/vaip/config.json", "cache_dir": "/tmp/cache", "cache_key": "mlp", "xclbin": "/x.xclbin"}
NODE = {
    "metadata": {"name": "np-0", "labels": {"node.kubernetes.io/instance-type": "Standard_NP10s"}},
    "status": {"allocatable": {"cpu": "10", "amd.com/card": "1"}},
}


def ep(**settings: Any) -> FpgaSettings:
    return FpgaSettings.model_validate({"mode": "ep", **settings})


def body(tmp_path: Path, settings: FpgaSettings, host: Host) -> dict[str, Any]:
    release = Release(make_package(tmp_path / "iris"), ImageRef.parse("registry.example/iris:1"))
    made = on_docker(settings, needs_of(settings), host)
    return dict(container_body("iris", release, "iris:1", made, host="127.0.0.1", port="8080"))


def pod_of(settings: FpgaSettings, host: Host) -> dict[str, Any]:
    return valid_pod(on_kubernetes(settings, host))


def valid_pod(made: AksSettings) -> dict[str, Any]:
    objects = rendered(wanted(made))
    for version in VERSIONS:
        for each in objects:
            refuse_invalid(each, version)
    [deployment] = [each for each in objects if each["kind"] == "Deployment"]
    return dict(deployment["spec"]["template"]["spec"])


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


def test_container_gets_the_card_its_group_and_the_contract(tmp_path: Path) -> None:
    seen = Host(True, "here", nodes=("/dev/dri/renderD129",), groups=(109,), xrt=True)
    made = body(tmp_path, ep(provider_options=OPTIONS, mounts=["/opt/vaip:/opt/vaip"]), seen)
    config = made["HostConfig"]
    assert config["Devices"] == [
        {"PathOnHost": "/dev/dri/renderD129", "PathInContainer": "/dev/dri/renderD129", "CgroupPermissions": "rw"}
    ]
    assert config["GroupAdd"] == ["109"]
    assert config["Binds"] == ["/opt/vaip:/opt/vaip:ro"]
    assert config["CapDrop"] == ["ALL"]
    given = dict(each.split("=", 1) for each in made["Env"])
    assert (given["DRAY_PROVIDERS"], given["DRAY_FALLBACK"]) == (VITIS, "forbid")
    assert json.loads(given["DRAY_PROVIDER_OPTIONS"]) == {VITIS: OPTIONS}


def test_body_is_as_dockers_own_sdk_makes_it(tmp_path: Path) -> None:
    from docker.types import DeviceRequest, HostConfig

    seen = Host(True, "here", nodes=("/dev/dri/renderD129",), groups=(109,), xrt=True)
    config = body(tmp_path, ep(), seen)["HostConfig"]
    theirs = HostConfig(version="1.41", devices=["/dev/dri/renderD129:/dev/dri/renderD129:rw"], group_add=["109"])
    assert {key: config[key] for key in ("Devices", "GroupAdd")} == {
        key: theirs[key] for key in ("Devices", "GroupAdd")
    }
    gpu = body(tmp_path / "2", ep(provider="CUDAExecutionProvider"), Host(True, "here", nodes=("/dev/nvidia0",)))
    asked = DeviceRequest(driver="nvidia", count=1, capabilities=[["gpu"]])
    assert gpu["HostConfig"]["DeviceRequests"] == [{key: value for key, value in asked.items() if value}]
    assert "Devices" not in gpu["HostConfig"]
    named = ep(provider="CUDAExecutionProvider", devices=["/dev/nvidia0"])
    without = body(tmp_path / "3", named, Host(True, "here", nodes=("/dev/nvidia0",)))["HostConfig"]
    assert ([each["PathOnHost"] for each in without["Devices"]], "DeviceRequests" in without) == (
        ["/dev/nvidia0"],
        False,
    )


def test_container_without_a_card_gets_none_where_the_cpu_may_stand_in(tmp_path: Path) -> None:
    config = body(tmp_path, ep(fallback="allow"), Host(True, "here"))["HostConfig"]
    assert not {"Devices", "GroupAdd", "DeviceRequests"} & set(config)


def test_plan_for_a_host_elsewhere_names_the_devices_that_are_asked_for(tmp_path: Path) -> None:
    settings = ep(unchecked=True, devices=["/dev/dri/renderD128"])
    config = body(tmp_path, settings, OnDocker().host(settings))["HostConfig"]
    assert [each["PathOnHost"] for each in config["Devices"]] == ["/dev/dri/renderD128"]


def test_pod_asks_for_the_card_on_nodes_of_the_size_and_stands_their_taint() -> None:
    taint = {"key": "sku", "value": "fpga", "effect": "NoSchedule"}
    settings = ep(
        host="kubernetes",
        resource="amd.com/card",
        vm_size="Standard_NP10s",
        provider_options=OPTIONS,
        kubernetes={"tolerations": [taint], "groups": [109], "node_selector": {"pool": "cards"}},
    )
    pod = pod_of(settings, look_at_nodes([NODE], "amd.com/card"))
    resources = pod["containers"][0]["resources"]
    assert resources["limits"]["amd.com/card"] == resources["requests"]["amd.com/card"] == "1"
    assert pod["nodeSelector"]["node.kubernetes.io/instance-type"] == "Standard_NP10s"
    assert pod["nodeSelector"]["pool"] == "cards"
    assert pod["tolerations"] == [{"operator": "Equal", **taint}]
    assert pod["securityContext"]["supplementalGroups"] == [109]
    assert environment(pod)["DRAY_FALLBACK"] == "forbid"


def test_pod_without_a_card_can_be_placed_where_the_cpu_may_stand_in() -> None:
    settings = ep(host="kubernetes", resource="amd.com/card", vm_size="Standard_NP10s", fallback="allow")
    pod = pod_of(settings, look_at_nodes([{"metadata": {"name": "a"}}], "amd.com/card"))
    assert "amd.com/card" not in pod["containers"][0]["resources"]["limits"]
    assert "node.kubernetes.io/instance-type" not in pod["nodeSelector"]
    assert environment(pod)["DRAY_FALLBACK"] == "allow"


def test_nvidia_cards_are_called_the_same_in_every_cluster() -> None:
    pod = pod_of(ep(host="kubernetes", provider="CUDAExecutionProvider", cards=2), Host(False, "the cluster"))
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_simulation_gets_no_device_and_no_contract_with_a_provider(tmp_path: Path) -> None:
    settings = FpgaSettings.model_validate(
        {"mode": "rtl", "host": "docker", "docker": {"port": 8081, "memory_mib": 256}}
    )
    made = simulations.OnDocker().given(settings)
    assert isinstance(made, DockerSettings)
    release = Release(make_package(tmp_path / "iris"), ImageRef.parse("registry.example/iris:1"))
    body = container_body("iris", release, "iris:1", made, host="127.0.0.1", port="8081")
    assert not {"Devices", "GroupAdd", "DeviceRequests"} & set(body["HostConfig"])
    assert not any(each.startswith("DRAY_PROVIDERS") for each in body["Env"])
    assert body["HostConfig"]["Memory"] == 256 << 20
    assert body["HostConfig"]["ReadonlyRootfs"] is True


def test_pod_of_a_simulation_asks_for_processor_and_memory_alone() -> None:
    settings = FpgaSettings.model_validate({
        "mode": "rtl", "host": "kubernetes", "kubernetes": {"namespace": "cards", "memory_mib": 384},
    })  # fmt: skip
    made = simulations.OnKubernetes().given(settings)
    assert isinstance(made, AksSettings)
    pod = valid_pod(made)
    assert set(pod["containers"][0]["resources"]["limits"]) <= {"cpu", "memory"}
    assert not {"DRAY_PROVIDERS", "DRAY_FALLBACK"} & set(environment(pod))


@pytest.mark.parametrize("on", ["docker", "kubernetes", "local"])
def test_settings_of_a_simulation_lead_to_the_same_release_again(on: str) -> None:
    way = FpgaTarget().ways["rtl", on]
    settings = FpgaSettings.model_validate({"mode": "rtl", "host": on, "bits": 8, on: {"threads": 2}})
    made = way.given(settings)
    assert isinstance(made, DockerSettings | AksSettings | LocalSettings)
    assert (asked_again(on, made).mode, way.given(asked_again(on, made))) == ("rtl", made)


@pytest.mark.parametrize("on", ["docker", "kubernetes"])
def test_settings_of_a_release_lead_to_the_same_release_again(on: str) -> None:
    given: dict[str, Any] = {"resource": "amd.com/card"} if on == "kubernetes" else {"devices": ["/dev/dri/renderD1"]}
    settings = ep(host=on, provider_options=OPTIONS, **given, **{on: {"port": 8081}})
    nodes = (
        Host(True, "here", nodes=("/dev/dri/renderD1",)) if on == "docker" else look_at_nodes([NODE], "amd.com/card")
    )

    def made(chosen: FpgaSettings) -> Any:
        return on_docker(chosen, needs_of(chosen), nodes) if on == "docker" else on_kubernetes(chosen, nodes)

    assert made(asked_again(on, made(settings))) == made(settings)


def test_card_that_is_gone_is_not_asked_for_by_the_release_before() -> None:
    settings = ep(fallback="allow", docker={"devices": ["/dev/kmsg"]})
    before = on_docker(settings, needs_of(settings), Host(True, "here", nodes=("/dev/dri/renderD1",), xrt=True))
    again = asked_again("docker", before)
    assert on_docker(again, needs_of(again), Host(True, "here")).devices == ()
    mixed = ep(host="kubernetes", resource="amd.com/card", kubernetes={"resources": {"example.com/disk": 1}})
    assert (
        asked_again("kubernetes", on_kubernetes(mixed, look_at_nodes([NODE], "amd.com/card"))).resource
        == "amd.com/card"
    )


def test_model_that_the_card_does_not_take_is_told(tmp_path: Path) -> None:
    release = Release(make_package(tmp_path / "iris"))
    [found] = of_release(ep(), needs_of(ep()), release)
    assert found.code == "E-NOT-QUANTIZED"
    assert "--quantize int8-static" in found.hint
    cuda = ep(provider="CUDAExecutionProvider")
    assert of_release(cuda, needs_of(cuda), release) == ()


def test_circuit_is_not_given_to_a_card_that_would_not_run_it(tmp_path: Path) -> None:
    settings = ep(fallback="allow")
    [found] = of_release(settings, needs_of(settings), Release(unbuilt_package(tmp_path / "net")))
    assert (found.code, found.blocking) == ("E-CONFIG", True)
    assert "holds a circuit, which VitisAIExecutionProvider does not run" in found.message
    assert "mode=rtl" in found.hint
