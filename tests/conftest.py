"""What all tests share: a state folder of their own, and the rule for tools that may be absent."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.base_image import base_layout
from tests.support.circuit_packages import circuit_cache, small_circuit, small_package
from tests.support.engine import engine, engine_host
from tests.support.faulty_registry import faulty
from tests.support.image_layers import shared_layers_of_images
from tests.support.registry_server import registry
from tests.support.schedule import Schedule, rank, workers

# Servers, and what is slow to make, for tests of several folders; each is there from the first test that asks for it.
__all__ = [
    "base_layout",
    "circuit_cache",
    "engine",
    "engine_host",
    "faulty",
    "registry",
    "shared_layers_of_images",
    "small_circuit",
    "small_package",
]

# CI tries the same cases every time, so that a change is judged by what it changes; a developer's run tries new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("DRAY_REQUIRE_ALL") == "1":
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or changes the developer's own deployments."""
    home = tmp_path_factory.mktemp("dray-home")
    monkeypatch.setenv("DRAY_HOME", str(home))
    return home


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``."""
    return workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Schedule:
    """Where workers share the tests, those that share servers stay together."""
    return Schedule(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests, long ones start first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))  # is stable


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an absent tool, with the reason; under DRAY_REQUIRE_ALL=1 the absence is a failure."""
    for marker in item.iter_markers("needs"):
        tool = marker.args[0]
        if shutil.which(tool) is None:
            reason = f"{tool} is not installed here"
            if os.environ.get("DRAY_REQUIRE_ALL") == "1":
                pytest.fail(f"{reason}, and DRAY_REQUIRE_ALL is set", pytrace=False)
            pytest.skip(reason)
