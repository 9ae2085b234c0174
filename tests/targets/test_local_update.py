"""Updates of the real runtime while clients use it."""

import shutil
from pathlib import Path

import httpx
import psutil
import pytest

from packager.core.errors import NotReady, SmokeTestFailed
from packager.core.progress import SilentProgress
from targets.kit.engine.ports import free_port
from targets.kit.engine.process import processes_in
from targets.local import LocalSettings, LocalTarget
from targets.local.record import DeploymentFolder
from tests.contract_suites.target_suite import FAILED, NAME, ask, put
from tests.support.packages import logistic_model, make_package
from tests.support.traffic import steady_requests


@pytest.fixture
def target(state: Path) -> LocalTarget:
    return LocalTarget()


def test_no_request_is_lost_across_a_failed_update_and_an_update(target: LocalTarget, tmp_path: Path) -> None:
    old = make_package(tmp_path / "old", version="1")
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2")
    first = put(target, LocalSettings(), old)

    with steady_requests(str(first.deployment.endpoint), old) as traffic:
        with pytest.raises(SmokeTestFailed):
            put(target, LocalSettings(), new, report=FAILED)
        second = put(target, LocalSettings(), new)

    assert traffic.failures == []
    assert set(traffic.answers) == {"1", "2"}
    assert second.deployment.endpoint == first.deployment.endpoint


def test_no_request_is_lost_where_several_workers_answer(target: LocalTarget, tmp_path: Path) -> None:
    old = make_package(tmp_path / "old", version="1")
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2")
    settings = LocalSettings(workers=2)
    first = put(target, settings, old)

    with steady_requests(str(first.deployment.endpoint), old) as traffic:
        second = put(target, settings, new)

    assert traffic.failures == []
    assert set(traffic.answers) == {"1", "2"}
    folder = DeploymentFolder.of(NAME)
    (serving,) = processes_in(folder.path, target.program)  # its workers are it
    workers = psutil.Process(serving.pid).children()
    target.destroy(second.deployment, SilentProgress())
    assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)


def test_self_test_failure_is_not_ready_with_the_runtimes_reason(target: LocalTarget, tmp_path: Path) -> None:
    good = make_package(tmp_path / "good", version="1")
    bad = make_package(tmp_path / "bad", version="2", wrong_answers=True)
    first = put(target, LocalSettings(), good)

    with pytest.raises(NotReady, match="probabilities") as caught:
        put(target, LocalSettings(), bad)

    assert caught.value.code == "E-NOT-READY"
    assert caught.value.detail["error_code"].startswith("E-")
    assert caught.value.detail["log"]
    assert ask(target, first.deployment, good).passed


def test_new_port_moves_the_endpoint_and_the_plan_says_so(target: LocalTarget, tmp_path: Path) -> None:
    package = make_package(tmp_path / "one")
    first = put(target, LocalSettings(), package).deployment
    port = free_port("127.0.0.1")

    second = put(target, LocalSettings(port=port), package)

    assert second.deployment.endpoint == f"http://127.0.0.1:{port}"
    changes = {change.field: change.after for action in second.plan.actions for change in action.changes}
    assert changes == {"endpoint": second.deployment.endpoint}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{first.endpoint}/readyz", trust_env=False)


def test_users_package_folder_may_be_deleted(target: LocalTarget, tmp_path: Path) -> None:
    old = make_package(tmp_path / "old", version="1")
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2")
    put(target, LocalSettings(), old)
    deployment = put(target, LocalSettings(), new).deployment

    shutil.rmtree(old.root)
    shutil.rmtree(new.root)

    before = target.previous(deployment)
    assert before is not None
    assert before[0].package.digest == old.digest
    assert Path(str(deployment.package)).is_dir()


def test_only_live_and_previous_release_are_kept(target: LocalTarget, tmp_path: Path) -> None:
    packages = [make_package(tmp_path / str(n), logistic_model(seed=n), version=str(n)) for n in range(3)]

    for package in packages:
        put(target, LocalSettings(), package)

    folder = DeploymentFolder.of(NAME)
    kept = {path.name for path in (folder.path / "releases").iterdir()}
    assert kept == {folder.release(package.digest).name for package in packages[1:]}


def test_deletion_ends_the_process(target: LocalTarget, tmp_path: Path) -> None:
    deployment = put(target, LocalSettings(), make_package(tmp_path / "one")).deployment

    target.destroy(deployment, SilentProgress())

    folder = DeploymentFolder.of(NAME)
    assert list(processes_in(folder.path, target.program)) == []
    assert not folder.path.exists()
