"""The environments that are there: each is asked itself what it is, before it is used."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict, ValidationError

from packager.core.environment import EnvironmentSpec
from packager.core.errors import EnvironmentFailed, EnvironmentMissing
from packager.core.process import bare_environment, run
from packager.core.state import state_home

RECORD_NAME = "dray-environment.json"
OLDEST_PYTHON = (3, 11)
_PROBE_TIMEOUT_S = 60.0
_NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]*", re.ASCII)
# Runs in the environment itself: what is installed there is what its own metadata say.
_PROBE = """
import json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"python": list(sys.version_info[:3]), "versions": found}))
"""


class EnvironmentRecord(BaseModel):
    """What was installed when an environment was made; beside its interpreter, in JSON.

    Attributes:
        installed: Version by distribution name, of everything.
        made_with: The tool and its version.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    python: str
    requirements: tuple[str, ...]
    installed: Mapping[str, str]
    size_bytes: int
    made_at: str
    made_with: str


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment whose interpreter runs.

    Attributes:
        name: As ``--env`` takes it; the path where it is not one of dray's.
        python: Its interpreter; a link is not followed, for the environment is found through it.
        version: Of Python.
        versions: Of the distributions that were asked for, where they are installed.
        record: None where dray did not make it.
    """

    name: str
    python: Path
    version: tuple[int, int, int]
    versions: Mapping[str, str]
    record: EnvironmentRecord | None = None

    @property
    def python_version(self) -> str:
        """As text: 3.11.7."""
        return ".".join(map(str, self.version))


def environments_home() -> Path:
    """Folder that holds one folder an environment; not necessarily there yet."""
    return state_home() / "environments"


def interpreter_of(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / "bin" / "python"


def find(spec: EnvironmentSpec) -> Environment | None:
    """The environment of this name, when it has what is asked for; None when there is none.

    Raises:
        EnvironmentFailed: It does not run, or lacks something.
    """
    folder = environments_home() / spec.name
    if not folder.exists():
        return None
    environment = _probed(folder, _distributions(spec.requirements))
    if lacking := unmet(spec.requirements, environment.versions):
        raise EnvironmentFailed(f"the environment {spec.name!r} lacks {', '.join(lacking)}", hint=_cure(folder))
    return environment


def named(name: str, *, distributions: Iterable[str]) -> Environment:
    """The cached environment of this name.

    Raises:
        EnvironmentMissing: There is none.
        EnvironmentFailed: It does not run.
    """
    folder = environments_home() / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        known = ", ".join(path.name for path in _folders()) or "none yet"
        raise EnvironmentMissing(
            f"there is no environment named {name!r}",
            hint=f"--env takes auto, current, a path, or one of those made before: {known}",
        )
    return _probed(folder, distributions)


def at_path(path: Path, *, distributions: Iterable[str]) -> Environment:
    """The environment, or the interpreter, at a path.

    Raises:
        EnvironmentMissing: There is nothing, or no interpreter in it.
        EnvironmentFailed: It does not run.
    """
    python = interpreter_of(path) if path.is_dir() else path
    if not python.exists():
        raise EnvironmentMissing(
            f"there is no Python at {str(python)!r}", hint="give the folder of a virtual environment, or an interpreter"
        )
    return ask(python, distributions, name=str(path))


def listed() -> tuple[tuple[str, Environment | EnvironmentFailed], ...]:
    """Every environment of dray's by name, or what is wrong with it."""
    found: list[tuple[str, Environment | EnvironmentFailed]] = []
    for folder in _folders():
        try:
            record = _record(folder)
            found.append((folder.name, _probed(folder, _distributions(record.requirements if record else ()))))
        except EnvironmentFailed as error:
            found.append((folder.name, error))
    return tuple(found)


def ask(python: Path, distributions: Iterable[str], *, name: str) -> Environment:
    """What an interpreter says of itself.

    Raises:
        EnvironmentFailed: It does not run, or is too old for dray.
    """
    argv = [str(python), "-I", "-c", _PROBE, *dict.fromkeys(distributions)]
    try:
        done = run(argv, timeout_s=_PROBE_TIMEOUT_S, env=bare_environment())
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, TimeoutError, ValueError) as error:
        raise _broken(python, name, str(error)) from error
    if answer is None:
        raise _broken(python, name, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
    major, minor, micro = answer["python"]
    if (major, minor) < OLDEST_PYTHON:
        raise EnvironmentFailed(
            f"the environment {name!r} has Python {major}.{minor}, and converting needs 3.11 or newer",
            hint="make it with a newer Python, or convert the model to ONNX there and ship the .onnx file",
        )
    return Environment(name, python, (major, minor, micro), answer["versions"])


def unmet(requirements: Iterable[str], versions: Mapping[str, str]) -> tuple[str, ...]:
    """The requirements that these versions do not fulfil."""
    lacking = []
    for text in requirements:
        requirement = Requirement(text)
        version = versions.get(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            lacking.append(text)
    return tuple(lacking)


def _probed(folder: Path, distributions: Iterable[str]) -> Environment:
    record = _record(folder)
    found = ask(interpreter_of(folder), distributions, name=folder.name)
    return Environment(found.name, found.python, found.version, found.versions, record)


def _record(folder: Path) -> EnvironmentRecord | None:
    """What was written when it was made; None where a person made it."""
    try:
        return EnvironmentRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise EnvironmentFailed(
            f"the record of the environment {folder.name!r} cannot be read", hint=_cure(folder)
        ) from error


def _broken(python: Path, name: str, what: str) -> EnvironmentFailed:
    folder = python.parent.parent
    own = folder.parent == environments_home()
    return EnvironmentFailed(
        f"the environment {name!r} does not run: {what}",
        hint=_cure(folder) if own else f"see what `{python} -c pass` says",
        detail={"python": str(python)},
    )


def _cure(folder: Path) -> str:
    return f"--env auto makes it again; or remove it: rm -r {folder}"


def _folders() -> list[Path]:
    home = environments_home()
    return sorted(path for path in home.iterdir() if path.is_dir() and path.name[0] != ".") if home.is_dir() else []


def _distributions(requirements: Iterable[str]) -> tuple[str, ...]:
    return tuple(Requirement(text).name for text in requirements)
