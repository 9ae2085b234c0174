"""``package``, ``inspect``, ``serve``: a model and its package on this machine."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli import render
from packager.cli.common import AcceptUnverified, Name, ProjectPath, Timeout, command
from packager.cli.console import Console
from packager.convert.environment import Agree, not_made
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_OPSET, DEFAULT_RTOL, DEFAULT_SEED, InputHint
from packager.core.environment import EnvironmentSpec
from packager.core.errors import UsageError
from packager.project import ProjectFile, load_project
from runtime.contract.dtypes import DTYPES, Datatype

if TYPE_CHECKING:
    from packager.convert import Trust

Model = Annotated[
    str | None, typer.Argument(help="Model file or folder; dray.yaml's where it is left out.", metavar="MODEL")
]
Samples = Annotated[
    Path | None,
    typer.Option(
        "--samples", metavar="FILE", help="Real inputs to prove parity on: .npz, .npy, .csv, .parquet or .json."
    ),
]
Framework = Annotated[
    str | None, typer.Option("--framework", metavar="NAME", help="The model's framework, where it is not recognised.")
]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", help="Version of the model; the next number where left out."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the package itself; ./NAME-VERSION where left out."),
]
Opset = Annotated[int, typer.Option("--opset", metavar="N", min=11, help="Version of the default ONNX domain.")]
Atol = Annotated[float, typer.Option("--atol", metavar="X", min=0, help="Absolute tolerance of parity.")]
Rtol = Annotated[float, typer.Option("--rtol", metavar="X", min=0, help="Tolerance relative to the expected value.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of synthetic samples.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="SPEC", help="What a file does not hold, as NAME=DTYPE:D0,D1; a letter is a free axis."
    ),
]
Labels = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="Class names: a JSON list, or one a line.")
]
Expected = Annotated[
    Path | None, typer.Option("--expected", metavar="FILE", help="The source's own answers, .npz by output name.")
]
AcceptPrecisionLoss = Annotated[
    bool, typer.Option("--accept-precision-loss", help="Package although users' values lose precision on the way in.")
]
Env = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="ENV",
        help="Where to convert: auto (made for the version that saved the model), current, or the name or path of one.",
    ),
]
TrustFlag = Annotated[
    bool, typer.Option("--trust", help="Load a file that runs code of its own; what it calls is shown and recorded.")
]
Plugin = Annotated[
    str | None,
    typer.Option("--plugin", metavar="MODULE", help="A module, or .py file, that registers converters of your own."),
]

Lengths = Annotated[
    bool,
    typer.Option("--lengths", help="Give a sequence model a second input: the lengths of the rows of a padded batch."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, name="package", help="Convert a model to ONNX, verify it, write a model package.")(_package)
    command(app, name="inspect", help="Check a package's digests; print its manifest and certificate.")(_inspect)
    command(app, name="serve", help="Run the runtime here, in the foreground.")(_serve)


def package_options(project: ProjectFile, **given: Any) -> dict[str, Any]:
    """Options of ``packager.package``: the command line's, else the project file's."""
    inputs = tuple(_input_hint(text) for text in given.pop("inputs") or ())
    samples = given.pop("samples") or project.samples
    return {**given, "inputs": inputs, "samples": samples, "name": given.get("name") or project.name}


def agreement(console: Console) -> Agree:
    """Asks a person before an environment is made.

    The function raises EnvironmentMissing, with the command that makes it, where nobody agrees.
    """

    def agree(spec: EnvironmentSpec) -> bool:
        size = f"about {spec.download_mib} MB to download, {spec.disk_mib} MB on disk"
        if console.assume_yes or console.ask(f"{spec.reason}. Make the environment {spec.name} ({size})?"):
            return True
        raise not_made(spec, command=shlex.join(["dray", *sys.argv[1:], "--env", "auto"]))

    return agree


def trusting(console: Console, flag: bool) -> "Trust":
    """What ``--trust`` means: at a terminal a person is shown the calls and asked; elsewhere the flag says so."""
    if not flag:
        return False

    def agreed(calls: Sequence[str]) -> bool:
        console.note(f"the file runs code of its own: {', '.join(calls)}")
        return (
            console.assume_yes or console.ask(f"Let it call {', '.join(calls)}, in a closed-off process?") is not False
        )

    return agreed


def chosen_model(model: str | None, project: ProjectFile) -> str:
    """The model of the command line, else of the project file."""
    if chosen := model or project.model:
        return chosen
    raise UsageError("no model given", hint="name a model file, or put `model:` in dray.yaml")


def _package(
    console: Console,
    model: Model = None,
    samples: Samples = None,
    name: Name = None,
    version: Version = None,
    out: Out = None,
    framework: Framework = None,
    opset: Opset = DEFAULT_OPSET,
    atol: Atol = DEFAULT_ATOL,
    rtol: Rtol = DEFAULT_RTOL,
    seed: Seed = DEFAULT_SEED,
    inputs: Inputs = None,
    labels: Labels = None,
    expected: Expected = None,
    accept_precision_loss: AcceptPrecisionLoss = False,
    env: Env = None,
    trust: TrustFlag = False,
    plugin: Plugin = None,
    lengths: Lengths = False,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import package  # kept out of start-up

    project = load_project(file)
    options = package_options(
        project, samples=samples, name=name, version=version, out=out, framework=framework, opset=opset, atol=atol,
        rtol=rtol, seed=seed, inputs=inputs, labels=labels, expected=expected,
        accept_precision_loss=accept_precision_loss, env=env, agree_to_environment=agreement(console),
        trust=trusting(console, trust), plugin=plugin, lengths=lengths,
    )  # fmt: skip
    with console.progress() as progress:
        document = package(chosen_model(model, project), progress=progress, timeout_s=timeout, **options)
    console.note(render.certificate(document))
    console.result(document, lambda: document.package)


def _inspect(
    console: Console, package: Annotated[Path, typer.Argument(help="A model package.", metavar="PACKAGE")]
) -> None:
    from packager.documents import InspectDocument
    from packager.pack import open_package

    document = InspectDocument.of(open_package(package))
    console.result(document, lambda: render.inspection(document))


def _serve(
    console: Console,
    packages: Annotated[list[Path], typer.Argument(help="Model packages.", metavar="PACKAGE...")],
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port to listen on.")] = 8080,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads of one inference.")
    ] = None,
    accept_unverified: AcceptUnverified = False,
) -> None:
    from packager.core.extras import require_extra
    from packager.pack import open_package

    require_extra("runtime")
    opened = [open_package(path, accept_unverified=accept_unverified) for path in packages]
    for package in opened:
        console.note(f"serving {package.manifest.name} {package.manifest.version} on http://{host}:{port}")
    settings = {
        "DRAY_PACKAGES": ":".join(str(package.root) for package in opened),
        "DRAY_HOST": host,
        "DRAY_PORT": str(port),
        **({"DRAY_THREADS": str(threads)} if threads else {}),
    }
    sys.stdout.flush()
    # -P: no folder of the user's can shadow the runtime. The same process goes on, so signals reach the server itself.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "runtime"], {**os.environ, **settings})  # noqa: S606


def _input_hint(text: str) -> InputHint:
    name, equals, rest = text.partition("=")
    dtype, _, dims = rest.partition(":")
    if not (name and equals and dtype.upper() in DTYPES):
        raise UsageError(f"not an input: {text!r}", hint=f"write NAME=DTYPE:D0,D1 with a type of {', '.join(DTYPES)}")
    shape = tuple(int(dim) if dim.isdigit() else dim for dim in dims.split(",") if dim)
    if any(dim == 0 or (isinstance(dim, str) and not dim.isidentifier()) for dim in shape):
        raise UsageError(f"not a shape: {dims!r}", hint="write sizes and letters, as in X=FP32:N,30")
    known: Datatype = next(key for key in DTYPES if key == dtype.upper())
    return InputHint(name, known, shape)
