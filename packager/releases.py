"""What ``deploy`` and ``plan`` are given: a package in a folder, or an image by its name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packager.core.acceleration import stands_in
from packager.core.artifact import ModelPackage, Release
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import Deployment, DeploymentPlan, Finding, Findings, TargetSettings
from packager.core.errors import (
    ArchitectureMissing,
    ImageError,
    ImageReferenceInvalid,
    ProviderAbsent,
    UsageError,
)
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import HoldsImages, PullsImages
from packager.core.rehearsal import Stage
from packager.deploy.places import Place
from packager.deploy.planning import refuse_blocking
from packager.image.contents import image_platforms, package_of_image
from packager.images import ImageOptions, LaidOut, check_files, laid_out
from packager.pack import open_package

# Providers of the onnxruntime that images are built with.
_PLAIN: Final = frozenset({"CPUExecutionProvider", "AzureExecutionProvider"})
_BASE: Final = (
    "--base IMAGE, a base with a build of onnxruntime that has it, or deploy an image of your own: docs/fpga.md"
)
_ALLOW: Final = "fallback=allow serves on the CPU, and says so in every report"


def _nothing() -> None:
    """There is nothing to bring."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A release that can be planned, and brought to where the target finds it.

    Attributes:
        bring: Loads or pushes the image that was built for it.
        notes: What a person who reads the plan must know besides.
    """

    release: Release
    bring: Callable[[], None] = _nothing
    notes: Findings = ()

    def noted(self, plan: DeploymentPlan) -> DeploymentPlan:
        """A plan with the notes."""
        return replace(plan, findings=(*plan.findings, *self.notes))


@contextmanager
def prepared(
    source: str | Path, place: Place, progress: Progress, *, accept_unverified: bool, build: ImageOptions
) -> Iterator[Prepared]:
    """What shall serve: a package, or an image and the package that it holds. Nothing outside is changed.

    Args:
        build: How an image is built of a package, where the target takes one; it lies here while the block lasts.

    Raises:
        UsageError: The target cannot take it.
        PackageError, ImageError: It cannot be read or built.
    """
    image = None if Path(source).exists() else _image_named(str(source))
    if image is None:
        package = open_package(_package_path(source), accept_unverified=accept_unverified)
    else:
        _refuse_options(build, f"{str(source)!r} is an image already")
        release = _of_image(image, place, progress, accept_unverified=accept_unverified)
        if not _is_copied(release, place.stage):
            yield Prepared(release, notes=_rehearsed(place, ""))
            return
        package = release.package
    if not isinstance(place.target, PullsImages | HoldsImages):
        _refuse_options(build, f"{place.target.name!r} takes packages")
        yield Prepared(Release(package), notes=_rehearsed(place, ""))
        return
    options = _options(place, build)
    platforms = _platforms(place.target.name, place.target, place.settings, options)
    with laid_out(package, options, platforms, progress, stage=place.stage) as image_here:
        yield _prepared(package, image_here, place, progress)


def check_build(place: Place, build: ImageOptions) -> None:
    """What can be said against an image before there is a package that it could be built of.

    Raises:
        UsageError: The target pulls its images, and no registry is named; or there is no image to be built.
        ArchitectureMissing: It would not run there.
        ProviderAbsent: The usual base is asked for, which brings no execution provider of a card.
    """
    target = place.target
    if not isinstance(target, PullsImages | HoldsImages):
        _refuse_options(build, f"{target.name!r} takes packages")
        return
    _platforms(target.name, target, place.settings, _options(place, build))
    check_files(build)
    if place.stage is None and not build.get("base"):
        refuse_blocking(_of_provider(place, plain=True))


def _options(place: Place, build: ImageOptions) -> ImageOptions:
    target, tag = place.target, build.get("tag")
    if not isinstance(target, PullsImages):
        return {**build, "registry": None}
    named = ImageRef.parse(tag).registry if tag else build.get("registry")
    if named is None and place.stage is None:
        what = f"{tag!r} names no registry, and {target.name!r}" if tag else f"{target.name!r}"
        raise UsageError(
            f"{what} pulls images from one",
            hint="--tag registry.example/team/model:1, or `registry:` under `image:` in dray.yaml",
        )
    return build


def package_of_deployment(deployment: Deployment, place: Place, progress: Progress) -> ModelPackage:
    """The package that a deployment serves: kept here, or read from its image.

    Raises:
        UsageError: It is not kept here, and there is no image.
        PackageError, ImageError: It cannot be read.
    """
    if deployment.package is not None:
        return open_package(Path(deployment.package), accept_unverified=True)
    if deployment.image is None:
        raise UsageError(
            f"no known package to hold {deployment.name!r} to", hint="add --package with the model package"
        )
    image, target = ImageRef.parse(deployment.image), place.target
    if isinstance(target, HoldsImages) and (held := target.package_of(image, place.settings)):
        return held
    try:
        return package_of_image(image, progress, credentials=place.credentials)[0]
    except ImageError as error:
        hint = f"{error.hint}; or add --package with the model package".removeprefix("; ")
        raise type(error)(error.message, hint=hint, detail=error.detail) from error


def _of_image(image: ImageRef, place: Place, progress: Progress, *, accept_unverified: bool) -> Release:
    target, settings = place.target, place.settings
    if not target.takes_image:
        raise UsageError(
            f"{target.name!r} takes packages, not images: {str(image)!r}", hint="name the package's folder"
        )
    held = target.package_of(image, settings) if isinstance(target, HoldsImages) else None
    package, image = (held, image) if held else package_of_image(image, progress, credentials=place.credentials)
    package = open_package(package.root, accept_unverified=accept_unverified)
    if isinstance(target, PullsImages):
        there = image_platforms(image, credentials=place.credentials)
        if wanting := [each for each in target.platforms(settings) if each not in there]:
            raise _not_there(str(image), wanting[0], there, target.name)
        image = replace(image, tag=None)
    return Release(package, image)


def _prepared(package: ModelPackage, here: LaidOut, place: Place, progress: Progress) -> Prepared:
    """The release that a built image makes: by its digest where it is pulled, by its tag where an engine holds it."""
    built, target, settings = here.built, place.target, place.settings

    def push() -> None:
        progress.step(f"pushing {replace(built.ref, digest=None)}")
        sent = here.push(registry_credentials(place.credentials), progress)
        progress.detail(f"{sent / 1e6:.1f} MB were not there yet")

    def load() -> None:
        progress.step(f"loading {replace(built.ref, digest=None)}")
        if isinstance(target, HoldsImages):
            target.load_image(here.archive(), settings)

    pulls = isinstance(target, PullsImages)
    ref = replace(built.ref, tag=None) if pulls else replace(built.ref, digest=None)
    release = Release(package, ref, built_for=built.platforms)
    # Where a process runs instead, its onnxruntime is that of this environment.
    lacking = () if here.why else _of_provider(place, plain=built.plain)
    return Prepared(release, push if pulls else load, (*lacking, *_rehearsed(place, here.why)))


def _platforms(
    name: str, target: PullsImages[Any] | HoldsImages[Any], settings: TargetSettings, options: ImageOptions
) -> tuple[Platform, ...]:
    """What the image is built for: what runs there, and what was asked for besides where the target pulls it.

    Raises:
        ArchitectureMissing: Other platforms were asked for, and not the target's.
    """
    asked = tuple(dict.fromkeys(Platform.parse(text) for text in options.get("platforms") or ()))
    pulls = isinstance(target, PullsImages)
    runs = target.platforms(settings) if isinstance(target, PullsImages) else (target.platform(settings),)
    if asked and (wanting := [each for each in runs if each not in asked]):
        raise _not_there("the image that is asked for", wanting[0], asked, name)
    return asked if asked and pulls else runs


def _not_there(what: str, platform: Platform, there: tuple[Platform, ...], target: str) -> ArchitectureMissing:
    listed = ", ".join(map(str, there)) or "none"
    return ArchitectureMissing(
        f"{what} is not for {platform}, which {target!r} runs, only for: {listed}",
        hint=f"build it for that too: --platform {platform}",
        detail={"target": str(platform), "image": [str(each) for each in there]},
    )


def _is_copied(release: Release, stage: Stage | None) -> bool:
    """Whether only the package of an image can be run: by a process, which pulls from the stand-in's registry alone."""
    elsewhere = stage is not None and release.image is not None and release.image.host != stage.registry
    return elsewhere and stage is not None and stage.runs == "processes"


