from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.core.progress import SilentProgress
from targets.local import LocalSettings, LocalTarget
from tests.support.engine_images import engine_images, shared_layers

__all__ = ["engine_images", "shared_layers"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own; whatever still runs in it at the end is ended."""
    home = tmp_path / "state"
    monkeypatch.setenv("DRAY_HOME", str(home))
    yield home
    target = LocalTarget()
    for deployment in target.deployments(LocalSettings()):
        target.destroy(deployment, SilentProgress())
