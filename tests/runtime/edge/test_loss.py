"""Nothing that the hub may forget is lost: kills, cuts, full journals, bad disks. Full size: `make edge-soak`."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.support.edge_hub import EdgeHub, edge_hub
from tests.support.edge_loss import answered, kill_again_and_again, send_numbered, tally
from tests.support.packages import identity_model, make_package
from tests.support.servers import running_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives back what it gets."""
    folder = tmp_path_factory.mktemp("edge") / "echo"
    make_package(folder, identity_model(TensorProto.FLOAT), inputs={"x": np.ones((5, 2), "f4")}, name="echo")
    return folder


@pytest.fixture
def fresh() -> Iterator[EdgeHub]:
    with edge_hub() as running:
        yield running


def journaled(hub: EdgeHub) -> int:
    """Messages in the journal of a module that has ended."""
    with contextlib.closing(sqlite3.connect(hub.folder / "kept/journal.sqlite")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)


def test_every_message_is_answered_though_the_module_is_killed_again_and_again(
    fresh: EdgeHub, echo: Path, tmp_path: Path
) -> None:
    found = kill_again_and_again(fresh, echo, tmp_path / "log", messages=200, kills=2, seed=3)
    assert (found.unanswered, found.wrong, found.errors) == ([], 0, 0)
    assert found.unrecognised == 0


def test_a_cut_of_the_broker_loses_nothing(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    with running_server(echo, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        send_numbered(fresh, 0, 1)
        fresh.wait_for_outputs(1)
        send_numbered(fresh, 1, 400)
        fresh.wait_for_outputs(50)
        fresh.stop_broker()
        fresh.start_broker()
        send_numbered(fresh, 401, 100)
        fresh.wait(lambda: answered(fresh) == 501, 30, "messages are missing")
        assert fresh.call("health")[1]["counts"]["connections"] == 2
        assert server.terminate() == 0
    found = tally(fresh, 501)
    assert (found.unanswered, found.unrecognised, found.wrong) == ([], 0, 0)
    assert journaled(fresh) == 0


def test_what_a_stopped_module_leaves_is_answered_by_the_next(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    with running_server(echo, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        fresh.desire({"max_delay_us": 10_000_000})
        fresh.wait(lambda: fresh.reported["settings"]["max_delay_us"] == 10_000_000, 10)
        send_numbered(fresh, 0, 20)
        _until(lambda: fresh.call("health")[1]["counts"]["journaled"] == 20)
        fresh.stop_broker()
        assert server.terminate() == 0
    assert journaled(fresh) == 20
    fresh.start_broker()
    fresh.twin["desired"]["dray"] = {}
    with running_server(echo, log=tmp_path / "log", **fresh.environment()):
        fresh.wait_for_outputs(20)
        counts = fresh.call("health")[1]["counts"]
        assert (counts["replayed"], counts["journaled"]) == (20, 0)
    assert {output.properties["duplicate"] for output in fresh.outputs} == {"possible"}
    assert tally(fresh, 20).unanswered == []


def test_a_module_that_is_told_to_stop_answers_what_it_has(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    with running_server(echo, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        fresh.desire({"max_delay_us": 1_000_000})
        fresh.wait(lambda: fresh.reported["settings"]["max_delay_us"] == 1_000_000, 10)
        send_numbered(fresh, 0, 20)
        _until(lambda: fresh.call("health")[1]["counts"]["journaled"] == 20)
        assert server.terminate() == 0
    assert journaled(fresh) == 0
    assert answered(fresh) == 20


def test_a_full_journal_leaves_messages_at_the_hub(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    settings = {**fresh.environment(), "DRAY_EDGE_JOURNAL_MESSAGES": "25"}
    with running_server(echo, log=tmp_path / "log", **settings):
        fresh.wait_until_taking()
        fresh.desire({"max_delay_us": 500_000})
        fresh.wait(lambda: fresh.reported["settings"]["max_delay_us"] == 500_000, 10)
        send_numbered(fresh, 0, 60)
        _until(lambda: fresh.call("health")[1]["counts"]["journaled"] == 25)
        fresh.desire({"max_delay_us": None})  # seen: the rest need not be waited for
        fresh.wait(lambda: answered(fresh) == 60, 30, "messages are missing")
        assert fresh.call("health")[1]["counts"]["answered"] >= 60
    assert tally(fresh, 60).unanswered == []


def test_without_a_journal_the_hub_keeps_what_is_not_answered(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    settings = {**fresh.environment(), "DRAY_EDGE_FOLDER": str(blocked)}
    with running_server(echo, log=tmp_path / "log", **settings) as server:
        fresh.wait_until_taking()
        assert fresh.reported["journal"].startswith(f"none: '{blocked}/journal.sqlite' cannot be written: ")
        assert '"no journal"' in server.stderr()
        fresh.desire({"max_delay_us": 10_000_000})
        fresh.wait(lambda: fresh.reported["settings"]["max_delay_us"] == 10_000_000, 10)
        send_numbered(fresh, 0, 10)
        _until(lambda: fresh.call("health")[1]["counts"]["received"] == 10)
        server.process.kill()
    fresh.twin["desired"]["dray"] = {}
    with running_server(echo, log=tmp_path / "log", **settings):
        fresh.wait(lambda: answered(fresh) == 10, 30, "messages are missing")
    assert tally(fresh, 10).unanswered == []


def test_a_spoilt_journal_is_kept_aside_and_begun_anew(fresh: EdgeHub, echo: Path, tmp_path: Path) -> None:
    kept = fresh.folder / "kept"
    (kept / "journal.sqlite").write_bytes(os.urandom(8192))
    with running_server(echo, log=tmp_path / "log", **fresh.environment()) as server:
        fresh.wait_until_taking()
        send_numbered(fresh, 0, 1)
        fresh.wait_for_outputs(1)
        assert fresh.reported["journal"] == "ok"
        assert '"the journal is spoilt and begun anew"' in server.stderr()
    assert (kept / "journal-spoilt.sqlite").stat().st_size == 8192


def test_a_failed_model_is_reported_and_takes_nothing(fresh: EdgeHub, tmp_path: Path) -> None:
    make_package(tmp_path / "wrong", wrong_answers=True)
    with running_server(tmp_path / "wrong", log=tmp_path / "log", until=("failed",), **fresh.environment()):
        fresh.wait(lambda: fresh.reported.get("state") == "failed", 15)
        assert "self-test of 'iris' on CPUExecutionProvider failed" in fresh.reported["reason"]
        status, health = fresh.call("health")
        assert (status, health["ready"], health["reason"]) == (200, False, fresh.reported["reason"])
        assert fresh.call("predict", {"instances": [[1, 2, 3, 4]]})[0] == 503
        assert '"taking": false' in (tmp_path / "log").read_text()


def _until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
