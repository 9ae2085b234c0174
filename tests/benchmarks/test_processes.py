import sys
import time
from pathlib import Path

import psutil

from benchmarks.serving.processes import Tree, environment

# Forks a child that works and ends, and one that leaves its parent; then waits.
FAMILY = """
import os, time
def work():
    until = time.process_time() + 0.3
    while time.process_time() < until: pass
if (child := os.fork()) == 0: work(); os._exit(0)
os.waitpid(child, 0)
if os.fork() == 0:
    if os.fork() == 0: print('orphan', os.getpid(), flush=True); time.sleep(60)
    os._exit(0)
os.wait()
print('ready', flush=True)
time.sleep(60)
"""


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_cpu_time_of_ended_children_counts_and_orphans_are_stopped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tree = Tree([sys.executable, "-c", FAMILY], env=environment({}, home=tmp_path), cwd=tmp_path, log=log)
    try:
        deadline = time.monotonic() + 20
        while not {"ready", "orphan"} <= set(log.read_text().split()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        cpu_s, memory, count = tree.cpu_s(), tree.memory_bytes(), len(tree.processes())
    finally:
        tree.stop()

    assert cpu_s >= 0.25
    assert 0 < memory[0] <= memory[1]
    assert count == 2
    assert ended(int(log.read_text().split("orphan")[1].split()[0]))


def test_the_last_words_of_a_program_are_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('cannot bind\\n\\n')"]
    tree = Tree(command, env=environment({}, home=tmp_path), cwd=tmp_path, log=tmp_path / "log")
    while tree.ended is None:
        time.sleep(0.01)
    tree.stop()

    assert tree.ended == 1
    assert tree.last_words() == "cannot bind"
