"""Packages as container images: ``dray image`` and what ``deploy`` builds for targets that take one."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from packager import plugins
from packager.core.artifact import ModelPackage
from packager.core.credentials import CredentialSource
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import TargetSettings
from packager.core.errors import (
    BaseUnusable,
    EngineUnavailable,
    EnvironmentMissing,
    ImageMissing,
    RegistryError,
    UsageError,
    WheelsUnavailable,
)
from packager.core.files import ensure_folder
from packager.core.image import BuiltImage, ImageRef, Platform
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import HoldsImages
from packager.core.rehearsal import Stage
from packager.core.state import cache_home, state_home
from packager.documents import ImageDocument, VerifiedImageDocument
from packager.image.base import DEFAULT_BASE
from packager.image.build import ImageRequest, build_layout
from packager.image.generate import generate
from packager.image.outputs import archive, push
from packager.image.package_only import package_only_layout
from packager.image.registry_http import RegistrySettings
from packager.image.run import Destination, default_ref, make_image
from packager.image.verify import verify_image
from packager.pack import open_package
from packager.project import resolve_settings

_BUILDERS = ("auto", "docker", "oci")
# Without these a machine makes no whole image, and a rehearsal goes on without.
_UNOBTAINABLE = (BaseUnusable, ImageMissing, RegistryError, WheelsUnavailable)
# A rehearsal can do without the base, so it does not wait a minute for a registry that a firewall hides.
_IMPATIENT = RegistrySettings(tries=2, connect_timeout_s=5.0)
_OTHER_ARCHIVES = {".zip", ".gz", ".tgz", ".xz", ".bz2", ".zst"}


class ImageOptions(TypedDict, total=False):
    """Options of ``image``; the command line has the same under the same names."""

    builder: str
    platforms: Sequence[str]
    base: str | Path | None
    tag: str | None
    registry: str | None
    push: bool
    output: str | Path | None
    wheelhouse: str | Path | None
    compiled: bool
    accept_unverified: bool


def build_image(
    package: str | Path, *, progress: Progress | None = None, **options: Unpack[ImageOptions]
) -> ImageDocument:
    """Build a container image of a model package, and bring it where it is to be.

    Args:
        options: As ``dray image --help`` explains them. Without ``output``, ``push`` and an engine the image stays as
            an OCI layout in the state folder.

    Raises:
        ImageError: It cannot be built, written or pushed; nothing half-made is left under a name.
        PackageError: The package is damaged.
    """
    opened = open_package(Path(package), accept_unverified=options.get("accept_unverified", False))
    request, output = _request(opened, options), options.get("output")
    if output is not None and Path(output).suffix in _OTHER_ARCHIVES:
        raise UsageError(
            f"{str(output)!r} is no archive that dray writes", hint="name a folder, or a file that ends in .tar"
        )
    push = options.get("push", False)
    engine = _engine(options.get("builder", "auto"), request, elsewhere=output is not None or push)
    if engine is not None and not request.platforms:
        request = replace(request, platforms=(engine.platform(),))
    destination = Destination(
        output=Path(output).absolute() if output is not None else None,
        load=engine.load if engine is not None else None,
        push=push,
        kept=state_home() / "images",
    )
    made = make_image(opened, request, destination, cache=_cache(), progress=progress or SilentProgress())
    return ImageDocument.of(made.image, package=opened, places=made.places, sent_bytes=made.sent_bytes)


def generate_context(
    package: str | Path, out: str | Path, *, progress: Progress | None = None, **options: Unpack[ImageOptions]
) -> Path:
    """Write a Dockerfile and its context for those who build elsewhere; the folder.

    Raises:
        ImageError: There is something at ``out``, or the base cannot be read.
    """
    opened = open_package(Path(package), accept_unverified=options.get("accept_unverified", False))
    folder = Path(out).absolute()
    generate(opened, _request(opened, options), folder, cache=_cache(), progress=progress or SilentProgress())
    return folder


def verify(image: str, *, progress: Progress | None = None) -> VerifiedImageDocument:
    """Check that an image (a path or a reference) holds the package that it claims.

    Raises:
        ImageUnfaithful: It does not.
        ImageError: It cannot be had or read.
    """
    found = verify_image(image, _cache() / "bases", registry_credentials(), progress or SilentProgress())
    platforms = tuple(map(str, found.platforms))
    return VerifiedImageDocument(image=image, digest=found.digest, package_digest=found.package, platforms=platforms)


@dataclass(frozen=True, slots=True)
class LaidOut:
    """An image in an OCI layout.

    Attributes:
        why: Why it holds the package and nothing to run it; empty for a whole image.
    """

    built: BuiltImage
    layout: Path
    why: str = ""

    def archive(self) -> Iterator[bytes]:
        """In pieces, as ``docker load`` reads it."""
        return archive(self.built, self.layout)

    def push(self, credentials: CredentialSource, progress: Progress) -> int:
        """Bring what the registry of its name lacks; the bytes that travelled.

        Raises:
            PushDenied, RegistryError: Of the registry.
        """
        return push(self.built, self.layout, credentials, progress).sent_bytes


@contextmanager
def laid_out(
    package: ModelPackage,
    options: ImageOptions,
    platforms: tuple[Platform, ...],
    progress: Progress,
    *,
    stage: Stage | None = None,
) -> Iterator[LaidOut]:
    """A package's image, which is there while the block lasts; the same bytes every time.

    Args:
        stage: The stand-in that it is for: its registry takes it, and it holds the package alone where processes run
            it, or where this machine cannot make a whole one.

    Raises:
        ImageError: It cannot be built.
    """
    request = replace(_request(package, {**options, "platforms": ()}), platforms=platforms)
    if stage is not None:
        ref = _unique(package, default_ref(package, stage.registry))
        request = replace(request, ref=ref, registry=_IMPATIENT)
    elif not options.get("tag"):
        request = replace(request, ref=_unique(package, request.ref))
    cache = _cache()
    ensure_folder(cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".image-") as scratch:
        yield _lay_out(package, request, Path(scratch), stage, progress)


def _lay_out(
    package: ModelPackage, request: ImageRequest, scratch: Path, stage: Stage | None, progress: Progress
) -> LaidOut:
    whole, why = scratch / "whole", _why_not_whole(stage)
    whole.mkdir()
    if not why:
        try:
            return LaidOut(build_layout(package, request, whole, cache=_cache(), progress=progress), whole)
        except _UNOBTAINABLE as error:
            if stage is None or _lies_here(request):
                raise
            why = error.message
    progress.step(f"the runtime runs as a process here: {why}")
    bare = scratch / "package-only"
    return LaidOut(package_only_layout(package, request.ref, request.platforms, bare, cache=_cache()), bare, why)


def _unique(package: ModelPackage, ref: ImageRef) -> ImageRef:
    """A name that each package has for itself: what runs keeps its image, whatever is built after it."""
    return replace(ref, tag=f"{ref.tag}-{package.digest.removeprefix('sha256:')[:12]}")


def _why_not_whole(stage: Stage | None) -> str:
    if stage is None or stage.runs == "containers":
        return ""
    return stage.why or "no container engine answers"


def _lies_here(request: ImageRequest) -> bool:
    """Whether the base or the wheels are files of the user's, who is told what is wrong with them."""
    local = request.base.startswith((".", "/", "~")) or Path(request.base).exists()
    return local or request.wheelhouse is not None


