"""A `dray deploy` killed with SIGKILL at any moment: the next command finishes or undoes it, and no process is lost."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packager.core.progress import SilentProgress
from targets.kit.engine.process import processes_in
from targets.local import LocalSettings, LocalTarget
from targets.local.record import DeploymentFolder
from tests.contract_suites.target_suite import NAME, ask, put
from tests.support.fakes import fake_program
from tests.support.packages import logistic_model, make_package

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = fake_program()
# Writes of the record in an update: the intent, the process id, the exchange, the end of the old process.
MOMENTS = [f"{side}-write-{number}" for number in (1, 2, 3, 4) for side in ("before", "after")] + ["after-start"]


@pytest.fixture
def target(state: Path) -> LocalTarget:
    return LocalTarget(program=PROGRAM)


def die(package: Path, moment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.deploy_and_die", str(package), NAME, moment],
        cwd=ROOT, env=dict(os.environ), capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr.decode()


def running() -> list[int]:
    return [identity.pid for identity in processes_in(DeploymentFolder.of(NAME).path, PROGRAM)]


def wait_for_exec() -> None:
    """A process killed between fork and exec leaves a child that needs a moment to become what it will be."""
    time.sleep(0.3)


@pytest.mark.parametrize("moment", MOMENTS)
def test_update_killed_at_any_moment_still_serves_and_the_next_one_converges(
    target: LocalTarget, tmp_path: Path, moment: str
) -> None:
    old = make_package(tmp_path / "old", version="1")
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2")
    first = put(target, LocalSettings(), old)

    die(new.root, moment)
    wait_for_exec()

    found = target.inspect(NAME, LocalSettings())
    assert found is not None
    assert found.state == "running"
    assert found.endpoint == first.deployment.endpoint
    again = put(target, LocalSettings(), new)
    assert again.deployment.endpoint == first.deployment.endpoint
    assert running() == [again.deployment.detail["pid"]]
    assert ask(target, again.deployment, new).passed


@pytest.mark.parametrize("moment", ["after-write-1", "after-start", "after-write-2", "before-write-3"])
def test_first_deployment_killed_is_pending_and_delete_leaves_nothing(
    target: LocalTarget, tmp_path: Path, moment: str
) -> None:
    package = make_package(tmp_path / "one")

    die(package.root, moment)
    wait_for_exec()

    found = target.inspect(NAME, LocalSettings())
    assert found is not None
    assert found.state == "pending"
    target.destroy(found, SilentProgress())
    assert running() == []
    assert not DeploymentFolder.of(NAME).path.exists()


def test_first_deployment_killed_before_its_record_leaves_no_trace_after_the_next(
    target: LocalTarget, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "one")

    die(package.root, "before-write-1")
    outcome = put(target, LocalSettings(), package)

    assert running() == [outcome.deployment.detail["pid"]]


@pytest.mark.parametrize("moment", ["after-write-1", "after-start", "after-write-2", "after-write-3"])
def test_leftovers_are_ended_even_where_the_live_release_stays(
    target: LocalTarget, tmp_path: Path, moment: str
) -> None:
    old = make_package(tmp_path / "old", version="1")
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2")
    put(target, LocalSettings(), old)
    die(new.root, moment)
    wait_for_exec()
    serving = target.inspect(NAME, LocalSettings())
    assert serving is not None

    again = put(target, LocalSettings(), new if serving.version == "2" else old)

    assert "delete" in [action.verb for action in again.plan.actions]
    assert again.deployment == serving
    assert running() == [serving.detail["pid"]]
