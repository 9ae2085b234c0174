"""The only place where dray starts another program."""

import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
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


@contextmanager
def started(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """A running program in a process group of its own, gone with all its children at the end of the block."""
    logger.debug("starting %s", argv)
    process = subprocess.Popen(  # noqa: S603 - a list, never a shell
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
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
    """Process id of a program that outlives this one, its output appended to ``log``."""
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
    return process.pid


def kill_group(process: "subprocess.Popen[str]") -> None:
    """End a process that ``started`` began, and its children, at once."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.communicate()
