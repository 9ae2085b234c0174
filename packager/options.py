"""What a person says of a model to be packaged, and what the steps are told of it."""

import os
import pickle
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from packager.convert import Trust
from packager.convert.environment import Agree
from packager.core.conversion import InputHint, ModelSource
from packager.core.errors import ModelInvalid, UsageError
from packager.core.form import CircuitAsked, Form
from packager.transform import Wanted, wanted

# A stem that says what the file is and not which model it holds; the folder's name is used then.
_GENERIC_STEMS = {"model", "saved_model", "pipeline", "estimator", "clf", "best_model", "final_model"}


class PackageOptions(TypedDict, total=False):
    """Options of ``package``; the command line has the same under the same names."""

    name: str | None
    version: str | None
    out: str | Path | None
    samples: Any
    framework: str | None
    opset: int
    atol: float
    rtol: float
    seed: int
    inputs: Sequence[InputHint]
    labels: str | Path | None
    expected: str | Path | None
    accept_precision_loss: bool
    env: str | None
    agree_to_environment: Agree
    trust: Trust
    plugin: str | Path | None
    dynamic: Sequence[str]
    model_class: str | None
    class_args: str | Path | None
    packages: Sequence[str]
    signature: str | None
    lengths: bool
    optimize: bool
    quantize: str | None
    min_agreement: float | None
    calibration: str | Path | None
    circuit: bool
    bits: int | None
    max_luts: int | None
    truth: Any
    part: str | None
    clock_ns: float | None
    synthesize: bool | None


def code_of(model: Path) -> tuple[Path, str | None]:
    """The Python file and the function of ``FILE.py:FUNCTION``; a path as it is, and None, for anything else."""
    file, colon, function = str(model).rpartition(":")
    if colon and file.endswith(".py") and function.isidentifier():
        return Path(file), function
    return model, None


def default_name(path: Path) -> str:
    """The model's name: the file's stem, or the folder's name where the stem says nothing."""
    stem = path.stem if path.is_file() else path.name
    named = path.parent.name if stem.lower() in _GENERIC_STEMS and path.parent.name else stem
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-._")[:128]
    return clean or "model"


def source_of(model: Path, options: PackageOptions) -> ModelSource:
    """The model as the conversion step takes it."""
    path, function = code_of(model)
    return ModelSource(path, options.get("framework"), function, tuple(options.get("packages", ())))


def converter_options(options: PackageOptions, model: Path) -> dict[str, Any]:
    """What converters know beyond the common options (``packager.core.conversion.OPTIONS``)."""
    path, function = code_of(model)
    named: dict[str, Any] = {
        **_plugin_options(options.get("plugin"), path),
        "function": function,
        "class": options.get("model_class"),
        "class_args": str(given) if (given := absolute(options.get("class_args"))) else None,
        "dynamic": list(options.get("dynamic", ())),
        "signature": options.get("signature"),
        "lengths": options.get("lengths"),
    }
    modules = [str(named["class"]).partition(":")[0]] if named["class"] else []
    folders = [str(path.parent)] if function else [folder for module in modules if (folder := _home_of(module, path))]
    return {name: value for name, value in {**named, "code_folders": folders}.items() if value}


def wanted_transformation(options: PackageOptions, *, truth: Path | None = None) -> Wanted | None:
    """What is to be done to the model after its conversion; None for nothing.

    Args:
        truth: The file of ``truth_file``.

    Raises:
        UsageError: The options cannot be meant together.
    """
    if truth is not None and options.get("samples") is None:
        raise UsageError(
            "--truth holds labels of rows that are not there", hint="give the rows themselves with --samples FILE"
        )
    return wanted(
        optimize=options.get("optimize", False),
        quantize=options.get("quantize"),
        min_agreement=options.get("min_agreement"),
        calibration=absolute(options.get("calibration")),
        circuit=_circuit_asked(options),
        truth=truth,
    )


def _circuit_asked(options: PackageOptions) -> CircuitAsked | None:
    """The circuit that the options ask for.

    Raises:
        UsageError: They say something of a circuit, and ask for none.
    """
    said = {name: options.get(name) for name in ("bits", "max_luts", "part", "clock_ns", "synthesize")}
    if options.get("circuit"):
        return CircuitAsked(
            bits=options.get("bits"),
            max_luts=options.get("max_luts"),
            part=options.get("part"),
            clock_ns=options.get("clock_ns"),
            synthesize=options.get("synthesize") or None,
        )
    if strays := [name for name, value in said.items() if value not in (None, False)]:
        flag = f"--{strays[0].replace('_', '-')}"
        raise UsageError(
            f"{flag} says something of a circuit, and none is asked for", hint=f"add --circuit, or leave {flag} out"
        )
    return None


