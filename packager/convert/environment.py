"""Which environment converts a model: this one, one that was made for its version, or one that the user names."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packager.core.conversion import ModelSource
from packager.core.environment import EnvironmentAware, EnvironmentSpec
from packager.core.errors import EnvironmentFailed, EnvironmentMissing
from packager.core.progress import Progress
from packager.core.protocols import Converter

if TYPE_CHECKING:  # what makes environments is not there in those that it makes
    from packager.environments import Environment

AUTO = "auto"
CURRENT = "current"
LEGACY = "legacy"
# What dray's own code in the child imports beside the converter's framework.
_WORKER_NEEDS = ("pydantic",)
_CODE = "code"
_OWN = ("packager", "runtime")

Agree = Callable[[EnvironmentSpec], bool]


def nobody_agrees(_: EnvironmentSpec) -> bool:
    """The answer where nobody can be asked."""
    return False


@dataclass(frozen=True, slots=True)
class EnvironmentChoice:
    """``--env``.

    Attributes:
        env: ``auto``, ``current``, the name of an environment made before, or a path; None is ``auto`` with a question.
            ``legacy``: converted here, the framework asked in an old environment of its own.
        agree: Asked before something is installed, unless ``env`` is ``auto``.
    """

    env: str | None = None
    agree: Agree = nobody_agrees


def choose(
    choice: EnvironmentChoice,
    converter: Converter,
    source: ModelSource,
    *,
    samples: Path | None,
    progress: Progress,
    timeout_s: float,
) -> "Environment | None":
    """The environment to convert in; None for this one.

    Raises:
        EnvironmentMissing: It is not there, and nobody agreed to make it.
        EnvironmentFailed: It could not be made, or is broken.
        ModelInvalid: The file names a version that is none.
    """
    if choice.env in (CURRENT, LEGACY) or not converter.isolated:
        return None
    if choice.env not in (None, AUTO):
        return _named(choice.env, converter)
    if not isinstance(converter, EnvironmentAware):
        return None
    spec = converter.environment_for(source, samples)
    return None if spec is None else _found_or_made(spec, choice, progress, timeout_s=timeout_s)


def code_folder(workdir: Path, converter: Converter) -> Path:
    """A folder for PYTHONPATH that holds dray's code and the converter's, and nothing else of this environment.

    Works alike for an editable installation and a wheel: what lies beside dray's code there stays out of reach.
    """
    folder = workdir / _CODE
    folder.mkdir(exist_ok=True)
    for name in dict.fromkeys((*_OWN, type(converter).__module__.partition(".")[0])):
        origin = _origin(name)
        (folder / origin.name).symlink_to(origin, target_is_directory=origin.is_dir())
    return folder


def _found_or_made(
    spec: EnvironmentSpec, choice: EnvironmentChoice, progress: Progress, *, timeout_s: float
) -> "Environment":
    from packager import environments

    if (found := _usable(spec, progress)) is not None:
        progress.step(f"using the environment {found.name} ({found.python.parent.parent})")
        return found
    if choice.env != AUTO and not choice.agree(spec):
        raise not_made(spec)
    made = environments.make(spec, progress=progress, timeout_s=timeout_s)
    size = f", {made.record.size_bytes >> 20} MiB" if made.record else ""
    progress.step(f"made the environment {made.name} ({made.python.parent.parent}{size})")
    return made


def _usable(spec: EnvironmentSpec, progress: Progress) -> "Environment | None":
    """One that is there already, for exactly this or for what would do."""
    from packager import environments

    for wanted in filter(None, (spec, spec.otherwise)):
        try:
            if (found := environments.find(wanted)) is not None:
                return found
        except EnvironmentFailed as error:
            progress.step(f"{error.message}; it is made again")
    return None


def not_made(spec: EnvironmentSpec, *, command: str = "") -> EnvironmentMissing:
    """The error where an environment is needed and nobody agreed to make it.

    Args:
        command: The whole command that makes it, where it is known.
    """
    how = command or "--env auto"
    return EnvironmentMissing(
        f"{spec.reason}; converting it needs the environment {spec.name!r}, which is not made yet",
        hint=f"make it (about {spec.download_mib} MB to download): {how}; or {spec.instead}",
        detail={"environment": spec.name, "requirements": list(spec.requirements)},
    )


def _named(env: str, converter: Converter) -> "Environment":
    from packager import environments

    wanted = (*_WORKER_NEEDS, *converter.requires)
    is_path = os.sep in env or env.startswith((".", "~"))
    if is_path:
        found = environments.at_path(Path(os.path.abspath(os.path.expanduser(env))), distributions=wanted)
    else:
        found = environments.named(env, distributions=wanted)
    if missing := [name for name in wanted if name not in found.versions]:
        raise EnvironmentMissing(
            f"the environment {env!r} lacks {', '.join(missing)}",
            hint=f"uv pip install --python {found.python} {' '.join(missing)}",
            detail={"missing": missing},
        )
    return found


def _origin(name: str) -> Path:
    """Where a top-level module or package of this process lies."""
    file = Path(os.path.abspath(sys.modules[name].__file__ or ""))
    return file.parent if file.name == "__init__.py" else file
