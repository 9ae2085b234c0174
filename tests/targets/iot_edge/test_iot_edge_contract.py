"""The target under the suite that every target passes, with real models behind a scripted hub."""

from pathlib import Path

import pytest

from targets.iot_edge import IotEdgeSettings, IotEdgeTarget
from tests.contract_suites import target_suite
from tests.contract_suites.target_suite import TargetSuite
from tests.support.edge_cloud import EdgeCloud


class TestIotEdgeTarget(TargetSuite):
    @pytest.fixture
    def target(self, cloud: EdgeCloud, state: Path, monkeypatch: pytest.MonkeyPatch) -> IotEdgeTarget:
        monkeypatch.setattr(target_suite, "package_of_image_here", cloud.held)
        return cloud.target()

    @pytest.fixture
    def settings(self) -> IotEdgeSettings:
        return IotEdgeSettings(device="edge-1")


class TestLayered(TestIotEdgeTarget):
    @pytest.fixture
    def settings(self) -> IotEdgeSettings:
        return IotEdgeSettings(target_condition="tags.site='one'", sample=2)
