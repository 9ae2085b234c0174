"""A stand-in as a real process of its own: how it begins, lives between commands, and ends with all that it started."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from packager.core.errors import DeploymentFailed, UsageError
from packager.core.http_client import HttpInferenceClient
from packager.core.progress import SilentProgress
from packager.core.rehearsal import Rehearsal, Stage
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.runner_containers import images_name
from targets.rehearsal.runners import find_engine
from tests.support.packages import make_package
from tests.support.servers import ROOT, free_port
from tests.support.stage_registry import package_image, pushed, runnable
from tests.support.toy_cloud import ToyRehearsal, ToyTarget, told
from tests.support.toy_stage import running_in, wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rehearsals need POSIX")
OPENS = """
import sys
from tests.support.toy_cloud import ToyRehearsal
from packager.core.progress import SilentProgress
print(ToyRehearsal().open([], SilentProgress()).target.facts.process.pid, flush=True)
sys.stdin.read()
"""
SECRET = "an-api-key-of-somebody"


def opened(*faults: str) -> Stage:
    return ToyRehearsal().open(faults, SilentProgress())


def command() -> "subprocess.Popen[str]":
    """Another command that opens the rehearsal, says the stand-in's process id, and ends when its input does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", OPENS], env=environment, stdin=pipe, stdout=pipe, text=True)


def target_of(stage: Stage) -> ToyTarget:
    assert isinstance(stage.target, ToyTarget)
    return stage.target


def pid_of(stage: Stage) -> int:
    facts = target_of(stage).facts
    assert facts
    return facts.process.pid


@pytest.fixture
def image_layout(tmp_path: Path) -> Path:
    return package_image(tmp_path / "layout", make_package(tmp_path / "iris").root)


def body_of(stage: Stage, image: str, port: int, **changed: object) -> dict[str, object]:
    shown = stage.credentials.credential(stage.registry)
    assert shown
    credential = {"server": stage.registry, "username": shown.username, "password": shown.password}
    environment = {"DRAY_THREADS": "1", "DRAY_PORT": str(port)}
    return {"image": image, "credential": credential, "port": port, "environment": environment, **changed}


