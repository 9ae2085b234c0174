"""What can go wrong with a local deployment: each with its code, a hint, and nothing left behind."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from packager.core.artifact import ModelPackage, Release
from packager.core.errors import (
    DeploymentFailed,
    EnvironmentMissing,
    NotReady,
    NotWritable,
    PackageDamaged,
    PortInUse,
    ProcessCrash,
)
from packager.core.progress import SilentProgress
from packager.deploy import check, plan
from targets.kit.engine.process import processes_in
from targets.local import LocalSettings, LocalTarget, target
from targets.local.record import DeploymentFolder
from tests.contract_suites.target_suite import FAILED, NAME, agree, ask, put
from tests.support.fakes import fake_program
from tests.support.packages import logistic_model, make_package

SETTINGS = LocalSettings()


@pytest.fixture(autouse=True)
def _state(state: Path) -> Path:
    return state


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "one", version="1")


@pytest.fixture
def update(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "two", logistic_model(seed=7), version="2")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def local(mode: str = "ok") -> LocalTarget:
    return LocalTarget(program=fake_program(mode))


def deploy_within(chosen: LocalTarget, package: ModelPackage, timeout_s: float) -> Any:
    made = plan(chosen, NAME, Release(package), SETTINGS)
    return chosen.apply(made, {}, SilentProgress(), timeout_s=timeout_s)


def end(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait()


def assert_no_trace(mode: str) -> None:
    folder = DeploymentFolder.of(NAME)
    assert list(processes_in(folder.path, fake_program(mode))) == []
    assert not folder.path.exists()


def test_runtime_that_ends_at_once_is_a_crash_with_its_last_words(package: ModelPackage) -> None:
    with pytest.raises(ProcessCrash) as caught:
        put(local("crash"), SETTINGS, package)

    assert caught.value.code == "E-CONTAINER-CRASH"
    assert caught.value.message == (
        "the runtime ended with exit status 3 before it was ready: ImportError: no such thing"
    )
    assert "dray doctor" in caught.value.hint
    assert caught.value.detail == {"exit_status": 3, "log": ["fake runtime, mode crash", "ImportError: no such thing"]}
    assert_no_trace("crash")


def test_runtime_that_says_it_failed_is_not_waited_for(package: ModelPackage) -> None:
    with pytest.raises(NotReady) as caught:
        put(local("fail"), SETTINGS, package)

    assert caught.value.code == "E-NOT-READY"
    assert caught.value.message == "the runtime will not become ready (E-SELF-TEST): output 'y' differs"
    assert caught.value.detail["error_code"] == "E-SELF-TEST"
    assert caught.value.hint
    assert_no_trace("fail")


def test_runtime_that_is_never_ready_is_given_up(package: ModelPackage) -> None:
    with pytest.raises(NotReady) as caught:
        deploy_within(local("hang"), package, 1)

    assert caught.value.message == "the runtime was not ready within 1 s"
    assert "--timeout" in caught.value.hint
    assert_no_trace("hang")


@pytest.mark.parametrize("mode", ["crash", "fail"])
def test_old_release_serves_on_when_the_new_one_does_not_start(
    package: ModelPackage, update: ModelPackage, mode: str
) -> None:
    first = put(local(), SETTINGS, package).deployment

    with pytest.raises((ProcessCrash, NotReady)):
        put(local(mode), SETTINGS, update)

    assert local().inspect(NAME, SETTINGS) == first
    assert ask(local(), first, package).passed


def test_port_of_another_program_is_refused_before_anything_starts(package: ModelPackage, taken: int) -> None:
    with pytest.raises(PortInUse) as caught:
        put(local(), LocalSettings(port=taken), package)

    assert caught.value.code == "E-PORT-IN-USE"
    assert caught.value.message.startswith(f"port {taken} of 127.0.0.1 is in use by ")
    assert f"(process {psutil.Process().pid})" in caught.value.message
    assert "--set port=N" in caught.value.hint
    assert_no_trace("ok")


def test_port_taken_after_the_plan_is_told_by_the_runtime(package: ModelPackage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made = plan(LocalTarget(), NAME, Release(package), LocalSettings(port=port))

    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse, match=f"port {port} of"):
        LocalTarget().apply(made, {}, SilentProgress(), timeout_s=30)

    assert_no_trace("ok")


def test_free_port_that_somebody_takes_meanwhile_is_replaced(
    package: ModelPackage, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([taken])
    free = target.handover.free_port
    monkeypatch.setattr(target.handover, "free_port", lambda host: next(ports, None) or free(host))

    outcome = put(local(), SETTINGS, package)

    assert outcome.smoke.passed
    assert not str(outcome.deployment.endpoint).endswith(f":{taken}")


def test_process_that_ignores_the_end_is_killed(package: ModelPackage, update: ModelPackage) -> None:
    settings = LocalSettings(drain_timeout_s=0.3)
    old = put(local("stubborn"), settings, package).deployment

    put(local(), settings, update)

    assert not psutil.pid_exists(old.detail["pid"]) or psutil.Process(old.detail["pid"]).status() == "zombie"


def test_state_folder_that_cannot_be_written_is_named(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "file" / "home"))

    with pytest.raises(NotWritable) as caught:
        put(local(), SETTINGS, package)

    assert "DRAY_HOME" in caught.value.hint


def test_record_that_cannot_be_read_is_named(package: ModelPackage) -> None:
    put(local(), SETTINGS, package)
    record = DeploymentFolder.of(NAME).path / "record.json"
    good = record.read_bytes()
    record.write_text("{}")

    with pytest.raises(DeploymentFailed) as caught:
        local().inspect(NAME, SETTINGS)

    record.write_bytes(good)
    assert caught.value.code == "E-DEPLOYMENT-FAILED"
    assert repr(str(record)) in caught.value.message
    assert "remove the folder" in caught.value.hint


def test_package_that_changes_while_it_is_copied_is_refused(package: ModelPackage) -> None:
    made = plan(local(), NAME, Release(package), SETTINGS)
    (package.root / "model.onnx").write_bytes(b"another")

    with pytest.raises(PackageDamaged):
        local().apply(made, {}, SilentProgress(), timeout_s=5)

    assert_no_trace("ok")


def test_missing_runtime_is_found_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "find_spec", lambda name: None if name == "onnxruntime" else object())

    with pytest.raises(EnvironmentMissing) as caught:
        check(local(), SETTINGS)

    assert caught.value.message == "the runtime needs onnxruntime, not installed here"
    assert caught.value.hint == 'pip install "dray[runtime]"'


def test_windows_is_told_of_wsl() -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        check(LocalTarget(platform="win32"), SETTINGS)

    assert caught.value.message == "the local target needs Linux or macOS"
    assert "WSL" in caught.value.hint


def test_public_endpoint_is_named_in_the_plan(package: ModelPackage) -> None:
    made = plan(local(), NAME, Release(package), LocalSettings(host="0.0.0.0"))

    assert [finding.code for finding in made.findings] == ["E-PUBLIC-ENDPOINT"]
    assert "0.0.0.0 without a key" in made.findings[0].message


def test_address_of_another_machine_cannot_be_listened_on(package: ModelPackage) -> None:
    made = LocalTarget().plan(NAME, Release(package), LocalSettings(host="192.0.2.1", port=8080))

    assert [(finding.code, finding.blocking) for finding in made.findings if finding.blocking] == [("E-CONFIG", True)]


def test_log_of_a_failed_candidate_stays_beside_the_live_one(package: ModelPackage, update: ModelPackage) -> None:
    put(local(), SETTINGS, package)

    with pytest.raises(Exception, match="smoke"):
        put(local(), SETTINGS, update, report=FAILED)

    assert len(list((DeploymentFolder.of(NAME).path / "logs").iterdir())) == 2


def test_followed_log_goes_on_with_the_process_that_replaces(package: ModelPackage, update: ModelPackage) -> None:
    deployment = put(local(), SETTINGS, package).deployment
    lines = local().logs(deployment, follow=True)
    assert next(lines) == "fake runtime, mode ok"

    put(LocalTarget(program=fake_program("stubborn")), LocalSettings(drain_timeout_s=0.3), update)

    deadline = time.monotonic() + 20
    while next(lines) != "fake runtime, mode stubborn":
        assert time.monotonic() < deadline


@pytest.mark.parametrize("chosen", [local(), LocalTarget()], ids=["stand-in", "runtime"])
def test_state_is_the_processes_and_not_the_records(package: ModelPackage, chosen: LocalTarget) -> None:
    deployment = put(chosen, SETTINGS, package).deployment
    end(deployment.detail["pid"])

    found = chosen.inspect(NAME, SETTINGS)

    assert found is not None
    assert found.state == "failed"
    again = put(chosen, SETTINGS, package).deployment
    assert (again.state, again.endpoint) == ("running", deployment.endpoint)


def test_process_id_that_now_belongs_to_another_program_is_not_touched(package: ModelPackage) -> None:
    deployment = put(local(), SETTINGS, package).deployment
    end(deployment.detail["pid"])
    folder = DeploymentFolder.of(NAME)
    record = folder.read()
    assert record is not None
    assert record.live is not None
    with psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        # As after a restart of the machine: the same id, and a beginning long ago.
        identity = {"pid": stranger.pid, "created": psutil.boot_time() - 1000}
        live = record.live.model_copy(update={"process": type(record.live.process).model_validate(identity)})
        folder.write(record.model_copy(update={"live": live}))

        found = local().inspect(NAME, SETTINGS)
        assert found is not None
        local().destroy(found, SilentProgress())

        assert found.state == "stopped"
        assert stranger.is_running()
        stranger.kill()


def test_environment_of_the_runtime_holds_no_secret(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("DRAY_MAX_QUEUE", "1")

    deployment = put(LocalTarget(), LocalSettings(threads=2), package).deployment

    environ = psutil.Process(deployment.detail["pid"]).environ()
    assert environ["DRAY_THREADS"] == "2"
    assert not {"AZURE_CLIENT_SECRET", "DRAY_MAX_QUEUE", "DRAY_HOME", "HOME"} & environ.keys()


def test_plan_is_asked_about_only_when_it_changes_something(package: ModelPackage) -> None:
    made = plan(local(), NAME, Release(package), SETTINGS)

    assert agree(made)
    assert [(action.verb, action.resource.split()[0]) for action in made.actions] == [
        ("create", "package"), ("create", "process"),
    ]  # fmt: skip
    assert made.actions[1].body["environment"] == {"DRAY_HOST": "127.0.0.1", "DRAY_PORT": "free"}