def check_files(options: ImageOptions) -> None:
    """Whether what an image is made of, and lies here, does.

    Raises:
        UsageError: There is no wheelhouse.
    """
    wheelhouse = options.get("wheelhouse")
    if wheelhouse is not None and not Path(wheelhouse).is_dir():
        raise UsageError(f"there is no wheelhouse at {str(wheelhouse)!r}", hint="name a folder of wheels")


def _request(package: ModelPackage, options: ImageOptions) -> ImageRequest:
    tag, wheelhouse, base = options.get("tag"), options.get("wheelhouse"), options.get("base")
    check_files(options)
    return ImageRequest(
        ref=ImageRef.parse(tag) if tag else default_ref(package, options.get("registry")),
        base=str(base or DEFAULT_BASE),
        platforms=tuple(dict.fromkeys(Platform.parse(text) for text in options.get("platforms", ()))),
        wheelhouse=Path(wheelhouse).absolute() if wheelhouse is not None else None,
        compiled=options.get("compiled", True),
        credentials=registry_credentials(),
    )


@dataclass(frozen=True, slots=True)
class _Engine:
    """The engine of the docker target, which knows contexts as Docker's own command line does."""

    target: HoldsImages[Any]
    settings: TargetSettings

    def load(self, archive: Iterator[bytes]) -> None:
        self.target.load_image(archive, self.settings)

    def platform(self) -> Platform:
        return self.target.platform(self.settings)


def _engine(builder: str, request: ImageRequest, *, elsewhere: bool) -> _Engine | None:
    """Where the image is loaded: ``docker`` wants an engine, ``auto`` takes one that answers and runs the platform.

    Raises:
        UsageError: There is no such builder.
        EngineUnavailable, EnvironmentMissing: ``docker`` finds none.
    """
    if builder not in _BUILDERS:
        raise UsageError(f"there is no builder {builder!r}", hint=f"one of {', '.join(_BUILDERS)}")
    if builder == "oci" or (builder == "auto" and elsewhere):
        return None
    target = plugins.target("docker")
    if not isinstance(target, HoldsImages):
        return None
    engine = _Engine(target, resolve_settings(target.settings_type, {}, ()))
    try:
        fits = request.platforms in ((), (engine.platform(),))
    except EnvironmentMissing:
        if builder == "docker":
            raise
        return None
    except EngineUnavailable as error:
        if builder == "docker":
            hint = "start Docker, name another engine by DOCKER_HOST or DOCKER_CONTEXT, or use --builder oci"
            raise EngineUnavailable(error.message, hint=hint, detail=error.detail) from error
        return None
    return engine if fits or builder == "docker" else None


def _cache() -> Path:
    return cache_home() / "image"
