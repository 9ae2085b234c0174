from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.kit.kubernetes.objects import pods
from tests.support.aci_cloud import ReadyRunner, RuntimeRunner
from tests.support.aks_cloud import AksCloud, aks_cloud


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods go on for a second after their end was said, not for five: here a front hears of it at once."""
    monkeypatch.setattr(pods, "LINGER_S", 1)


@pytest.fixture
def runtime_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AksCloud]:
    """A stand-in that runs the real runtime."""
    folder = tmp_path_factory.mktemp("cloud")
    runner = RuntimeRunner(folder / "runs")
    with aks_cloud(folder, runner) as cloud:
        yield cloud
    for each in list(runner.processes):
        runner.remove(each)


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AksCloud]:
    """A stand-in whose containers say that they are ready, and do nothing else."""
    with aks_cloud(tmp_path_factory.mktemp("cloud"), ReadyRunner()) as cloud:
        yield cloud


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, without any cluster of the machine's."""
    home = tmp_path / "state"
    monkeypatch.setenv("DRAY_HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nobody"))
    return home
