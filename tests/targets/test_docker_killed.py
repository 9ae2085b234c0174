"""A `dray deploy` to an engine killed with SIGKILL: whatever it left, the next command converges."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from packager.core.progress import SilentProgress
from targets.docker import DockerSettings
from tests.contract_suites.target_suite import NAME, ask, put
from tests.support.command import DRAY
from tests.support.engine_images import EngineImages, ImagedDockerTarget
from tests.support.packages import logistic_model, make_package

pytestmark = pytest.mark.slow

SETTINGS = DockerSettings(threads=1)


def names(engine: Any) -> set[str]:
    found = engine.containers.list(all=True, filters={"label": f"dray.name={NAME}"}, ignore_removed=True)
    return {each.name for each in found}


@pytest.mark.parametrize("role", ["trial", "next"])
def test_next_command_converges_after_a_kill(
    engine_images: EngineImages, engine: Any, tmp_path: Path, state: Path, role: str
) -> None:
    target = ImagedDockerTarget(images=engine_images)
    old, new = make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")
    first = put(target, SETTINGS, old).deployment
    release = target.release_for_tests(new)
    argv = [str(DRAY), "deploy", str(release.image), "-t", "docker", "-n", NAME, "--set", "threads=1", "-y"]
    with subprocess.Popen(argv, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
        deadline = time.monotonic() + 60
        while f"dray.{role}-{NAME}" not in names(engine):
            assert time.monotonic() < deadline
            assert command.poll() is None
        command.send_signal(signal.SIGKILL)

    again = put(target, SETTINGS, new)

    assert names(engine) - {f"dray.previous-{NAME}"} == {f"dray-{NAME}"}
    assert again.deployment.endpoint == first.endpoint
    assert ask(target, again.deployment, new).passed
    target.destroy(again.deployment, SilentProgress())
    assert names(engine) == set()
