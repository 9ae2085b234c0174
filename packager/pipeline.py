"""The one module that knows the order of the steps: convert, pack, deploy, smoke-test.

source model ─▶ ONNX ─▶ model package ─▶ deployment ─▶ smoke report
"""

import os
import pickle
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from packager import deploy as deployer
from packager import plugins
from packager.convert import Trust, convert
from packager.convert.environment import Agree, EnvironmentChoice, nobody_agrees
from packager.core import interrupts
from packager.core.artifact import ModelPackage, Release
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_OPSET, DEFAULT_RTOL, DEFAULT_SEED, InputHint, ModelSource
from packager.core.deployment import DeploymentPlan, TargetSettings
from packager.core.errors import ModelInvalid, UsageError
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import Target
from packager.core.state import cache_home
from packager.documents import DeployDocument, DeploymentDocument, PackageDocument, PlanDocument, SmokeDocument
from packager.pack import next_version, open_package, with_labels, write_package
from packager.project import resolve_settings
from packager.smoke import run_smoke
from runtime.contract.manifest import MANIFEST_NAME

Confirm = Callable[[DeploymentPlan], bool]
DEFAULT_TIMEOUT_S = 600.0
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
    lengths: bool


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """Where and how to deploy.

    Attributes:
        target: Name of a target plugin.
        name: Of the deployment; the model's name where None.
        configured: Settings from the project file; ``overrides``: ``key=value`` strings that win over them.
        confirm: Shown every plan that changes something; by default those that need nobody's agreement pass.
    """

    target: str = "local"
    name: str | None = None
    configured: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    accept_unverified: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    confirm: Confirm = lambda plan: not plan.confirm


def package(
    model: Any,
    *,
    progress: Progress | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    **options: Unpack[PackageOptions],
) -> PackageDocument:
    """Convert a model to ONNX, prove that it answers as before, and write a model package.

    Args:
        model: Path of a model file or folder, or a fitted object.
        options: As ``dray package --help`` explains them; ``samples`` may be an array or a DataFrame. ``trust``: True,
            or a function that is asked with the calls; a fitted object is trusted as the caller's own.

    Raises:
        ConversionError: The model cannot be converted, or answers differently.
        PackageError: The package cannot be written; nothing is left then.
    """
    report = progress or SilentProgress()
    if not isinstance(model, str | os.PathLike):
        # The object is this process's own: what loading it would run has run here. The certificate says what it was.
        options["trust"] = True
    with _as_file(model) as path:
        return PackageDocument.of(_build(path, report, timeout_s=timeout_s, options=options))


def ship(
    model: Any,
    *,
    target: str = "local",
    deployment: DeployRequest | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    **options: Unpack[PackageOptions],
) -> DeployDocument:
    """Package a model, deploy it, and smoke-test what runs with the original's own answers.

    Args:
        model: Path of a model file or folder, or a fitted object.
        deployment: For what ``target``, ``settings`` and ``options['name']`` do not say.

    Raises:
        DrayError: Of the step that failed; a deployment of the same name goes on serving.
    """
    request = deployment or DeployRequest(target=target, name=options.get("name"), configured=settings or {})
    report = progress or SilentProgress()
    began = time.monotonic()
    chosen, chosen_settings = _target(request)
    deployer.check(chosen, chosen_settings)
    document = package(model, progress=report, timeout_s=timeout_s, **options)
    packaged = time.monotonic()
    shipped = _deploy(Path(document.package), chosen, chosen_settings, request, report)
    seconds = {"package": round(packaged - began, 3), **shipped.seconds}
    return shipped.model_copy(update={"seconds": seconds})


def deploy(source: str | Path, request: DeployRequest, *, progress: Progress | None = None) -> DeployDocument:
    """Deploy a package: plan, apply, wait, smoke-test; roll back if the tests fail.

    Raises:
        DrayError: Of the step that failed; a deployment of the same name goes on serving.
    """
    chosen, settings = _target(request)
    deployer.check(chosen, settings)
    return _deploy(_package_path(source), chosen, settings, request, progress or SilentProgress())


def plan(
    source: str | Path,
    request: DeployRequest,
    *,
    progress: Progress | None = None,
    **options: Unpack[PackageOptions],
) -> PlanDocument:
    """What ``deploy`` of a package, or ``ship`` of a model, would change. A model is packaged in the cache only."""
    chosen, settings = _target(request)
    with _planned_package(Path(source), progress or SilentProgress(), options) as path:
        release = Release(open_package(path, accept_unverified=request.accept_unverified))
        name = request.name or release.package.manifest.name
        return PlanDocument.of(deployer.plan(chosen, name, release, settings))


def rollback(
    name: str, targets: Sequence[Target[Any]], *, confirm: Confirm, timeout_s: float, progress: Progress | None = None
) -> DeployDocument:
    """Put the release that served before back, through the same plan, smoke tests and promotion.

    Raises:
        DrayError: Of the step that failed; what serves now goes on serving.
    """
    began = time.monotonic()
    target, deployment = deployer.find(name, targets)
    outcome = deployer.rollback(
        target,
        deployment,
        smoke=run_smoke,
        confirm=confirm,
        secrets={},
        progress=progress or SilentProgress(),
        timeout_s=timeout_s,
    )
    return _document(outcome, began)


