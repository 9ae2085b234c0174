"""The docker target under the suite that every target passes."""

from pathlib import Path

import pytest

from targets.docker import DockerSettings, DockerTarget
from tests.contract_suites.target_suite import TargetSuite
from tests.support.engine_images import EngineImages, ImagedDockerTarget


class TestDockerTarget(TargetSuite):
    @pytest.fixture
    def target(self, engine_images: EngineImages, state: Path) -> DockerTarget:
        return ImagedDockerTarget(images=engine_images)

    @pytest.fixture
    def settings(self) -> DockerSettings:
        return DockerSettings(threads=1)
