"""A package is switched by twin in place: without a gap, never to a wrong one, and for good."""

import shutil
import threading
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.support.archive_server import ArchiveServer, digest_of, packed
from tests.support.edge_hub import EdgeHub
from tests.support.edge_slots import ROW
from tests.support.packages import logistic_model, make_package
from tests.support.servers import RunningServer, infer_body, running_server


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


class Steady:
    """Messages one after the other, from a thread, until the block ends; each asks again when it was answered."""

    def __init__(self, hub: EdgeHub) -> None:
        self._hub, self._over = hub, threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
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
        assert fresh.call("health")[1]["counts"]["repeated"] == 0
        _each_by_a_release(fresh, steady.sent, {digest_of(package): "1", digest_of(better): "2"})
        assert server.readiness()["models"][0]["digest"] == fresh.reported["digest"] == digest_of(better)
        over_http = httpx.post(f"{server.url}/v2/models/iris/infer", json=infer_body([ROW])).json()
        assert over_http == fresh.outputs[-1].json()
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


@pytest.fixture(scope="module")
def refusals(
    hub: EdgeHub, module: RunningServer, package: Path, better: Path, files: ArchiveServer, tmp_path_factory: Any
) -> dict[str, tuple[Any, str, str]]:
    """By name: what is wished, and with which code and words it is refused."""
    made = tmp_path_factory.mktemp("refused")
    archive, digest = packed(better), digest_of(better)
    wrong, other, older, wide = made / "wrong", made / "other", made / "older", made / "wide"
    make_package(wrong, wrong_answers=True, version="3")
    make_package(other, name="other", version="3")
    make_package(older, version="0.9")
    make_package(wide, logistic_model(5), version="3")
    spoilt = made / "spoilt"
    shutil.copytree(better, spoilt)
    (spoilt / "model.onnx").write_bytes(b"another")
    found: dict[str, tuple[Any, str, str]] = {}
    offer = files.offer
    good = offer("good.tar", archive, digest=digest)
    found["sha"] = ({**good, "sha256": "0" * 64}, "E-PACKAGE-CHECKSUM", "another SHA-256")
    found["larger"] = ({**good, "size_bytes": len(archive) - 1}, "E-PACKAGE-SIZE", f"has {len(archive)} bytes")
    found["smaller"] = ({**good, "size_bytes": len(archive) + 1}, "E-PACKAGE-SIZE", f"has {len(archive)} bytes")
    found["digest"] = ({**good, "digest": "sha256:" + "0" * 64}, "E-PACKAGE-DIGEST", f"has the digest {digest}")
    found["no room"] = ({**good, "size_bytes": 1 << 40}, "E-DISK-FULL", "are to be had")
    found["missing"] = ({**good, "url": f"{files.url}/none.tar?sig=SECRET"}, "E-PACKAGE-FETCH", "answers 404")
    found["no tar"] = (offer("noise", b"noise" * 999, digest=digest), "E-PACKAGE-ARCHIVE", "no tar")
    found["cut tar"] = (offer("cut.tar", archive[:2000], digest=digest), "E-PACKAGE-MISSING", "no manifest.json")
    found["spoilt"] = (offer("spoilt.tar", packed(spoilt), digest=digest), "E-PACKAGE-DIGEST", "model.onnx")
    found["answers"] = (
        offer("wrong.tar", packed(wrong), digest=digest_of(wrong)),
        "E-SELF-TEST",
        "self-test of 'iris'",
    )
    found["model"] = (offer("other.tar", packed(other), digest=digest_of(other)), "E-PACKAGE-MODEL", "'other'")
    found["older"] = (offer("older.tar", packed(older), digest=digest_of(older)), "E-PACKAGE-OLDER", "'0.9'")
    found["signature"] = (offer("wide.tar", packed(wide), digest=digest_of(wide)), "E-PACKAGE-SIGNATURE", "input 'X'")
    found["folder"] = ({"path": "/no/such/folder", "digest": digest}, "E-PACKAGE-ARCHIVE", "no folder")
    found["crowded"] = ({"path": str(made), "digest": digest}, "E-PACKAGE-MISSING", "no manifest.json")
    return found


