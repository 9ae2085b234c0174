"""Images of the stand-in's registry as processes of the runtime, and what cannot be had or run so."""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from packager.core.http_client import HttpInferenceClient
from packager.core.image import Platform
from targets.kit.engine.ports import free_port
from targets.rehearsal.blobs import BlobStore
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.runners import Engine, StageRunner
from targets.rehearsal.workload import PullCredential, PullRefused, Workload, WorkloadStatus
from tests.support.packages import make_package
from tests.support.stage_registry import TOKEN, USER, Shown, StageRegistry, package_image, pushed, runnable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rehearsals need POSIX")
SETTINGS = {"DRAY_THREADS": "1"}


@pytest.fixture
def runner(stage_registry: StageRegistry, tmp_path: Path) -> Iterator[StageRunner]:
    folder, engine = StageFolder(tmp_path / "stage"), Engine(None, Platform(), "a test")
    made = StageRunner(folder, stage_registry.store, stage_registry.host, TOKEN, engine)
    yield made
    for left in list(made.running()):
        made.remove(left)
    assert list(made.running()) == []


@pytest.fixture
def image(stage_registry: StageRegistry, tmp_path: Path) -> str:
    layout = package_image(tmp_path / "layout", make_package(tmp_path / "iris").root)
    return pushed(layout, stage_registry.host, Shown())


def credential(registry: StageRegistry, password: str = TOKEN) -> PullCredential:
    return PullCredential(registry.host, USER, password)


def started(
    runner: StageRunner, registry: StageRegistry, image: str, environment: Mapping[str, str], **changed: object
) -> Workload:
    runner.pull(image, credential(registry))
    address = "127.77.3.4" if sys.platform == "linux" else "127.0.0.1"
    port = free_port(address)
    given = {"DRAY_PORT": str(port), **SETTINGS, **environment}
    workload = Workload("run/1", image, address, (port,), given, **changed)  # type: ignore[arg-type]
    runner.start(workload)
    return workload


def ended(runner: StageRunner, run: str) -> WorkloadStatus:
    deadline = time.monotonic() + 30
    while (status := runner.status(run)).state != "terminated":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return status


def answers(workload: Workload, timeout_s: float = 30) -> bool:
    with HttpInferenceClient(f"http://{workload.address}:{workload.ports[0]}") as client:
        deadline = time.monotonic() + timeout_s
        while not client.ready():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


def test_a_package_is_served_on_the_address_of_its_workload(
    runner: StageRunner, stage_registry: StageRegistry, image: str
) -> None:
    workload = started(runner, stage_registry, image, {})
    assert answers(workload)
    status = runner.status("run/1")
    assert (status.state, status.exit_code, status.reason) == ("running", None, "")
    assert list(runner.running()) == ["run/1"]
    lines = runner.logs("run/1").splitlines()
    assert "iris" in " ".join(lines)
    assert [runner.logs("run/1", tail=count).splitlines() for count in (0, 1)] == [[], lines[-1:]]

    runner.stop("run/1", grace_s=10)
    status = runner.status("run/1")
    assert (status.state, status.exit_code, status.reason) == ("terminated", 0, "Completed")
    assert status.started_at <= status.finished_at
    runner.remove("run/1")
    assert (runner.status("run/1"), runner.logs("run/1")) == (WorkloadStatus("terminated"), "")


def test_a_setting_that_cannot_be_meant_ends_it_with_the_runtimes_own_status(
    runner: StageRunner, stage_registry: StageRegistry, image: str
) -> None:
    started(runner, stage_registry, image, {"DRAY_LOG_LEVEL": "loud"})
    status = ended(runner, "run/1")
    assert (status.exit_code, status.reason) == (2, "Error")
    assert "E-SETTING DRAY_LOG_LEVEL is 'loud'" in runner.logs("run/1", tail=1)


def test_a_port_that_is_not_opened_is_not_reached(
    runner: StageRunner, stage_registry: StageRegistry, image: str
) -> None:
    workload = started(runner, stage_registry, image, {"DRAY_PORT": str(free_port("127.0.0.1"))})
    assert not answers(workload, timeout_s=2)
    assert runner.status("run/1").state == "running"


@pytest.mark.parametrize(
    ("changed", "environment", "words"),
    [
        ({"command": ("/bin/sh", "-c", "exit 0")}, {}, "there is no container engine to run '/bin/sh -c exit 0'"),
        ({}, {"DRAY_PORT": "http"}, "E-SETTING DRAY_PORT is 'http'"),
    ],
)
def test_what_a_process_cannot_do_shows_as_its_end(
    runner: StageRunner,
    stage_registry: StageRegistry,
    image: str,
    changed: Mapping[str, object],
    environment: Mapping[str, str],
    words: str,
) -> None:
    started(runner, stage_registry, image, environment, **changed)
    status = runner.status("run/1")
    assert (status.state, status.exit_code, status.reason) == ("terminated", 127, "Error")
    assert words in runner.logs("run/1")


