"""uv, or venv and pip where there is no uv: which Python a set of requirements can be had for, and installing it."""

import json
import os
import shlex
import shutil
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.requirements import Requirement

from packager.core.environment import EnvironmentSpec
from packager.core.process import Finished, bare_environment, run, run_following
from packager.environments.cache import OLDEST_PYTHON, interpreter_of
from packager.environments.cpu_builds import index_has_gpu_builds, link_folders, local_build

_WHEELS_ONLY = ("--only-binary", ":all:")
_RESOLVE_TIMEOUT_S = 120.0
_VERSION_TIMEOUT_S = 30.0
# What an installer may see: where it keeps its cache, and how the package index is reached.
_PASSED_ON = ("UV_", "PIP_", "XDG_", "HOME", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC")
# Settings of a project that must not reach into an environment of dray's.
_KEPT_BACK = (
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_SYSTEM",
    "UV_TARGET",
    "UV_PREFIX",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_REQUIRE",
)
_NO_SOLUTION = 1
_NEWEST_MINOR = 14
OnLine = Callable[[str], None]


class Refusal(Exception):
    """An installer gave up.

    Attributes:
        what: A clause.
        lines: The last that it printed.
        unavailable: True when the index was asked and has no such thing for the Pythons of this machine.
        cure: What would bring a Python that it has it for; empty where there is none.
    """

    def __init__(self, what: str, lines: Sequence[str], *, unavailable: bool = False, cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.lines = tuple(lines)
        self.unavailable = unavailable
        self.cure = cure

    @property
    def said(self) -> str:
        """The error among the lines, without the lines of progress before it."""
        errors = [index for index, line in enumerate(self.lines) if line.lower().startswith("error")]
        start = errors[0] if errors else -1
        return "; ".join(line.removeprefix("error: ").removeprefix("cause: ") for line in self.lines[start:][:2])


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an environment will be made of.

    Attributes:
        python: A Python of this machine that has wheels of everything.
        pins: Every distribution with its version, where the tool tells that before it installs.
        options: For the installing command, such as where further wheels are.
    """

    python: Path
    pins: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Installer(Protocol):
    """What makes virtual environments."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The tool and its version."""

    @abstractmethod
    def resolve(self, spec: EnvironmentSpec, scratch: Path) -> Resolution:
        """A Python of this machine that the requirements can be had for, and what will be installed.

        Raises:
            Refusal: The index cannot be reached, or has no wheels for any Python here.
        """

    @abstractmethod
    def install(
        self,
        spec: EnvironmentSpec,
        resolved: Resolution,
        folder: Path,
        *,
        on_line: OnLine,
        timeout_s: float,
    ) -> None:
        """A virtual environment in ``folder``, with everything installed.

        Raises:
            Refusal: With the last lines that the tool printed.
            TimeoutError: It did not end in time.
        """

    @abstractmethod
    def command(self, spec: EnvironmentSpec, folder: Path, python: str) -> str:
        """A command line for a person that does the same."""


class UvInstaller(Installer):
    """With uv: resolves for every Python on this machine, and never downloads one."""

    def __init__(self, argv: Sequence[str], title: str) -> None:
        self._argv = tuple(argv)
        self._title = title

    @property
    def argv(self) -> tuple[str, ...]:
        """How uv is called here."""
        return self._argv

    @property
    def title(self) -> str:
        """The tool and its version."""
        return self._title

    def resolve(self, spec: EnvironmentSpec, scratch: Path) -> Resolution:
        """See ``Installer``: this Python first, then the others, newest first."""
        options, constraints = _wheel_sources(spec)
        (scratch / "requirements.in").write_text("\n".join(spec.requirements), encoding="utf-8")
        (scratch / "constraints.txt").write_text("\n".join([*spec.constraints, *constraints]), encoding="utf-8")
        done = self._compile(scratch, options, "--python", sys.executable)
        if done.returncode == 0:
            return Resolution(Path(sys.executable), _pins(done), options)
        if done.returncode != _NO_SOLUTION or "network was disabled" in done.stderr:
            raise Refusal(f"{self._title} could not ask the package index", _last(done))
        having = self._versions_with_wheels(scratch, options)
        for version, python in self._others() if having else ():
            other = self._compile(scratch, options, "--python", str(python)) if version in having else None
            if other is not None and other.returncode == 0:
                return Resolution(python, _pins(other), options)
        cure = f"it needs Python {' or '.join(having)}: uv python install {having[-1]}" if having else ""
        raise Refusal("no Python here has wheels for it", _last(done), unavailable=True, cure=cure)

    def install(
        self,
        spec: EnvironmentSpec,
        resolved: Resolution,
        folder: Path,
        *,
        on_line: OnLine,
        timeout_s: float,
    ) -> None:
        """See ``Installer``."""
        wanted = folder.parent / "requirements.txt"
        wanted.write_text("\n".join(resolved.pins), encoding="utf-8")
        venv = [*self._argv, "venv", "--no-project", "--python", str(resolved.python), str(folder)]
        _follow(venv, cwd=folder.parent, on_line=on_line, timeout_s=timeout_s)
        # What converts may write nowhere but into its own folder, and could not keep what it compiles.
        install = [*self._argv, "pip", "install", "--python", str(interpreter_of(folder)), "--compile-bytecode"]
        _follow(
            [*install, *_WHEELS_ONLY, "--no-deps", *resolved.options, "-r", str(wanted)],
            cwd=folder.parent,
            on_line=on_line,
            timeout_s=timeout_s,
        )

    def command(self, spec: EnvironmentSpec, folder: Path, python: str) -> str:
        """See ``Installer``."""
        uv = shlex.join(self._argv) if len(self._argv) > 1 else "uv"
        options, constraints = _wheel_sources(spec)
        wanted = shlex.join([*options, *spec.requirements, *spec.constraints, *constraints])
        return (
            f"{uv} venv --python {python} {shlex.quote(str(folder))} && {uv} pip install --python"
            f" {shlex.quote(str(interpreter_of(folder)))} {shlex.join(_WHEELS_ONLY)} {wanted}"
        )

    def _compile(self, scratch: Path, options: Sequence[str], *where: str) -> Finished:
        argv = [
            *self._argv, "pip", "compile", "--no-header", "--no-annotate", "--no-progress", *_WHEELS_ONLY, *options,
            *where, "--constraint", "constraints.txt", "requirements.in",
        ]  # fmt: skip
        return run(argv, timeout_s=_RESOLVE_TIMEOUT_S, env=installer_environment(), cwd=scratch)

    def _versions_with_wheels(self, scratch: Path, options: Sequence[str]) -> tuple[str, ...]:
        """Of all the Pythons that dray runs on, here or not."""
        here = ("--python", sys.executable)  # else uv looks through the machine for each
        versions = [f"3.{minor}" for minor in range(OLDEST_PYTHON[1], max(sys.version_info.minor, _NEWEST_MINOR) + 1)]
        return tuple(
            v for v in versions if self._compile(scratch, options, *here, "--python-version", v).returncode == 0
        )

    def _others(self) -> tuple[tuple[str, Path], ...]:
        """Other CPythons that uv finds here with their minor version, newest first."""
        argv = [*self._argv, "python", "list", "--only-installed", "--no-config", "--output-format", "json"]
        done = run(argv, timeout_s=_RESOLVE_TIMEOUT_S, env=installer_environment())
        if done.returncode != 0:
            return ()
        found: dict[tuple[int, int], Path] = {}
        for entry in json.loads(done.stdout):
            parts = entry["version_parts"]
            version = (int(parts["major"]), int(parts["minor"]))
            usable = entry["implementation"] == "cpython" and entry.get("variant", "default") == "default"
            if usable and entry["path"] and OLDEST_PYTHON <= version != sys.version_info[:2]:
                found.setdefault(version, Path(entry["path"]))
        return tuple((f"{major}.{minor}", found[major, minor]) for major, minor in sorted(found, reverse=True))


class PipInstaller(Installer):
    """With this Python's own venv and pip, where there is no uv."""

    @property
    def title(self) -> str:
        """The tool."""
        return "venv and pip"

    def resolve(self, spec: EnvironmentSpec, scratch: Path) -> Resolution:
        """See ``Installer``: this Python, and pip finds out later."""
        return Resolution(Path(sys.executable))

    def install(
        self,
        spec: EnvironmentSpec,
        resolved: Resolution,
        folder: Path,
        *,
        on_line: OnLine,
        timeout_s: float,
    ) -> None:
        """See ``Installer``."""
        constraints = folder.parent / "constraints.txt"
        _, of_builds = _wheel_sources(spec)  # pip knows the folders itself
        constraints.write_text("\n".join([*spec.constraints, *of_builds]), encoding="utf-8")
        _follow(
            [str(resolved.python), "-m", "venv", str(folder)], cwd=folder.parent, on_line=on_line, timeout_s=timeout_s
        )
        pip = [str(interpreter_of(folder)), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        pip += [*_WHEELS_ONLY, "--constraint", str(constraints), *spec.requirements]
        _follow(pip, cwd=folder.parent, on_line=on_line, timeout_s=timeout_s)

    def command(self, spec: EnvironmentSpec, folder: Path, python: str) -> str:
        """See ``Installer``."""
        wanted = shlex.join([*spec.requirements, *spec.constraints])
        return (
            f"python{python} -m venv {shlex.quote(str(folder))} && {shlex.quote(str(interpreter_of(folder)))} -m pip"
            f" install {shlex.join(_WHEELS_ONLY)} {wanted}"
        )


def _wheel_sources(spec: EnvironmentSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options for uv, and constraints, with which builds without GPU libraries are found."""
    if not spec.cpu_builds or not index_has_gpu_builds():
        return (), ()
    folders = link_folders()
    wanted = [text for text in spec.requirements if Requirement(text).name in spec.cpu_builds]
    found = [build for text in wanted if (build := local_build(text, folders)) is not None]
    if len(found) < len(wanted):
        return ("--torch-backend", "cpu"), ()
    links = tuple(
        part for folder in dict.fromkeys(folder for folder, _ in found) for part in ("--find-links", str(folder))
    )
    return links, tuple(pin for _, pin in found)


def installer() -> Installer:
    """What there is: uv on the PATH, beside this Python, or as its module; else venv and pip."""
    beside = Path(sys.executable).with_name("uv")
    candidates = [[found] for found in (shutil.which("uv"), str(beside) if beside.exists() else None) if found]
    for argv in (*candidates, [sys.executable, "-m", "uv"]):
        try:
            done = run([*argv, "--version"], timeout_s=_VERSION_TIMEOUT_S, env=installer_environment())
        except (OSError, TimeoutError):
            continue
        if done.returncode == 0:
            return UvInstaller(argv, " ".join(done.stdout.split()[:2]))
    return PipInstaller()


def _follow(argv: Sequence[str], *, cwd: Path, on_line: OnLine, timeout_s: float) -> None:
    done = run_following(argv, timeout_s=timeout_s, env=installer_environment(), cwd=cwd, on_line=on_line)
    if done.returncode != 0:
        unavailable = "No matching distribution found" in done.stdout
        cure = (
            "pip looks for this Python only, uv for every Python of this machine: pip install uv" if unavailable else ""
        )
        what = f"installing ended with status {done.returncode}"
        raise Refusal(what, _last(done), unavailable=unavailable, cure=cure)


def installer_environment() -> Mapping[str, str]:
    """What uv and pip see of this process' environment: settings of indexes, proxies and certificates."""
    passed = {
        key: value
        for key, value in os.environ.items()
        if key.upper().startswith(_PASSED_ON) and not key.upper().startswith(_KEPT_BACK)
    }
    bare = bare_environment(passed)
    bare.pop("PYTHONPATH", None)
    return {**bare, "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def _pins(done: Finished) -> tuple[str, ...]:
    return tuple(line for line in done.stdout.splitlines() if line and line[0] not in "#- ")


def _last(done: Finished) -> tuple[str, ...]:
    text = done.stderr or done.stdout
    return tuple(line.strip() for line in text.splitlines() if line.strip())[-8:]
