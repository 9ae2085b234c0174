from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from tests.support.edge_cloud import EdgeCloud
from tests.support.packages import logistic_model, make_package
from tests.support.scripted_hub import ScriptedHub, serving_hub


@pytest.fixture(scope="module")
def served_hub() -> Iterator[ScriptedHub]:
    with serving_hub(ScriptedHub()) as hub:
        yield hub


@pytest.fixture
def cloud(served_hub: ScriptedHub) -> EdgeCloud:
    """A hub whose devices have a module and a route of others'."""
    cloud = EdgeCloud(served_hub)
    cloud.furnish()
    return cloud


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, without any hub of the machine's."""
    home = tmp_path / "state"
    monkeypatch.setenv("DRAY_HOME", str(home))
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    return home


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return make_package(tmp_path_factory.mktemp("one") / "one", version="1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return make_package(tmp_path_factory.mktemp("two") / "two", logistic_model(seed=7), version="2")
