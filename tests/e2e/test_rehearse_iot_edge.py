"""IoT Edge without a hub and without a device, as a user has it: ship, messages, update, one that fails, delete."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import psutil
import pytest
from sklearn.datasets import load_breast_cancer

from benchmarks import edge_switch
from tests.support.command import Run, dray, in_process
from tests.support.packages import logistic_model, make_package

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address there"),
]


Command = Callable[..., Run]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in this process: what it takes to start is no matter here."""
    monkeypatch.chdir(tmp_path)
    return in_process(capfd)


def left_running() -> list[list[str]]:
    """Processes of this test's state folder: its stand-in, and modules that it started."""
    home = os.environ["DRAY_HOME"]
    found = [(each.info["cmdline"] or [], each.info["cwd"] or "") for each in psutil.process_iter(["cmdline", "cwd"])]
    return [line for line, cwd in found if cwd.startswith(home) or any(home in part for part in line)]


@pytest.fixture
def processes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")


def test_a_model_is_shipped_asked_by_messages_and_leaves_nothing(
    model: Path, tmp_path: Path, run: Command, processes_only: None
) -> None:
    shipped = dray("ship", model, "-t", "iot-edge", "--rehearse", "-o", "json", cwd=tmp_path)
    assert shipped.status == 0, shipped.err
    checks = {check["name"]: check["passed"] for check in shipped.document["smoke"]["checks"]}
    assert (shipped.document["state"], checks["self-test on edge-1"]) == ("running", True)

    rows = load_breast_cancer().data[:2]
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))
    sent = run("edge", "send", "tumour", "--rehearse", "--input", "rows.json", "--count", "3", "-o", "json")
    assert (sent.status, sent.document["devices"]) == (0, {"edge-1": 3}), sent.err
    watched = run("edge", "watch", "tumour", "--rehearse", "--count", "3", "-o", "json")
    assert len(watched.document) == 3
    answer = watched.document[0]
    [labels] = [each["data"] for each in answer["body"]["outputs"] if each["name"] == "label"]
    assert labels == joblib.load(model).predict(rows).tolist()
    assert (answer["output"], answer["properties"]["version"]) == ("predictions", "1")
    line = run("edge", "watch", "tumour", "--rehearse", "--count", "1").out
    assert line.startswith("rehearsal: 1  edge-1/tumour predictions ")

    assert run("delete", "tumour", "--rehearse", "-y").status == 0
    until = time.monotonic() + 20
    while left_running() and time.monotonic() < until:
        time.sleep(0.2)
    assert left_running() == []


def test_no_message_is_lost_over_an_update_and_over_one_that_is_taken_back(
    tmp_path: Path, run: Command, processes_only: None
) -> None:
    """With 10,000 messages: make edge-switch."""
    packages = [tmp_path / f"package-{number}" for number in (1, 2, 3)]
    for number, package in enumerate(packages, start=1):
        make_package(package, logistic_model(seed=number), version=str(number))
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]}).encode()
    report = edge_switch.run(
        packages, body, 300, folder=tmp_path, seconds=8, dray=lambda *arguments: run(*arguments).status
    )
    assert (report.sent, report.answered, report.errors, report.statuses) == (300, 300, 0, (0, 6))
    assert set(report.versions) <= {"1", "2"}


def test_messages_of_what_is_no_rehearsal_say_where_they_would_go(tmp_path: Path, run: Command) -> None:
    make_package(tmp_path / "iris")
    assert run("deploy", "iris", "-t", "local", "-q").status == 0
    refused = run("edge", "watch", "iris", "-o", "json")
    assert refused.status == 2
    assert "monitor-events" in refused.document["error"]["hint"]
