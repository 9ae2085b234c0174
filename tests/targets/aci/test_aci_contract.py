"""The ACI target under the suite that every target passes, with the real runtime behind the stand-in's API."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from packager.core.image import ImageRef
from runtime.contract.package import read_package
from targets.aci import AciSettings, AciTarget
from tests.contract_suites import target_suite
from tests.contract_suites.target_suite import TargetSuite
from tests.support.aci_cloud import AciCloud


class TestAciTarget(TargetSuite):
    @pytest.fixture
    def target(self, runtime_cloud: AciCloud, state: Path, monkeypatch: pytest.MonkeyPatch) -> AciTarget:
        def held(image: ImageRef) -> ModelPackage:
            name = f"{image.registry}/{image.repository}@{image.digest}"
            return read_package(runtime_cloud.runner.packages[name])

        monkeypatch.setattr(target_suite, "package_of_image_here", held)
        return runtime_cloud.target()

    @pytest.fixture
    def settings(self) -> AciSettings:
        return AciSettings(threads=1, port=18080)
