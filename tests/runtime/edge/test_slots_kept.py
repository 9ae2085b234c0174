"""What outlives a module of its packages: restarts, kills at any step, damage, another image."""

import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.app import create_serving
from runtime.contract.package import read_package
from runtime.edge.fetching import Patience
from runtime.edge.packages import Packages
from runtime.edge.slots import Active, Slots
from runtime.edge.staging import stage
from runtime.edge.wanted import read_wanted
from runtime.errors import FolderRefused, NoRoom, PackageDeadly
from runtime.settings import Settings
from tests.support.archive_server import ArchiveServer, digest_of, packed
from tests.support.edge_hub import EdgeHub
from tests.support.edge_slots import ROW, kill_during_switches
from tests.support.packages import logistic_model, make_package
from tests.support.servers import infer_body, running_server

pytestmark = pytest.mark.slow


def until(hub: EdgeHub, **facts: str) -> None:
    hub.wait(lambda: facts.items() <= hub.reported.get("package", {}).items(), 20, f"not {facts}")


def test_a_module_that_is_killed_while_it_fetches_goes_on_where_it_was(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    offered = files.offer("resumed.tar", packed(better), digest=digest_of(better))
    files.stall["/resumed.tar"] = 5000
    with running_server(package, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        fresh.desire({"package": offered})
        assert files.stalled.wait(10)
        part = fresh.folder / "kept/slots/download"
        fresh.wait(lambda: part.exists() and part.stat().st_size == 5000, 10)
        server.process.kill()
    files.stall.clear()
    files.go_on.set()
    with running_server(package, log=tmp_path / "log", **fresh.environment()):
        until(fresh, state="active")
        assert fresh.reported["package"]["bytes"] == offered["size_bytes"] - 5000


def test_a_module_that_is_killed_while_it_switches_serves_the_old_or_the_new(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    found = kill_during_switches(fresh, (package, better), files, tmp_path / "log", kills=3, seed=5)
    assert (found.unanswered, found.strange) == ([], 0)


def test_wherever_a_kill_strikes_the_note_names_a_whole_package(
    package: Path, better: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = read_wanted({"path": str(better), "digest": digest_of(better)})
    served = {package}
    for steps in itertools.count():
        slots = Slots(tmp_path / str(steps), 0)
        with monkeypatch.context() as patch:
            _die_after(steps, patch)
            try:
                staged = stage(wanted, slots, served, threading.Event(), Patience())
                slots.activate(Active(staged.slot, wanted.digest, "iris", "2", digest_of(package)))
            except Killed:
                finished = False
            else:
                finished = True
        if (active := slots.active) is not None:
            assert read_package(slots.path(active.slot)).digest == wanted.digest
        if finished:
            break
        assert stage(wanted, slots, served, threading.Event(), Patience()).package.digest == wanted.digest
    assert active is not None
    assert steps > 10


class Killed(BaseException):
    """SIGKILL: nothing more is done."""


def _die_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    left = itertools.count(steps, -1)
    for module, name in [(os, "fsync"), (os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "mkdir")]:
        patch.setattr(module, name, _dying(getattr(module, name), left))


def _dying(call: Any, left: Iterator[int]) -> Any:
    def dying(*args: Any, **named: Any) -> Any:
        if next(left) <= 0:
            raise Killed
        return call(*args, **named)

    return dying


def test_a_slot_that_was_damaged_serves_no_more_and_is_fetched_again(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    offered = files.offer("healed.tar", packed(better), digest=digest_of(better))
    fresh.twin["desired"]["dray"] = {"package": offered}
    with running_server(package, log=tmp_path / "log", **fresh.environment()):
        until(fresh, state="active")
    (fresh.folder / "kept/slots/a/model.onnx").write_bytes(b"damaged")
    files.statuses["/healed.tar"] = [403]
    fresh.twin["reported"].pop("dray")
    with running_server(package, log=tmp_path / "log", **fresh.environment()) as server:
        until(fresh, state="failed", code="E-PACKAGE-FETCH")
        assert server.readiness()["models"][0]["digest"] == digest_of(package)
        assert "model.onnx" in fresh.reported["package"]["fell_back"]
        assert fresh.call("reload")[0] == 200
        until(fresh, state="active", digest=digest_of(better))
        fresh.wait(lambda: "fell_back" not in fresh.reported["package"], 10)


def test_another_image_serves_its_own_package(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    fresh.twin["desired"]["dray"] = {"package": files.offer("b.tar", packed(better), digest=digest_of(better))}
    with running_server(package, log=tmp_path / "log", **fresh.environment()):
        until(fresh, state="active")
    make_package(tmp_path / "newest", logistic_model(seed=3), version="3")
    fresh.twin["reported"].pop("dray")
    with running_server(tmp_path / "newest", log=tmp_path / "log", **fresh.environment()) as server:
        assert server.readiness()["models"][0]["version"] == "3"
        until(fresh, state="failed", code="E-PACKAGE-OLDER")


def test_a_package_can_take_the_place_of_one_that_fails(
    fresh: EdgeHub, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    make_package(tmp_path / "wrong", wrong_answers=True)
    fresh.twin["desired"]["dray"] = {"package": files.offer("r.tar", packed(better), digest=digest_of(better))}
    with running_server(tmp_path / "wrong", log=tmp_path / "log", until=(), **fresh.environment()):
        until(fresh, state="active")
        fresh.wait_until_taking()
        fresh.send(infer_body([ROW]), mid="m")
        assert fresh.wait_for_outputs(1)[0].properties["version"] == "2"


def test_a_package_over_which_processes_end_is_given_up(
    fresh: EdgeHub, package: Path, better: Path, files: ArchiveServer, tmp_path: Path
) -> None:
    fresh.twin["desired"]["dray"] = {"package": files.offer("b.tar", packed(better), digest=digest_of(better))}
    with running_server(package, log=tmp_path / "log", **fresh.environment()):
        until(fresh, state="active")
    trial = fresh.folder / "kept/slots/trial.json"
    assert not trial.exists()
    trial.write_text(json.dumps({"digest": digest_of(better), "count": 3}))
    fresh.twin["reported"].pop("dray")
    with running_server(package, log=tmp_path / "log", **fresh.environment()) as server:
        until(fresh, state="failed", code="E-PACKAGE-CRASH")
        assert server.readiness()["models"][0]["version"] == "1"
        assert fresh.call("reload")[0] == 200
        until(fresh, state="active")


class ReadOnly(Slots):
    def activate(self, active: Active | None) -> None:
        raise FolderRefused("the folder cannot be written")


@pytest.mark.parametrize("base", ["of this image", "of another"])
def test_a_folder_that_cannot_be_written_stops_no_start(package: Path, tmp_path: Path, base: str) -> None:
    digest = digest_of(package) if base == "of this image" else "sha256:0"
    Slots(tmp_path, 0).activate(Active("a", "sha256:1", "iris", "2", digest))
    serving = create_serving(Settings(packages=(package,)))
    packages = Packages(serving, ReadOnly(tmp_path, 0))
    assert serving.repository.slots[0].path == package
    assert (packages.report is not None) == (base == "of this image")


def test_trials_are_counted_until_one_is_survived(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 0)
    for _ in range(3):
        slots.begin_trial("sha256:1")
    with pytest.raises(PackageDeadly, match="ended 3 times"):
        slots.begin_trial("sha256:1")
    slots.begin_trial("sha256:2")
    slots.end_trial()
    slots.begin_trial("sha256:1")


def test_room_is_what_the_journal_leaves(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 100, lambda _path: 150)
    slots.need(50)
    with pytest.raises(NoRoom, match="needs 51 bytes on the disk, and 50 are to be had"):
        slots.need(51)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"slot": "../x"}', '{"slot": "a"}', "\\x00", '{"slot": 1}'])
def test_a_note_that_is_none_lets_the_image_serve(tmp_path: Path, text: str) -> None:
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots/active.json").write_text(text)
    assert Slots(tmp_path, 0).active is None
