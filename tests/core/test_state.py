"""Where state lives, and the lock that two commands of one name share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.core.errors import DeploymentBusy, NotWritable
from packager.core.state import cache_home, deployment_lock, state_home

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from packager.core.state import deployment_lock
with deployment_lock("local", "churn"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def holder(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock until it gets a line, or is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, env=dict(os.environ), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_state_is_where_the_environment_says(home: Path) -> None:
    assert state_home() == home
    assert cache_home() == home / "cache"


def test_tilde_in_the_environment_is_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("DRAY_HOME", "~/dray")

    assert state_home() == Path("/somewhere/dray")


def test_second_command_is_told_who_holds_the_lock_and_since_when(holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(DeploymentBusy) as caught, deployment_lock("local", "churn"):
        pass

    assert caught.value.code == "E-BUSY"
    assert f"process {holder.pid}" in caught.value.message
    assert caught.value.detail["pid"] == holder.pid
    assert caught.value.detail["since"].endswith("+00:00")
    assert caught.value.detail["since"] in caught.value.message
    assert caught.value.hint == "wait until it has ended, or end it, and run this again"


def test_other_names_and_targets_are_free(holder: "subprocess.Popen[str]") -> None:
    with deployment_lock("local", "other"), deployment_lock("aci", "churn"):
        pass


def test_lock_of_a_killed_process_is_free(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()

    with deployment_lock("local", "churn"):
        pass


def test_lock_is_free_again_after_an_error() -> None:
    with pytest.raises(RuntimeError), deployment_lock("local", "churn"):
        raise RuntimeError

    with deployment_lock("local", "churn"):
        pass


def test_state_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "file" / "home"))

    with pytest.raises(NotWritable, match="file/home"), deployment_lock("local", "churn"):
        pass