def test_an_image_without_a_package_cannot_run_here(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    image = pushed(package_image(tmp_path / "layout", tmp_path / "empty"), stage_registry.host, Shown())
    started(runner, stage_registry, image, {})
    assert runner.status("run/1").state == "terminated"
    assert "holds no model package" in runner.logs("run/1")


def test_what_was_not_pulled_does_not_run(runner: StageRunner) -> None:
    runner.start(Workload("run/1", "registry.example/iris:1", "127.0.0.1", (8080,)))
    assert runner.status("run/1").exit_code == 127
    assert runner.logs("run/1") == "registry.example/iris:1 was not pulled\n"


def test_an_index_gives_the_package_that_all_its_platforms_share(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "iris").root
    layout = package_image(tmp_path / "layout", package, platforms=(Platform(), Platform("linux", "arm64")))
    image = pushed(layout, stage_registry.host, Shown())
    assert runner.pull(image, credential(stage_registry)) == image.partition("@")[2]
    assert answers(started(runner, stage_registry, image, {}))


def test_programs_that_the_cloud_could_not_run_are_not_run(stage_registry: StageRegistry, tmp_path: Path) -> None:
    engine, cloud = Engine(None, Platform(), "a test"), Platform("linux", "riscv64")
    folder = StageFolder(tmp_path / "stage")
    runner = StageRunner(folder, stage_registry.store, stage_registry.host, TOKEN, engine, platform=cloud)
    layout = package_image(tmp_path / "layout", make_package(tmp_path / "iris").root, labels={})
    started(runner, stage_registry, pushed(layout, stage_registry.host, Shown()), {})
    status = runner.status("run/1")
    assert (status.state, status.exit_code, status.reason) == ("terminated", 1, "Error")
    assert "exec format error" in runner.logs("run/1")


def test_a_device_of_another_processor_takes_its_own_images_and_no_others(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "iris").root
    other = runner.on(Platform("linux", "arm64"))
    assert other is runner.on(Platform("linux", "arm64"))
    for platform, code in ((Platform("linux", "arm64"), None), (Platform(), 1)):
        layout = runnable(tmp_path / platform.architecture, package, (), platform)
        image = pushed(layout, stage_registry.host, Shown(), platform.architecture)
        other.pull(image, credential(stage_registry))
        port = free_port("127.0.0.1")
        workload = Workload(platform.architecture, image, "127.0.0.1", (port,), {"DRAY_PORT": str(port), **SETTINGS})
        other.start(workload)
        assert other.status(workload.id).exit_code == code
        other.remove(workload.id)


@pytest.mark.parametrize("shown", [None, "wrong"])
def test_a_pull_without_the_token_is_denied(
    runner: StageRunner, stage_registry: StageRegistry, image: str, shown: str | None
) -> None:
    with pytest.raises(PullRefused) as caught:
        runner.pull(image, credential(stage_registry, shown) if shown else None)
    assert caught.value.kind == "denied"


@pytest.mark.parametrize("server", ["other.example", "https://index.docker.io/v1/", ""])
def test_credentials_of_another_registry_are_not_taken(runner: StageRunner, image: str, server: str) -> None:
    with pytest.raises(PullRefused, match="without credentials") as caught:
        runner.pull(image, PullCredential(server, USER, TOKEN))
    assert caught.value.kind == "denied"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("team/none:1", "missing"), ("team/iris:2", "missing"), (f"team/iris@sha256:{'0' * 64}", "missing")],
)
def test_what_the_registry_has_not_is_missing(
    runner: StageRunner, stage_registry: StageRegistry, image: str, name: str, kind: str
) -> None:
    with pytest.raises(PullRefused) as caught:
        runner.pull(f"{stage_registry.host}/{name}", credential(stage_registry))
    assert caught.value.kind == kind


def test_a_registry_of_somebody_else_needs_an_engine(runner: StageRunner) -> None:
    with pytest.raises(PullRefused, match="no container engine") as caught:
        runner.pull("registry.example/team/iris:1", None)
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("which", ["manifest", "layer"])
def test_a_damaged_image_is_not_run(runner: StageRunner, stage_registry: StageRegistry, image: str, which: str) -> None:
    path = damaged(stage_registry.store, image, which)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PullRefused, match="other bytes") as caught:
        runner.pull(image, credential(stage_registry))
    assert caught.value.kind == "unreachable"


def damaged(store: BlobStore, image: str, which: str) -> Path:
    digest = image.partition("@")[2]
    blobs = (store.folder / "blobs").iterdir()
    return store.path(digest) if which == "manifest" else max(blobs, key=lambda path: path.stat().st_size)
