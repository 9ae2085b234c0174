"""Making an environment: whole or not at all, and only once however many ask for it."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout
from packaging.requirements import Requirement

from packager.core.environment import EnvironmentSpec
from packager.core.errors import EnvironmentFailed
from packager.core.files import ensure_folder, write_atomic, writing_to
from packager.core.progress import Progress
from packager.environments.cache import (
    RECORD_NAME,
    Environment,
    EnvironmentRecord,
    ask,
    environments_home,
    find,
    interpreter_of,
    unmet,
)
from packager.environments.installers import Installer, Refusal, installer

_VENV = "env"
_LOCK_POLL_S = 0.2


def make(spec: EnvironmentSpec, *, progress: Progress, timeout_s: float, tool: Installer | None = None) -> Environment:
    """The environment, made now, or by another command that was at it already.

    Raises:
        EnvironmentFailed: It cannot be made; with the command to make it by hand, and what the tool said.
        NotWritable, DiskFull: The folder for environments.
    """
    chosen = tool or installer()
    try:
        return _made(spec, chosen, progress, timeout_s)
    except Refusal as refusal:
        if not refusal.unavailable or spec.otherwise is None:
            raise _failed(spec, refusal, chosen) from refusal
        first = refusal
    try:
        return _made(spec.otherwise, chosen, progress, timeout_s)
    except Refusal as second:
        # Where there is neither, what was asked for first is what the person knows.
        wanted, why = (spec, first) if second.unavailable else (spec.otherwise, second)
        raise _failed(wanted, why, chosen) from second


def _made(spec: EnvironmentSpec, tool: Installer, progress: Progress, timeout_s: float) -> Environment:
    home = environments_home()
    with writing_to(home), _only_one(spec, progress, timeout_s):
        if (made := _usable(spec)) is not None:
            return made
        _remove_remains(home, spec.name)
        staging = Path(tempfile.mkdtemp(dir=home, prefix=f".{spec.name}."))
        try:
            return _build(spec, staging, tool, progress, timeout_s)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _build(spec: EnvironmentSpec, staging: Path, tool: Installer, progress: Progress, timeout_s: float) -> Environment:
    final = environments_home() / spec.name
    report = _Report(spec, progress)
    try:
        progress.step(f"making the environment {spec.name}: asking {tool.title} what it takes")
        resolved = tool.resolve(spec, staging)
        report.begin(resolved.pins)
        tool.install(spec, resolved, staging / _VENV, on_line=report.line, timeout_s=timeout_s)
    except TimeoutError as error:
        raise Refusal(str(error), report.last) from error
    _check(spec, staging / _VENV)
    _write_record(spec, staging / _VENV, tool)
    if final.exists():
        shutil.rmtree(final)
    (staging / _VENV).rename(final)
    made = find(spec)
    if made is None:
        raise EnvironmentFailed(f"the environment {spec.name!r} vanished as it was made", hint="run this again")
    return made


def _check(spec: EnvironmentSpec, folder: Path) -> None:
    """What was installed is what was asked for."""
    wanted = [Requirement(text).name for text in spec.requirements]
    found = ask(interpreter_of(folder), wanted, name=spec.name)
    if lacking := unmet(spec.requirements, found.versions):
        raise EnvironmentFailed(
            f"the environment {spec.name!r} was made without {', '.join(lacking)}", hint="run this again with -v"
        )


def _write_record(spec: EnvironmentSpec, folder: Path, tool: Installer) -> None:
    sites = [str(site) for site in (folder / "lib").glob("python3*/site-packages")]
    installed = {item.name: item.version for item in metadata.distributions(path=sites)}
    record = EnvironmentRecord(
        name=spec.name,
        python=ask(interpreter_of(folder), (), name=spec.name).python_version,
        requirements=spec.requirements,
        installed=dict(sorted(installed.items())),
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_with=tool.title,
    )
    write_atomic(folder / RECORD_NAME, record.model_dump_json(indent=2).encode())


def _usable(spec: EnvironmentSpec) -> Environment | None:
    """One that another command made meanwhile; a broken one does not count."""
    try:
        return find(spec)
    except EnvironmentFailed:
        return None


@contextmanager
def _only_one(spec: EnvironmentSpec, progress: Progress, timeout_s: float) -> Iterator[None]:
    folder = environments_home() / ".locks"
    ensure_folder(folder)
    lock = FileLock(folder / f"{spec.name}.lock")
    deadline = time.monotonic() + timeout_s
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.step(f"waiting for another command that is making the environment {spec.name}")
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=_LOCK_POLL_S)
        except Timeout as error:
            raise EnvironmentFailed(
                f"another command has been making the environment {spec.name!r} for more than {timeout_s:g} s",
                hint="wait until it has ended, or end it, and run this again",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _remove_remains(home: Path, name: str) -> None:
    """What a killed command left half-made; nobody else is at it while the lock is held."""
    for path in home.glob(f".{name}.*"):
        shutil.rmtree(path, ignore_errors=True)


def _failed(spec: EnvironmentSpec, refusal: Refusal, tool: Installer) -> EnvironmentFailed:
    folder = environments_home() / spec.name
    command = tool.command(spec, folder, f"{sys.version_info.major}.{sys.version_info.minor}")
    hint = f"when the package index can be reached, run this again; or make it by hand: {command}"
    if refusal.unavailable:
        hint = f"{refusal.cure}; then run this again" if refusal.cure else spec.by_hand
    said = f": {refusal.said}" if refusal.said and not refusal.unavailable else ""
    return EnvironmentFailed(
        f"{spec.reason}; the environment {spec.name!r} cannot be made: {refusal.what}{said}",
        hint=hint,
        detail={"command": command, "output": list(refusal.lines)},
    )


class _Report:
    """Turns what an installer prints into progress."""

    def __init__(self, spec: EnvironmentSpec, progress: Progress) -> None:
        self._spec = spec
        self._progress = progress
        self._lines: list[str] = []

    @property
    def last(self) -> tuple[str, ...]:
        return tuple(self._lines[-8:])

    def begin(self, pins: tuple[str, ...]) -> None:
        named = {Requirement(text).name for text in self._spec.requirements}
        what = ", ".join(pin.replace("==", " ") for pin in pins if pin.partition("==")[0] in named)
        size = f" (about {self._spec.download_mib} MB)" if self._spec.download_mib else ""
        self._progress.step(f"installing {what or ', '.join(self._spec.requirements)}{size}")

    def line(self, text: str) -> None:
        if text.strip():
            self._lines.append(text.strip())
            self._progress.detail(text.strip())
