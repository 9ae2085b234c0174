from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.rehearsal.layout import StageFolder
from tests.support.base_image import ROOT
from tests.support.engine_images import shared_layers
from tests.support.stage_registry import StageRegistry, running_stage_registry
from tests.support.toy_stage import end_toys

__all__ = ["shared_layers"]


@pytest.fixture
def stage_registry(tmp_path: Path) -> Iterator[StageRegistry]:
    """An empty one."""
    with running_stage_registry(tmp_path / "stage-registry") as registry:
        yield registry


@pytest.fixture
def toys(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StageFolder]:
    """Where the stand-in of the toy cloud lives; whatever of it runs at the end is ended."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")
    folder = StageFolder.of("toy")
    yield folder
    end_toys(folder)
