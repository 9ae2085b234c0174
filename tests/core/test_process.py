"""Other programs: what they see, how they end, and that nothing of them stays."""

import gc
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import psutil
import pytest

from packager.core.process import (
    bare_environment,
    end_process,
    reap,
    run,
    run_following,
    signal_process,
    spawn_detached,
    started,
)

PYTHON = sys.executable
FORK = "import os,sys,time; pid=os.fork(); pid and print(pid, flush=True); pid or time.sleep(60)"
STUBBORN = (
    "import signal,sys,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)


def gone(pid: int) -> bool:
    reap(pid)
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_bare_environment_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("DRAY_PORT", "1")

    env = bare_environment({"DRAY_HOST": "127.0.0.1"})

    assert env["DRAY_HOST"] == "127.0.0.1"
    assert env["PATH"] == os.environ["PATH"]
    assert not {"AZURE_CLIENT_SECRET", "DRAY_PORT", "HOME"} & env.keys()


def test_program_that_ends_gives_its_output_and_status() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    done = run([PYTHON, "-c", code], timeout_s=20, env=bare_environment())

    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_program_that_does_not_end_is_killed_with_its_children() -> None:
    with pytest.raises(TimeoutError, match=r"did not end within 0\.5 s"):
        run([PYTHON, "-c", "import time; time.sleep(60)"], timeout_s=0.5, env=bare_environment())


def test_child_left_behind_is_killed_and_does_not_hang_its_reader() -> None:
    with pytest.raises(TimeoutError):  # the child holds the pipe, so the output does not end
        run([PYTHON, "-c", FORK], timeout_s=1, env=bare_environment())


def test_started_program_ends_with_the_block_on_any_error() -> None:
    pids = []

    def interrupted() -> None:
        with started([PYTHON, "-c", "import time; time.sleep(60)"], env={}) as process:
            pids.append(process.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone(pids[0])


def test_detached_program_runs_on_and_warns_of_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pid = spawn_detached([PYTHON, "-c", STUBBORN], env=bare_environment(), log=log, cwd=tmp_path)
        gc.collect()

    wait_for(log, "up")
    assert not gone(pid)
    assert caught == []
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)


def test_end_of_a_detached_child_tells_its_status(tmp_path: Path) -> None:
    pid = spawn_detached([PYTHON, "-c", "raise SystemExit(7)"], env=bare_environment(), log=tmp_path / "log")

    status = None
    while status is None:
        status = reap(pid)

    assert status == 7
    assert reap(pid) is None  # nobody's child any more


def test_lines_are_heard_as_they_come_and_kept() -> None:
    heard: list[str] = []
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    done = run_following([PYTHON, "-u", "-c", code], timeout_s=60, env=bare_environment(), on_line=heard.append)

    assert (heard, done.returncode, done.stdout) == (["out", "err"], 3, "out\nerr\n")


def test_a_program_that_is_followed_is_ended_in_time() -> None:
    with pytest.raises(TimeoutError, match=r"did not end within 0\.2 s"):
        run_following([PYTHON, "-c", FORK], timeout_s=0.2, env=bare_environment(), on_line=str)


def test_process_that_ends_when_asked_is_not_killed(tmp_path: Path) -> None:
    pid = spawn_detached([PYTHON, "-c", "import time; time.sleep(60)"], env=bare_environment(), log=tmp_path / "log")

    assert end_process(pid, gone=lambda: gone(pid), grace_s=20)
    assert gone(pid)


def test_process_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = spawn_detached([PYTHON, "-c", STUBBORN], env=bare_environment(), log=log)
    wait_for(log, "up")

    assert not end_process(pid, gone=lambda: gone(pid), grace_s=0.1)
    assert gone(pid)


def test_signal_to_nobody_is_told(tmp_path: Path) -> None:
    pid = spawn_detached([PYTHON, "-c", ""], env=bare_environment(), log=tmp_path / "log")
    while reap(pid) is None:
        time.sleep(0.01)

    assert not signal_process(pid, signal.SIGUSR1)
