"""Packages as container images: ``dray image`` and what ``deploy`` builds for targets that take one."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack, get_args

from packager.core.artifact import ModelPackage
from packager.core.credentials_azure import registry_credentials
from packager.core.errors import UsageError
from packager.core.files import ensure_folder
from packager.core.image import BuiltImage, ImageRef, Platform
from packager.core.progress import Progress, SilentProgress
from packager.core.state import cache_home, state_home
from packager.documents import ImageDocument, VerifiedImageDocument
from packager.image.base import DEFAULT_BASE
from packager.image.build import ImageRequest, build_layout
from packager.image.generate import generate
from packager.image.outputs import archive
from packager.image.run import Builder, Destination, default_ref, make_image
from packager.image.verify import verify_image
from packager.pack import open_package

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
    request = _request(opened, options)
    output = options.get("output")
    if output is not None and Path(output).suffix in _OTHER_ARCHIVES:
        raise UsageError(
            f"{str(output)!r} is no archive that dray writes", hint="name a folder, or a file that ends in .tar"
        )
    destination = Destination(
        builder=_builder(options.get("builder", "auto")),
        output=Path(output).absolute() if output is not None else None,
        push=options.get("push", False),
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


@contextmanager
def image_archive(
    package: ModelPackage, options: ImageOptions, platform: Platform, progress: Progress
) -> Iterator[tuple[BuiltImage, Iterator[bytes]]]:
    """A package's image for one platform, as an archive in pieces that is there while the block lasts.

    Raises:
        ImageError: It cannot be built.
    """
    request = _request(package, {**options, "platforms": (str(platform),)})
    if not options.get("tag"):
        # Each package has a name of its own: what runs keeps its image, whatever is built after it.
        short = package.digest.removeprefix("sha256:")[:12]
        request = replace(request, ref=replace(request.ref, tag=f"{request.ref.tag}-{short}"))
    cache = _cache()
    ensure_folder(cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".image-") as scratch:
        built = build_layout(package, request, Path(scratch), cache=cache, progress=progress)
        yield built, archive(built, Path(scratch))


def _request(package: ModelPackage, options: ImageOptions) -> ImageRequest:
    tag, wheelhouse, base = options.get("tag"), options.get("wheelhouse"), options.get("base")
    if wheelhouse is not None and not Path(wheelhouse).is_dir():
        raise UsageError(f"there is no wheelhouse at {str(wheelhouse)!r}", hint="name a folder of wheels")
    return ImageRequest(
        ref=ImageRef.parse(tag) if tag else default_ref(package, options.get("registry")),
        base=str(base or DEFAULT_BASE),
        platforms=tuple(dict.fromkeys(Platform.parse(text) for text in options.get("platforms", ()))),
        wheelhouse=Path(wheelhouse).absolute() if wheelhouse is not None else None,
        compiled=options.get("compiled", True),
        credentials=registry_credentials(),
    )


def _builder(text: str) -> Builder:
    for known in get_args(Builder):
        if text == known:
            found: Builder = known
            return found
    raise UsageError(f"there is no builder {text!r}", hint=f"one of {', '.join(get_args(Builder))}")


def _cache() -> Path:
    return cache_home() / "image"