def _of_provider(place: Place, *, plain: bool) -> Findings:
    """That an image's onnxruntime is for CPUs, where a card's execution provider shall do the work."""
    asked = place.settings.provider_asked
    if asked is None or not plain or asked.name in _PLAIN:
        return ()
    lacks = f"the image is built with the plain onnxruntime, for CPUs, which has no {asked.name}"
    if not asked.must:
        return (stands_in(asked.name, lacks, _BASE),)
    return (Finding(ProviderAbsent.code, lacks, hint=f"{_BASE}; {_ALLOW}", blocking=True),)


def _rehearsed(place: Place, why: str) -> Findings:
    if place.stage is None:
        return ()
    why = why or place.stage.why
    runs = f"the runtime runs as a process: {why}" if why else "it runs real containers"
    where = f"the stand-in of {place.target.name!r} on this machine (registry {place.stage.registry})"
    message = f"a rehearsal on {where}; {runs}"
    return (Finding("E-REHEARSAL", message, hint="without --rehearse it is the real thing"),)


def _refuse_options(options: ImageOptions, why: str) -> None:
    given = [f"--{name}" for name in ("tag", "wheelhouse") if options.get(name)]
    if given:
        raise UsageError(f"{why}, so no image is built that {given[0]} could be about", hint=f"leave {given[0]} out")


def _image_named(source: str) -> ImageRef | None:
    """The image that a source names: one with a registry, a tag or a digest; a bare word is a folder's name."""
    try:
        ref = ImageRef.parse(source)
    except ImageReferenceInvalid:
        return None
    return ref if ref.registry or ref.tag or ref.digest else None


def _package_path(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        raise UsageError(
            f"{str(path)!r} is a file, not a model package",
            hint=f"`dray ship {path}` packages and deploys a model; `dray package {path}` makes a package",
        )
    return path
