"""``--env legacy``: the answers of a framework that no current Python can have, from an environment that has it."""

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.environment import EnvironmentSpec, HandMadeEnvironment, LegacyAware, LegacyProgram
from packager.core.errors import ConversionTimeout, EnvironmentFailed, EnvironmentMissing, UsageError
from packager.core.process import bare_environment, run
from packager.core.progress import Progress
from packager.core.protocols import Converter

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAIL_LINES = 6


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the framework runs.

    Attributes:
        cure: What a person can do where it does not.
    """

    title: str
    python: Path
    cure: str
    libraries: tuple[Path, ...] = ()
    versions: "Mapping[str, str]" = field(default_factory=dict)


def legacy_aware(converter: Converter, expected: Path | None) -> LegacyAware:
    """The converter, as one whose framework can be asked.

    Raises:
        UsageError: It is none, or the user has the answers already.
    """
    if not isinstance(converter, LegacyAware):
        raise UsageError(
            f"--env legacy is for frameworks that run on no current Python, not for {converter.name}",
            hint="leave --env out, or give --env auto",
        )
    if expected is not None:
        raise UsageError("--expected and --env legacy both say what the answers are", hint="leave one of them out")
    return converter


def with_answers(
    raw: RawConversion, converter: LegacyAware, request: ConversionRequest, progress: Progress, *, timeout_s: float
) -> RawConversion:
    """The conversion with its framework's own answers to its samples.

    Raises:
        EnvironmentMissing: A person has to make its environment; with the commands.
        EnvironmentFailed: The environment cannot be made, or the framework fails in it.
        ConversionTimeout: It did not answer in time.
    """
    program = converter.legacy_program(request, raw)
    began = time.monotonic()
    place = _place(program.environment, progress, timeout_s)
    progress.step(f"asking {raw.framework} in {place.title}")
    answers = request.workdir / "legacy_answers.npz"
    left_s = max(1.0, timeout_s - (time.monotonic() - began))
    printed = _ask(program, place, raw.samples, answers, timeout_s=left_s)
    return replace(
        raw,
        framework_version=printed or raw.framework_version,
        reference="source",
        reference_original=answers,
        reference_cast=answers,
        versions={**raw.versions, **place.versions, **({raw.framework: printed} if printed else {})},
        notes=(*raw.notes, f"{raw.framework} answered in {place.title}"),
    )


def _place(environment: EnvironmentSpec | HandMadeEnvironment, progress: Progress, timeout_s: float) -> _Place:
    if isinstance(environment, HandMadeEnvironment):
        return _hand_made(environment)
    from packager import environments  # what makes environments is not there in those that it makes

    found = environments.find(environment) or environments.make(environment, progress=progress, timeout_s=timeout_s)
    title = f"the environment {found.name} (Python {found.python_version})"
    cure = "package it without --env legacy, with --expected FILE where you have its answers"
    return _Place(title, found.python, cure, versions=found.versions)


def _hand_made(environment: HandMadeEnvironment) -> _Place:
    home = environment.home
    python = home / "bin" / "python"
    if not python.exists():
        raise EnvironmentMissing(
            f"--env legacy needs {environment.title} in {str(home)!r}, which is not there",
            hint=environment.commands,
        )
    libraries = tuple(home / name for name in environment.libraries)
    return _Place(f"the environment {str(home)!r}", python, environment.commands, libraries)


def _ask(program: LegacyProgram, place: _Place, samples: Path, answers: Path, *, timeout_s: float) -> str:
    """Run the script; the last word that it printed, the framework's version."""
    # Isolated: nothing of this environment's paths may reach the other Python.
    argv = [str(place.python), "-I", str(program.script), *program.arguments, str(samples), str(answers)]
    home = answers.parent / "legacy"
    home.mkdir()
    own = {"HOME": str(home), "TMPDIR": str(home), "PYTHONWARNINGS": "ignore"}
    if place.libraries:
        inherited = os.environ.get("LD_LIBRARY_PATH", "")
        own["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [*map(str, place.libraries), inherited]))
    try:
        done = run(argv, timeout_s=timeout_s, env=bare_environment(own), cwd=home)
    except TimeoutError as error:
        raise ConversionTimeout(
            f"the framework in {place.title} did not answer within {timeout_s:g} s",
            hint="give it more time with --timeout, or fewer rows with --samples",
        ) from error
    except OSError as error:
        raise EnvironmentFailed(f"{place.title} does not run: {error}", hint=place.cure) from error
    if done.returncode != 0 or not answers.is_file():
        tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_TAIL_LINES:]
        raise EnvironmentFailed(
            f"the framework in {place.title} does not answer: {(tail or ['it gives no reason'])[-1][:300]}",
            hint=place.cure,
            detail={"returncode": done.returncode, "output": tail},
        )
    with np.load(answers, allow_pickle=False) as archive:
        if not archive.files:
            raise EnvironmentFailed(f"the framework in {place.title} gave no answers", hint=place.cure)
    words = done.stdout.split()
    return words[-1] if words else ""
