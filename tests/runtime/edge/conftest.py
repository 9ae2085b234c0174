from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive_server import ArchiveServer, archive_server
from tests.support.edge_hub import EdgeHub, edge_hub
from tests.support.packages import logistic_model, make_package
from tests.support.servers import RunningServer, running_server


@pytest.fixture(scope="package")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of four numbers, with labels, that is batch-safe."""
    folder = tmp_path_factory.mktemp("edge") / "package"
    make_package(folder)
    return folder


@pytest.fixture(scope="package")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 of it: other weights, the same signature."""
    folder = tmp_path_factory.mktemp("edge") / "better"
    make_package(folder, logistic_model(seed=2), version="2")
    return folder


@pytest.fixture(scope="module")
def files() -> Iterator[ArchiveServer]:
    """A server of packages as archives."""
    with archive_server() as served:
        yield served


@pytest.fixture
def fresh() -> Iterator[EdgeHub]:
    """A hub of the test's own."""
    with edge_hub() as running:
        yield running


@pytest.fixture(scope="module")
def hub() -> Iterator[EdgeHub]:
    with edge_hub() as running:
        yield running


@pytest.fixture(scope="module")
def module(hub: EdgeHub, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A module that takes messages."""
    log = tmp_path_factory.mktemp("edge") / "log"
    with running_server(package, log=log, **hub.environment()) as server:
        hub.wait_until_taking()
        yield server
