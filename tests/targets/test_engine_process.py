"""The runtime as a process: known for certain, or not at all."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from targets.kit.engine.ports import free_port
from targets.kit.engine.process import ProcessIdentity, RuntimeLaunch, RuntimeProcess, processes_in, tail_of
from tests.support.fakes import fake_program
from tests.support.packages import make_package

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)", "marker")


def launch(folder: Path, program: tuple[str, ...] = SLEEP, package: Path = Path("/model")) -> RuntimeLaunch:
    folder.mkdir(exist_ok=True)
    port = free_port("127.0.0.1")
    return RuntimeLaunch((package,), "127.0.0.1", port, folder=folder, log=folder / "log", program=program)


def test_settings_name_what_is_served_and_where(tmp_path: Path) -> None:
    made = RuntimeLaunch(
        (Path("/a"), Path("/b")), "127.0.0.1", 80, tmp_path, tmp_path / "log", standby_port=81,
        environment={"DRAY_THREADS": "2"},
    )  # fmt: skip

    assert made.settings() == {
        "DRAY_THREADS": "2", "DRAY_PACKAGES": "/a:/b", "DRAY_HOST": "127.0.0.1", "DRAY_PORT": "80",
        "DRAY_STANDBY_PORT": "81",
    }  # fmt: skip
    assert made.url == "http://127.0.0.1:81"


def test_process_is_alive_until_it_is_stopped(tmp_path: Path) -> None:
    process = RuntimeProcess.start(launch(tmp_path / "one"))

    assert process.alive()
    assert process.stop(grace_s=20)
    assert not process.alive()
    assert process.stop(grace_s=20)


def test_zombie_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        created = psutil.Process(child.pid).create_time()
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        process = RuntimeProcess(ProcessIdentity(pid=child.pid, created=created), tmp_path, tmp_path / "log")

        assert not process.alive()
        child.returncode = 0  # reaped by the question


@pytest.mark.parametrize("offset_s", [-1000.0, 1000.0])
def test_clock_that_was_set_does_not_hide_a_process(tmp_path: Path, offset_s: float) -> None:
    process = RuntimeProcess.start(launch(tmp_path / "one"))
    moved = ProcessIdentity(pid=process.identity.pid, created=process.identity.created + offset_s)

    assert RuntimeProcess(moved, process.folder, process.log).alive()
    assert not RuntimeProcess(moved, tmp_path / "another", process.log).alive()
    process.stop(grace_s=20)


def test_processes_are_found_by_folder_and_program(tmp_path: Path) -> None:
    here, there = RuntimeProcess.start(launch(tmp_path / "here")), RuntimeProcess.start(launch(tmp_path / "there"))
    deadline = time.monotonic() + 20
    while not (found := [identity.pid for identity in processes_in(tmp_path / "here", SLEEP)]):
        assert time.monotonic() < deadline

    assert found == [here.identity.pid]
    assert list(processes_in(tmp_path / "here", fake_program())) == []
    for process in (here, there):
        process.stop(grace_s=20)


def test_hand_over_listens_on_both_ports(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    direct = launch(tmp_path / "one", fake_program(), package.root)
    made = RuntimeLaunch(
        direct.packages, direct.host, direct.port, direct.folder, direct.log, free_port("127.0.0.1"),
        program=direct.program,
    )  # fmt: skip
    process = RuntimeProcess.start(made)

    state = process.wait_ready(made, timeout_s=20)
    process.take_over(made, timeout_s=20)

    assert state.addresses == [f"127.0.0.1:{made.standby_port}"]
    after = process.wait_ready(direct, timeout_s=20)
    assert after.addresses == [f"127.0.0.1:{made.standby_port}", f"127.0.0.1:{made.port}"]
    process.stop(grace_s=20)


def test_tail_is_the_end_of_a_log_of_any_length(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))

    assert tail_of(log, 2) == ["line 49998", "line 49999"]
    assert tail_of(tmp_path / "none", 2) == []
