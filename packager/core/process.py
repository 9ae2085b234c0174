"""The only place where dray starts another program."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

# What a child may see of the parent's environment; everything else may be a secret.
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
_KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended, with everything it printed."""

    returncode: int
    stdout: str
    stderr: str


def bare_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without the parent's secrets: search paths, locale and ``extra``."""
    inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    return {**inherited, **(extra or {})}


def run(argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str], cwd: Path | None = None) -> Finished:
    """The result of a program that ran to its end.

    Raises:
        TimeoutError: It did not end in time; it and its children were killed.
    """
    with started(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{argv[0]!r} did not end within {timeout_s:g} s") from error
    return Finished(process.returncode, out, err)


def run_with_input(argv: Sequence[str], *, text: str, timeout_s: float, env: Mapping[str, str]) -> Finished:
    """As ``run``, with ``text`` on the program's standard input, where no list of processes shows it.

    Raises:
        TimeoutError: It did not end in time; it and its children were killed.
    """
    pipe = subprocess.PIPE
    with started(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            out, err = process.communicate(text, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{argv[0]!r} did not end within {timeout_s:g} s") from error
    return Finished(process.returncode, out, err)


def run_following(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    cwd: Path | None = None,
) -> Finished:
    """As ``run``, with both streams in ``stdout``, and every line given to ``on_line`` as it comes.

    Raises:
        TimeoutError: It did not end in time; it and its children were killed.
    """
    lines = []
    late = threading.Event()
    with started(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:

        def end() -> None:
            late.set()
            _signal(os.killpg, process.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_s, end)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip())
            process.wait()
        finally:
            timer.cancel()
        if late.is_set():
            raise TimeoutError(f"{argv[0]!r} did not end within {timeout_s:g} s")
    return Finished(process.returncode, "".join(lines), "")


@contextmanager
def started(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """A running program in a process group of its own, gone with all its children at the end of the block."""
    logger.debug("starting %s", argv)
    process = subprocess.Popen(  # noqa: S603 - a list, never a shell
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_group(process)


def spawn_detached(argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None) -> int:
    """Process id of a program that outlives this one, its output appended to ``log``; ``reap`` tells how it ended."""
    logger.debug("starting %s", argv)
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603 - a list, never a shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Popen warns when it is collected while its program runs, which here is the purpose: nothing waits through it.
    process.returncode = 0
    return process.pid


def reap(pid: int) -> int | None:
    """Exit status of a child that has ended (negative: the signal); None while it runs, or when it is not ours."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def end_process(pid: int, *, gone: Callable[[], bool], grace_s: float, poll_s: float = 0.02) -> bool:
    """Ask a detached program to end (SIGTERM), and after ``grace_s`` make it and its children (SIGKILL).

    Args:
        gone: Whether the program has ended; what a process id stands for is the caller's to know.

    Returns:
        True when it ended of its own accord.
    """
    if gone() or not _signal(os.kill, pid, signal.SIGTERM):
        return True
    if _wait(gone, within_s=grace_s, poll_s=poll_s):
        return True
    logger.warning("process %s did not end within %g s and is killed", pid, grace_s)
    _signal(os.killpg, pid, signal.SIGKILL)
    _wait(gone, within_s=_KILL_WAIT_S, poll_s=poll_s)
    return False


def signal_process(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False when there is no such process any more."""
    return _signal(os.kill, pid, number)


def _signal(send: Callable[[int, int], None], pid: int, number: int) -> bool:
    try:
        send(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # what macOS says of a group of which only zombies are left
        logger.debug("process %s may not be signalled", pid)
        return False
    return True


def _wait(gone: Callable[[], bool], *, within_s: float, poll_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not gone():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def kill_group(process: "subprocess.Popen[str]") -> None:
    """End a process that ``started`` began, and its children, at once; its exit status and output can still be read."""
    # Also when the process itself has ended: a child that it left behind would hold the pipes open for ever.
    _signal(os.killpg, process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        logger.warning("a child of process %s left its group and holds its output open", process.pid)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
