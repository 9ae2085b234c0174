from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aci_cloud import AciCloud, ReadyRunner, RuntimeRunner, aci_cloud


@pytest.fixture
def runtime_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AciCloud]:
    """A stand-in that runs the real runtime."""
    folder = tmp_path_factory.mktemp("cloud")
    runner = RuntimeRunner(folder / "runs")
    with aci_cloud(folder, runner) as cloud:
        yield cloud
    for key in list(runner.processes):
        runner.remove(key)


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AciCloud]:
    """A stand-in whose containers say that they are ready, and do nothing else."""
    with aci_cloud(tmp_path_factory.mktemp("cloud"), ReadyRunner()) as cloud:
        yield cloud


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, without any account of the machine's."""
    home = tmp_path / "state"
    monkeypatch.setenv("DRAY_HOME", str(home))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "nobody"))
    for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_ACCESS_TOKEN", "AZURE_DEFAULTS_GROUP", "AZURE_DEFAULTS_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    return home
