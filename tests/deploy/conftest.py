from pathlib import Path

import pytest

from packager.core.artifact import Release
from tests.support.packages import logistic_model, make_package


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def one(tmp_path: Path) -> Release:
    return Release(make_package(tmp_path / "one", version="1"))


@pytest.fixture
def two(tmp_path: Path) -> Release:
    return Release(make_package(tmp_path / "two", logistic_model(seed=7), version="2"))


@pytest.fixture
def wider(tmp_path: Path) -> Release:
    """Of another signature."""
    return Release(make_package(tmp_path / "wider", logistic_model(features=6), version="3"))
