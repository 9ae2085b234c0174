"""A server as a tree of processes: what it uses, and its end."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")
_TERM_S: Final = 5.0


def environment(extra: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """Search paths, an empty home, one thread for each numeric library, and ``extra``; no secrets, no proxies."""
    inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "DO_NOT_TRACK": "1", "HOME": str(home)}
    return {**inherited, **quiet, **extra}


class Tree:
    """A program with all that it starts, also what leaves its parent: they share a session."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        with log.open("ab") as stream:
            self._root = subprocess.Popen(
                argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        self.log = log

    @property
    def ended(self) -> int | None:
        """The exit status, once there is one."""
        return self._root.poll()

    def last_words(self) -> str:
        """The last line of the log that says something."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][-300:] if lines else "it said nothing"

    def processes(self) -> list[psutil.Process]:
        """Those that live."""
        found: dict[int, psutil.Process] = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._root.pid)
            found = {one.pid: one for one in [root, *root.children(recursive=True)]}
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                if os.getsid(pid) == self._root.pid and pid not in found:
                    found[pid] = psutil.Process(pid)
        return list(found.values())

    def cpu_s(self) -> float:
        """CPU time so far of all processes, those that have ended and were waited for included."""
        used = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:4])  # user, system, and both of children
        return used

    def memory_bytes(self) -> tuple[int, int]:
        """PSS and RSS; shared pages count in shares in the first."""
        pss = rss = 0
        for process in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                    pss += int(line.split()[1]) * 1024 if line.startswith("Pss:") else 0
                    rss += int(line.split()[1]) * 1024 if line.startswith("Rss:") else 0
        return pss, rss

    def pause(self) -> None:
        """Let none of them run until ``resume``."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them run again."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End all of them: the first politely, which ends its own, then whatever is left by force."""
        self.resume()
        before = self.processes()
        if self._root.poll() is None:
            self._root.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._root.wait(timeout=_TERM_S)
        left = {*before, *self.processes()}
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._root.wait(timeout=_TERM_S)
        psutil.wait_procs(list(left), timeout=1)

    def _signal(self, number: int) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