def in_form(options: PackageOptions, form: Form) -> PackageOptions:
    """The options with what a target's hosts take; of how a model is quantised, what they say themselves wins.

    Raises:
        UsageError: They ask for a form that excludes the target's, or say something else of a circuit.
    """
    if form.circuit is not None:
        if asked := next((name for name in ("quantize", "optimize") if options.get(name)), None):
            raise UsageError(
                f"this target serves a circuit, and --{asked} asks for another form of the model",
                hint=f"leave --{asked} out, or choose another target or mode",
            )
        said = {name: value for name, value in asdict(form.circuit).items() if value is not None}
        _refuse_contradictions(options, said)
        return {**options, "circuit": True, **said}  # type: ignore[typeddict-item]  # the names are those of the options
    if form.quantize is None or options.get("quantize"):
        return options
    if options.get("circuit"):
        raise UsageError(
            f"this target's hosts take a model that is quantised ({form.quantize}), and --circuit asks for a circuit",
            hint="leave --circuit out, or choose another target or mode",
        )
    quantised: PackageOptions = {**options, "quantize": form.quantize}
    return quantised


def _refuse_contradictions(options: PackageOptions, said: Mapping[str, Any]) -> None:
    """Refuse a circuit that the target, which is told the same, would refuse when it is made."""
    for name, value in said.items():
        other = options.get(name)
        if other not in (None, False, value):  # a flag that is left out is False
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{flag} {other} contradicts the target's setting {name}={value}",
                hint=f"leave {flag} out, or --set {name}={other}",
            )


def _plugin_options(plugin: "str | Path | None", model: Path) -> dict[str, str]:
    """A module of the user's, and where its model's classes are."""
    if not plugin:
        return {}
    named = str(plugin)
    return {
        "plugin": os.path.abspath(named) if named.endswith(".py") else named,
        "plugin_folder": os.path.abspath(model.parent),
    }


def _home_of(module: str, model: Path) -> str | None:
    """The folder with a module of the user's: the model's own, or the current one. None for an installed one."""
    top = module.partition(".")[0]
    for folder in (Path(os.path.abspath(model)).parent, Path.cwd()):
        if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
            return str(folder)
    return None


def absolute(value: "str | os.PathLike[str] | None") -> Path | None:
    """A path that means the same in every folder; None stays None."""
    return None if value is None else Path(os.path.abspath(value))


@contextmanager
def as_file(model: Any) -> Iterator[Path]:
    """The path of a model; a fitted object of a notebook is pickled to a file of its class's name first."""
    if isinstance(model, str | os.PathLike):
        yield Path(os.path.abspath(model))
        return
    with tempfile.TemporaryDirectory(prefix="dray-") as folder:
        path = Path(folder) / f"{type(model).__name__.lower()}.pkl"
        try:
            path.write_bytes(pickle.dumps(model, protocol=5))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ModelInvalid(
                f"an object of class {type(model).__name__} cannot be written to a file: {error}",
                hint="save it as its framework does, and pass the path",
            ) from error
        yield path


@contextmanager
def samples_file(options: PackageOptions, folder: Path) -> Iterator[Path | None]:
    """The samples as a file; arrays and frames of a notebook are written as what keeps their types."""
    samples = options.get("samples")
    if samples is None or isinstance(samples, str | os.PathLike):
        yield absolute(samples)
        return
    if hasattr(samples, "to_parquet"):
        path = folder / "samples.parquet"
        samples.to_parquet(path)
    else:
        import numpy as np  # kept out of start-up

        path = folder / "samples.npy"
        np.save(path, np.asarray(samples), allow_pickle=False)
    yield path


def truth_file(options: PackageOptions, folder: Path) -> Path | None:
    """The truth as a file; the labels of a notebook are written to one."""
    truth = options.get("truth")
    if truth is None or isinstance(truth, str | os.PathLike):
        return absolute(truth)
    import numpy as np  # kept out of start-up

    values = np.asarray(truth)
    path = folder / "truth.npy"
    np.save(path, values.astype(str) if values.dtype.kind == "O" else values, allow_pickle=False)
    return path
