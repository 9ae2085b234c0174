"""The toy cloud's stand-in seen from outside: whether anything of it runs, and the end of all that does."""

import time

import psutil

from targets.kit.engine.process import RUNTIME, processes_in
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.leftovers import end_service, end_workloads, program, remove_folder
from tests.support.toy_cloud import ToyRehearsal


def running_in(folder: StageFolder) -> list[int]:
    """Process ids of the stand-in and its workloads."""
    service = list(processes_in(folder.path, program("toy", folder, ToyRehearsal.api)))
    homes = folder.workloads.iterdir() if folder.workloads.is_dir() else ()
    return [each.pid for each in (*service, *(found for home in homes for found in processes_in(home, RUNTIME)))]


def wait_until_gone(pid: int, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.05)


def end_toys(folder: StageFolder) -> None:
    end_service(folder, program("toy", folder, ToyRehearsal.api))
    end_workloads(folder, None)
    remove_folder(folder)