def deployed(stage: Stage, layout: Path) -> str:
    """The URL of a thing that runs an image and is ready."""
    image, port = pushed(layout, stage.registry, stage.credentials), free_port()
    with target_of(stage).client() as client:
        answer = client.put("/things/iris", json=body_of(stage, image, port))
        assert answer.status_code == 200, answer.text
    wait_ready(f"http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}"


def wait_ready(url: str, token: str | None = None) -> None:
    with HttpInferenceClient(url, token=token) as client:
        deadline = time.monotonic() + 40
        while not client.ready():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_commands_share_one_stand_in_until_its_last_deployment_has_gone(toys: StageFolder, image_layout: Path) -> None:
    stage = opened()
    assert isinstance(ToyRehearsal(), Rehearsal)
    url = deployed(stage, image_layout)
    found = ToyRehearsal().find()
    again = opened()

    assert found
    assert pid_of(found) == pid_of(again) == pid_of(stage)
    assert stage.runs == "processes"
    assert "no Docker engine answers" in stage.why
    with target_of(again).client() as client:
        assert client.delete("/things/iris").status_code == 200
    wait_until_gone(pid_of(stage))
    assert not toys.path.exists()
    assert ToyRehearsal().find() is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    assert running_in(toys) == []


def test_a_stand_in_that_nobody_used_ends_with_who_opened_it(toys: StageFolder) -> None:
    out, _ = command().communicate(timeout=60)
    wait_until_gone(int(out))
    assert not toys.path.exists()


def test_two_commands_at_once_begin_one(toys: StageFolder) -> None:
    commands = [command() for _ in range(3)]
    found = {int(each.stdout.readline()) for each in commands if each.stdout}
    assert len(found) == 1
    for each in commands:
        each.communicate(timeout=60)
    wait_until_gone(found.pop())
    assert running_in(toys) == []


@pytest.mark.parametrize("how", ["SIGTERM", "end"])
def test_it_ends_with_what_it_runs_when_it_is_told_to(toys: StageFolder, image_layout: Path, how: str) -> None:
    stage = opened()
    deployed(stage, image_layout)
    running = running_in(toys)
    if how == "end":
        with target_of(stage).client() as client:
            assert client.post("/_rehearsal/end").status_code == 202
    else:
        os.kill(pid_of(stage), signal.SIGTERM)
    assert len(running) == 2
    for pid in running:
        wait_until_gone(pid)
    assert not toys.path.exists()


def test_a_command_that_comes_as_it_ends_begins_another(toys: StageFolder) -> None:
    stage = opened()
    with target_of(stage).client() as client:
        client.post("/_rehearsal/end")
    again = opened()
    assert pid_of(again) != pid_of(stage)
    assert running_in(toys) == [pid_of(again)]


def test_what_a_killed_one_left_is_ended_by_the_next(toys: StageFolder, image_layout: Path) -> None:
    stage = opened()
    deployed(stage, image_layout)
    left = [pid for pid in running_in(toys) if pid != pid_of(stage)]
    os.kill(pid_of(stage), signal.SIGKILL)
    wait_until_gone(pid_of(stage))

    assert len(left) == 1
    assert psutil.pid_exists(left[0])
    assert ToyRehearsal().find() is None
    again = opened()
    wait_until_gone(left[0])
    assert running_in(toys) == [pid_of(again)]
    with target_of(again).client() as client:
        assert client.get("/_rehearsal/state").json()["held"] == 0


def test_one_whose_command_was_killed_meanwhile_is_ended_by_the_next(toys: StageFolder) -> None:
    begun = command()
    while not running_in(toys):
        time.sleep(0.01)
    begun.kill()
    begun.communicate()
    stage = opened()
    time.sleep(0.5)
    assert running_in(toys) == [pid_of(stage)]


def test_the_token_is_nowhere_but_in_its_file(toys: StageFolder) -> None:
    stage = opened()
    token, process = toys.token(), psutil.Process(pid_of(stage))

    assert stat.S_IMODE(toys.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(toys.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(toys.path.stat().st_mode) == 0o700
    assert token not in " ".join(process.cmdline())
    assert token not in str(process.environ())
    others = [path for path in toys.path.rglob("*") if path.is_file() and path != toys.token_file]
    assert not any(token.encode() in path.read_bytes() for path in others)
    assert token not in repr(stage)


@pytest.mark.parametrize("token", ["wrong", "wrong token"])
def test_nobody_without_the_token_gives_orders(toys: StageFolder, token: str) -> None:
    stage = opened()
    with target_of(stage).client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        answers = [told(client, []), client.get("/_rehearsal/state"), client.post("/_rehearsal/end")]
        assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert ToyRehearsal().find()


def test_a_stand_in_of_a_lost_token_is_replaced(toys: StageFolder) -> None:
    first = opened()
    toys.token_file.unlink()
    assert pid_of(opened()) != pid_of(first)
    wait_until_gone(pid_of(first))


def test_one_of_another_version_is_replaced_where_it_holds_nothing(toys: StageFolder) -> None:
    first = opened()
    facts = json.loads(toys.facts_file.read_text())
    toys.facts_file.write_text(json.dumps({**facts, "dray": "0.0.9"}))
    assert pid_of(opened()) != pid_of(first)
    wait_until_gone(pid_of(first))


def test_faults_strike_as_often_as_they_are_told(toys: StageFolder) -> None:
    stage = opened("quota:1")
    with target_of(stage).client() as client:
        body = body_of(stage, f"{stage.registry}/team/iris:1", free_port())
        assert client.put("/things/iris", json=body).status_code == 409
        assert client.put("/things/iris", json=body).json()["kind"] == "missing"
        opened("quota")
        assert client.put("/things/iris", json=body).status_code == 409
        opened()
        assert client.put("/things/iris", json=body).status_code == 400


def test_an_unknown_fault_is_refused_before_anything_begins(toys: StageFolder) -> None:
    with pytest.raises(UsageError) as caught:
        opened("quote")
    assert caught.value.message == "no fault is called 'quote'"
    assert "quota" in caught.value.hint
    assert not toys.path.exists()


def test_one_that_cannot_start_says_why_and_leaves_nothing(toys: StageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyRehearsal, "api", "no_such_cloud")
    with pytest.raises(DeploymentFailed, match=r"ended before it listened.*no_such_cloud") as caught:
        opened()
    assert caught.value.detail["log"]
    assert not toys.path.exists()


def test_secret_files_reach_the_process_and_nobody_else(toys: StageFolder, image_layout: Path) -> None:
    stage, port = opened(), free_port()
    image = pushed(image_layout, stage.registry, stage.credentials)
    environment = {"DRAY_THREADS": "1", "DRAY_PORT": str(port), "DRAY_API_KEYS_FILE": "/run/secrets/keys"}
    files = {"/run/secrets/keys": base64.b64encode(f"{SECRET}\n".encode()).decode()}
    with target_of(stage).client() as client:
        client.put("/things/iris", json=body_of(stage, image, port, environment=environment, files=files))
    wait_ready(f"http://127.0.0.1:{port}", SECRET)

    assert httpx.get(f"http://127.0.0.1:{port}/v2/models/iris", trust_env=False).status_code == 401
    [holding] = [path for path in toys.path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert stat.S_IMODE(holding.stat().st_mode) == 0o600
    shown = [" ".join(psutil.Process(pid).cmdline()) for pid in running_in(toys)]
    assert len(shown) == 2
    assert not any(SECRET in line for line in shown)


@pytest.mark.slow
def test_containers_that_a_killed_one_left_are_ended_by_the_next(
    toys: StageFolder,
    engine: Any,
    engine_host: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shared_layers: tuple[bytes, ...],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine_host)
    stage = opened()
    package = make_package(tmp_path / "iris").root
    deployed(stage, runnable(tmp_path / "layout", package, shared_layers, find_engine().platform))
    mine = {"label": f"dray.rehearsal={toys.id}"}
    [left] = engine.containers.list(filters=mine)
    os.kill(pid_of(stage), signal.SIGKILL)
    wait_until_gone(pid_of(stage))

    assert (stage.runs, stage.why) == ("containers", "")
    assert left.name.startswith("dray.rehearsal-")
    again = opened()
    assert engine.containers.list(all=True, filters=mine) == []
    with target_of(again).client() as client:
        client.post("/_rehearsal/end")
    wait_until_gone(pid_of(again))
    assert engine.images.list(images_name(toys.id)) == []