def default_name(path: Path) -> str:
    """The model's name: the file's stem, or the folder's name where the stem says nothing."""
    stem = path.stem if path.is_file() else path.name
    named = path.parent.name if stem.lower() in _GENERIC_STEMS and path.parent.name else stem
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-._")[:128]
    return clean or "model"


def _build(model: Path, progress: Progress, *, timeout_s: float, options: PackageOptions) -> ModelPackage:
    name = options.get("name") or default_name(model)
    with tempfile.TemporaryDirectory(prefix="dray-") as scratch, _samples_file(options, Path(scratch)) as samples:
        work = Path(scratch) / "conversion"
        work.mkdir()
        result = convert(
            ModelSource(model, options.get("framework")),
            samples=samples,
            opset=options.get("opset", DEFAULT_OPSET),
            atol=options.get("atol", DEFAULT_ATOL),
            rtol=options.get("rtol", DEFAULT_RTOL),
            seed=options.get("seed", DEFAULT_SEED),
            inputs=tuple(options.get("inputs", ())),
            expected=_path(options.get("expected")),
            accept_precision_loss=options.get("accept_precision_loss", False),
            environment=EnvironmentChoice(options.get("env"), options.get("agree_to_environment", nobody_agrees)),
            trust=options.get("trust", False),
            options=_converter_options(options, model),
            timeout_s=timeout_s,
            workdir=work,
            progress=progress,
        )
        if labels := _path(options.get("labels")):
            result = with_labels(result, labels)
        interrupts.check()
        progress.step("writing the package")
        if version := options.get("version"):
            return write_package(result, _out(options, name, version), name=name, version=version)
        with next_version(name) as number:
            return write_package(result, _out(options, name, number), name=name, version=number)


def _converter_options(options: PackageOptions, model: Path) -> dict[str, Any]:
    """What converters know beyond the common options: ``--lengths``, the user's module, and where its classes are."""
    lengths = {"lengths": True} if options.get("lengths") else {}
    plugin = options.get("plugin")
    if not plugin:
        return lengths
    named = str(plugin)
    return {
        **lengths,
        "plugin": os.path.abspath(named) if named.endswith(".py") else named,
        "plugin_folder": os.path.abspath(model.parent),
    }


def _deploy(
    path: Path, target: Target[Any], settings: TargetSettings, request: DeployRequest, progress: Progress
) -> DeployDocument:
    began = time.monotonic()
    release = Release(open_package(path, accept_unverified=request.accept_unverified))
    outcome = deployer.deploy(
        target,
        request.name or release.package.manifest.name,
        release,
        settings,
        smoke=run_smoke,
        confirm=request.confirm,
        secrets={},
        progress=progress,
        timeout_s=request.timeout_s,
    )
    return _document(outcome, began)


def _document(outcome: deployer.DeployOutcome, began: float) -> DeployDocument:
    # The package that the user named; the target may serve a copy of its own.
    fields = {**DeploymentDocument.fields_of(outcome.deployment), "package": str(outcome.plan.release.package.root)}
    return DeployDocument(
        **fields,
        smoke=SmokeDocument.of(outcome.smoke),
        actions=tuple(f"{action.verb} {action.resource}" for action in outcome.plan.actions),
        seconds={"deploy": round(time.monotonic() - began, 3)},
    )


def _target(request: DeployRequest) -> tuple[Target[Any], TargetSettings]:
    chosen = plugins.target(request.target)
    return chosen, resolve_settings(chosen.settings_type, request.configured, request.overrides)


def _package_path(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        raise UsageError(
            f"{str(path)!r} is a file, not a model package",
            hint=f"`dray ship {path}` packages and deploys a model; `dray package {path}` makes a package",
        )
    return path


@contextmanager
def _planned_package(source: Path, progress: Progress, options: PackageOptions) -> Iterator[Path]:
    """The package itself, or one of the model made in the cache and gone after the plan."""
    if (source / MANIFEST_NAME).is_file() or not source.exists():
        yield source
        return
    cache = cache_home() / "plans"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        name = options.get("name") or default_name(source)
        with next_version(name, count=False) as number:
            version = options.get("version") or number
        changed: PackageOptions = {**options, "out": Path(folder) / "package", "name": name, "version": version}
        yield _build(source, progress, timeout_s=DEFAULT_TIMEOUT_S, options=changed).root


@contextmanager
def _as_file(model: Any) -> Iterator[Path]:
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
def _samples_file(options: PackageOptions, folder: Path) -> Iterator[Path | None]:
    """The samples as a file; arrays and frames of a notebook are written as what keeps their types."""
    samples = options.get("samples")
    if samples is None or isinstance(samples, str | os.PathLike):
        yield _path(samples)
        return
    if hasattr(samples, "to_parquet"):
        path = folder / "samples.parquet"
        samples.to_parquet(path)
    else:
        import numpy as np  # kept out of start-up

        path = folder / "samples.npy"
        np.save(path, np.asarray(samples), allow_pickle=False)
    yield path


def _path(value: "str | os.PathLike[str] | None") -> Path | None:
    return None if value is None else Path(os.path.abspath(value))


def _out(options: PackageOptions, name: str, version: str) -> Path:
    return Path(os.path.abspath(options.get("out") or f"{name}-{version}"))
