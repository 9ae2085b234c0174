"""Images of the stand-in's registry as containers of a real engine."""

import io
import json
import queue
import shutil
import socketserver
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.core.http_client import HttpInferenceClient
from packager.core.image import ImageRef, Platform
from targets.kit.engine.ports import free_port
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.leftovers import end_workloads
from targets.rehearsal.runner_containers import images_name
from targets.rehearsal.runners import StageRunner, find_engine
from targets.rehearsal.workload import Mounts, PullCredential, PullRefused, Workload, WorkloadStatus
from tests.support.engine_images import archive_of, digest, layer_of
from tests.support.packages import make_package
from tests.support.stage_registry import (
    TOKEN,
    USER,
    Shown,
    StageRegistry,
    package_image,
    pushed,
    runnable,
    running_stage_registry,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address there")]
KEY = "a-key-of-the-tests"
ADDRESS = "127.77.5.6"


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "stage")


@pytest.fixture
def runner(engine: Any, stage_registry: StageRegistry, folder: StageFolder) -> Iterator[StageRunner]:
    yield StageRunner(folder, stage_registry.store, stage_registry.host, TOKEN, find_engine())
    end_workloads(folder, find_engine().host)
    assert engine.containers.list(all=True, filters={"label": f"dray.rehearsal={folder.id}"}) == []
    assert engine.images.list(images_name(folder.id)) == []
    assert engine.volumes.list(filters={"label": f"dray.rehearsal={folder.id}"}) == []


@pytest.fixture
def image(stage_registry: StageRegistry, tmp_path: Path, shared_layers: tuple[bytes, ...]) -> str:
    package = make_package(tmp_path / "iris").root
    return pushed(
        runnable(tmp_path / "layout", package, shared_layers, find_engine().platform), stage_registry.host, Shown()
    )


MOUNTED = """
import pathlib, socket
link = socket.socket(socket.AF_UNIX)
link.connect("/var/run/iotedge/workload.sock")
link.sendall(b"here")
runs = pathlib.Path("/var/lib/dray/runs")
runs.write_text((runs.read_text() if runs.exists() else "") + "x")
print(runs.read_text(), flush=True)
"""


def credential(registry: StageRegistry) -> PullCredential:
    return PullCredential(registry.host, USER, TOKEN)


