"""The AKS target under the suite that every target passes, with the real runtime behind the stand-in's API."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from packager.core.image import ImageRef
from runtime.contract.package import read_package
from targets.aks import AksSettings, AksTarget
from tests.contract_suites import target_suite
from tests.contract_suites.target_suite import TargetSuite, UpdateSuite
from tests.support.aks_cloud import AksCloud


class _Suite(UpdateSuite):
    @pytest.fixture
    def target(self, runtime_cloud: AksCloud, state: Path, monkeypatch: pytest.MonkeyPatch) -> AksTarget:
        def held(image: ImageRef) -> ModelPackage:
            name = f"{image.registry}/{image.repository}@{image.digest}"
            return read_package(runtime_cloud.runner.packages[name])

        monkeypatch.setattr(target_suite, "package_of_image_here", held)
        return runtime_cloud.target()


class TestAksTarget(_Suite, TargetSuite):
    @pytest.fixture
    def settings(self) -> AksSettings:
        return AksSettings(threads=1)


class TestAksTargetBlueGreen(_Suite):
    @pytest.fixture
    def settings(self) -> AksSettings:
        return AksSettings(threads=1, strategy="blue-green", drain_s=0)


class TestAksTargetCanary(_Suite):
    @pytest.fixture
    def settings(self) -> AksSettings:
        return AksSettings(threads=1, strategy="canary", route="gateway", steps=(20,), step_s=0.2, drain_s=0)
