"""A package is switched by twin in place: without a gap, never to a wrong one, and for good."""

import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from tests.support.archive_server import ArchiveServer, archive_server, digest_of, packed
from tests.support.edge_hub import EdgeHub, edge_hub
from tests.support.packages import identity_model, logistic_model, make_package
from tests.support.servers import RunningServer, infer_body, running_server

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def files() -> Iterator[ArchiveServer]:
    with archive_server() as served:
        yield served


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 of the same model: other weights, the same signature."""
    folder = tmp_path_factory.mktemp("edge") / "better"
    make_package(folder, logistic_model(seed=2), version="2")
    return folder


@pytest.fixture
def fresh() -> Iterator[EdgeHub]:
    with edge_hub() as running:
        yield running


def wished(hub: EdgeHub, package: dict[str, Any] | None, state: str | None) -> dict[str, Any]:
    """What is reported of a package once it stands so."""
    if package is not None:
        hub.desire({"package": None})
        hub.wait(lambda: "package" not in hub.reported, 10, "the package before is still reported")
    hub.desire({"package": package})
    hub.wait(lambda: _state(hub) == state, 20, f"the package is not {state}")
    return dict(hub.reported.get("package", {}))


def _state(hub: EdgeHub) -> str | None:
    found: str | None = hub.reported.get("package", {}).get("state")
    return found


def repacked(package: Path, tmp_path: Path, **changes: Any) -> Path:
    make_package(tmp_path / "other", **changes)
    return tmp_path / "other"


class Steady:
    """Messages one after the other, from a thread, until the block ends; each asks again when it was answered."""

    def __init__(self, hub: EdgeHub) -> None:
        self._hub, self._over = hub, threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Steady":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        self._hub.wait_for_outputs(self.sent)

    def _run(self) -> None:
        while not self._over.is_set():
            for _ in range(4):
                self._hub.send(infer_body([ROW]), mid=f"steady-{self.sent}")
                self.sent += 1
            self._hub.wait_for_outputs(self.sent - 4)


def test_a_package_is_switched_under_steady_messages_and_after_a_restart_still_serves(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    offered = files.offer("better.tar", packed(better), digest=digest_of(better))
    sent = files.sent_bytes
    with running_server(package, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        with Steady(fresh) as steady:
            fresh.wait_for_outputs(20)
            found = wished(fresh, offered, "active")
            before = len(fresh.outputs)
            fresh.wait_for_outputs(before + 20)
        assert found == {**found, "digest": digest_of(better), "version": "2", "bytes": offered["size_bytes"]}
        assert files.sent_bytes - sent == offered["size_bytes"]
        assert found["gap_ms"] < 1000
        assert {name for name in fresh.reported["counts"] if name == "repeated"} == {"repeated"}
        _each_by_a_release(fresh, steady.sent, {digest_of(package): "1", digest_of(better): "2"})
        assert server.readiness()["models"][0]["digest"] == fresh.reported["digest"] == digest_of(better)
        log = server.stderr()
        assert server.terminate() == 0
    assert "SECRET" not in log
    fresh.patches.clear()
    with running_server(package, log=tmp_path / "log", **fresh.environment()) as server:
        assert server.readiness()["models"][0]["digest"] == digest_of(better)
        fresh.wait(lambda: any("package" in patch["dray"] for patch in fresh.patches), 10)
        assert fresh.reported["package"]["state"] == "active"
        assert wished(fresh, None, None) == {}
        assert server.readiness()["models"][0]["digest"] == digest_of(package)
    assert files.sent_bytes - sent == offered["size_bytes"]


def _each_by_a_release(hub: EdgeHub, sent: int, releases: dict[str, str]) -> None:
    """Every message has one answer, which is what the release that it names answers; the later ones are of the last."""
    ids = [output.correlation_id for output in hub.outputs]
    assert sorted(ids) == sorted(f"steady-{number}" for number in range(sent))
    assert {output.name for output in hub.outputs} == {"predictions"}
    answers: dict[str, set[str]] = {}
    for output in hub.outputs:
        assert output.properties["version"] == releases[output.properties["digest"]] == output.json()["model_version"]
        answers.setdefault(output.properties["digest"], set()).add(str(output.json()["outputs"]))
    assert {digest: len(found) for digest, found in answers.items()} == dict.fromkeys(releases, 1)
    assert len(set().union(*answers.values())) == len(releases)
    assert hub.outputs[-1].properties["version"] == "2"