REFUSALS = "sha larger smaller digest missing answers model older signature folder crowded spoilt"


@pytest.mark.parametrize("name", [*REFUSALS.split(), "no room", "no tar", "cut tar"])
def test_what_may_not_serve_is_refused_by_name_and_the_old_one_serves(
    hub: EdgeHub, module: RunningServer, package: Path, refusals: dict[str, tuple[Any, str, str]], name: str
) -> None:
    wanted, code, words = refusals[name]
    found = wished(hub, wanted, "failed")
    assert (found["code"], found["digest"]) == (code, wanted["digest"])
    assert words in found["reason"]
    assert "SECRET" not in str(hub.reported)
    before = len(hub.outputs)
    hub.send(infer_body([ROW]), mid=f"after {name}")
    assert hub.wait_for_outputs(before + 1)[-1].properties["digest"] == digest_of(package)
    assert not list((hub.folder / "kept/slots").glob("*.part*"))


def test_what_is_no_wish_for_a_package_is_named_without_its_url(hub: EdgeHub, module: RunningServer) -> None:
    hub.desire({"package": None})
    hub.desire({"package": {"url": "http://models.example/p.tar?sig=SECRET", "sha256": "0" * 64, "size_bytes": 1}})
    hub.wait(lambda: "package" in hub.reported["settings"]["errors"], 10)
    assert "SECRET" not in str(hub.reported)
    hub.desire({"package": None})
    hub.wait(lambda: not hub.reported["settings"]["errors"], 10)


def test_reload_tries_again_and_a_held_module_switches_too(
    hub: EdgeHub, module: RunningServer, package: Path, better: Path, files: ArchiveServer
) -> None:
    offered = files.offer("late.tar", packed(better, "w:gz", "iris-2"), digest=digest_of(better))
    kept = files.files.pop("/late.tar")
    hub.desire({"hold": True})
    wished(hub, offered, "failed")
    status, error = hub.call("reload")
    assert (status, error["error_code"]) == (422, "E-PACKAGE-FETCH")
    files.files["/late.tar"] = kept
    assert hub.call("reload")[0] == 200
    hub.wait(lambda: _state(hub) == "active", 10)
    assert (hub.reported["state"], hub.reported["version"]) == ("held", "2")
    assert hub.call("selftest")[1]["digest"] == digest_of(better)
    hub.desire({"hold": None, "package": None})
    hub.wait(lambda: hub.reported["state"] == "ready" and hub.reported["version"] == "1", 10)


def test_a_mounted_folder_and_what_is_allowed_by_name(
    hub: EdgeHub, module: RunningServer, tmp_path: Path, better: Path
) -> None:
    make_package(tmp_path / "wide", logistic_model(5), version="0.5")
    wanted = {"path": str(tmp_path / "wide"), "digest": digest_of(tmp_path / "wide")}
    assert wished(hub, wanted, "failed")["code"] == "E-PACKAGE-OLDER"
    allowed = {**wanted, "allow_older": True, "allow_signature_change": True}
    assert wished(hub, allowed, "active")["version"] == "0.5"
    shutil.rmtree(tmp_path / "wide")  # what was mounted is not needed any more
    assert hub.call("reload")[0] == 200
    assert hub.call("health")[1]["metadata"]["inputs"][0]["shape"] == [-1, 5]
    wished(hub, None, None)


def test_a_later_wish_takes_the_place_of_one_that_is_being_fetched(
    hub: EdgeHub, module: RunningServer, better: Path, files: ArchiveServer
) -> None:
    archive = packed(better)
    slow = files.offer("slow.tar", archive + b"\0" * 512, digest="sha256:" + "1" * 64)
    files.go_on.clear()
    files.stall["/slow.tar"] = 1000
    files.stalled.clear()
    wished(hub, slow, "fetching")
    assert files.stalled.wait(10)
    files.go_on.set()
    assert wished(hub, files.offer("quick.tar", archive, digest=digest_of(better)), "active")["version"] == "2"
    wished(hub, None, None)
