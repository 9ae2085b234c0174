"""``--env legacy``: the answers of a framework that no current Python can have, from an environment that has it."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from packager import environments
from packager.core.conversion import RawConversion
from packager.core.environment import EnvironmentSpec, LegacyAware, LegacyProgram
from packager.core.errors import ConversionTimeout, EnvironmentFailed, UsageError
from packager.core.process import bare_environment, run
from packager.core.progress import Progress
from packager.core.protocols import Converter
from packager.environments import Environment

_TAIL_LINES = 6


def with_answers(
    raw: RawConversion, converter: Converter, source: Path, workdir: Path, progress: Progress, *, timeout_s: float
) -> RawConversion:
    """The conversion with its framework's own answers to its samples.

    Raises:
        UsageError: The converter knows no such framework.
        EnvironmentFailed: The environment cannot be made, or the framework fails in it.
        ConversionTimeout: It did not answer in time.
    """
    if not isinstance(converter, LegacyAware):
        raise UsageError(
            f"--env legacy: {converter.name} models need no retired framework", hint="leave it away, or give --env auto"
        )
    program = converter.legacy_program(source)
    began = time.monotonic()
    environment = _environment(program.environment, progress, timeout_s)
    progress.step(f"asking {raw.framework} in the environment {environment.name}")
    answers = workdir / "legacy_answers.npz"
    _ask(program, environment, raw.samples, answers, timeout_s=max(1.0, timeout_s - (time.monotonic() - began)))
    versions = {**raw.versions, **environment.versions}
    note = f"{raw.framework} answered in the environment {environment.name} (Python {environment.python_version})"
    return replace(
        raw,
        reference="source",
        reference_original=answers,
        reference_cast=answers,
        versions=versions,
        notes=(*raw.notes, note),
    )


def _environment(spec: EnvironmentSpec, progress: Progress, timeout_s: float) -> Environment:
    found = environments.find(spec)
    return found if found is not None else environments.make(spec, progress=progress, timeout_s=timeout_s)


def _ask(program: LegacyProgram, environment: Environment, samples: Path, answers: Path, *, timeout_s: float) -> None:
    # Isolated: nothing of this environment's paths may reach the other Python.
    argv = [str(environment.python), "-I", str(program.script), *program.arguments, str(samples), str(answers)]
    home = answers.parent / "legacy"
    home.mkdir()
    env = bare_environment({"HOME": str(home), "TMPDIR": str(home)})
    try:
        done = run(argv, timeout_s=timeout_s, env=env, cwd=home)
    except TimeoutError as error:
        raise ConversionTimeout(
            f"the framework in the environment {environment.name!r} did not answer within {timeout_s:g} s",
            hint="give it more time with --timeout, or fewer rows with --samples",
        ) from error
    if done.returncode != 0 or not answers.is_file():
        tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_TAIL_LINES:]
        raise EnvironmentFailed(
            f"the framework in the environment {environment.name!r} does not answer: {(tail or ['no reason'])[-1]}",
            hint="package it without --env legacy, with --expected FILE where you have its answers",
            detail={"returncode": done.returncode, "output": tail},
        )
    with np.load(answers, allow_pickle=False) as archive:
        if not archive.files:
            raise EnvironmentFailed(
                f"the framework in {environment.name!r} gave no answers", hint="leave --env legacy away"
            )
