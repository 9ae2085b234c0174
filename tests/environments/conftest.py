import os
from pathlib import Path

import pytest

from tests.support.fake_uv import FakeUv


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    """First on the PATH, so that it is what dray finds."""
    folder = tmp_path / "fake-uv"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    fake = FakeUv(folder)
    fake.write()
    return fake
