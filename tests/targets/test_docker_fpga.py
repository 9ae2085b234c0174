"""Both modes on a real engine: a device node in the container, whose runtime has the last word; a simulated circuit."""

from pathlib import Path

import pytest

from packager.core.errors import NotReady
from packager.core.progress import SilentProgress
from packager.deploy import DeployOutcome, deploy
from packager.smoke import run_smoke
from runtime.contract.circuit import PLATFORM
from runtime.contract.package import read_package
from targets.docker import DockerSettings, DockerTarget
from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep.places import OnDocker
from targets.fpga.hosted import MADE_FOR
from targets.fpga.rtl import places as simulations
from targets.fpga.target import ways_of
from tests.support.engine_images import EngineImages
from tests.support.packages import make_package

# OpenVINO on a CPU needs no card; /dev/kmsg is a device that containers do not have by themselves.
SETTINGS = FpgaSettings(mode="ep", provider="OpenVINOExecutionProvider", devices=("/dev/kmsg",), fallback="allow")


def test_container_has_the_device_and_says_that_the_cpu_stands_in(
    engine_images: EngineImages, state: Path, tmp_path: Path
) -> None:
    target = FpgaTarget(ways_of(OnDocker(inner=DockerTarget(made_for=MADE_FOR))))
    release = engine_images.release(make_package(tmp_path / "iris"))

    def put(settings: FpgaSettings) -> DeployOutcome:
        return deploy(
            target, "card", release, settings, smoke=run_smoke, confirm=lambda _: True, secrets={},
            progress=SilentProgress(), timeout_s=60,
        )  # fmt: skip

    outcome = put(SETTINGS)
    try:
        [check] = [each for each in outcome.smoke.checks if each.name == "provider"]
        assert check.detail.startswith("CPU FALLBACK: CPUExecutionProvider; OpenVINOExecutionProvider was asked for")
        made = engine_images.client.containers.get("dray-card").attrs
        assert made["HostConfig"]["Devices"][0]["PathInContainer"] == "/dev/kmsg"
        assert (outcome.deployment.target, DockerTarget().inspect("card", DockerSettings())) == ("fpga", None)
        with pytest.raises(NotReady, match=r"E-PROVIDER.*OpenVINOExecutionProvider must be used"):
            put(SETTINGS.model_copy(update={"fallback": "forbid"}))
        assert [each.endpoint for each in target.deployments(SETTINGS)] == [outcome.deployment.endpoint]
    finally:
        target.destroy(outcome.deployment, SilentProgress())
    assert target.deployments(SETTINGS) == ()


def test_container_simulates_the_circuit_of_its_package(
    engine_images: EngineImages, state: Path, small_package: Path
) -> None:
    target = FpgaTarget(ways_of(simulations.OnDocker(inner=DockerTarget(made_for=MADE_FOR))))
    outcome = deploy(
        target, "net", engine_images.release(read_package(small_package)), FpgaSettings(mode="rtl", host="docker"),
        smoke=run_smoke, confirm=lambda _: True, secrets={}, progress=SilentProgress(), timeout_s=60,
    )  # fmt: skip
    try:
        assert outcome.smoke.passed
        assert (outcome.deployment.detail["mode"], outcome.deployment.detail["host"]) == ("rtl", "docker")
        with target.connect(outcome.deployment) as client:
            assert client.metadata("small").platform == PLATFORM
        assert engine_images.client.containers.get("dray-net").attrs["HostConfig"]["ReadonlyRootfs"] is True
    finally:
        target.destroy(outcome.deployment, SilentProgress())
    assert target.deployments(FpgaSettings()) == ()
