from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.absent import absent
from tests.support.hub_server import EdgeHubServer, hub_server
from tests.support.module_runner import ModuleRunner


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeHubServer]:
    """A stand-in whose modules are scripts; tests of a module share it, each with a device of its own."""
    if find_spec("azure") is None or find_spec("azure.iot") is None:
        absent("azure-iot-device is not installed")
    folder = tmp_path_factory.mktemp("hub")
    runner = ModuleRunner(folder)
    with hub_server(folder, runner) as server:
        yield server
    assert not list(runner.running_processes())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[EdgeHubServer]:
    """A stand-in of the test's own, whose modules are scripts."""
    runner = ModuleRunner(tmp_path)
    with hub_server(tmp_path, runner) as server:
        yield server
