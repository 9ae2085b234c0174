"""``--env legacy``: CNTK itself answers the samples, in an environment of its own that a person has made."""

import json
import os
from dataclasses import replace
from pathlib import Path

from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.environment import legacy_home
from packager.core.errors import EnvironmentFailed, EnvironmentMissing
from packager.core.process import bare_environment, run
from packager.core.progress import Progress

REQUEST_NAME = "reference.json"
_SCRIPT = Path(__file__).with_name("reference_script.py")


def with_answers_of_cntk(
    request: ConversionRequest, raw: RawConversion, progress: Progress, *, timeout_s: float
) -> RawConversion:
    """The conversion with CNTK's answers to its samples as the reference.

    Raises:
        EnvironmentMissing: There is no environment with CNTK; the hint makes one.
        EnvironmentFailed: CNTK does not run there, or does not answer.
    """
    home = legacy_home("cntk")
    python = home / "bin" / "python"
    if not python.exists():
        raise _not_made(home)
    progress.step(f"asking CNTK itself ({python})")
    folder = raw.onnx.parent
    plan = json.loads((folder / REQUEST_NAME).read_text(encoding="utf-8"))
    answers = folder / "reference.npz"
    paths = {"model": str(request.source), "samples": str(raw.samples), "answers": str(answers)}
    (folder / REQUEST_NAME).write_text(json.dumps({**plan, **paths}), encoding="utf-8")
    version = _asked(home, folder, timeout_s=timeout_s)
    if not answers.is_file():
        raise EnvironmentFailed("CNTK left no answers", hint=_commands(home))
    return replace(
        raw,
        reference="source",
        reference_original=answers,
        reference_cast=answers,
        framework_version=version or raw.framework_version,
        versions={**raw.versions, "cntk": version},
        notes=(*raw.notes, f"CNTK answered in {home}"),
    )


def _asked(home: Path, folder: Path, *, timeout_s: float) -> str:
    """Run the script; CNTK's version, which it prints last."""
    libraries = [str(home / "mpi"), os.environ.get("LD_LIBRARY_PATH", "")]
    env = bare_environment({
        "HOME": str(folder),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PYTHONWARNINGS": "ignore",
    })  # fmt: skip
    argv = [str(home / "bin" / "python"), str(_SCRIPT), str(folder / REQUEST_NAME)]
    try:
        finished = run(argv, timeout_s=timeout_s, env=env, cwd=folder)
    except (TimeoutError, OSError) as error:
        raise EnvironmentFailed(f"CNTK does not answer: {error}", hint=_commands(home)) from error
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        last = lines[-1].strip() if lines else f"it ended with status {finished.returncode}"
        raise EnvironmentFailed(
            f"CNTK does not answer: {last[:300]}", hint=_commands(home), detail={"output": lines[-6:]}
        )
    words = finished.stdout.split()
    return words[-1] if words else ""


def _not_made(home: Path) -> EnvironmentMissing:
    return EnvironmentMissing(
        f"--env legacy needs Python 3.6 with CNTK 2.7 in {str(home)!r}, which is not there", hint=_commands(home)
    )


def _commands(home: Path) -> str:
    """What makes the environment, on Debian and Ubuntu."""
    library = "/usr/lib/x86_64-linux-gnu"
    return (
        f"make it: python3.6 -m venv {home} && {home}/bin/pip install cntk==2.7.post2 'numpy<1.20' 'scipy<1.6' && "
        f"apt-get install libopenmpi3 && mkdir -p {home}/mpi && "
        f"ln -sf {library}/libmpi.so.40 {home}/mpi/libmpi.so.12 && "
        f"ln -sf {library}/libmpi_cxx.so.40 {home}/mpi/libmpi_cxx.so.1; or give CNTK's answers with --expected FILE"
    )
