"""The options of ``dray package``, which ``ship`` and ``plan`` take as well; written once."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.common import Options
from packager.cli.console import Console
from packager.cli.form_options import FORM_OPTIONS
from packager.convert.environment import Agree, not_made
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_OPSET, DEFAULT_RTOL, DEFAULT_SEED, InputHint
from packager.core.environment import EnvironmentSpec
from packager.core.errors import UsageError
from packager.project import ProjectFile
from runtime.contract.dtypes import DTYPES, Datatype

if TYPE_CHECKING:
    from packager.convert import Trust

Model = Annotated[
    str | None,
    typer.Argument(
        help="Model file or folder, or FILE.py:FUNCTION; dray.yaml's where it is left out.", metavar="MODEL"
    ),
]


def _option(kind: Any, *flags: str, **about: Any) -> Any:
    return Annotated[kind, typer.Option(*flags, **about)]


# By the name that packager.package has for it: how the command line says it, and the default.
MODEL_OPTIONS: Options = {
    "samples": (
        _option(
            Path | None,
            "--samples",
            metavar="FILE",
            help="Real inputs to prove parity on: .npz, .npy, .csv, .parquet or .json.",
        ),
        None,
    ),
    "name": (_option(str | None, "-n", "--name", metavar="NAME", help="Name of the model and its deployment."), None),
    "version": (
        _option(
            str | None,
            "--version",
            metavar="VERSION",
            help="Version of the model; the next number where left out.",
        ),
        None,
    ),
    "out": (
        _option(
            Path | None,
            "--out",
            metavar="DIR",
            help="Folder of the package itself; ./NAME-VERSION where left out.",
        ),
        None,
    ),
    "framework": (
        _option(
            str | None,
            "--framework",
            metavar="NAME",
            help="The model's framework, where it is not recognised.",
        ),
        None,
    ),
    "opset": (
        _option(int, "--opset", metavar="N", min=11, help="Version of the default ONNX domain."),
        DEFAULT_OPSET,
    ),
    "atol": (_option(float, "--atol", metavar="X", min=0, help="Absolute tolerance of parity."), DEFAULT_ATOL),
    "rtol": (
        _option(float, "--rtol", metavar="X", min=0, help="Tolerance relative to the expected value."),
        DEFAULT_RTOL,
    ),
    "seed": (_option(int, "--seed", metavar="N", min=0, help="Seed of synthetic samples."), DEFAULT_SEED),
    "inputs": (
        _option(
            list[str] | None,
            "--input",
            metavar="SPEC",
            help="What a file does not hold, as NAME=DTYPE:D0,D1; a letter is a free axis.",
        ),
        None,
    ),
    "dynamic": (
        _option(
            list[str] | None,
            "--dynamic",
            metavar="NAME:AXIS",
            help="A further free axis of an input, beside the batch; may be repeated.",
        ),
        None,
    ),
    "model_class": (
        _option(
            str | None,
            "--class",
            metavar="MODULE:NAME",
            help="The class of a model whose file holds weights alone, or objects of it.",
        ),
        None,
    ),
    "class_args": (
        _option(
            Path | None,
            "--class-args",
            metavar="FILE",
            help="Arguments of that class's constructor, by name, in a JSON file.",
        ),
        None,
    ),
    "packages": (
        _option(
            list[str] | None,
            "--with",
            metavar="PACKAGE",
            help="A Python package that the model's own code imports; may be repeated.",
        ),
        None,
    ),
    "signature": (
        _option(
            str | None,
            "--signature",
            metavar="NAME",
            help="The signature of a SavedModel or TFLite file to serve, where there are several.",
        ),
        None,
    ),
    "lengths": (
        _option(
            bool,
            "--lengths",
            help="Give a sequence model a second input, the lengths of padded sequences (CNTK, MXNet).",
        ),
        False,
    ),
    **FORM_OPTIONS,
    "labels": (
        _option(Path | None, "--labels", metavar="FILE", help="Class names: a JSON list, or one a line."),
        None,
    ),
    "expected": (
        _option(
            Path | None,
            "--expected",
            metavar="FILE",
            help="The source's own answers, .npz by output name.",
        ),
        None,
    ),
    "accept_precision_loss": (
        _option(
            bool,
            "--accept-precision-loss",
            help="Package although users' values lose precision on the way in.",
        ),
        False,
    ),
    "env": (
        _option(
            str | None,
            "--env",
            metavar="ENV",
            help="Where to convert: auto (made for the model), current, a name or path; or legacy (CNTK, MXNet).",
        ),
        None,
    ),
    "trust": (
        _option(
            bool,
            "--trust",
            help="Load a file that runs code of its own; what it calls is shown and recorded.",
        ),
        False,
    ),
    "plugin": (
        _option(
            str | None,
            "--plugin",
            metavar="MODULE",
            help="A module, or .py file, that registers converters of your own.",
        ),
        None,
    ),
}


def package_options(console: Console, project: ProjectFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``packager.package``: the command line's, else the project file's.

    Args:
        given: By the names of ``MODEL_OPTIONS``, among others.
    """
    return {
        **{name: given[name] for name in MODEL_OPTIONS},
        "inputs": tuple(_input_hint(text) for text in given["inputs"] or ()),
        "dynamic": tuple(map(_free_axis, given["dynamic"] or ())),
        "packages": tuple(given["packages"] or ()),
        "samples": given["samples"] or project.samples,
        "name": given["name"] or project.name,
        "agree_to_environment": agreement(console),
        "trust": trusting(console, given["trust"]),
    }


def chosen_model(model: str | None, project: ProjectFile) -> str:
    """The model of the command line, else of the project file."""
    if chosen := model or project.model:
        return chosen
    raise UsageError("no model given", hint="name a model file, or put `model:` in dray.yaml")


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


def _free_axis(text: str) -> str:
    name, _, axis = text.rpartition(":")
    if not name or not axis.isdigit():
        raise UsageError(f"not a free axis: {text!r}", hint="write NAME:AXIS, as in tokens:1; the batch is axis 0")
    return text