def owned_folder(name: str) -> bytes:
    """A layer with a folder of the image's user, as dray's images have it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o755, 65532, 65532
        archive.addfile(folder)
    return content.getvalue()


@contextmanager
def listening(path: Path) -> Iterator[tuple[Path, "queue.Queue[bytes]"]]:
    """A socket that everybody may write to, and what it heard."""
    heard: queue.Queue[bytes] = queue.Queue()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            heard.put(self.rfile.read())

    short = Path(tempfile.mkdtemp(prefix="dray-")) / path.name
    with socketserver.ThreadingUnixStreamServer(str(short), Handler) as server:
        short.chmod(0o666)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield short, heard
        server.shutdown()
    shutil.rmtree(short.parent)


def workload_of(image: str, environment: Mapping[str, str], **changed: Any) -> Workload:
    port = free_port(ADDRESS)
    given = {"DRAY_PORT": str(port), "DRAY_THREADS": "1", **environment}
    return Workload("churn/run 1", image, ADDRESS, (port,), given, **changed)


def wait_ready(workload: Workload, token: str | None = None) -> None:
    with HttpInferenceClient(f"http://{ADDRESS}:{workload.ports[0]}", token=token) as client:
        deadline = time.monotonic() + 60
        while not client.ready():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def ended(runner: StageRunner, run: str) -> WorkloadStatus:
    deadline = time.monotonic() + 60
    while (status := runner.status(run)).state != "terminated":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return status


def test_a_container_serves_on_the_address_of_its_workload_with_its_secrets(
    runner: StageRunner, stage_registry: StageRegistry, image: str, engine: Any, folder: StageFolder
) -> None:
    files = {"/run/secrets/keys": f"{KEY}\n".encode()}
    workload = workload_of(image, {"DRAY_API_KEYS_FILE": "/run/secrets/keys"}, files=files, cpus=64.0, memory_mib=512)
    volumes = {volume.id for volume in engine.volumes.list()}
    assert runner.kind == "containers"
    assert runner.pull(image, credential(stage_registry)) == image.partition("@")[2]
    runner.start(workload)
    wait_ready(workload, KEY)
    status = runner.status(workload.id)

    assert (status.state, status.reason) == ("running", "")
    assert list(runner.running()) == [workload.id]
    [container] = engine.containers.list(filters={"label": f"dray.rehearsal={folder.id}"})
    host = container.attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Memory"]) == (True, ["ALL"], 512 << 20)
    assert KEY not in json.dumps(container.attrs)
    runner.stop(workload.id, grace_s=10)
    status = runner.status(workload.id)
    assert (status.state, status.exit_code, status.reason) == ("terminated", 0, "Completed")
    assert "stopped" in runner.logs(workload.id, tail=1)
    runner.remove(workload.id)
    assert runner.status(workload.id) == WorkloadStatus("terminated")
    assert {volume.id for volume in engine.volumes.list()} == volumes


def test_a_container_reaches_a_socket_and_finds_its_volume_again_and_both_end_with_the_stand_in(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path, shared_layers: tuple[bytes, ...], engine: Any
) -> None:
    layers = (*shared_layers, owned_folder("var/lib/dray"))
    layout = runnable(tmp_path / "edge", make_package(tmp_path / "iris").root, layers, find_engine().platform)
    image = pushed(layout, stage_registry.host, Shown())
    runner.pull(image, credential(stage_registry))
    with listening(tmp_path / "workload.sock") as (path, heard):
        mounts = Mounts({"/var/run/iotedge/workload.sock": path}, {"/var/lib/dray": "edge-1-digits"})
        for run in ("first", "second"):
            workload = workload_of(image, {}, command=("/usr/bin/python3", "-c", MOUNTED), mounts=mounts)
            runner.start(replace(workload, id=run, host_network=True))
            assert ended(runner, run).exit_code == 0, runner.logs(run)
        assert runner.logs("second") == "xx\n"
        assert [heard.get(timeout=5), heard.get(timeout=5)] == [b"here", b"here"]
    runner.remove("first")
    runner.remove("second")
    assert [each for each in engine.volumes.list() if each.name.endswith("edge-1-digits")]


def test_a_memory_limit_that_is_passed_shows_as_such(
    runner: StageRunner, stage_registry: StageRegistry, image: str
) -> None:
    runner.pull(image, credential(stage_registry))
    eats = ("/usr/bin/python3", "-c", "b'x' * (256 << 20)")
    runner.start(workload_of(image, {}, command=eats, memory_mib=32))
    status = ended(runner, "churn/run 1")
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_a_program_that_ends_shows_its_status_and_words(
    runner: StageRunner, stage_registry: StageRegistry, image: str
) -> None:
    runner.pull(image, credential(stage_registry))
    runner.start(workload_of(image, {}, command=("/usr/bin/python3", "-c", "print('so long'); exit(3)")))
    status = ended(runner, "churn/run 1")
    assert (status.exit_code, status.reason) == (3, "Error")
    assert runner.logs("churn/run 1") == "so long\n"


def test_what_cannot_be_started_shows_why(runner: StageRunner, stage_registry: StageRegistry, image: str) -> None:
    runner.pull(image, credential(stage_registry))
    runner.start(workload_of(image, {}, command=("/no/such/program",)))
    status = runner.status("churn/run 1")
    assert (status.state, status.reason) == ("terminated", "Error")
    assert "/no/such/program" in runner.logs("churn/run 1")
    assert list(runner.running()) == []


def test_an_image_for_another_processor_does_not_run(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path, shared_layers: tuple[bytes, ...]
) -> None:
    package = make_package(tmp_path / "iris").root
    other = Platform("linux", "riscv64")
    layout = runnable(tmp_path / "layout", package, (), other)
    image = pushed(layout, stage_registry.host, Shown())
    runner.pull(image, credential(stage_registry))
    runner.start(workload_of(image, {}))
    assert runner.status("churn/run 1").state == "terminated"
    assert "exec format error" in runner.logs("churn/run 1")

    index = runnable(tmp_path / "index", package, (), other, index=True)
    with pytest.raises(PullRefused, match="no match for platform") as caught:
        runner.pull(pushed(index, stage_registry.host, Shown()), credential(stage_registry))
    assert caught.value.kind == "missing"


def test_an_engine_of_another_platform_than_the_clouds_is_not_used(engine: Any) -> None:
    found = find_engine(Platform("linux", "riscv64"))
    assert found.host is None
    assert "the cloud linux/riscv64" in found.why


def test_an_image_of_a_package_alone_runs_as_a_process(
    runner: StageRunner, stage_registry: StageRegistry, tmp_path: Path, engine: Any, folder: StageFolder
) -> None:
    layout = package_image(tmp_path / "layout", make_package(tmp_path / "iris").root)
    image = pushed(layout, stage_registry.host, Shown())
    runner.pull(image, credential(stage_registry))
    workload = workload_of(image, {})
    runner.start(workload)
    wait_ready(workload)
    assert engine.containers.list(all=True, filters={"label": f"dray.rehearsal={folder.id}"}) == []
    runner.remove(workload.id)


def test_dockers_own_client_pushes_and_pulls(stage_registry: StageRegistry, engine: Any, tmp_path: Path) -> None:
    name = f"{stage_registry.host}/team/docker"
    shown = {"username": USER, "password": TOKEN}
    engine.images.load(small_archive(f"{name}:1"))
    lines = [json.loads(line) for line in engine.images.push(name, "1", auth_config=shown).splitlines()]
    assert [line["error"] for line in lines if "error" in line] == []
    engine.images.remove(f"{name}:1")
    pulled = engine.images.pull(name, "1", auth_config=shown)

    with stage_registry.client() as client:
        assert [client.has_manifest("team/docker", "1")] == [
            ref.partition("@")[2] for ref in pulled.attrs["RepoDigests"]
        ]
    engine.images.remove(f"{name}:1")


def test_an_image_of_another_registry_is_pulled_by_the_engine_as_the_body_says(
    runner: StageRunner, tmp_path: Path, engine: Any
) -> None:
    with running_stage_registry(tmp_path / "elsewhere") as elsewhere:
        image = pushed(
            package_image(tmp_path / "layout", make_package(tmp_path / "iris").root), elsewhere.host, Shown()
        )
        with pytest.raises(PullRefused) as caught:
            runner.pull(image, None)
        assert caught.value.kind == "denied"
        with pytest.raises(PullRefused) as caught:
            runner.pull(f"{elsewhere.host}/team/none:1", credential(elsewhere))
        assert caught.value.kind == "missing"
        assert runner.pull(image, credential(elsewhere)) == ImageRef.parse(image).digest
        engine.images.remove(image)
    with pytest.raises(PullRefused) as caught:
        runner.pull(image, credential(elsewhere))
    assert caught.value.kind == "unreachable"


def small_archive(name: str) -> bytes:
    layer = layer_of({"etc/motd": Path(__file__)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    return archive_of(name, config, [layer], known=set())
