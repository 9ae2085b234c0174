"""The one module that knows the order of the steps: convert, pack, deploy, smoke-test.

source model ─▶ ONNX ─▶ model package ─▶ deployment ─▶ smoke report
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from packager import deploy as deployer
from packager import plugins
from packager.convert import convert
from packager.convert.environment import EnvironmentChoice, nobody_agrees
from packager.convert.judgement import Checks
from packager.core import interrupts
from packager.core.artifact import ModelPackage
from packager.core.circuit import CircuitSummary
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_OPSET, DEFAULT_RTOL, DEFAULT_SEED, ConversionResult
from packager.core.deployment import Deployment, DeploymentPlan
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import ChoosesForm, Various
from packager.core.state import cache_home
from packager.deploy.places import Place, open_stage, striking
from packager.deploy.planning import refuse_blocking
from packager.documents import DeployDocument, DeploymentDocument, PackageDocument, PlanDocument, SmokeDocument
from packager.image.contents import package_of_image
from packager.images import ImageOptions
from packager.options import (
    PackageOptions,
    absolute,
    as_file,
    code_of,
    converter_options,
    default_name,
    in_form,
    samples_file,
    source_of,
    truth_file,
    wanted_transformation,
)
from packager.pack import next_version, with_labels, write_package
from packager.project import resolve_settings
from packager.releases import check_build, prepared
from packager.smoke import run_smoke
from packager.transform import Wanted, check_form, transform
from runtime.contract.manifest import MANIFEST_NAME

Confirm = Callable[[DeploymentPlan], bool]
DEFAULT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """Where and how to deploy.

    Attributes:
        target: Name of a target plugin.
        name: Of the deployment; the model's name where None.
        image: How an image is built of a package, for targets that take one.
        configured: Settings from the project file; ``overrides``: ``key=value`` strings that win over them.
        rehearse: On the target's stand-in on this machine, where ``faults`` (``NAME`` or ``NAME:TIMES``) strike.
        confirm: Shown every plan that changes something; by default those that need nobody's agreement pass.
    """

    target: str = "local"
    name: str | None = None
    configured: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    accept_unverified: bool = False
    image: ImageOptions = field(default_factory=ImageOptions)
    rehearse: bool = False
    faults: Sequence[str] = ()
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
    with as_file(model) as path:
        return PackageDocument.of(_build(path, report, timeout_s=timeout_s, options=options))


def ship(
    model: Any,
    *,
    target: str = "local",
    deployment: DeployRequest | None = None,
    settings: Mapping[str, Any] | None = None,
    rehearse: bool = False,
    faults: Sequence[str] = (),
    progress: Progress | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    **options: Unpack[PackageOptions],
) -> DeployDocument:
    """Package a model, deploy it, and smoke-test what runs with the original's own answers.

    Args:
        model: Path of a model file or folder, or a fitted object.
        deployment: Instead of ``target``, ``settings``, ``rehearse``, ``faults`` and ``options['name']``.

    Raises:
        DrayError: Of the step that failed; a deployment of the same name goes on serving.
    """
    request = deployment or DeployRequest(
        target=target, name=options.get("name"), configured=settings or {}, rehearse=rehearse, faults=faults
    )
    report = progress or SilentProgress()
    began = time.monotonic()
    with striking(request.target, request.faults, report):
        place = _place(request, report)
        deployer.check(place.target, place.settings)
        check_build(place, request.image)
        document = package(model, progress=report, timeout_s=timeout_s, **_in_form(place, options))
        packaged = time.monotonic()
        shipped = _deploy(document.package, place, request, report)
    seconds = {"package": round(packaged - began, 3), **shipped.seconds}
    return shipped.model_copy(update={"seconds": seconds})


def deploy(source: str | Path, request: DeployRequest, *, progress: Progress | None = None) -> DeployDocument:
    """Deploy a package: plan, apply, wait, smoke-test; roll back if the tests fail.

    Raises:
        DrayError: Of the step that failed; a deployment of the same name goes on serving.
    """
    report = progress or SilentProgress()
    with striking(request.target, request.faults, report):
        place = _place(request, report)
        deployer.check(place.target, place.settings)
        if Path(source).is_dir():
            check_build(place, request.image)
        return _deploy(source, place, request, report)


def plan(
    source: str | Path,
    request: DeployRequest,
    *,
    progress: Progress | None = None,
    **options: Unpack[PackageOptions],
) -> PlanDocument:
    """What ``deploy`` of a package, or ``ship`` of a model, would change; packages and images are made in the cache."""
    report = progress or SilentProgress()
    place = _place(request, report)
    deployer.check(place.target, place.settings)
    with (
        _planned_package(Path(source), report, place, options) as path,
        prepared(path, place, report, accept_unverified=request.accept_unverified, build=request.image) as ready,
    ):
        name = request.name or ready.release.package.manifest.name
        return PlanDocument.of(ready.noted(deployer.plan(place.target, name, ready.release, place.settings)))


def rollback(
    place: Place, deployment: Deployment, *, confirm: Confirm, timeout_s: float, progress: Progress | None = None
) -> DeployDocument:
    """Put the release that served before back, through the same plan, smoke tests and promotion.

    Raises:
        DrayError: Of the step that failed; what serves now goes on serving.
    """
    began, report = time.monotonic(), progress or SilentProgress()
    outcome = deployer.rollback(
        place.target,
        deployment,
        smoke=run_smoke,
        confirm=confirm,
        secrets={},
        package_of=lambda image: package_of_image(image, report, credentials=place.credentials)[0],
        progress=report,
        timeout_s=timeout_s,
    )
    return _document(outcome, began)


def _build(model: Path, progress: Progress, *, timeout_s: float, options: PackageOptions) -> ModelPackage:
    name = options.get("name") or default_name(code_of(model)[0])
    with tempfile.TemporaryDirectory(prefix="dray-") as scratch, samples_file(options, Path(scratch)) as samples:
        wanted = wanted_transformation(options, truth=truth_file(options, Path(scratch)))
        work = Path(scratch) / "conversion"
        work.mkdir()
        result = convert(
            source_of(model, options),
            samples=samples,
            opset=options.get("opset", DEFAULT_OPSET),
            atol=options.get("atol", DEFAULT_ATOL),
            rtol=options.get("rtol", DEFAULT_RTOL),
            seed=options.get("seed", DEFAULT_SEED),
            inputs=tuple(options.get("inputs", ())),
            expected=absolute(options.get("expected")),
            accept_precision_loss=options.get("accept_precision_loss", False),
            environment=EnvironmentChoice(options.get("env"), options.get("agree_to_environment", nobody_agrees)),
            trust=options.get("trust", False),
            options=converter_options(options, model),
            timeout_s=timeout_s,
            workdir=work,
            progress=progress,
            look=(lambda raw: check_form(raw, wanted)) if wanted else None,
        )
        if labels := absolute(options.get("labels")):
            result = with_labels(result, labels)
        if wanted:
            result = _transformed(
                result, wanted, options, (name, samples), Path(scratch) / "forms", progress, timeout_s
            )
        interrupts.check()
        progress.step("writing the package")
        if version := options.get("version"):
            return write_package(result, _out(options, name, version), name=name, version=version)
        with next_version(name) as number:
            return write_package(result, _out(options, name, number), name=name, version=number)


def _transformed(
    result: ConversionResult,
    wanted: Wanted,
    options: PackageOptions,
    given: tuple[str, Path | None],
    workdir: Path,
    progress: Progress,
    timeout_s: float,
) -> ConversionResult:
    """The conversion after --optimize, --quantize or --circuit, judged as it was itself."""
    workdir.mkdir()
    checks = Checks(
        atol=options.get("atol", DEFAULT_ATOL),
        rtol=options.get("rtol", DEFAULT_RTOL),
        seed=options.get("seed", DEFAULT_SEED),
        expected=absolute(options.get("expected")),
        accept_precision_loss=options.get("accept_precision_loss", False),
    )
    name, samples = given
    return transform(
        result,
        wanted,
        checks=checks,
        workdir=workdir,
        progress=progress,
        timeout_s=timeout_s,
        name=name,
        samples=samples,
    )


def _deploy(source: str | Path, place: Place, request: DeployRequest, progress: Progress) -> DeployDocument:
    began = time.monotonic()
    accepted, build = request.accept_unverified, request.image
    with prepared(source, place, progress, accept_unverified=accepted, build=build) as ready:
        image = {"image": round(time.monotonic() - began, 3)} if place.target.takes_image else {}
        refuse_blocking(ready.notes)
        deploying = time.monotonic()
        outcome = deployer.deploy(
            place.target,
            request.name or ready.release.package.manifest.name,
            ready.release,
            place.settings,
            smoke=run_smoke,
            confirm=lambda plan: request.confirm(ready.noted(plan)),
            secrets={},
            progress=progress,
            timeout_s=request.timeout_s,
            bring=ready.bring,
        )
        document = _document(outcome, deploying)
    return document.model_copy(update={"seconds": {**image, **document.seconds}})


def _document(outcome: deployer.DeployOutcome, began: float) -> DeployDocument:
    # The package that the user named; the target may serve a copy of its own.
    package = outcome.plan.release.package
    fields = {**DeploymentDocument.fields_of(outcome.deployment), "package": str(package.root)}
    return DeployDocument(
        **fields,
        smoke=SmokeDocument.of(outcome.smoke),
        circuit=CircuitSummary.of(package),
        actions=tuple(f"{action.verb} {action.resource}" for action in outcome.plan.actions),
        seconds={"deploy": round(time.monotonic() - began, 3)},
    )


def _place(request: DeployRequest, progress: Progress) -> Place:
    """The target that is asked for, or its stand-in; settings are judged before that is started."""
    chosen = plugins.target(request.target)
    settings = resolve_settings(chosen.settings_type, request.configured, request.overrides)
    stage = open_stage(request.target, request.faults, progress, rehearse=request.rehearse)
    target = stage.target if stage else chosen
    return Place(target.at(settings) if isinstance(target, Various) else target, settings, stage)


def _in_form(place: Place, options: PackageOptions) -> PackageOptions:
    """With the form that the target's hosts take."""
    return in_form(options, place.target.form(place.settings)) if isinstance(place.target, ChoosesForm) else options


@contextmanager
def _planned_package(source: Path, progress: Progress, place: Place, options: PackageOptions) -> Iterator[Path]:
    """The package itself, or one of the model made in the cache and gone after the plan."""
    if (source / MANIFEST_NAME).is_file() or not code_of(source)[0].exists():
        yield source
        return
    cache = cache_home() / "plans"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        name = options.get("name") or default_name(code_of(source)[0])
        with next_version(name, count=False) as number:
            version = options.get("version") or number
        named: PackageOptions = {**options, "out": Path(folder) / "package", "name": name, "version": version}
        yield _build(source, progress, timeout_s=DEFAULT_TIMEOUT_S, options=_in_form(place, named)).root


def _out(options: PackageOptions, name: str, version: str) -> Path:
    return Path(os.path.abspath(options.get("out") or f"{name}-{version}"))
